//! Every route, with every scope, for its own account and for others.

use std::collections::BTreeMap;

use leasehold_commands::{coupons, keys};
use leasehold_domain::{
    policy::{Key, Level},
    role::Role,
    server::Status,
};
use leasehold_tests::{
    App,
    hook::Receiver,
    on_both,
    web::{order_body, send, send_with, while_working},
};
use serde_json::{Value, json};

/// Every operation of the description, `GET /path`, and its scope.
fn operations() -> BTreeMap<String, Option<String>> {
    let document = serde_json::to_value(leasehold_api::document()).unwrap();
    let mut all = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let scope = ["key", "signed"].iter().find_map(|how| operation["security"][0][how][0].as_str()).map(str::to_owned);
            all.insert(format!("{} {path}", method.to_uppercase()), scope);
        }
    }
    all
}

/// As what a route is called.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Anybody,
    Key,
    Signed,
    Operator,
}

/// Who may call an operation.
fn by(document: &Value, operation: &str) -> By {
    let (method, path) = operation.split_once(' ').unwrap();
    let security = &document["paths"][path][method.to_lowercase()]["security"][0];
    match security.as_object().and_then(|one| one.keys().next()).map(String::as_str) {
        Some("key") => By::Key,
        Some("signed") => By::Signed,
        Some("operator") => By::Operator,
        _ => By::Anybody,
    }
}

/// Routes that anybody may call.
const OPEN: &[&str] = &[
    "GET /api/v1/public/affiliates/rule",
    "GET /healthz",
    "GET /invitations/{token}",
    "GET /docs",
    "GET /docs.md",
    "GET /llms.txt",
    "GET /metrics",
    "GET /openapi.json",
    "GET /readyz",
    "GET /register/{token}",
    "GET /sso/otp/{otp}",
    "GET /sso/{token}",
];

