//! Every route, with every scope, for its own account and for others.

use std::collections::BTreeMap;

use leasehold_commands::{coupons, keys};
use leasehold_domain::server::Status;
use leasehold_tests::{
    App, on_both,
    web::{order_body, send, while_working},
};
use serde_json::json;

/// Every operation of the description, `GET /path`, and its scope.
fn operations() -> BTreeMap<String, Option<String>> {
    let document = serde_json::to_value(leasehold_api::document()).unwrap();
    let mut all = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let scope = operation["security"][0]["key"][0].as_str().map(str::to_owned);
            all.insert(format!("{} {path}", method.to_uppercase()), scope);
        }
    }
    all
}

/// Routes that anybody may call.
const OPEN: &[&str] = &["GET /api/v1/public/affiliates/rule", "GET /healthz", "GET /openapi.json", "GET /readyz", "GET /sso/{token}"];

/// What each route is sent, what its own account is answered, and what another account is. In this order, each after the one before
/// has had its effect.
const ROUTES: &[(&str, &str, u16, u16)] = &[
    ("GET /api/v1/account", "", 200, 200),
    ("GET /api/v1/billing/invoices", "", 200, 200),
    ("GET /api/v1/billing/invoices/{id}", "", 200, 404),
    ("GET /api/v1/billing/transactions", "", 200, 200),
    ("GET /api/v1/coupons/{code}", "", 200, 200),
    ("GET /api/v1/os-templates", "", 200, 200),
    ("GET /api/v1/products", "", 200, 200),
    ("GET /api/v1/regions", "", 200, 200),
    ("GET /api/v1/reseller", "", 200, 200),
    ("GET /api/v1/servers", "", 200, 200),
    ("POST /api/v1/servers", "ORDER", 201, 201),
    ("GET /api/v1/servers/{id}", "", 200, 404),
    ("GET /api/v1/servers/{id}/activity", "", 200, 404),
    ("GET /api/v1/servers/{id}/addons", "", 200, 404),
    ("POST /api/v1/servers/{id}/addons", r#"{"addonId":"ADDON"}"#, 201, 404),
    ("DELETE /api/v1/servers/{id}/addons/{addon}", "", 200, 404),
    ("PATCH /api/v1/servers/{id}/billing", r#"{"autoRenew":true}"#, 200, 404),
    ("GET /api/v1/servers/{id}/credentials", "", 200, 404),
    ("GET /api/v1/servers/{id}/events", "", 200, 404),
    ("GET /api/v1/servers/{id}/ips", "", 200, 404),
    ("PUT /api/v1/servers/{id}/ips/{ip}/ptr", r#"{"hostname":"web.example.org"}"#, 200, 404),
    ("DELETE /api/v1/servers/{id}/ips/{ip}/ptr", "", 204, 404),
    ("PATCH /api/v1/servers/{id}/label", r#"{"label":"web"}"#, 200, 404),
    ("POST /api/v1/servers/{id}/password-reset", "", 200, 404),
    ("POST /api/v1/servers/{id}/power/stop", "", 202, 404),
    ("POST /api/v1/servers/{id}/power/start", "", 202, 404),
    ("POST /api/v1/servers/{id}/power/reboot", "", 202, 404),
    ("POST /api/v1/servers/{id}/snapshots", "", 202, 404),
    ("GET /api/v1/servers/{id}/snapshots", "", 200, 404),
    ("POST /api/v1/servers/{id}/snapshots/{snapshot}/revert", "", 202, 404),
    ("DELETE /api/v1/servers/{id}/snapshots/{snapshot}", "", 202, 404),
    ("GET /api/v1/servers/{id}/stats", "", 200, 404),
    ("POST /api/v1/servers/{id}/reinstall", r#"{"os":"debian","osTemplate":"debian-12"}"#, 202, 404),
    ("POST /api/v1/servers/{id}/sso", "", 200, 404),
    ("POST /api/v1/sso", "", 200, 200),
    ("POST /api/v1/webhooks", r#"{"url":"http://127.0.0.1:9/","events":["server.created"]}"#, 201, 201),
    ("GET /api/v1/webhooks", "", 200, 200),
    ("GET /api/v1/webhooks/{webhook}", "", 200, 404),
    ("DELETE /api/v1/webhooks/{webhook}", "", 204, 404),
    ("DELETE /api/v1/servers/{id}", "", 204, 404),
];

#[test]
fn every_route_is_walked() {
    let mut walked: Vec<&str> = ROUTES.iter().map(|(route, ..)| *route).chain(OPEN.iter().copied()).collect();
    walked.sort_unstable();
    let all = operations();
    assert_eq!(walked, all.keys().map(String::as_str).collect::<Vec<_>>());
    for (route, scope) in all {
        assert_eq!(scope.is_none(), OPEN.contains(&route.as_str()), "{route}");
    }
}

on_both!(every_route_asks_for_a_key_its_scope_and_the_account(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    let free = coupons::NewCoupon { code: "HALF", percent: Some(50), ..coupons::NewCoupon::default() };
    coupons::create(&app.store, &App::operator(), &free).await.unwrap();
    let (mine, other) = (app.account.clone(), app.new_account("other@example.org", "50.00").await);
    let (api, scopes, order) = (app.api(), operations(), order_body(app).await);
    for route in OPEN {
        let status = if route.contains('{') { 404 } else { 200 };
        assert_eq!(send(&api, "GET", &route[4..], "", "").await.status, status, "{route}");
    }
    for own in [false, true] {
        for (route, body, status, others_status) in ROUTES {
            let scope = scopes[*route].clone().unwrap();
            let (method, path) = route.split_once(' ').unwrap();
            let addon = app.addon_id("extra-ip").await;
            let snapshot = app.store.read().await.unwrap().snapshots(&server.id).await.unwrap().first().map_or("none".to_owned(), |n| n.id.clone());
            let path = path.replace("/invoices/{id}", "/invoices/2026-000001").replace("{id}", server.id.as_str());
            let webhook = app.first_webhook(&mine).await;
            let ip = app.store.read().await.unwrap().addresses(&server.id).await.unwrap()[0].address.clone();
            let path = path.replace("{webhook}", &webhook).replace("{ip}", &ip);
            let path = path.replace("{addon}", &addon).replace("{snapshot}", &snapshot).replace("{code}", "half");
            let body = body.replace("ORDER", &order.replace("web", "other")).replace("ADDON", &addon);
            if own {
                let key = app.key(&mine, &scope).await;
                let answer = while_working(app, send(&api, method, &path, &key, body)).await;
                assert_eq!(answer.status, *status, "{route}: {answer:?}");
                app.until_quiet().await;
                continue;
            }
            assert_eq!(send(&api, method, &path, "", body.clone()).await.status, 401, "{route} without a key");
            let rest: Vec<&str> = keys::SCOPES.iter().copied().filter(|s| *s != scope && *s != "*").collect();
            let refused = send(&api, method, &path, &app.key(&mine, &rest.join(",")).await, body.clone()).await;
            assert_eq!(refused.status, 403, "{route} with every other scope");
            assert_eq!(refused.body, json!({ "message": format!("the key lacks the scope '{scope}'"), "statusCode": 403 }));
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
