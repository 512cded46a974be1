//! Stories of programs that use the HTTP APIs.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod cloud66;
mod e24cloud;
mod members;
mod orders;
mod routes;
mod servers;
mod wayscloud;
mod webhooks;

use std::{process::Command, time::Duration};

use leasehold_api::{Api, Settings};
use leasehold_commands::keys::{self, Wanted};
use leasehold_store::keys::KeyKind;
use leasehold_tests::{
    App, on_both,
    program::{Program, eventually, free_port},
    web::{send, wanted},
};
use secrecy::ExposeSecret;
use serde_json::json;

on_both!(a_hundred_requests_a_minute_pass_over_all_processes(app) {
    let key = app.key(&app.account, "account:read").await;
    // On a file one process serves; over PostgreSQL several count together.
    let first = Api::new(app.store.clone(), Settings::default());
    let second = if app.store.is_sqlite() { first.clone() } else { Api::new(app.store.clone(), Settings::default()) };
    let calls = (0..160).map(|n| {
        let (api, key) = (if n % 2 == 0 { first.clone() } else { second.clone() }, key.clone());
        async move { send(&api, "GET", "/api/v1/regions", &key, "").await }
    });
    let answers = futures::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|a| a.status == 200).count(), 100);
    let refused: Vec<_> = answers.iter().filter(|a| a.status == 429).collect();
    assert_eq!(refused.len(), 60);
    let reset = app.now().as_millis() / 60_000 * 60 + 60;
    assert!(refused.iter().all(|a| a.header("x-ratelimit-remaining") == "0" && a.header("x-ratelimit-reset") == reset.to_string()));
    assert!(refused.iter().all(|a| a.header("retry-after").parse::<u64>().is_ok_and(|s| (1..=61).contains(&s))));
    // Others are not in its way, and the next minute is a new one.
    let other = app.key(&app.account, "account:read").await;
    assert_eq!(send(&first, "GET", "/api/v1/regions", &other, "").await.header("x-ratelimit-remaining"), "99");
    assert_eq!(send(&second, "GET", "/api/v1/regions", "", "").await.header("x-ratelimit-remaining"), "99");
    for _ in 0..100 {
        send(&first, "GET", "/api/v1/regions", "", "").await;
    }
    assert_eq!(send(&first, "GET", "/api/v1/regions", "", "").await.status, 429);
    assert_eq!(send(&first, "GET", "/healthz", "", "").await.status, 200, "a load balancer is always answered");
    app.advance(Duration::from_mins(1));
    assert_eq!(send(&first, "GET", "/api/v1/regions", &key, "").await.status, 200);
});

on_both!(a_key_that_is_not_valid_any_more_opens_nothing(app) {
    let (api, me) = (app.api(), App::operator());
    let month = Some(Duration::from_hours(30 * 24));
    let (row, text) = keys::create(&app.store, &me, Some(&app.account), "lsh_", &Wanted { lasts: month, ..wanted(KeyKind::Api, "account:read") }).await.unwrap();
    let text = text.expose_secret().to_owned();
    let status = async |key: &str| send(&api, "GET", "/api/v1/account", key, "").await.status;
    assert_eq!(status(&text).await, 200);
    let used = app.store.read().await.unwrap().key(&row.id).await.unwrap().last_used_at.unwrap();
    assert_eq!(used.0, app.now());
    let mut turned = text.clone().into_bytes();
    turned.swap(20, 21);
    let other_prefix = text.replace("lsh_", "lsx_");
    for wrong in [String::from_utf8(turned).unwrap(), text[..text.len() - 1].to_owned(), other_prefix, "lsh_".into(), "lsh_x_y".into()] {
        assert_eq!(status(&wrong).await, 401, "{wrong}");
    }
    app.advance(Duration::from_hours(30 * 24));
    assert_eq!(status(&text).await, 401, "its time is over");
    let (row, text) = keys::create(&app.store, &me, Some(&app.account), "lsh_", &wanted(KeyKind::Api, "account:read")).await.unwrap();
    assert_eq!(status(text.expose_secret()).await, 200);
    keys::revoke(&app.store, &me, &row.id).await.unwrap();
    assert_eq!(status(text.expose_secret()).await, 401, "revoked");
});

