//! Requests a second to the Cloud API, beside a bare axum handler that runs the same statements on the same pool: alone, with those of
//! the look at the key, and with those of the limit, too.

use std::{fmt::Write, future::pending, path::Path, process::Command, time::Duration};

use axum::{
    Json, Router,
    extract::{self, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    routing::{get, post},
};
use leasehold_api::{Api, Settings};
use leasehold_commands::{
    keys,
    once::{self, Begun, Once},
    order::{self, Order},
};
use leasehold_domain::{
    AccountId,
    policy::{Key, Level},
};
use leasehold_store::{Store, activity::Actor, args, keys::KeyKind};
use leasehold_tests::{
    App, Kind,
    fleet::{self, Fleet},
    web::wanted,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{Figure, median};

/// Customers of the host.
const ACCOUNTS: i64 = 5_000;
/// Those of them that ask, each with a key.
const CALLERS: usize = 64;
/// Connections that requests come over, one at a time each.
const CONNECTIONS: usize = 16;
/// How long each handler is asked at a time.
const SECONDS: u64 = 4;
/// Measured in turns, so that a slow moment of the machine is everybody's.
const RUNS: usize = 3;

/// What a handler does beside the answer's own statements.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Beside {
    Nothing,
    Key,
    KeyAndLimit,
}

#[derive(Clone)]
struct Bare {
    store: Store,
    beside: Beside,
}

impl Bare {
    fn router(store: &Store, beside: Beside) -> Router {
        let bare = Self { store: store.clone(), beside };
        Router::new().route("/api/v1/servers/{id}", get(show)).route("/api/v1/servers", post(place)).with_state(bare)
    }

    /// Who asks.
    async fn caller(&self, headers: &HeaderMap) -> AccountId {
        if self.beside == Beside::Nothing {
            return headers["x-account"].to_str().unwrap().into();
        }
        let text = headers[AUTHORIZATION].to_str().unwrap().strip_prefix("Bearer ").unwrap();
        let mut tx = self.store.read().await.unwrap();
        let key = tx.key_presented(text).await.unwrap().unwrap();
        drop(tx);
        // The embedded database's one process counts in its memory.
        if self.beside == Beside::KeyAndLimit && !self.store.is_sqlite() {
            let mut tx = self.store.begin().await.unwrap();
            tx.count_call(&key.id, self.store.clock().now().as_millis() / 60_000).await.unwrap();
            tx.commit().await.unwrap();
        }
        key.account_id.unwrap().into()
    }
}

/// A server whole.
async fn show(State(bare): State<Bare>, extract::Path(id): extract::Path<String>, headers: HeaderMap) -> Json<Value> {
    let account = bare.caller(&headers).await;
    let mut tx = bare.store.read().await.unwrap();
    let s = tx.server_of(&account, &id).await.unwrap();
    let addresses = tx.addresses(&s.id).await.unwrap();
    let product = tx.product(&s.product_id).await.unwrap();
    let lease = tx.lease_of(&s.id).await.unwrap().unwrap();
    let next = tx.outlook(&account, &lease.id).await.unwrap().unwrap();
    Json(json!({
        "id": s.id, "label": s.label, "hostname": s.hostname, "status": s.status, "os": s.template_id, "region": s.region_id, "vcpu": s.vcpu,
        "ramMb": s.ram_mb, "diskGb": s.disk_gb, "createdAt": s.created_at, "addresses": addresses.iter().map(|a| &a.address).collect::<Vec<_>>(),
        "bandwidthGb": product.bandwidth_gb, "price": next.next_price.unwrap_or(lease.price).decimal(), "paidUntil": lease.paid_until,
        "suspendsAt": next.suspends_at, "terminatesAt": next.terminates_at, "autoRenew": lease.auto_renew,
    }))
}

/// An order.
async fn place(State(bare): State<Bare>, headers: HeaderMap, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let account = bare.caller(&headers).await;
    let key = headers["idempotency-key"].to_str().unwrap();
    let once = Some(Once::new(key, body.to_string()).unwrap());
    let Begun::Now(mut open) = once::begin(&bare.store, account.as_str(), once).await.unwrap() else { panic!("the key is new") };
    let (product, system) = (body["productId"].as_str().unwrap(), body["osTemplate"].as_str().unwrap());
    // Twice, as a body names the system twice.
    open.tx.offered_template(system).await.unwrap();
    let wanted = Order::new(account.as_str(), product, system);
    let ordered = order::place(&mut open.tx, &open.account, &Actor::operator("bench"), &wanted).await.unwrap();
    let answer = json!({ "id": ordered.server.id, "label": ordered.server.label, "price": ordered.price.total.decimal() });
    open.end(&answer.to_string()).await.unwrap();
    (StatusCode::CREATED, Json(answer))
}

/// Everything that is asked: a handler each, where it listens.
struct Handlers {
    urls: Vec<String>,
    _serving: JoinSet<()>,
}

impl Handlers {
    /// The bare ones, and the API last.
    async fn start(store: &Store) -> Self {
        let (mut urls, mut serving) = (Vec::new(), JoinSet::new());
        for beside in [Beside::Nothing, Beside::Key, Beside::KeyAndLimit] {
            let (listener, router) = (listen(&mut urls).await, Bare::router(store, beside));
            serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        }
        let listener = listen(&mut urls).await;
        let api = Api::new(store.clone(), Settings { per_minute: i64::MAX, ..Settings::default() });
        serving.spawn(async move { leasehold_api::serve(&api, listener, pending(), Duration::ZERO).await.unwrap() });
        Self { urls, _serving: serving }
    }
}

async fn listen(urls: &mut Vec<String>) -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    urls.push(format!("http://{}", listener.local_addr().unwrap()));
    listener
}

