//! Who acts for an account.

use leasehold_commands::{
    CommandError,
    members::{self, By},
};
use leasehold_domain::{notice::MailState, role::Role};
use leasehold_store::keys::KeyKind;
use leasehold_tests::{
    App, on_both,
    signed::Signer,
    web::{Answer, send, send_with},
};
use serde_json::{Value, json};
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);
const INVITED: &str = "You are invited";

/// The path of the newest invitation's link.
fn link(app: &App, to: &str) -> String {
    let mails = app.mails_with(INVITED);
    let mail = mails.iter().find(|mail| mail.contains(&format!("To: {to}"))).unwrap();
    link_in(mail)
}

/// The path of the link in a mail.
fn link_in(mail: &str) -> String {
    let mail = mail.replace("=\r\n", "").replace("=\n", "");
    mail.lines().find_map(|line| line.strip_prefix("http://127.0.0.1:8066")).unwrap().trim().to_owned()
}

async fn post(api: &leasehold_api::Api, path: &str, form: &str) -> Answer {
    send_with(api, "POST", path, "", &[("content-type", "application/x-www-form-urlencoded")], form.to_owned()).await
}

async fn sign_in(api: &leasehold_api::Api, body: Value) -> Answer {
    send(api, "POST", "/api/v1/public/sign-in", "", body.to_string()).await
}

