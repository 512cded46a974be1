//! The account API of WAYSCloud.

use leasehold_api::{Api, Settings};
use leasehold_commands::keys::{self, Wanted};
use leasehold_store::keys::KeyKind;
use leasehold_tests::{
    App, on_both,
    web::{Answer, order_body, send, send_with, wanted},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// As programs for that API ask.
async fn ask(api: &Api, method: &str, path: &str, key: &str, body: Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    send_with(api, method, &format!("/v1/account{path}"), "", &[("x-api-key", key), ("content-type", "application/json")], body).await
}

const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl user@workstation";
const ED25519_TOO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINc+1fg3Q3G03Ytnq/iswb5yeoldEOshHZebiGd3UApS a@example.org";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBE1BWCJoHDhaBymnuZZDOA5yo7P/1uFl4f69zmC3dV/MsoDgKOJnteqLiW7OLhj03VUR4H2kqqGLaYyNWiMLh8E= a@example.org";
const RSA_1024: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQD6fKocEMpok5oCmQpdUEILV4dA/pppckXZnEBJJp7Zrv/MwzP3l/PZ+oQHTqlxxP9G9XEFiATI7TZnYtUxBR5AwOzYkwrdCbiMmy66qNJIRo8pF8YALTYGLpP69Q95/4hrFyziBGAKNivKZev12yUPZnZUJmlQkCnjgCHlIxHYHQ== a@example.org";

on_both!(keys_are_listed_with_what_they_are_for_and_never_whole(app) {
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    let made = ask(&api, "POST", "/api-keys/service", &key, json!({ "service": "database", "description": "CI/CD" })).await;
    let pat = ask(&api, "POST", "/api-keys/pat", &key, json!({ "scopes": ["services:read"], "expires_in_days": 90 })).await;
    assert_eq!((made.status, pat.status), (201, 201));
    let added = ask(&api, "POST", "/ssh-keys", &key, json!({ "name": "deploy-server", "public_key": ED25519 })).await;
    assert_eq!((added.status, &added.body["fingerprint"]), (201, &json!("SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU")));
    let all = ask(&api, "GET", "/api-keys", &key, Value::Null).await.body;
    let database = all.as_array().unwrap().iter().find(|k| k["service"] == "database").unwrap();
    assert_eq!((&database["description"], &database["scopes"]), (&json!("CI/CD"), &json!(["database:read", "database:write"])));
    let own = all.as_array().unwrap().iter().find(|k| k["scopes"] == json!(["*"])).unwrap();
    assert!(own["last_used_at"].is_string() && own["key_type"] == "pat", "{own}");
    let text = all.to_string();
    assert!(!text.contains(pat.body["key"].as_str().unwrap()) && !text.contains(&key), "no list shows a key");
    for path in [format!("/api-keys/{}", made.body["id"].as_str().unwrap()), format!("/ssh-keys/{}", added.body["id"].as_str().unwrap())] {
        assert_eq!((ask(&api, "DELETE", &path, &key, Value::Null).await.status, ask(&api, "DELETE", "/ssh-keys/0", &key, Value::Null).await.status), (200, 404));
    }
});

on_both!(a_key_makes_none_that_may_more_or_lasts_longer(app) {
    let api = app.api();
    let month = std::time::Duration::from_hours(30 * 24);
    let wanted = Wanted { lasts: Some(month), ..wanted(KeyKind::Pat, "api_keys:write,api_keys:read,servers:read") };
    let (_, key) = keys::create(&app.store, &App::operator(), Some(&app.account), "lsh_", &wanted).await.unwrap();
    let key = key.expose_secret();
    for (status, code, says, path, body) in [
        (403, "forbidden", "lacks the scope 'servers:write'", "/api-keys/pat", json!({ "scopes": ["servers:read", "servers:write"] })),
        (403, "forbidden", "lacks the scope '*'", "/api-keys/pat", json!({ "scopes": ["*"] })),
        (403, "forbidden", "lacks the scope 'servers:write'", "/api-keys/service", json!({ "service": "vps" })),
        (403, "forbidden", "lacks the scope 'database:read'", "/api-keys/service", json!({ "service": "database" })),
        (400, "invalid_request", "ends in 30 days", "/api-keys/pat", json!({ "scopes": ["servers:read"], "expires_in_days": 31 })),
        (400, "invalid_request", "unknown scope 'mood'", "/api-keys/pat", json!({ "scopes": ["mood"] })),
        (400, "invalid_request", "unknown scope ''", "/api-keys/pat", json!({ "scopes": [] })),
        (403, "forbidden", "lacks the scope '*'", "/api-keys/pat", json!({ "scopes": ["servers:read,*"] })),
        (400, "invalid_request", "'service'", "/api-keys/service", json!({ "service": "iot" })),
        (400, "invalid_request", "'expires_in_days'", "/api-keys/pat", json!({ "scopes": ["servers:read"], "expires_in_days": -1 })),
        (400, "invalid_request", "lasts between", "/api-keys/pat", json!({ "scopes": ["servers:read"], "expires_in_days": 0 })),
        (400, "invalid_request", "line breaks", "/api-keys/pat", json!({ "scopes": ["servers:read"], "description": "a\nb" })),
    ] {
        let refused = ask(&api, "POST", path, key, body).await;
        let error = &refused.body["error"];
        assert!(refused.status == status && error["code"] == code && error["message"].as_str().unwrap().contains(says), "{says}: {refused:?}");
    }
    let made = ask(&api, "POST", "/api-keys/pat", key, json!({ "scopes": ["servers:read"] })).await;
    assert_eq!(made.status, 201);
    let child = made.body["key"].as_str().unwrap();
    assert_eq!(send(&api, "GET", "/api/v1/servers", child, "").await.status, 200);
    app.advance(month);
    assert_eq!(send(&api, "GET", "/api/v1/servers", child, "").await.status, 401, "it ended with the one that made it");
});

on_both!(a_service_key_orders_and_ends_nothing_and_is_revoked_everywhere_at_once(app) {
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    let elsewhere = if app.store.is_sqlite() { api.clone() } else { Api::new(app.store.clone(), Settings { per_minute: 1_000_000, ..Settings::default() }) };
    let once = [("x-api-key", key.as_str()), ("idempotency-key", "deploy-1")];
    let made = send_with(&api, "POST", "/v1/account/api-keys/service", "", &once, r#"{"service":"vps"}"#).await;
    let again = send_with(&api, "POST", "/v1/account/api-keys/service", "", &once, r#"{"service":"vps"}"#).await;
    assert_eq!((made.status, again.status, &again.body["id"], &again.body["key"]), (201, 201, &made.body["id"], &Value::Null), "shown once");
    let vps = made.body["key"].as_str().unwrap();
    let ordered = send(&api, "POST", "/api/v1/servers", vps, order_body(app).await).await;
    assert_eq!(ordered.status, 201);
    app.until_quiet().await;
    let path = format!("/api/v1/servers/{}", ordered.body["id"].as_str().unwrap());
    assert_eq!(send(&elsewhere, "DELETE", &path, vps, "").await.status, 403);
    assert_eq!(send_with(&api, "GET", "/api/v1/servers", "", &[("x-api-key", vps)], "").await.status, 401, "the Cloud API knows no such header");
    assert_eq!(ask(&api, "DELETE", &format!("/api-keys/{}", made.body["id"].as_str().unwrap()), &key, Value::Null).await.status, 200);
    for api in [&api, &elsewhere] {
        assert_eq!(send(api, "GET", "/api/v1/servers", vps, "").await.status, 401);
    }
    let all = ask(&api, "GET", "/api-keys", &key, Value::Null).await.body;
    assert!(all.as_array().unwrap().iter().any(|k| k["id"] == made.body["id"] && k["is_active"] == false), "{all}");
});

on_both!(ssh_keys_are_read_and_it_is_known_where_they_are(app) {
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    let add = async |name: &str, text: &str| ask(&api, "POST", "/ssh-keys", &key, json!({ "name": name, "public_key": text })).await;
    for (says, text) in [
        ("private key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA"),
        ("one line", &format!("{ED25519}\n{ED25519}")),
        ("not an OpenSSH public key", "hello"),
        ("at least 2048 bits", RSA_1024),
    ] {
        let refused = add("x", text).await;
        assert!(refused.status == 400 && refused.body["error"]["message"].as_str().unwrap().contains(says), "{says}: {refused:?}");
    }
    let unnamed = ask(&api, "POST", "/ssh-keys", &key, json!({ "public_key": ED25519 })).await;
    assert!(unnamed.body["error"]["message"].as_str().unwrap().contains("missing field `name`"), "{unnamed:?}");
    let first = add("first", ED25519).await;
    let twice = add("again", ED25519).await;
    assert!(twice.status == 400 && twice.body["error"]["message"].as_str().unwrap().contains("has this key already"), "{twice:?}");
    let second = add("second", ECDSA).await;
    assert_eq!(second.body["key_type"], "ecdsa-sha2-nistp256");
    let counts = async || {
        let all = ask(&api, "GET", "/ssh-keys", &key, Value::Null).await.body;
        all.as_array().unwrap().iter().map(|k| (k["name"].as_str().unwrap().to_owned(), k["vm_count"].as_i64().unwrap())).collect::<Vec<_>>()
    };
    let named = |name: &str, n: i64| (name.to_owned(), n);
    app.order("web").await;
    assert_eq!(counts().await, [named("first", 0), named("second", 0)], "not before it is built");
    app.until_quiet().await;
    let mut order: Value = serde_json::from_str(&order_body(app).await.replace("web", "other")).unwrap();
    order["sshKeyIds"] = json!([second.body["id"]]);
    let ordered = send(&api, "POST", "/api/v1/servers", &key, order.to_string()).await;
    app.until_quiet().await;
    assert_eq!(counts().await, [named("first", 1), named("second", 2)]);
    let third = add("third", ED25519_TOO).await;
    assert_eq!((third.status, counts().await.last().unwrap().1), (201, 0), "what stands is as it was built");
    assert_eq!(ask(&api, "DELETE", &format!("/ssh-keys/{}", first.body["id"].as_str().unwrap()), &key, Value::Null).await.status, 200);
    assert_eq!(ask(&api, "DELETE", &format!("/ssh-keys/{}", first.body["id"].as_str().unwrap()), &key, Value::Null).await.status, 404);
    assert_eq!(send(&api, "DELETE", &format!("/api/v1/servers/{}", ordered.body["id"].as_str().unwrap()), &key, "").await.status, 204);
    app.until_quiet().await;
    assert_eq!(counts().await, [named("second", 1), named("third", 0)], "one server ended");
});
