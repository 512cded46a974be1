//! Orders, and what makes them happen once.

use leasehold_commands::{accounts, partners};
use leasehold_domain::server::Status;
use leasehold_store::{accounts::AccountState, args};
use leasehold_tests::{
    App, on_both,
    web::{order_body, send, send_with},
};
use serde_json::json;

on_both!(an_order_is_paid_at_once_and_runs_when_a_worker_has_built_it(app) {
    let (api, key) = (app.api(), app.key(&app.account, "servers:read,servers:write,account:read").await);
    let ordered = send(&api, "POST", "/api/v1/servers", &key, order_body(app).await).await;
    assert_eq!((ordered.status, &ordered.body["status"], &ordered.body["price"], &ordered.body["discount"]), (201, &json!("pending"), &json!("9.00"), &json!("0.00")), "{ordered:?}");
    assert_eq!((&ordered.body["nextRenewalAt"], &ordered.body["ipAddress"]), (&json!("2026-04-10T14:00:00.000Z"), &serde_json::Value::Null));
    assert_eq!(send(&api, "GET", "/api/v1/account", &key, "").await.body["balance"], "91.00");
    app.until_quiet().await;
    let path = format!("/api/v1/servers/{}", ordered.body["id"].as_str().unwrap());
    assert_eq!(send(&api, "GET", &path, &key, "").await.body["status"], "running");
});

