//! Programs that are told what happens.

use std::{collections::BTreeSet, time::Duration};

use leasehold_commands::{servers, webhooks};
use leasehold_domain::server::{HoldKind, Means};
use leasehold_store::{Page, webhooks::DeliveryState};
use leasehold_tests::{
    App,
    hook::Receiver,
    on_both,
    web::{send, send_with},
};
use serde_json::{Value, json};

async fn subscribe(app: &App, url: &str, events: &[&str]) -> Value {
    let key = app.key(&app.account, "*").await;
    let made = send(&app.api(), "POST", "/api/v1/webhooks", &key, json!({ "url": url, "events": events }).to_string()).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.body
}

on_both!(a_webhook_is_told_each_thing_that_happens_and_that_it_wants_to_know(app) {
    let receiver = Receiver::start(204).await;
    let hook = subscribe(app, &receiver.url, &["server.created", "server.running", "server.suspended", "server.unsuspended", "server.destroyed", "invoice.paid", "ptr.changed"]).await;
    assert!(hook["secret"].as_str().unwrap().starts_with("whsec_"));
    // Another account's is told nothing of it.
    let strange = Receiver::start(204).await;
    let (api, other) = (app.api(), app.new_account("other@example.org", "5.00").await);
    let body = json!({ "url": strange.url, "events": ["server.created"] }).to_string();
    send(&api, "POST", "/api/v1/webhooks", &app.key(&other, "*").await, body).await;
    let server = app.order("web").await;
    app.until_quiet().await;
    let me = App::operator();
    servers::suspend(&app.store, &me, "web", HoldKind::Abuse, Means::PowerOff, "spam").await.unwrap();
    app.until_quiet().await;
    servers::unsuspend(&app.store, &me, "web", HoldKind::Abuse, None).await.unwrap();
    app.until_quiet().await;
    let key = app.key(&app.account, "*").await;
    let path = format!("/api/v1/servers/{}/ips", server.id);
    let ip = send(&api, "GET", &path, &key, "").await.body[0]["ip"].as_str().unwrap().to_owned();
    let named = send(&api, "PUT", &format!("{path}/{ip}/ptr"), &key, r#"{"hostname":"web.example.org"}"#).await;
    assert_eq!((named.status, &named.body["ptr"], &named.body["primary"]), (200, &json!("web.example.org"), &json!(true)));
    for (status, address, name) in [(400, ip.as_str(), "no point"), (404, "203.0.113.99", "web.example.org"), (404, "x", "web.example.org")] {
        assert_eq!(send(&api, "PUT", &format!("{path}/{address}/ptr"), &key, json!({ "hostname": name }).to_string()).await.status, status);
    }
    app.terminate(&server.id).await;
    app.until_quiet().await;
    let told: Vec<Value> = receiver.told().iter().map(|t| serde_json::from_str(&t.body).unwrap()).collect();
    let mut kinds: Vec<&str> = told.iter().map(|t| t["type"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["invoice.paid", "ptr.changed", "ptr.changed", "server.created", "server.destroyed", "server.running", "server.suspended", "server.unsuspended"]);
    let running = told.iter().find(|t| t["type"] == "server.running").unwrap();
    assert_eq!((&running["data"]["id"], &running["data"]["status"], &running["data"]["ipAddress"]), (&json!(server.id), &json!("running"), &json!(ip)));
    let paid = told.iter().find(|t| t["type"] == "invoice.paid").unwrap();
    assert_eq!((&paid["data"]["number"], &paid["data"]["total"], &paid["data"]["name"]), (&json!("2026-000001"), &json!("9.00 EUR"), &Value::Null));
    let ids: BTreeSet<String> = receiver.told().into_iter().map(|t| t.headers[0].clone()).collect();
    assert_eq!(ids.len(), 8);
    assert!(strange.told().is_empty());
    let listed = send(&api, "GET", "/api/v1/webhooks", &key, "").await.body;
    assert_eq!((&listed[0]["id"], listed[0].get("secret")), (&hook["id"], None), "the secret is shown once");
    assert_eq!(send(&api, "DELETE", &format!("/api/v1/webhooks/{}", hook["id"].as_str().unwrap()), &key, "").await.status, 204);
    app.order("web2").await;
    app.until_quiet().await;
    assert_eq!(receiver.told().len(), 8);
});

on_both!(a_receiver_that_is_away_is_called_again_and_given_up_after_a_day(app) {
    let receiver = Receiver::start(500).await;
    let hook = subscribe(app, &receiver.url, &["server.created"]).await;
    app.order("web").await;
    app.drain().await;
    assert_eq!(receiver.told().len(), 1);
    app.live(Duration::from_hours(2)).await;
    let tries = receiver.told().len();
    assert!(tries > 2, "{tries}");
    receiver.answer(200);
    app.live(Duration::from_hours(2)).await;
    assert_eq!(receiver.told().len(), tries + 1, "taken, and not sent again");
    let ids: BTreeSet<String> = receiver.told().into_iter().map(|t| t.headers[0].clone()).collect();
    assert_eq!(ids.len(), 1, "the same id each time");
    let delivery = app.store.read().await.unwrap().deliveries(None, Some(DeliveryState::Delivered), Page { limit: Some(5), skip: 0 }).await.unwrap();
    assert_eq!((delivery.len(), delivery[0].answer), (1, Some(200)));
    webhooks::redeliver(&app.store, &App::operator(), &delivery[0].id).await.unwrap();
    app.drain().await;
    assert_eq!(receiver.told().len(), tries + 2, "once more by an operator's word");
    receiver.answer(302);
    app.order("web2").await;
    app.live(Duration::from_hours(30)).await;
    let key = app.key(&app.account, "*").await;
    let shown = send(&app.api(), "GET", &format!("/api/v1/webhooks/{}", hook["id"].as_str().unwrap()), &key, "").await.body;
    assert!(shown["disabledAt"].is_string(), "{shown}");
    assert_eq!(app.mails_with("A webhook of yours is not called any more").len(), 1);
    let before = receiver.told().len();
    app.order("web3").await;
    app.until_quiet().await;
    assert_eq!(receiver.told().len(), before);
    receiver.answer(410);
    let second = subscribe(app, &receiver.url, &["server.created"]).await;
    app.order("web4").await;
    app.until_quiet().await;
    let shown = send(&app.api(), "GET", &format!("/api/v1/webhooks/{}", second["id"].as_str().unwrap()), &key, "").await.body;
    assert!(shown["disabledAt"].is_string() && receiver.told().len() == before + 1, "whoever is gone is not called again: {shown}");
});

on_both!(a_webhook_that_takes_nothing_is_called_once_at_a_time_and_forgiven(app) {
    let receiver = Receiver::start(500).await;
    let hook = subscribe(app, &receiver.url, &["server.created"]).await;
    for n in 0..4 {
        app.order(&format!("web{n}")).await;
    }
    app.drain().await;
    let first = receiver.told().len();
    app.live(Duration::from_mins(1)).await;
    let tries = receiver.told().len() - first;
    assert!((1..=12).contains(&tries), "one at a time, not all four each time: {tries}");
    // Two days nobody works: what was written before is tried as long as anything else.
    app.advance(Duration::from_hours(48));
    app.drain().await;
    let key = app.key(&app.account, "*").await;
    let path = format!("/api/v1/webhooks/{}", hook["id"].as_str().unwrap());
    assert!(send(&app.api(), "GET", &path, &key, "").await.body["disabledAt"].is_string(), "a day in which it was called and took nothing");
    let second = Receiver::start(500).await;
    let hook = subscribe(app, &second.url, &["server.created"]).await;
    app.order("late").await;
    app.advance(Duration::from_hours(48));
    app.drain().await;
    let path = format!("/api/v1/webhooks/{}", hook["id"].as_str().unwrap());
    let shown = send(&app.api(), "GET", &path, &key, "").await.body;
    assert!(shown["disabledAt"].is_null() && shown["failingSince"].is_string(), "our own downtime is not its fault: {shown}");
    second.answer(200);
    app.live(Duration::from_hours(1)).await;
    let shown = send(&app.api(), "GET", &path, &key, "").await.body;
    assert_eq!((&shown["failingSince"], second.told().len()), (&Value::Null, 2), "{shown}");
});

on_both!(a_webhook_is_made_once_a_key_and_only_where_it_makes_sense(app) {
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    let body = r#"{"url":"https://example.org/hook","events":["server.running","server.created","server.running"]}"#;
    let headers = [("idempotency-key", "hook-1")];
    let first = send_with(&api, "POST", "/api/v1/webhooks", &key, &headers, body).await;
    let again = send_with(&api, "POST", "/api/v1/webhooks", &key, &headers, body).await;
    assert_eq!((first.status, again.status, again.header("idempotent-replayed"), &again.body), (201, 201, "true", &first.body));
    assert_eq!(first.body["events"], json!(["server.created", "server.running"]));
    for (says, body) in [
        ("must begin with https", r#"{"url":"ftp://example.org","events":["server.created"]}"#),
        ("it is no URL", r#"{"url":"example","events":["server.created"]}"#),
        ("no user", r#"{"url":"https://a:b@example.org","events":["server.created"]}"#),
        ("name at least one", r#"{"url":"https://example.org","events":[]}"#),
        ("unknown event 'x'", r#"{"url":"https://example.org","events":["x"]}"#),
    ] {
        let answer = send(&api, "POST", "/api/v1/webhooks", &key, body).await;
        assert!(answer.status == 400 && answer.body["message"].as_str().unwrap().contains(says), "{answer:?}");
    }
    for _ in 0..9 {
        assert_eq!(send(&api, "POST", "/api/v1/webhooks", &key, body).await.status, 201);
    }
    assert_eq!(send(&api, "POST", "/api/v1/webhooks", &key, body).await.status, 409, "ten are the most");
});

on_both!(a_link_signs_in_once_in_a_hundred_tries(app) {
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    let link = send(&api, "POST", "/api/v1/sso", &key, r#"{"next":"/dashboard/billing"}"#).await;
    assert_eq!((link.status, &link.body["expiresIn"]), (200, &json!(300)));
    let path = link.body["url"].as_str().unwrap().strip_prefix("http://127.0.0.1:8066").unwrap().to_owned();
    let tries = futures::future::join_all((0..100).map(|_| send(&api, "GET", &path, "", ""))).await;
    let (in_, out): (Vec<_>, Vec<_>) = tries.into_iter().partition(|a| a.status == 200);
    assert_eq!((in_.len(), out.iter().filter(|a| a.status == 404).count()), (1, 99));
    let page = String::from_utf8(in_[0].bytes.clone()).unwrap();
    assert!(page.contains("ada@example.org") && page.contains("/dashboard/billing"), "{page}");
    assert_eq!(in_[0].header("cache-control"), "no-store");
    let server = app.order("web").await;
    let late = send(&api, "POST", &format!("/api/v1/servers/{}/sso", server.id), &key, "").await;
    app.advance(Duration::from_mins(5));
    let path = late.body["url"].as_str().unwrap().strip_prefix("http://127.0.0.1:8066").unwrap().to_owned();
    assert_eq!(send(&api, "GET", &path, "", "").await.status, 404, "it is over");
    for next in ["//evil.example", "https://evil.example", "/a\\b", "dashboard"] {
        assert_eq!(send(&api, "POST", "/api/v1/sso", &key, json!({ "next": next }).to_string()).await.status, 400, "{next}");
    }
    app.until_quiet().await;
});