/// The scope that each route asks for, what it is sent, what its own account is answered, and what another account is. In this order, each after the one before
/// has had its effect.
const ROUTES: &[(&str, &str, &str, u16, u16)] = &[
    ("GET /api/v1/account", "account:read", "", 200, 200),
    ("GET /api/v1/billing/invoices", "billing:read", "", 200, 200),
    ("GET /api/v1/billing/invoices/{id}", "billing:read", "", 200, 404),
    ("GET /api/v1/billing/transactions", "billing:read", "", 200, 200),
    ("GET /api/v1/coupons/{code}", "account:read", "", 200, 200),
    ("GET /api/v1/iso-library", "account:read", "", 200, 200),
    ("GET /api/v1/os-templates", "account:read", "", 200, 200),
    ("GET /api/v1/products", "account:read", "", 200, 200),
    ("GET /api/v1/regions", "account:read", "", 200, 200),
    ("GET /api/v1/reseller", "account:read", "", 200, 200),
    ("GET /api/v1/servers", "servers:read", "", 200, 200),
    ("POST /api/v1/servers", "servers:write", "ORDER", 201, 201),
    ("GET /api/v1/servers/{id}", "servers:read", "", 200, 404),
    ("GET /api/v1/servers/{id}/activity", "servers:read", "", 200, 404),
    ("GET /api/v1/servers/{id}/addons", "servers:read", "", 200, 404),
    ("POST /api/v1/servers/{id}/addons", "servers:write", r#"{"addonId":"ADDON"}"#, 201, 404),
    ("DELETE /api/v1/servers/{id}/addons/{addon}", "servers:destroy", "", 200, 404),
    ("PATCH /api/v1/servers/{id}/billing", "servers:write", r#"{"autoRenew":true}"#, 200, 404),
    ("GET /api/v1/servers/{id}/credentials", "servers:read", "", 200, 404),
    ("GET /api/v1/servers/{id}/events", "servers:read", "", 200, 404),
    ("GET /api/v1/servers/{id}/ips", "servers:read", "", 200, 404),
    ("PUT /api/v1/servers/{id}/ips/{ip}/ptr", "servers:write", r#"{"hostname":"web.example.org"}"#, 200, 404),
    ("DELETE /api/v1/servers/{id}/ips/{ip}/ptr", "servers:write", "", 204, 404),
    ("PATCH /api/v1/servers/{id}/label", "servers:write", r#"{"label":"web"}"#, 200, 404),
    ("POST /api/v1/servers/{id}/password-reset", "servers:write", "", 200, 404),
    ("POST /api/v1/servers/{id}/power/stop", "servers:write", "", 202, 404),
    ("POST /api/v1/servers/{id}/power/start", "servers:write", "", 202, 404),
    ("POST /api/v1/servers/{id}/power/reboot", "servers:write", "", 202, 404),
    ("POST /api/v1/servers/{id}/snapshots", "servers:write", "", 202, 404),
    ("GET /api/v1/servers/{id}/snapshots", "servers:read", "", 200, 404),
    ("POST /api/v1/servers/{id}/snapshots/{snapshot}/revert", "servers:destroy", "", 202, 404),
    ("DELETE /api/v1/servers/{id}/snapshots/{snapshot}", "servers:write", "", 202, 404),
    ("GET /api/v1/servers/{id}/stats", "servers:read", "", 200, 404),
    ("POST /api/v1/servers/{id}/reinstall", "servers:destroy", r#"{"os":"debian","osTemplate":"debian-12"}"#, 202, 404),
    ("GET /api/v1/invitations", "users", "", 200, 200),
    ("DELETE /api/v1/invitations/{invitation}", "users", "", 204, 404),
    ("POST /api/v1/invitations", "users", r#"{"email":"new@example.org","role":"billing"}"#, 201, 201),
    ("GET /api/v1/machines", "servers:read", "", 200, 200),
    ("GET /api/v1/machines/line", "servers:write", "", 200, 200),
    ("POST /api/v1/machines/line", "servers:write", "", 200, 200),
    ("DELETE /api/v1/machines/{machine}", "servers:write", "", 204, 404),
    ("GET /api/v1/members", "users", "", 200, 200),
    ("PATCH /api/v1/members/{member}", "users", r#"{"role":"admin"}"#, 200, 404),
    ("DELETE /api/v1/members/{member}", "users", "", 204, 404),
    ("POST /api/v1/two-factor", "users", "", 200, 200),
    ("PUT /api/v1/two-factor", "users", r#"{"code":"nothing"}"#, 400, 400),
    ("DELETE /api/v1/two-factor", "users", r#"{"code":"nothing"}"#, 404, 404),
    ("POST /api/v1/servers/{id}/sso", "servers:write", "", 200, 404),
    ("POST /api/v1/sso", "servers:write", "", 200, 200),
    ("GET /api/v1/wallet", "billing:read", "", 200, 200),
    ("POST /api/v1/webhooks", "webhooks:write", r#"{"url":"http://127.0.0.1:9/","events":["server.created"]}"#, 201, 201),
    ("GET /api/v1/webhooks", "webhooks:read", "", 200, 200),
    ("GET /api/v1/webhooks/{webhook}", "webhooks:read", "", 200, 404),
    ("DELETE /api/v1/webhooks/{webhook}", "webhooks:write", "", 204, 404),
    ("GET /api/3/accounts", "users", "", 200, 200),
    ("POST /api/3/accounts/otp", "users", "", 200, 200),
    ("GET /api/3/accounts/{number}", "users", "", 200, 404),
    ("GET /v1/account/api-keys", "api_keys:read", "", 200, 200),
    ("POST /v1/account/api-keys/pat", "api_keys:write", r#"{"scopes":["api_keys:write"]}"#, 201, 201),
    // Such a key lacks the scopes of what it asks for.
    ("POST /v1/account/api-keys/service", "api_keys:write", r#"{"service":"vps"}"#, 403, 201),
    ("DELETE /v1/account/api-keys/{api_key}", "api_keys:write", "", 200, 404),
    ("GET /v1/account/profile", "account:read", "", 200, 200),
    ("GET /v1/account/services", "services:read", "", 200, 200),
    ("GET /v1/account/ssh-keys", "ssh_keys:read", "", 200, 200),
    ("POST /v1/account/ssh-keys", "ssh_keys:write", SSH_KEY, 201, 201),
    ("DELETE /v1/account/ssh-keys/{ssh_key}", "ssh_keys:write", "", 200, 404),
    ("DELETE /api/v1/servers/{id}", "servers:destroy", "", 204, 404),
];

const MY_SSH_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl user@workstation";
const SSH_KEY: &str = r#"{"name":"deploy","public_key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINc+1fg3Q3G03Ytnq/iswb5yeoldEOshHZebiGd3UApS a@example.org"}"#;

/// How a surface says that a key lacks a scope.
fn lacking(path: &str, scope: &str) -> Value {
    let message = format!("the key lacks the scope '{scope}'");
    let details = json!({ "field": null, "provided": null, "expected": null });
    if path.starts_with("/api/3/") {
        return json!({ "error": "forbidden", "error_description": message });
    }
    if path.starts_with("/v1/") {
        json!({ "error": { "code": "forbidden", "message": message, "details": details } })
    } else {
        json!({ "message": message, "statusCode": 403 })
    }
}

/// What is signed, in an order in which it can be done: what is sent, what its own account is answered, and what another account is.
const SIGNED: &[(&str, &str, u16, u16)] = &[
    ("GET /v2/account", "", 200, 200),
    ("POST /v2/account/data", r#"{"first_name":"Ada","last_name":"Lovelace","phone":"+44 20 7946 0000"}"#, 200, 200),
    ("PUT /v2/account/api", "", 200, 200),
    ("POST /v2/account/api-new-secret-key", r#"{"api_key":"{e24}"}"#, 200, 404),
    ("POST /v2/account/files-new-secret-key", r#"{"api_key":"{s3}"}"#, 200, 404),
    ("PUT /v2/account/sshkey", r#"{"name":"made","method":"generate"}"#, 200, 200),
    ("DELETE /v2/account/{ssh_id}/sshkey", "", 200, 404),
    ("DELETE /v2/account/api", r#"{"api_key":"{e24}"}"#, 200, 404),
];

/// What operators ask, in an order in which it can be done; `web` is their server, and another one failed.
const OPERATORS: &[(&str, &str, u16)] = &[
    ("GET /admin/v1/accounts", "", 200),
    ("POST /admin/v1/accounts", r#"{"email":"new@example.org","firstName":"New","lastName":"One"}"#, 201),
    ("GET /admin/v1/accounts/{account}", "", 200),
    ("PATCH /admin/v1/accounts/{account}", r#"{"firstName":"Augusta","locale":"de"}"#, 200),
    ("POST /admin/v1/accounts/{account}/credits", r#"{"amount":"20.00","reference":"psp-1"}"#, 200),
    ("POST /admin/v1/accounts/{account}/debits", r#"{"amount":"1.00","reason":"a fee","reference":"fee-1"}"#, 200),
    ("POST /admin/v1/accounts/{account}/freeze", "", 200),
    ("POST /admin/v1/accounts/{account}/resume", "", 200),
    ("GET /admin/v1/accounts/{account}/invitations", "", 200),
    ("POST /admin/v1/accounts/{account}/invitations", r#"{"email":"new@example.org","role":"billing"}"#, 201),
    ("DELETE /admin/v1/accounts/{account}/invitations/{invitation}", "", 204),
    ("GET /admin/v1/accounts/{account}/machines", "", 200),
    ("POST /admin/v1/accounts/{account}/machines/line", "", 200),
    ("DELETE /admin/v1/accounts/{account}/machines/{machine}", "", 404),
    ("GET /admin/v1/accounts/{account}/members", "", 200),
    ("PATCH /admin/v1/accounts/{account}/members/{member}", r#"{"role":"admin"}"#, 200),
    ("DELETE /admin/v1/accounts/{account}/members/{member}/two-factor", "", 404),
    ("DELETE /admin/v1/accounts/{account}/members/{member}", "", 204),
    ("GET /admin/v1/accounts/{account}/policy", "", 200),
    ("PUT /admin/v1/accounts/{account}/policy/{key}", r#"{"value":"5d"}"#, 200),
    ("DELETE /admin/v1/accounts/{account}/policy/{key}", "", 200),
    ("GET /admin/v1/activity/export", "", 200),
    ("GET /admin/v1/attention", "", 200),
    ("POST /admin/v1/attention/{id}/close", "", 204),
    ("GET /admin/v1/breakers", "", 200),
    ("POST /admin/v1/breakers/{kind}/confirm", r#"{"count":1}"#, 409),
    ("GET /admin/v1/catalog/addons", "", 200),
    ("GET /admin/v1/catalog/export", "", 200),
    ("POST /admin/v1/catalog/import", "[[region]]\nid = \"fra\"\nname = \"Frankfurt\"\n", 409),
    ("GET /admin/v1/catalog/nodes", "", 200),
    ("POST /admin/v1/catalog/nodes/{node}/drain", "", 200),
    ("POST /admin/v1/catalog/nodes/{node}/look", "", 202),
    ("POST /admin/v1/catalog/nodes/{node}/undrain", "", 200),
    ("GET /admin/v1/catalog/pools", "", 200),
    ("GET /admin/v1/catalog/products", "", 200),
    ("GET /admin/v1/catalog/regions", "", 200),
    ("POST /admin/v1/catalog/reprice", "", 200),
    ("GET /admin/v1/catalog/templates", "", 200),
    ("GET /admin/v1/clock", "", 200),
    ("POST /admin/v1/clock/advance", r#"{"by":"1d"}"#, 409),
    ("GET /admin/v1/coupons", "", 200),
    ("POST /admin/v1/coupons", r#"{"code":"HALF","percent":50}"#, 201),
    ("POST /admin/v1/coupons/{code}/disable", "", 200),
    ("GET /admin/v1/coupons/{code}/redemptions", "", 200),
    ("POST /admin/v1/keys/verify", r#"{"key":"lsh_nothing"}"#, 200),
    ("GET /admin/v1/ledger/audit", "", 200),
    ("GET /admin/v1/mails", "", 200),
    ("GET /admin/v1/mails/{id}", "", 200),
    ("POST /admin/v1/mails/{id}/resend", "", 201),
    ("GET /admin/v1/queue", "", 200),
    ("GET /admin/v1/queue/jobs", "", 200),
    ("GET /admin/v1/queue/processes", "", 200),
    ("GET /admin/v1/queue/runs", "", 200),
    ("GET /admin/v1/servers", "", 200),
    ("POST /admin/v1/servers/retry", "", 200),
    ("GET /admin/v1/servers/{id}", "", 200),
    ("POST /admin/v1/servers/{id}/protect", r#"{"until":"2027-01-01T00:00:00Z"}"#, 202),
    ("POST /admin/v1/servers/{id}/resolve", r#"{"reason":"seen"}"#, 202),
    ("POST /admin/v1/servers/{id}/retry", "", 409),
    ("POST /admin/v1/servers/{id}/suspend", r#"{"kind":"abuse","reason":"spam","cutNetwork":true}"#, 202),
    ("POST /admin/v1/servers/{id}/unsuspend", r#"{"kind":"abuse"}"#, 202),
    ("POST /admin/v1/servers/{id}/terminate", "", 202),
    ("GET /admin/v1/ticks", "", 200),
    ("POST /admin/v1/ticks/{name}/pause", "", 200),
    ("POST /admin/v1/ticks/{name}/resume", "", 200),
    ("POST /admin/v1/ticks/{name}/run", "", 202),
    ("GET /admin/v1/webhook-deliveries", "", 200),
    ("POST /admin/v1/webhook-deliveries/{id}/redeliver", "", 202),
];

#[test]
fn the_reference_is_written_from_the_routes() {
    insta::assert_snapshot!("reference", leasehold_api::markdown());
    insta::assert_snapshot!("index", leasehold_api::index("https://cloud.example.org"));
}

on_both!(every_operator_route_asks_for_an_operators_token(app) {
    let receiver = Receiver::start(200).await;
    let (api, key, token) = (app.api(), app.key(&app.account, "*").await, app.token().await);
    let hook = json!({ "url": receiver.url, "events": ["server.created"] }).to_string();
    send(&api, "POST", "/api/v1/webhooks", &key, hook).await;
    app.member(&app.account, "grace@example.org", Role::Billing).await;
    let server = app.order("web").await;
    app.until_quiet().await;
    app.scheduler.run_due().await.unwrap();
    let mut tx = app.store.begin().await.unwrap();
    tx.attend("odd", "test", "look").await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = app.store.read().await.unwrap();
    let (matter, mail) = (tx.attention(false, 1).await.unwrap()[0].id.clone(), tx.mails(None, None, 1).await.unwrap()[0].id.0.clone());
    let delivery = tx.deliveries(None, None, leasehold_store::Page::default()).await.unwrap()[0].id.clone();
    drop(tx);
    for (route, body, status) in OPERATORS {
        let (method, path) = route.split_once(' ').unwrap();
        let id = match path.split('/').nth(3).unwrap() {
            "attention" => matter.as_str(),
            "mails" => mail.as_str(),
            "webhook-deliveries" => delivery.as_str(),
            _ => server.id.as_str(),
        };
        let path = path.replace("{id}", id).replace("{account}", &app.account).replace("{key}", "suspend_after").replace("{kind}", "suspension");
        let path = path.replace("{member}", "grace@example.org").replace("{invitation}", "new@example.org").replace("{machine}", "nothing");
        let path = path.replace("{node}", "node-a").replace("{code}", "half").replace("{name}", "seal").replace("/queue/jobs", "/queue/jobs?queue=servers");
        for (stranger, status) in [("", 401), (key.as_str(), 403)] {
            let refused = send(&api, method, &path, stranger, *body).await;
            assert_eq!((refused.status, refused.header("content-type")), (status, "application/problem+json"), "{route}: {refused:?}");
            assert_eq!((&refused.body["status"], &refused.body["type"]), (&json!(status), &json!("about:blank")));
        }
        let answer = send(&api, method, &path, &token, *body).await;
        assert_eq!(answer.status, *status, "{route}: {answer:?}");
        app.until_quiet().await;
    }
    assert_eq!(send(&api, "GET", "/api/v1/account", &token, "").await.status, 401, "an operator has no account");
    let log = app.store.read().await.unwrap().activity(Some(app.account_id(&app.account).await.as_str()), None, 100).await.unwrap();
    assert!(log.iter().any(|a| a.action == "account.top_up" && a.actor.starts_with("operator:")), "{log:?}");
});

on_both!(an_operators_bad_request_is_named_and_changes_nothing(app) {
    let (api, token) = (app.api(), app.token().await);
    let credits = format!("/admin/v1/accounts/{}/credits", app.account);
    for (status, says, method, path, body) in [
        (400, "unknown field `refrence`", "POST", credits.as_str(), r#"{"amount":"1.00","refrence":"x"}"#),
        (400, "missing field `reference`", "POST", &credits, r#"{"amount":"1.00"}"#),
        (400, "1.001", "POST", &credits, r#"{"amount":"1.001","reference":"x"}"#),
        (400, "is negative", "POST", &credits, r#"{"amount":"-1.00","reference":"x"}"#),
        (404, "no account '7'", "POST", "/admin/v1/accounts/7/credits", r#"{"amount":"1.00","reference":"x"}"#),
        (404, "no rule 'x'", "PUT", "/admin/v1/accounts/1001/policy/x", r#"{"value":"5d"}"#),
        (400, "suspend_after", "PUT", "/admin/v1/accounts/1001/policy/suspend_after", r#"{"value":"soon"}"#),
        (404, "no server 'web'", "POST", "/admin/v1/servers/web/terminate", ""),
        (400, "'kind'", "POST", "/admin/v1/servers/x/suspend", r#"{"kind":"mood","reason":"x"}"#),
        (400, "catalogue", "POST", "/admin/v1/catalog/import", "[[region"),
        (400, "dry_run", "POST", "/admin/v1/catalog/import?dry_run=true", "[[region]]\nid = \"fra\"\nname = \"Frankfurt\"\n"),
        (400, "product", "POST", "/admin/v1/catalog/reprice?product=small&confirm=true", ""),
        (400, "queue", "GET", "/admin/v1/queue/jobs?queue=x", ""),
        (404, "no such path", "GET", "/admin/v1/nothing", ""),
        (405, "does not know that method", "DELETE", "/admin/v1/accounts", ""),
    ] {
        let answer = send(&api, method, path, &token, body).await;
        assert_eq!((answer.status, answer.header("content-type")), (status, "application/problem+json"), "{method} {path}: {answer:?}");
        assert!(answer.body["detail"].as_str().unwrap().contains(says), "{method} {path}: {answer:?}");
    }
    assert_eq!(app.balance().await, "100.00");
    // A payment that is told twice is booked once.
    let body = r#"{"amount":"5.00","reference":"psp-1"}"#;
    let (first, again) = (send(&api, "POST", &credits, &token, body).await, send(&api, "POST", &credits, &token, body).await);
    assert_eq!((&first.body["bookedBefore"], &again.body["bookedBefore"], &again.body["balance"]), (&json!(false), &json!(true), &json!("105.00")));
    // So is whatever else is made.
    let new = r#"{"email":"new@example.org","firstName":"New","lastName":"One"}"#;
    let once = [("idempotency-key", "sign-up-1")];
    let made = async |body: &str| send_with(&api, "POST", "/admin/v1/accounts", &token, &once, body.to_owned()).await;
    let (first, again) = (made(new).await, made(new).await);
    assert_eq!((first.status, again.status, &again.body, again.header("idempotent-replayed")), (201, 201, &first.body, "true"));
    assert_eq!(made(&new.replace("New", "Old")).await.status, 422);
    assert_eq!(send(&api, "GET", "/admin/v1/accounts", &token, "").await.body.as_array().unwrap().len(), 2);
    // What other systems of the host are shown.
    let key = app.key(&app.account, "servers:read").await;
    let verify = async |scope: &str| send(&api, "POST", "/admin/v1/keys/verify", &token, json!({ "key": key, "scope": scope }).to_string()).await.body;
    assert_eq!((&verify("servers:read").await["valid"], &verify("servers:write").await["valid"]), (&json!(true), &json!(false)));
});

on_both!(fast_and_first_orders_are_looked_at(app) {
    let (api, key, order) = (app.api(), app.key(&app.account, "*").await, order_body(app).await);
    app.set_rule(Level::System, "", Key::OrdersPerHour, "2").await;
    app.set_rule(Level::System, "", Key::Review, "first").await;
    let first = send(&api, "POST", "/api/v1/servers", &key, order.clone()).await;
    assert_eq!(first.status, 201);
    app.advance(std::time::Duration::from_mins(10));
    app.drain().await;
    let id: leasehold_domain::ServerId = first.body["id"].as_str().unwrap().into();
    assert_ne!(app.server(&id).await.status, Status::Running, "not before somebody looked");
    assert!(app.store.read().await.unwrap().attention(false, 10).await.unwrap().iter().any(|a| a.kind == "review"));
    let path = format!("/admin/v1/servers/{id}/unsuspend");
    assert_eq!(send(&api, "POST", &path, &app.token().await, r#"{"kind":"review"}"#).await.status, 202);
    app.until_quiet().await;
    assert_eq!(app.server(&id).await.status, Status::Running);
    assert!(!app.store.read().await.unwrap().attention(false, 10).await.unwrap().iter().any(|a| a.kind == "review"));
    let second = send(&api, "POST", "/api/v1/servers", &key, order.clone()).await;
    app.until_quiet().await;
    assert_eq!(app.server(&second.body["id"].as_str().unwrap().into()).await.status, Status::Running, "whoever has a server is known");
    let third = send(&api, "POST", "/api/v1/servers", &key, order.clone()).await;
    assert!(third.status == 429 && third.header("retry-after").parse::<u64>().unwrap() <= 3600, "{third:?}");
    app.advance(std::time::Duration::from_hours(1));
    assert_eq!(send(&api, "POST", "/api/v1/servers", &key, order).await.status, 201);
    app.until_quiet().await;
});

#[test]
fn every_route_is_walked() {
    // What has a token in its path, or a password in its body.
    const TOLD: &[&str] = &["POST /api/v1/public/sign-in", "POST /invitations/{token}", "POST /register/{token}"];
    let mut walked: Vec<&str> = ROUTES.iter().map(|(route, ..)| *route).chain(OPEN.iter().copied()).collect();
    let all = operations();
    walked.extend(OPERATORS.iter().map(|(route, ..)| *route));
    walked.extend(SIGNED.iter().map(|(route, ..)| *route));
    walked.extend(TOLD);
    walked.sort_unstable();
    assert_eq!(walked, all.keys().map(String::as_str).collect::<Vec<_>>());
    let document = serde_json::to_value(leasehold_api::document()).unwrap();
    for (route, scope) in all {
        let by = by(&document, &route);
        assert_eq!(by == By::Anybody, OPEN.contains(&route.as_str()) || TOLD.contains(&route.as_str()), "{route}");
        assert_eq!(by == By::Operator, route.contains(" /admin/"), "{route}");
        let signed = SIGNED.iter().find(|(of, ..)| *of == route).map(|_| "e24".to_owned());
        assert_eq!(by == By::Signed, signed.is_some(), "{route}");
        let wanted = ROUTES.iter().find(|(of, ..)| *of == route).map(|(_, scope, ..)| (*scope).to_owned());
        assert_eq!(by == By::Key, wanted.is_some(), "{route}");
        assert_eq!(scope, wanted.or(signed), "{route}");
    }
}

on_both!(every_route_asks_for_a_key_its_scope_and_the_account(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    let free = coupons::NewCoupon { code: "HALF", percent: Some(leasehold_domain::Percent::whole(50)), ..coupons::NewCoupon::default() };
    coupons::create(&app.store, &App::operator(), &free).await.unwrap();
    let (mine, other) = (app.account.clone(), app.new_account("other@example.org", "50.00").await);
    let (api, order) = (app.api(), order_body(app).await);
    // What others might see must be there while they look.
    let hook = r#"{"url":"http://127.0.0.1:9/","events":["server.failed"]}"#;
    assert_eq!(send(&api, "POST", "/api/v1/webhooks", &app.key(&mine, "*").await, hook).await.status, 201);
    app.add_ssh_key(&mine, "mine", MY_SSH_KEY).await;
    let member = app.member(&mine, "grace@example.org", Role::Billing).await;
    let invitee = r#"{"email":"alan@example.org","role":"read-only"}"#;
    let invitation = send(&api, "POST", "/api/v1/invitations", &app.key(&mine, "*").await, invitee).await.body["id"].as_str().unwrap().to_owned();
    let machine = app.machine(&mine, "db-1").await;
    for route in OPEN {
        let status = if route.contains('{') || route.ends_with("/metrics") { 404 } else { 200 };
        assert_eq!(send(&api, "GET", &route[4..], "", "").await.status, status, "{route}");
    }
    for own in [false, true] {
        for (route, scope, body, status, others_status) in ROUTES {
            let (method, path) = route.split_once(' ').unwrap();
            let addon = app.addon_id("extra-ip").await;
            let snapshot = app.store.read().await.unwrap().snapshots(&server.id).await.unwrap().first().map_or("none".to_owned(), |n| n.id.clone());
            let path = path.replace("/invoices/{id}", "/invoices/2026-000001").replace("{id}", server.id.as_str());
            let webhook = app.first_webhook(&mine).await;
            let ip = app.store.read().await.unwrap().addresses(&server.id).await.unwrap()[0].address.clone();
            let path = path.replace("{webhook}", &webhook).replace("{ip}", &ip);
            let path = path.replace("{member}", &member).replace("{invitation}", &invitation).replace("{machine}", &machine);
            let path = path.replace("{number}", &mine).replace("{api_key}", &app.key_ids(&mine).await[0]).replace("{ssh_key}", &app.ssh_key_id(&mine).await);
            let path = path.replace("{addon}", &addon).replace("{snapshot}", &snapshot).replace("{code}", "half");
            let body = body.replace("ORDER", &order.replace("web", "other")).replace("ADDON", &addon);
            if own {
                let key = app.key(&mine, scope).await;
                let answer = while_working(app, send(&api, method, &path, &key, body)).await;
                assert_eq!(answer.status, *status, "{route}: {answer:?}");
                app.until_quiet().await;
                continue;
            }
            assert_eq!(send(&api, method, &path, "", body.clone()).await.status, 401, "{route} without a key");
            let rest: Vec<&str> = keys::SCOPES.iter().copied().filter(|s| s != scope && *s != "*").collect();
            let refused = send(&api, method, &path, &app.key(&mine, &rest.join(",")).await, body.clone()).await;
            assert_eq!(refused.status, 403, "{route} with every other scope");
            assert_eq!(refused.body, lacking(&path, scope));
            let strange = send(&api, method, &path, &app.key(&other, "*").await, body).await;
            assert_eq!(strange.status, *others_status, "{route} of another account: {strange:?}");
        }
        if !own {
            // Nothing of all that was done.
            app.until_quiet().await;
            assert_eq!((app.status("web").await, app.server(&server.id).await.label.as_str()), (Status::Running, "web"));
        }
    }
});

on_both!(every_signed_route_asks_for_a_signature_and_the_account(app) {
    let other = app.new_account("other@example.org", "1.00").await;
    let (api, mine) = (app.api(), app.account.clone());
    app.add_ssh_key(&mine, "mine", MY_SSH_KEY).await;
    // What is asked about belongs to mine; the other pair of mine asks.
    let (asks, about, stranger) = (app.signer(&mine).await, app.signer(&mine).await, app.signer(&other).await);
    let all = asks.send(&api, "GET", "/v2/account", "", app.now()).await.body["account"].clone();
    let (s3, ssh_id) = (all["e24files"]["s3"]["api_id"].as_str().unwrap().to_owned(), all["sshkeys"][0]["id"].to_string());
    for own in [false, true] {
        for (route, body, status, others_status) in SIGNED {
            let (method, path) = route.split_once(' ').unwrap();
            let (path, body) = (path.replace("{ssh_id}", &ssh_id), body.replace("{e24}", &about.key).replace("{s3}", &s3));
            if own {
                let answer = asks.send(&api, method, &path, &body, app.now()).await;
                assert_eq!(answer.status, *status, "{route}: {answer:?}");
                continue;
            }
            assert_eq!(send(&api, method, &path, "", body.clone()).await.status, 401, "{route} unsigned");
            assert_eq!(send(&api, method, &path, &app.key(&mine, "*").await, body.clone()).await.status, 401, "{route} with a key of another kind");
            let strange = stranger.send(&api, method, &path, &body, app.now()).await;
            assert_eq!(strange.status, *others_status, "{route} of another account: {strange:?}");
        }
    }
    assert_eq!(about.send(&api, "GET", "/v2/account", "", app.now()).await.status, 401, "its secret was changed, and it was deleted");
});