on_both!(an_order_names_what_it_wants_and_what_it_cannot_have(app) {
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    partners::set(&app.store, &App::operator(), &app.account, partners::Terms::Agreed(leasehold_domain::Percent::whole(10))).await.unwrap();
    let order = order_body(app).await;
    let with = |key: &str, value: serde_json::Value| {
        let mut order: serde_json::Value = serde_json::from_str(&order).unwrap();
        order[key] = value;
        order.to_string()
    };
    for (status, says, body) in [
        (400, "product 'nothing'", with("productId", json!("nothing"))),
        (400, "template 'beos-5'", with("osTemplate", json!("beos-5"))),
        (400, "name one system in both", with("os", json!("ubuntu"))),
        (400, "region 'mars'", with("region", json!("mars"))),
        (400, "label", with("label", json!("-web"))),
        (400, "hostname", with("hostname", json!("web_1"))),
        (400, "has no add-on 'x'", with("addons", json!(["x"]))),
        (400, "both of the kind extra-ip", with("addons", json!(["ip", "ip"]))),
        (400, "SSH key 'x'", with("sshKeyIds", json!(["x"]))),
        (400, "coupon 'NOPE'", with("coupon", json!("nope"))),
        (400, "'billingCycle'", with("billingCycle", json!("2m"))),
        (400, "no price in EUR for 3m", with("billingCycle", json!("3m"))),
        (400, "missing field `osTemplate`", r#"{"productId":"small","os":"debian"}"#.into()),
    ] {
        let answer = send(&api, "POST", "/api/v1/servers", &key, body).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        assert!(answer.status == status && message.contains(says), "{says}: {answer:?}");
    }
    let poor = app.key(&app.new_account("poor@example.org", "3.00").await, "*").await;
    let answer = send(&api, "POST", "/api/v1/servers", &poor, order.clone()).await;
    assert_eq!((answer.status, answer.body["message"].as_str().unwrap()), (402, "the wallet holds 3.00 EUR to spend, 9.00 EUR is needed; add funds and try again"));
    let full = with("addons", json!(["ip"]));
    app.use_up_addresses("fra-v4").await;
    let answer = send(&api, "POST", "/api/v1/servers", &key, full).await;
    assert!(answer.status == 409 && answer.body["message"].as_str().unwrap().contains("no free IPv4 address"), "{answer:?}");
    accounts::set_state(&app.store, &App::operator(), &app.account, AccountState::Frozen).await.unwrap();
    let answer = send(&api, "POST", "/api/v1/servers", &key, order).await;
    assert!(answer.status == 403 && answer.body["message"].as_str().unwrap().contains("is frozen"), "{answer:?}");
    assert_eq!(send(&api, "GET", "/api/v1/servers", &key, "").await.body, json!([]), "nothing was ordered");
});

on_both!(a_server_starts_from_a_cd_and_nobody_but_its_owner_knows_how_to_sign_in(app) {
    app.import_more("[[iso]]\nid = \"later\"\nname = \"Later\"\ntype = \"linux\"\nsize = 5\nimage = \"later\"\nready = false\n[[iso]]\nid = \"rescue-12\"\nname = \"Rescue\"\n\
        description = \"In memory\"\ntype = \"rescue\"\nsize = 912261120\nimage = \"rescue-12\"").await;
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    let library = send(&api, "GET", "/api/v1/iso-library", &key, "").await.body;
    let rescue = json!({ "id": "rescue-12", "name": "Rescue", "description": "In memory", "type": "rescue", "size": 912_261_120, "ready": true });
    assert_eq!(library, json!([{ "id": "later", "name": "Later", "description": "", "type": "linux", "size": 5, "ready": false }, rescue]));
    assert!(!send(&api, "GET", "/api/v1/os-templates", &key, "").await.body.to_string().contains("rescue"), "a CD is no system");
    let of = async |iso: &str| order_body(app).await.replace("\"os\":\"debian-12\"", "\"os\":\"custom-iso\"").replace("debian-12", iso);
    let refused = send(&api, "POST", "/api/v1/servers", &key, of("later").await).await;
    assert_eq!((refused.status, refused.body["message"].as_str().unwrap()), (409, "'later' is not ready yet; try again later"));
    let confused = send(&api, "POST", "/api/v1/servers", &key, order_body(app).await.replace("\"os\":\"debian-12\"", "\"os\":\"custom-iso\"")).await;
    assert_eq!(confused.status, 400, "an image is no CD: {confused:?}");

    let ordered = send(&api, "POST", "/api/v1/servers", &key, of("rescue-12").await).await;
    assert_eq!((ordered.status, &ordered.body["os"]), (201, &json!("rescue-12")), "{ordered:?}");
    app.until_quiet().await;
    let path = format!("/api/v1/servers/{}", ordered.body["id"].as_str().unwrap());
    assert_eq!(send(&api, "GET", &path, &key, "").await.body["status"], "running");
    let mail = &app.mails_with("Server Ready")[0];
    assert!(mail.contains("yours to set up") && !mail.contains("ssh "), "{mail}");
    for (method, path) in [("GET", format!("{path}/credentials")), ("POST", format!("{path}/password-reset"))] {
        let refused = send(&api, method, &path, &key, "").await;
        assert!(refused.status == 409 && refused.body["message"].as_str().unwrap().contains("CD"), "{refused:?}");
    }
    assert_eq!(app.attention().await, Vec::<String>::new(), "nobody misses an agent");

    // Addresses of add-ons are its own; there is nobody in it to be told of them.
    let addon = json!({ "addonId": app.addon_id("extra-ip").await }).to_string();
    assert_eq!(send(&api, "POST", &format!("{path}/addons"), &key, addon).await.status, 201);
    app.until_quiet().await;
    assert_eq!(send(&api, "GET", &format!("{path}/ips"), &key, "").await.body.as_array().unwrap().len(), 3);
    let held = "select count(*) from server_addons where state = 'held'";
    assert_eq!(app.store.read().await.unwrap().int(held, args![]).await.unwrap(), 0);

    // An image on it, and it is as others are; back to a CD, and the password of before opens nothing.
    for (os, status) in [("debian-12", 200), ("rescue-12", 409)] {
        let wanted = json!({ "os": if os == "debian-12" { os } else { "custom-iso" }, "osTemplate": os }).to_string();
        assert_eq!(send(&api, "POST", &format!("{path}/reinstall"), &key, wanted).await.status, 202);
        app.until_quiet().await;
        assert_eq!(send(&api, "GET", &format!("{path}/credentials"), &key, "").await.status, status, "{os}");
    }
    let secrets = "select count(*) from sealed where owner_table = 'servers'";
    assert_eq!(app.store.read().await.unwrap().int(secrets, args![]).await.unwrap(), 0);
});

on_both!(the_same_key_is_the_same_order(app) {
    let (api, key, other) = (app.api(), app.key(&app.account, "*").await, app.key(&app.new_account("other@example.org", "50.00").await, "*").await);
    let order = order_body(app).await;
    let headers = [("idempotency-key", "cart-1")];
    let first = send_with(&api, "POST", "/api/v1/servers", &key, &headers, order.clone()).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (201, ""));
    app.until_quiet().await;
    let again = send_with(&api, "POST", "/api/v1/servers", &key, &headers, order.clone()).await;
    assert_eq!((again.status, &again.body, again.header("idempotent-replayed")), (201, &first.body, "true"), "as it was answered then");
    let changed = send_with(&api, "POST", "/api/v1/servers", &key, &headers, order.replace("web", "web2")).await;
    assert!(changed.status == 422 && changed.body["message"].as_str().unwrap().contains("was used for another request"), "{changed:?}");
    let path = format!("/api/v1/servers/{}/reinstall", first.body["id"].as_str().unwrap());
    let elsewhere = send_with(&api, "POST", &path, &key, &headers, order.clone()).await;
    assert_eq!(elsewhere.status, 422, "the same key on another path");
    assert_eq!(send_with(&api, "POST", "/api/v1/servers", &other, &headers, order.clone()).await.status, 201, "another account's key is another key");
    assert_eq!(send(&api, "GET", "/api/v1/servers", &key, "").await.body.as_array().unwrap().len(), 1);
    // A refusal is judged anew.
    let poor = app.new_account("poor@example.org", "3.00").await;
    let poor_key = app.key(&poor, "*").await;
    assert_eq!(send_with(&api, "POST", "/api/v1/servers", &poor_key, &headers, order.clone()).await.status, 402);
    app.top_up(&poor, "20.00").await;
    assert_eq!(send_with(&api, "POST", "/api/v1/servers", &poor_key, &headers, order.clone()).await.status, 201);
    // A day later the key is a new one.
    app.advance(std::time::Duration::from_hours(49));
    app.scheduler.run_due().await.unwrap();
    let late = send_with(&api, "POST", "/api/v1/servers", &key, &headers, order).await;
    assert_eq!((late.status, late.header("idempotent-replayed")), (201, ""));
    for bad in ["", "two words", &"k".repeat(256)] {
        let answer = send_with(&api, "POST", "/api/v1/servers", &key, &[("idempotency-key", bad)], "{}").await;
        assert_eq!(answer.status, 400, "{bad}");
    }
    app.until_quiet().await;
});