/// Requests a second, and the 99th percentile of what one takes in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Load {
    rate: f64,
    p99: f64,
}

/// Asks one handler for a while.
fn load(url: &str, calls: &Path) -> Load {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/load.lua");
    let (connections, seconds) = (format!("-c{CONNECTIONS}"), format!("-d{SECONDS}s"));
    let ended = Command::new("wrk").args(["-t2", &connections, &seconds, "-s", script, url, "--"]).arg(calls).output().expect("wrk is installed");
    let text = String::from_utf8_lossy(&ended.stdout);
    let line = text.lines().find_map(|l| l.strip_prefix("measured ")).unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&ended.stderr)));
    let numbers: Vec<f64> = line.split(' ').map(|n| n.parse().unwrap()).collect();
    assert!(numbers[2] == 0.0, "{} requests failed", numbers[2]);
    Load { rate: numbers[0], p99: numbers[1] }
}

/// Asks all handlers in turns: the median of each.
fn compare(handlers: &Handlers, calls: &Path) -> Vec<Load> {
    let mut seen = vec![Vec::new(); handlers.urls.len()];
    for _ in 0..RUNS {
        for (url, seen) in handlers.urls.iter().zip(&mut seen) {
            seen.push(load(url, calls));
        }
    }
    let of = |runs: &[Load], what: fn(&Load) -> f64| median(runs.iter().map(what).collect());
    seen.iter().map(|runs| Load { rate: of(runs, |l| l.rate), p99: of(runs, |l| l.p99) }).collect()
}

/// The requests as `load.lua` reads them: for each caller a server to look at, and an order.
async fn write_calls(app: &App) -> (String, String) {
    let (mut shows, mut orders) = (String::new(), String::new());
    let sql = "select account_id, min(id) from servers group by account_id order by account_id limit $1";
    let servers: Vec<(String, String)> = app.store.read().await.unwrap().all(sql, args![CALLERS as i64]).await.unwrap();
    let product = app.store.read().await.unwrap().offered_product("small").await.unwrap().id;
    let order = json!({ "productId": product, "os": "debian-12", "osTemplate": "debian-12" });
    for (account, server) in servers {
        let (_, key) = keys::create(&app.store, &App::operator(), Some(&account), "lsh_", &wanted(KeyKind::Api, "servers:read,servers:write")).await.unwrap();
        let key = key.expose_secret();
        writeln!(shows, "GET /api/v1/servers/{server} {account} {key} ").unwrap();
        writeln!(orders, "POST /api/v1/servers {account} {key} {order}").unwrap();
    }
    (shows, orders)
}

/// A line for each handler.
fn figures(what: &str, target: &'static str, seen: &[Load]) -> Vec<Figure> {
    let [nothing, key, limit, api] = seen else { panic!("four handlers") };
    let show = |l: &Load| format!("{:.0}/s, {:.1} ms", l.rate, l.p99);
    vec![
        Figure::new(format!("`{what}`, a bare handler with the answer's statements, requests/s, p99"), "", show(nothing)),
        Figure::new("… and those of the look at the key", "", show(key)),
        Figure::new("… and those of the limit", "", show(limit)),
        Figure::new(
            format!("`{what}` of the Cloud API (ratio to the last; to the first)"),
            target,
            format!("{} ({:.2}; {:.2})", show(api), api.rate / limit.rate, api.rate / nothing.rate),
        ),
    ]
}

pub(crate) async fn measure(kind: Kind) -> Vec<Figure> {
    eprintln!("{kind:?}: requests to the Cloud API");
    let app = App::new(kind).await;
    let later = Duration::from_hours(20 * 24);
    fleet::found(&app.store, Fleet { accounts: ACCOUNTS, leases: 2, poor_every: 0, due: app.now() + later }).await;
    let mut tx = app.store.begin().await.unwrap();
    tx.set_rule(Level::System, "", Key::OrdersPerHour, Some("0")).await.unwrap();
    tx.commit().await.unwrap();
    app.analyze().await;
    let (shows, orders) = write_calls(&app).await;
    let (show_file, order_file) = (app.path("shows"), app.path("orders"));
    std::fs::write(&show_file, shows).unwrap();
    std::fs::write(&order_file, orders).unwrap();
    let handlers = Handlers::start(&app.store).await;
    tokio::task::block_in_place(|| {
        let mut lines = figures("GET /servers/:id", "≥ 0.7", &compare(&handlers, &show_file));
        lines.extend(figures("POST /servers", "", &compare(&handlers, &order_file)));
        lines
    })
}