on_both!(a_bad_request_is_named_and_changes_nothing(app) {
    let (api, key) = (app.api(), app.key(&app.account, "*").await);
    let server = app.order("web").await;
    app.until_quiet().await;
    let label = format!("/api/v1/servers/{}/label", server.id);
    let long = format!(r#"{{"label":"{}"}}"#, "x".repeat(300_000));
    let deep = format!(r#"{{"label":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for (status, says, method, path, body) in [
        (400, "'label': invalid type: integer", "PATCH", label.as_str(), r#"{"label":7}"#),
        (400, "missing field `label`", "PATCH", &label, "{}"),
        (400, "the body", "PATCH", &label, "nonsense"),
        (400, "trailing characters", "PATCH", &label, r#"{"label":"a"} {}"#),
        (400, "the body holds a NUL character", "PATCH", &label, r#"{"label":"a\u0000b"}"#),
        (400, "label 'a\\\\u0000b' is not allowed", "PATCH", &label, r#"{"label":"a\\u0000b"}"#),
        (404, "no such path", "GET", "/api/v1/servers/%00", ""),
        (400, "'label'", "PATCH", &label, &deep),
        (413, "a body has 262144 bytes at most", "PATCH", &label, &long),
        (404, "server 'nobody'", "GET", "/api/v1/servers/nobody", ""),
        (404, "server 'web'", "GET", "/api/v1/servers/web", ""),
        (404, "no such path", "GET", "/api/v1/nothing", ""),
        (404, "no such path", "GET", "/api/v1/servers/../../etc/passwd", ""),
        (405, "does not know that method", "DELETE", "/api/v1/regions", ""),
        (400, "'limit' is 1 to 1000", "GET", "/api/v1/servers?limit=0", ""),
        (400, "'page' is 1 to 1000000", "GET", "/api/v1/servers?page=0", ""),
        (400, "'limit' is 1 to 100", "GET", "/api/v1/billing/invoices?limit=101", ""),
        (404, "invoice '2026-000099'", "GET", "/api/v1/billing/invoices/2026-000099", ""),
        (400, "page", "GET", "/api/v1/servers?page=-1", ""),
        (400, "asleep", "GET", "/api/v1/servers?status=asleep", ""),
    ] {
        let answer = send(&api, method, path, &key, body.to_owned()).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        let message = answer.body["message"].as_str().expect("every error has a message");
        assert!(message.contains(says), "{method} {path}: {message}");
        assert_eq!((&answer.body["statusCode"], answer.header("x-request-id").len()), (&json!(status), 36));
    }
    assert_eq!(app.server(&server.id).await.label, "web");
});

#[test]
fn the_daemon_serves_http_until_it_is_stopped() {
    let mut p = Program::new(None);
    let port = free_port();
    p.set("API__LISTEN", &format!("127.0.0.1:{port}"));
    let account = p.set_up("20.00");
    let key = p.json(&["key", "create", "--account", &account])["key"].as_str().unwrap().to_owned();
    let daemon = p.daemon(&["serve"]);
    let curl = |path: &str, more: &[&str]| {
        let answer = Command::new("curl").args(["-s", "-w", "\n%{http_code}"]).args(more).arg(format!("http://127.0.0.1:{port}{path}")).output().unwrap();
        String::from_utf8(answer.stdout).unwrap()
    };
    eventually("it is ready", || curl("/readyz", &[]).ends_with("200"));
    assert!(curl("/healthz", &[]).starts_with("ok"));
    let with_key = format!("Authorization: Bearer {key}");
    let answer = curl("/api/v1/account", &["-H", &with_key]);
    assert!(answer.contains(r#""balance":"20.00""#) && answer.ends_with("200"), "{answer}");
    assert!(curl("/api/v1/account", &[]).ends_with("401"));
    assert!(!std::fs::read_to_string(p.path("daemon.log")).unwrap().contains(&key), "no key in the log");
    // Somebody who sends nothing does not keep it from stopping.
    let idle = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert_eq!(daemon.stop(), Some(0));
    drop(idle);
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    p.refuses(2, &["api.listen"], &["serve"]);
    drop(taken);
}