on_both!(fifty_equal_requests_at_once_are_one(app) {
    let (api, key, order) = (app.api(), app.key(&app.account, "*").await, order_body(app).await);
    let headers = [("idempotency-key", "cart-1")];
    let all = futures::future::join_all((0..50).map(|_| send_with(&api, "POST", "/api/v1/servers", &key, &headers, order.clone()))).await;
    let new = all.iter().filter(|a| a.status == 201 && a.header("idempotent-replayed").is_empty()).count();
    let replayed = all.iter().filter(|a| a.status == 201 && a.header("idempotent-replayed") == "true").count();
    let waiting = all.iter().filter(|a| a.status == 409 && !a.header("retry-after").is_empty()).count();
    assert_eq!((new, replayed + waiting), (1, 49), "{:?}", all.iter().map(|a| a.status).collect::<Vec<_>>());
    assert_eq!(send(&api, "GET", "/api/v1/servers", &key, "").await.body.as_array().unwrap().len(), 1);
    app.until_quiet().await;
});

on_both!(another_system_keeps_the_server_and_only_its_own_keys_are_on_it(app) {
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    let account = app.store.read().await.unwrap().find_account(&app.account).await.unwrap().id;
    let mut tx = app.store.begin().await.unwrap();
    for name in ["home", "work"] {
        tx.add_ssh_key(&account, name, name, &format!("ssh-ed25519 AAAA {name}")).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut order: serde_json::Value = serde_json::from_str(&order_body(app).await).unwrap();
    let keys = app.store.read().await.unwrap().ssh_keys(&account).await.unwrap();
    order["sshKeyIds"] = json!([keys[1].id]);
    let ordered = send(&api, "POST", "/api/v1/servers", &key, order.to_string()).await;
    let id: leasehold_domain::ServerId = ordered.body["id"].as_str().unwrap().into();
    let on_it = app.store.read().await.unwrap().ssh_keys_for(&id).await.unwrap();
    assert_eq!(on_it.iter().map(|k| k.name.as_str()).collect::<Vec<_>>(), ["work"]);
    app.until_quiet().await;
    let before = send(&api, "GET", &format!("/api/v1/servers/{id}"), &key, "").await.body;
    let path = format!("/api/v1/servers/{id}/reinstall");
    let headers = [("idempotency-key", "new-system")];
    let body = r#"{"os":"ubuntu","osTemplate":"ubuntu-2404"}"#;
    let answer = send_with(&api, "POST", &path, &key, &headers, body).await;
    assert_eq!((answer.status, &answer.body["status"]), (202, &json!("building")), "{answer:?}");
    app.until_quiet().await;
    let again = send_with(&api, "POST", &path, &key, &headers, body).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (202, "true"));
    app.until_quiet().await;
    let after = send(&api, "GET", &format!("/api/v1/servers/{id}"), &key, "").await.body;
    assert_eq!((&after["os"], &after["ipAddress"], &after["label"]), (&json!("ubuntu-24.04"), &before["ipAddress"], &before["label"]));
    assert_eq!(app.server(&id).await.generation, 2, "once");
    assert_eq!(app.server(&id).await.status, Status::Running);
    let ids = send(&api, "GET", "/api/v1/os-templates", &key, "").await.body;
    assert!(ids.as_array().unwrap().iter().any(|t| t["id"] == "ubuntu-24.04"));
});
