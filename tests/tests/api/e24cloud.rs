//! The account API of e24cloud.

use std::{process::Command, time::Duration};

use leasehold_api::Api;
use leasehold_store::args;
use leasehold_tests::{
    on_both,
    signed::{HOST, Signer, http_date},
    web::{send, send_with},
};
use serde_json::{Value, json};

fn as_text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// What stands behind the key, computed by another program.
fn python(secret: &str, text: &str) -> String {
    let python = std::env::var("LEASEHOLD_PYTHON").expect("LEASEHOLD_PYTHON is not set; run scripts/test");
    let program =
        "import base64, hashlib, hmac, sys\nprint(base64.b64encode(hmac.new(sys.argv[1].encode(), sys.argv[2].encode(), hashlib.sha256).digest()).decode())";
    let said = Command::new(python).args(["-c", program, secret, text]).output().unwrap();
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

on_both!(every_example_of_the_signed_api_is_answered_with_its_fields(app) {
    let (api, me) = (app.api(), app.signer(&app.account).await);
    let ask = async |method: &str, path: &str, body: Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = me.send(&api, method, &format!("/v2/account{path}"), &body, app.now()).await;
        assert_eq!((answer.status, &answer.body["success"]), (200, &json!(true)), "{method} {path}: {answer:?}");
        answer.body
    };
    let data = json!({ "first_name": "Grace", "last_name": "Hopper", "phone": "+1 212 555 0100", "password": "correct horse battery" });
    assert_eq!(ask("POST", "/data", data).await, json!({ "success": true }));
    let made = ask("PUT", "/api", Value::Null).await;
    let (key, secret) = (as_text(&made["api"]["api_key"]), as_text(&made["api"]["secret_key"]));
    let renewed = ask("POST", "/api-new-secret-key", json!({ "api_key": key })).await;
    assert_eq!((&renewed["api"]["api_key"], renewed["api"]["secret_key"] == secret), (&json!(key), false));
    let generated = ask("PUT", "/sshkey", json!({ "name": "made here", "method": "generate" })).await;
    assert!(as_text(&generated["sshkeys"]["private_key"]).starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"), "{generated}");
    let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl user@workstation";
    let uploaded = ask("PUT", "/sshkey", json!({ "name": "mine", "method": "upload", "content": line })).await;
    assert_eq!(uploaded["sshkeys"].as_object().unwrap().keys().collect::<Vec<_>>(), ["fingerprint", "id", "name"]);

    let whole = ask("GET", "", Value::Null).await["account"].clone();
    assert_eq!((&whole["name"], &whole["email"], &whole["phone"]), (&json!("Grace Hopper"), &json!("ada@example.org"), &json!("+1 212 555 0100")));
    assert_eq!(whole["notification"], json!({ "email": "ada@example.org", "phone": "+1 212 555 0100" }));
    assert_eq!((whole["api"].as_array().unwrap().len(), whole["sshkeys"].as_array().unwrap().len()), (2, 2));
    assert_eq!(whole["groups"], json!([{ "id": "owner", "name": "owner" }]));
    assert!(whole["id"].is_string() && whole["sshkeys"].as_array().unwrap().iter().all(|k| k["id"].is_i64() && k.get("private_key").is_none()), "{whole}");
    let (now, s3) = (as_text(&renewed["api"]["secret_key"]), whole["e24files"]["s3"].clone());
    assert!(whole["api"].as_array().unwrap().iter().any(|pair| pair["secret_key"] == format!("…{}", &now[now.len() - 4..])), "{whole}");
    assert!(!whole.to_string().contains(&now) && !whole.to_string().contains(&me.secret), "secrets are shown once");
    let files = ask("POST", "/files-new-secret-key", json!({ "api_key": s3["api_id"] })).await;
    assert_eq!(files["e24files"]["s3"]["api_id"], s3["api_id"]);
    let gateway = Signer { key: as_text(&s3["api_id"]), secret: as_text(&files["e24files"]["s3"]["secret_key"]) };
    assert_eq!(gateway.send(&api, "GET", "/v2/account", "", app.now()).await.status, 401, "a pair of the gateway signs nothing here");

    // A pair works until it is given another secret, or deleted.
    let status = async |secret: &str| Signer { key: key.clone(), secret: secret.to_owned() }.send(&api, "GET", "/v2/account", "", app.now()).await.status;
    assert_eq!((status(&secret).await, status(&now).await), (401, 200));
    ask("DELETE", &format!("/{}/sshkey", generated["sshkeys"]["id"]), Value::Null).await;
    ask("DELETE", "/api", json!({ "api_key": key })).await;
    assert_eq!(status(&now).await, 401);
    let hash: (Option<String>,) = app.store.read().await.unwrap().one("select password_hash from users where email = 'ada@example.org'", args![]).await.unwrap();
    assert!(hash.0.unwrap().starts_with("$argon2id$"));
});

on_both!(a_request_that_is_not_signed_as_it_should_be_is_nobodys(app) {
    let (api, me) = (app.api(), app.signer(&app.account).await);
    let (body, target) = (r#"{"name":"ż","method":"generate"}"#, "/v2/account/sshkey?x=1&y=%20a");
    let date = http_date(app.now());
    let good = python(&me.secret, &format!("PUT\n{HOST}\n{date}\n{target}\n{body}"));
    assert_eq!(good, me.signature(["PUT", HOST, &date, target], body));
    let ask = async |method: &str, target: &str, host: &str, date: &str, authorization: &str, body: &str| {
        let headers = [("host", host), ("x-date", date), ("authorization", authorization), ("content-type", "application/json")];
        let headers: Vec<(&str, &str)> = headers.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        send_with(&api, method, target, "", &headers, body.to_owned()).await
    };
    let signed = format!("{}:{good}", me.key);
    let put = format!("{}:{}", me.key, me.signature(["PUT", HOST, &date, "/v2/account/api"], ""));
    let other = Signer { secret: "another".into(), ..me.clone() }.signature(["PUT", HOST, &date, target], body);
    let bearer = format!("Bearer {}", app.key(&app.account, "*").await);
    for (what, answer) in [
        ("an altered body", ask("PUT", target, HOST, &date, &signed, &body.replace('ż', "x")).await),
        ("an altered host", ask("PUT", target, "evil.example.org", &date, &signed, body).await),
        ("an altered query", ask("PUT", "/v2/account/sshkey?x=2&y=%20a", HOST, &date, &signed, body).await),
        ("the same query, written otherwise", ask("PUT", "/v2/account/sshkey?x=1&y=+a", HOST, &date, &signed, body).await),
        ("an altered method", ask("DELETE", "/v2/account/api", HOST, &date, &put, "").await),
        ("an altered date", ask("PUT", target, HOST, &http_date(app.now() + Duration::from_secs(1)), &signed, body).await),
        ("a wrong secret", ask("PUT", target, HOST, &date, &format!("{}:{other}", me.key), body).await),
        ("an unknown key", ask("PUT", target, HOST, &date, &format!("NOBODY:{good}"), body).await),
        ("no base64", ask("PUT", target, HOST, &date, &format!("{}:!", me.key), body).await),
        ("half a signature", ask("PUT", target, HOST, &date, &format!("{}:{}", me.key, &good[..20]), body).await),
        ("no signature", ask("PUT", target, HOST, &date, &me.key, body).await),
        ("no date", ask("PUT", target, HOST, "", &signed, body).await),
        ("a date of another form", ask("PUT", target, HOST, "2026-03-10T14:00:00Z", &signed, body).await),
        ("no authorization", ask("PUT", target, HOST, &date, "", body).await),
        ("a key of another kind", ask("PUT", target, HOST, &date, &bearer, body).await),
    ] {
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
        assert_eq!((&answer.body["success"], &answer.body["error"]["code"]), (&json!(false), &json!("unauthorized")), "{what}");
        assert!(!answer.body.to_string().contains("date"), "nobody learns what was wrong: {answer:?}");
    }
    for (minutes, status) in [(15, 200), (16, 401)] {
        for at in [app.now() + Duration::from_mins(minutes), app.now() - Duration::from_mins(minutes)] {
            assert_eq!(me.send(&api, "GET", "/v2/account", "", at).await.status, status, "{minutes} minutes off");
        }
    }
    assert_eq!(ask("PUT", target, HOST, &date, &signed, body).await.status, 200);
    assert_eq!(send(&api, "GET", "/api/v1/account", &format!("{}_{}", me.key, me.secret), "").await.status, 401, "a pair is no key by itself");
    for (status, says, path, body) in [
        (400, "telephone number", "/data", json!({ "first_name": "A", "last_name": "B", "phone": "call me" })),
        (400, "12 to 256", "/data", json!({ "first_name": "A", "last_name": "B", "phone": "", "password": "short" })),
        (404, "no key 'X'", "/api-new-secret-key", json!({ "api_key": "X" })),
        (404, "no key", "/files-new-secret-key", json!({ "api_key": me.key })),
    ] {
        let refused = me.send(&api, "POST", &format!("/v2/account{path}"), &body.to_string(), app.now()).await;
        assert!(refused.status == status && as_text(&refused.body["error"]["message"]).contains(says), "{says}: {refused:?}");
    }
    assert_eq!(me.send(&api, "PUT", "/v2/account/sshkey", r#"{"name":"x","method":"upload"}"#, app.now()).await.status, 400);
    assert_eq!(me.send(&api, "PUT", "/v2/account/api", &"x".repeat(300_000), app.now()).await.status, 413);
});

/// What the gateway is shown, signed as AWS's clients do: the steps of the public description, in another language.
const AWS: &str = "import hashlib, hmac, sys\nkey = ('AWS4' + sys.argv[1]).encode()\nfor part in sys.argv[2].split('\\n')[2].split('/'):\n    key = hmac.new(key, part.encode(), hashlib.sha256).digest()\nprint(hmac.new(key, sys.argv[2].encode(), hashlib.sha256).hexdigest())";

on_both!(the_hosts_other_systems_ask_whose_a_signature_is(app) {
    let (api, me, token) = (app.api(), app.signer(&app.account).await, app.token().await);
    let whole = me.send(&api, "GET", "/v2/account", "", app.now()).await.body;
    let id = as_text(&whole["account"]["e24files"]["s3"]["api_id"]);
    let renewed = me.send(&api, "POST", "/v2/account/files-new-secret-key", &json!({ "api_key": id }).to_string(), app.now()).await.body;
    let secret = as_text(&renewed["e24files"]["s3"]["secret_key"]);
    let to_sign = format!("AWS4-HMAC-SHA256\n20260310T140000Z\n20260310/fra/s3/aws4_request\n{}", "0".repeat(64));
    let python = std::env::var("LEASEHOLD_PYTHON").expect("LEASEHOLD_PYTHON is not set; run scripts/test");
    let said = Command::new(python).args(["-c", AWS, &secret, &to_sign]).output().unwrap();
    let signature = String::from_utf8(said.stdout).unwrap().trim().to_owned();
    let verify = async |api: &Api, signed: Value, scope: &str| {
        let answer = send(api, "POST", "/admin/v1/keys/verify", &token, json!({ "signed": signed, "scope": scope }).to_string()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["valid"].as_bool().unwrap()
    };
    let aws = |key: &str, signature: &str| json!({ "scheme": "aws4", "accessKey": key, "stringToSign": to_sign, "signature": signature });
    assert!(verify(&api, aws(&id, &signature), "storage:write").await);
    assert!(!verify(&api, aws(&id, &signature), "servers:read").await);
    assert!(!verify(&api, aws(&id, &"0".repeat(64)), "storage:write").await);
    assert!(!verify(&api, aws(&me.key, &signature), "storage:write").await, "a pair of the other kind");
    let date = http_date(app.now());
    let e24 = |signature: String| json!({ "scheme": "e24", "accessKey": me.key, "method": "GET", "host": "files.example.org", "date": date, "target": "/x", "body": "", "signature": signature });
    assert!(verify(&api, e24(me.signature(["GET", "files.example.org", &date, "/x"], "")), "e24").await);
    assert!(!verify(&api, e24(me.signature(["GET", "files.example.org", &date, "/y"], "")), "e24").await);
    app.advance(Duration::from_mins(16));
    assert!(!verify(&api, e24(me.signature(["GET", "files.example.org", &date, "/x"], "")), "e24").await, "too long ago");
    assert_eq!(send(&api, "POST", "/admin/v1/keys/verify", &token, "{}").await.status, 400);
});