on_both!(who_is_invited_accepts_once_and_signs_in(app) {
    let (api, key) = (app.api(), app.key(&app.account, "users").await);
    let invitee = r#"{"email":"Grace@Example.org","role":"billing"}"#;
    let made = send_with(&api, "POST", "/api/v1/invitations", &key, &[("idempotency-key", "1")], invitee).await;
    assert_eq!((made.status, &made.body["email"], &made.body["role"], &made.body["invitedBy"]), (201, &json!("grace@example.org"), &json!("billing"), &json!("ada@example.org")));
    let again = send_with(&api, "POST", "/api/v1/invitations", &key, &[("idempotency-key", "1")], invitee).await;
    assert_eq!((again.status, again.header("idempotent-replayed"), &again.body), (201, "true", &made.body));
    app.until_quiet().await;
    assert_eq!(app.mails_with(INVITED).len(), 1);
    let link = link(app, "grace@example.org");
    let page = send(&api, "GET", &link, "", "").await;
    assert!(page.status == 200 && page.text().contains("grace@example.org") && page.text().contains(r#"name="password""#), "{}", page.text());
    assert_eq!((page.header("cache-control"), page.header("referrer-policy")), ("no-store", "no-referrer"));
    for (status, path, form) in [
        (404, link[..link.len() - 1].to_owned() + "x", "first_name=Grace&last_name=Hopper&password=correct+horse"),
        (404, format!("/invitations/{}", made.body["id"].as_str().unwrap()), ""),
        (400, link.clone(), ""),
        (400, link.clone(), "first_name=Grace&last_name=Hopper&password=short"),
        (400, link.clone(), "first_name=Gr%0Aace&last_name=Hopper&password=correct+horse"),
    ] {
        let refused = post(&api, &path, form).await;
        assert!(refused.status == status && refused.text().contains("role=\"alert\""), "{path} {form}: {}", refused.text());
    }
    assert_eq!(send(&api, "GET", "/api/v1/members", &key, "").await.body.as_array().unwrap().len(), 1, "nobody joined by looking");
    let hostile = "first_name=%3Cb%3EGrace&last_name=Hopper&password=short";
    assert!(post(&api, &link, hostile).await.text().contains("&lt;b&gt;Grace"), "what was typed stays text");
    let joined = post(&api, &link, "first_name=Grace&last_name=Hopper&password=correct+horse").await;
    assert!(joined.status == 200 && joined.text().contains("billing"), "{}", joined.text());
    assert_eq!((post(&api, &link, "first_name=Grace&last_name=Hopper&password=correct+horse").await.status, send(&api, "GET", &link, "", "").await.status), (404, 404), "once");
    let members = send(&api, "GET", "/api/v1/members", &key, "").await.body;
    let grace = members.as_array().unwrap().iter().find(|m| m["email"] == "grace@example.org").unwrap();
    assert_eq!((&grace["role"], &grace["firstName"], &grace["twoFactor"]), (&json!("billing"), &json!("Grace"), &json!(false)));
    let signed = sign_in(&api, json!({ "email": "GRACE@example.org", "password": "correct horse" })).await;
    let path = signed.body["url"].as_str().unwrap().strip_prefix("http://127.0.0.1:8066").unwrap().to_owned();
    assert!(signed.status == 200 && send(&api, "GET", &path, "", "").await.text().contains("grace@example.org"), "{signed:?}");

    // Somebody who is known joins another account without a form; and sees both.
    let other = app.new_account("other@example.org", "5.00").await;
    let token = app.token().await;
    let invited = send(&api, "POST", &format!("/admin/v1/accounts/{other}/invitations"), &token, r#"{"email":"grace@example.org","role":"admin"}"#).await;
    assert_eq!((invited.status, &invited.body["invitedBy"]), (201, &Value::Null));
    app.until_quiet().await;
    let mails = app.mails_with(INVITED);
    let mail = mails.iter().find(|mail| mail.contains(&format!("account {other}"))).unwrap();
    let link = link_in(mail);
    assert!(!send(&api, "GET", &link, "", "").await.text().contains("password"));
    assert_eq!(post(&api, &link, "first_name=Mallory&last_name=M&password=another+password").await.status, 200);
    assert_eq!(sign_in(&api, json!({ "email": "grace@example.org", "password": "another password" })).await.status, 403, "the password stays");
    assert_eq!(sign_in(&api, json!({ "email": "grace@example.org", "password": "correct horse", "account": other.parse::<i64>().unwrap() })).await.status, 200);
    let stranger = app.new_account("stranger@example.org", "5.00").await.parse::<i64>().unwrap();
    assert_eq!(sign_in(&api, json!({ "email": "grace@example.org", "password": "correct horse", "account": stranger })).await.status, 404);
    let key = app.key_of(&other, "grace@example.org", "users").await;
    let all = send(&api, "GET", "/api/3/accounts", &key, "").await.body;
    assert_eq!((&all["count"], &all["response"][1]["current_account"]), (&json!(2), &json!(true)));
});

on_both!(an_invitation_that_is_over_leads_nowhere(app) {
    let (api, key) = (app.api(), app.key(&app.account, "users").await);
    let invite = async |email: &str| send(&api, "POST", "/api/v1/invitations", &key, json!({ "email": email, "role": "read-only" }).to_string()).await;
    // Taken back before its mail went out: nobody hears of it.
    let early = invite("early@example.org").await.body["id"].as_str().unwrap().to_owned();
    assert_eq!(send(&api, "DELETE", &format!("/api/v1/invitations/{early}"), &key, "").await.status, 204);
    app.until_quiet().await;
    let mails = app.store.read().await.unwrap().mails(None, None, 1).await.unwrap();
    assert_eq!((app.mails_with(INVITED).len(), mails[0].state), (0, MailState::Superseded));
    // Taken back afterwards, replaced, or too old.
    let form = "first_name=Grace&last_name=Hopper&password=correct+horse";
    let back = invite("back@example.org").await.body["id"].as_str().unwrap().to_owned();
    invite("twice@example.org").await;
    app.until_quiet().await;
    let (first, taken) = (link(app, "twice@example.org"), link(app, "back@example.org"));
    assert_eq!(send(&api, "DELETE", &format!("/api/v1/invitations/{back}"), &key, "").await.status, 204);
    assert_eq!((post(&api, &taken, form).await.status, send(&api, "GET", &first, "", "").await.status), (404, 200));
    invite("twice@example.org").await;
    assert_eq!(post(&api, &first, form).await.status, 404, "the one after it counts");
    invite("late@example.org").await;
    app.until_quiet().await;
    let late = link(app, "late@example.org");
    assert_eq!(send(&api, "GET", &late, "", "").await.status, 200);
    app.advance(7 * DAY);
    assert_eq!(post(&api, &late, form).await.status, 404, "too old");
    for (status, email) in [(400, "nobody"), (400, "a@example.org\r\nBcc: b@example.org"), (400, "ada@example.org")] {
        assert_eq!(invite(email).await.status, status, "{email}");
    }
    assert_eq!(send(&api, "POST", "/api/v1/invitations", &key, r#"{"email":"a@example.org","role":"god"}"#).await.status, 400);
    // Mails to strangers have an end.
    for n in 0..50 {
        assert_eq!(invite(&format!("guest{}@example.org", n % 5)).await.status, 201);
    }
    let refused = invite("guest@example.org").await;
    assert!(refused.status == 429 && !refused.header("retry-after").is_empty(), "{refused:?}");
    app.advance(DAY);
    assert_eq!(invite("guest@example.org").await.status, 201);
    app.until_quiet().await;
});

on_both!(a_role_bounds_every_key_of_its_person(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    let (api, me) = (app.api(), app.account.clone());
    app.member(&me, "grace@example.org", Role::ReadOnly).await;
    let (owner, key) = (app.key(&me, "*").await, app.key_of(&me, "grace@example.org", "*").await);
    let (show, label, credentials) = (format!("/api/v1/servers/{}", server.id), format!("/api/v1/servers/{}/label", server.id), format!("/api/v1/servers/{}/credentials", server.id));
    let pat = r#"{"scopes":["servers:read"]}"#;
    let asks: [(&str, &str, &str); 8] = [
        ("GET", &show, ""),
        ("GET", &credentials, ""),
        ("PATCH", &label, r#"{"label":"web"}"#),
        ("GET", "/api/v1/billing/invoices", ""),
        ("GET", "/v1/account/api-keys", ""),
        ("POST", "/v1/account/api-keys/pat", pat),
        ("POST", "/api/v1/invitations", r#"{"email":"x@example.org","role":"read-only"}"#),
        ("GET", "/api/v1/machines/line", ""),
    ];
    let statuses = async |key: &str| {
        let mut all = Vec::new();
        for (method, path, body) in asks {
            all.push(send(&api, method, path, key, body).await.status);
        }
        all
    };
    let role = async |role: &str| send(&api, "PATCH", "/api/v1/members/grace@example.org", &owner, json!({ "role": role }).to_string()).await.status;
    assert_eq!(statuses(&key).await, [200, 403, 403, 200, 200, 403, 403, 403], "read-only");
    let refused = send(&api, "PATCH", &label, &key, r#"{"label":"web"}"#).await.body["message"].to_string();
    assert!(refused.contains("role"), "{refused}");
    let seen = send(&api, "GET", "/api/3/accounts", &key, "").await.body;
    assert_eq!(seen["response"][0]["server_registration_script"], Value::Null, "a line that writes is not for who reads");
    assert_eq!((role("billing").await, statuses(&key).await), (200, vec![200, 403, 403, 200, 403, 403, 403, 403]));
    assert_eq!((role("admin").await, statuses(&key).await), (200, vec![200, 200, 200, 200, 200, 201, 201, 200]));
    let minted = send(&api, "POST", "/v1/account/api-keys/pat", &key, pat).await.body["key"].as_str().unwrap().to_owned();
    let token = app.token().await;
    let verify = async |key: &str, scope: &str| send(&api, "POST", "/admin/v1/keys/verify", &token, json!({ "key": key, "scope": scope }).to_string()).await.body;
    assert_eq!(verify(&key, "storage:write").await["valid"], true);
    assert_eq!(role("read-only").await, 200);
    assert_eq!((&verify(&key, "storage:write").await["valid"], &verify(&key, "storage:read").await["valid"]), (&json!(false), &json!(true)));
    // Whoever leaves takes all keys with them, those that were made with theirs too.
    let pair = app.signer(&me).await;
    let url = send(&api, "POST", "/api/3/accounts/otp", &key, "").await.body["response"]["otp"].as_str().unwrap().to_owned();
    assert_eq!(send(&api, "DELETE", "/api/v1/members/grace@example.org", &key, "").await.status, 204, "everybody may leave");
    assert_eq!(send(&api, "GET", &format!("/sso/otp/{url}"), "", "").await.status, 404);
    for gone in [&key, &minted] {
        assert_eq!(send(&api, "GET", &show, gone, "").await.status, 401);
        assert_eq!(verify(gone, "servers:read").await["valid"], false);
    }
    assert_eq!(pair.send(&api, "GET", "/v2/account", "", app.now()).await.status, 200, "others' keys stay");
});

on_both!(nobody_changes_who_may_more(app) {
    let (api, me) = (app.api(), app.account.clone());
    let admin = app.member(&me, "admin@example.org", Role::Admin).await;
    app.member(&me, "reader@example.org", Role::ReadOnly).await;
    let owner_key = app.key(&me, "users").await;
    let account = app.account_id(&me).await;
    let owner = app.store.read().await.unwrap().member_of(&account, "ada@example.org").await.unwrap().user_id;
    let (admin_key, reader_key) = (app.key_of(&me, &admin, "users").await, app.key_of(&me, "reader@example.org", "users").await);
    let role = async |key: &str, who: &str, role: &str| send(&api, "PATCH", &format!("/api/v1/members/{who}"), key, json!({ "role": role }).to_string()).await.status;
    for (status, key, who, to) in [
        (403, &admin_key, owner.as_str(), "admin"),
        (403, &admin_key, "reader@example.org", "owner"),
        (403, &admin_key, &admin, "owner"),
        (403, &reader_key, "reader@example.org", "admin"),
        (403, &reader_key, &admin, "read-only"),
        (409, &owner_key, &owner, "admin"),
        (404, &owner_key, "nobody@example.org", "admin"),
        (200, &admin_key, "reader@example.org", "billing"),
    ] {
        assert_eq!(role(key, who, to).await, status, "{who} to {to}");
    }
    let invite = async |key: &str, role: &str| send(&api, "POST", "/api/v1/invitations", key, json!({ "email": "x@example.org", "role": role }).to_string()).await.status;
    assert_eq!((invite(&admin_key, "owner").await, invite(&reader_key, "read-only").await, invite(&admin_key, "admin").await), (403, 403, 201));
    assert_eq!(send(&api, "DELETE", "/api/v1/invitations/x@example.org", &reader_key, "").await.status, 403);
    assert_eq!((invite(&owner_key, "owner").await, invite(&admin_key, "admin").await), (201, 403), "an owner's invitation is for owners to replace");
    assert_eq!(send(&api, "DELETE", &format!("/api/v1/members/{owner}"), &admin_key, "").await.status, 403);
    assert_eq!(send(&api, "DELETE", &format!("/api/v1/members/{owner}"), &owner_key, "").await.status, 409, "the only owner stays");
    // A secret of the owner's would be as good as being the owner.
    let (owners, admins) = (app.signer(&me).await, app.signer_of(&me, &admin).await);
    let renew = async |pair: &Signer| admins.send(&api, "POST", "/v2/account/api-new-secret-key", &json!({ "api_key": pair.key }).to_string(), app.now()).await;
    let refused = renew(&owners).await;
    assert!(refused.status == 403 && !refused.text().contains("secret_key"), "{refused:?}");
    assert_eq!((owners.send(&api, "GET", "/v2/account", "", app.now()).await.status, renew(&admins).await.status), (200, 200));
    let whole = owners.send(&api, "GET", "/v2/account", "", app.now()).await.body["account"].clone();
    let s3 = json!({ "api_key": whole["e24files"]["s3"]["api_id"] }).to_string();
    let admins = app.signer_of(&me, &admin).await;
    assert_eq!(admins.send(&api, "POST", "/v2/account/files-new-secret-key", &s3, app.now()).await.status, 200);
    let pairs = app.store.read().await.unwrap().keys(Some(&account)).await.unwrap();
    let gateway = pairs.iter().find(|k| k.kind == KeyKind::S3).unwrap();
    assert_eq!(gateway.user_id.as_deref(), Some(admin.as_str()), "it goes along with whoever saw its secret");
    // Two owners who both go at once leave one behind.
    assert_eq!(role(&owner_key, &admin, "owner").await, 200);
    let leave = async |user: &str| {
        let mut tx = app.store.begin().await.unwrap();
        members::remove(&mut tx, &App::operator(), By::Member(user), &account, user).await?;
        Ok::<_, CommandError>(tx)
    };
    let first = leave(&owner).await.unwrap();
    // The other one waits for the first to be over, however long that takes.
    if let Ok(second) = tokio::time::timeout(Duration::from_millis(300), leave(&admin)).await {
        second.unwrap().commit().await.unwrap();
    }
    first.commit().await.unwrap();
    let alone = leave(&admin).await.err();
    assert!(matches!(alone, Some(CommandError::Refused(_))), "{alone:?}");
    let owners = app.store.read().await.unwrap().members(&account).await.unwrap().into_iter().filter(|m| m.role == Role::Owner).count();
    assert_eq!(owners, 1);
    // Whoever is left is told what concerns the account.
    assert_eq!(app.store.read().await.unwrap().account(&account).await.unwrap().email, "admin@example.org");
});

/// The code of a secret at an instant, computed by oathtool's rule and not by the library that checks it.
fn code(secret: &str, step: i64) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let bits = secret.bytes().flat_map(|c| {
        let value = if c.is_ascii_digit() { c - b'2' + 26 } else { c - b'A' };
        (0..5).rev().map(move |bit| value >> bit & 1)
    });
    let bits: Vec<u8> = bits.collect();
    let bytes: Vec<u8> = bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |all, bit| all << 1 | bit)).collect();
    let mac = Hmac::<sha1::Sha1>::new_from_slice(&bytes).unwrap().chain_update(step.to_be_bytes()).finalize().into_bytes();
    let at = usize::from(mac[19] & 15);
    let number = u32::from_be_bytes(mac[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

on_both!(a_second_factor_is_asked_for_and_each_code_is_good_once(app) {
    assert_eq!(code("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", 1), "287082", "the first vector of RFC 6238");
    let (api, key) = (app.api(), app.key(&app.account, "users").await);
    let pair = app.signer(&app.account).await;
    let data = r#"{"first_name":"Ada","last_name":"Lovelace","phone":"","password":"correct horse"}"#;
    assert_eq!(pair.send(&api, "POST", "/v2/account/data", data, app.now()).await.status, 200);
    let enter = async |code: Option<String>| sign_in(&api, json!({ "email": "ada@example.org", "password": "correct horse", "code": code })).await;
    assert_eq!(enter(None).await.status, 200);
    let new = send(&api, "POST", "/api/v1/two-factor", &key, "").await;
    let secret = new.body["secret"].as_str().unwrap().to_owned();
    assert!(new.body["url"].as_str().unwrap().starts_with("otpauth://totp/") && secret.len() == 32, "{new:?}");
    assert_eq!(enter(None).await.status, 200, "not before its first code");
    let now = |app: &App| code(&secret, app.now().as_millis() / 30_000);
    let put = async |code: &str| send(&api, "PUT", "/api/v1/two-factor", &key, json!({ "code": code }).to_string()).await.status;
    let first = now(app);
    assert_eq!((put("12345").await, put(&first).await, put(&first).await), (400, 204, 409));
    assert_eq!(send(&api, "GET", "/api/v1/members", &key, "").await.body[0]["twoFactor"], true);
    assert_eq!(send(&api, "POST", "/api/v1/two-factor", &key, "").await.status, 409, "nobody replaces it unseen");
    let needed = enter(None).await;
    assert!(needed.status == 403 && needed.body["message"].as_str().unwrap().contains("second factor"), "{needed:?}");
    assert_eq!(enter(Some(first)).await.status, 403, "used when it was turned on");
    app.advance(Duration::from_secs(30));
    let second = now(app);
    let both = tokio::join!(enter(Some(second.clone())), enter(Some(second.clone())));
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403], "once, at the same time too");
    app.advance(Duration::from_secs(90));
    assert_eq!(enter(Some(second)).await.status, 403, "too old");
    assert_eq!(enter(Some(now(app))).await.status, 200);
    app.advance(Duration::from_secs(30));
    let end = async |code: &str| send(&api, "DELETE", "/api/v1/two-factor", &key, json!({ "code": code }).to_string()).await.status;
    assert_eq!((end("000000").await, end(&now(app)).await, end(&now(app)).await), (400, 204, 404));
    assert_eq!(enter(None).await.status, 200);
    // The host turns it off for somebody who lost the phone.
    let secret = send(&api, "POST", "/api/v1/two-factor", &key, "").await.body["secret"].as_str().unwrap().to_owned();
    assert_eq!(put(&code(&secret, app.now().as_millis() / 30_000)).await, 204);
    let path = format!("/admin/v1/accounts/{}/members/ada@example.org/two-factor", app.account);
    assert_eq!(send(&api, "DELETE", &path, &app.token().await, "").await.status, 204);
    assert_eq!(enter(None).await.status, 200);
});

on_both!(what_no_name_is_is_nobodys(app) {
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    for (status, method, path, body) in [
        (400, "POST", "/api/v1/public/sign-in", json!({ "email": "a\0b", "password": "correct horse" })),
        (403, "POST", "/api/v1/public/sign-in", json!({ "email": "a\\u0000b", "password": "correct horse" })),
        (400, "GET", "/api/v1/servers?status=%00", Value::Null),
        (403, "POST", "/api/v1/public/sign-in", json!({ "email": "ä".repeat(50_000), "password": "x".repeat(50_000) })),
        (404, "DELETE", "/api/v1/members/%00", Value::Null),
        (404, "DELETE", "/api/v1/invitations/%00%F0%9F%A6%80", Value::Null),
        (404, "DELETE", "/api/v1/machines/%00", Value::Null),
        (400, "POST", "/api/v1/invitations", json!({ "email": "a\0@example.org", "role": "admin" })),
        (404, "GET", "/invitations/%00", Value::Null),
        (404, "GET", "/invitations/0.%F0%9F%A6%80", Value::Null),
        (404, "POST", "/invitations/x", Value::Null),
        (409, "PUT", "/api/v1/two-factor", json!({ "code": "123456" })),
        (200, "POST", "/api/v1/two-factor", Value::Null),
        (400, "PUT", "/api/v1/two-factor", json!({ "code": "12345🦀" })),
    ] {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = send(&api, method, path, &key, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    }
    let form = send_with(&api, "POST", "/invitations/x", "", &[("content-type", "application/x-www-form-urlencoded")], vec![0xff, 0xfe]).await;
    assert_eq!(form.status, 404);
});

on_both!(whoever_guesses_waits(app) {
    let (api, pair) = (app.api(), app.signer(&app.account).await);
    let enter = async |email: &str, password: &str| sign_in(&api, json!({ "email": email, "password": password })).await;
    let unknown = enter("nobody@example.org", "correct horse").await;
    let without = enter("ada@example.org", "correct horse").await;
    assert_eq!((unknown.status, &unknown.body), (403, &without.body), "nobody learns who is known");
    app.advance(Duration::from_mins(5));
    let data = r#"{"first_name":"Ada","last_name":"Lovelace","phone":"","password":"correct horse"}"#;
    assert_eq!(pair.send(&api, "POST", "/v2/account/data", data, app.now()).await.status, 200);
    assert_eq!(enter("ada@example.org", "correct horse").await.status, 200);
    // Many at once are no way around the count.
    let guesses = (0..12).map(|n| { let enter = &enter; async move { enter("ada@example.org", &format!("wrong horse {n}")).await.status } });
    let mut statuses = futures::future::join_all(guesses).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [[403; 5].as_slice(), &[429; 7]].concat());
    let waits = enter("ada@example.org", "correct horse").await;
    assert!(waits.status == 429 && (299..=301).contains(&waits.header("retry-after").parse::<u64>().unwrap()), "{waits:?}");
    // An address that nobody has is locked in the same way.
    for n in 2..=6 {
        assert_eq!(enter("Nobody@example.org", "correct horse").await.status, if n < 6 { 403 } else { 429 }, "{n}");
    }
    app.advance(Duration::from_mins(5));
    assert_eq!(enter("ada@example.org", "wrong horse").await.status, 403);
    assert_eq!(enter("ada@example.org", "correct horse").await.status, 429, "one try at a time from then on");
    app.advance(Duration::from_mins(5));
    assert_eq!(enter("ada@example.org", "correct horse").await.status, 200);
    assert_eq!(enter("ada@example.org", "correct horse").await.status, 200, "and all is forgotten");
});
