//! From a payment to the claim of the server that it brings back: the real program in a process of its own, paid from this one.

use std::{collections::HashMap, time::Duration};

use leasehold_commands::{
    accounts::{self, Movement},
    order,
};
use leasehold_domain::Timestamp;
use leasehold_store::{Options, Store, accounts::NewAccount, activity::Actor, args};
use leasehold_tests::Kind;

use crate::{Figure, latency::part, process::Host};

const SERVERS: usize = 50;
const APART: Duration = Duration::from_millis(200);
const MONTH: Duration = Duration::from_hours(31 * 24);

/// An account of its own with a server that runs; its number.
async fn tenant(store: &Store, me: &Actor, n: usize) -> (String, String) {
    let (email, currency) = (format!("t{n}@example.org"), "EUR".parse().unwrap());
    let new = NewAccount { email, first_name: "Ada".into(), last_name: "L".into(), company: None, currency, locale: "en".into(), country: None };
    let account = accounts::create(store, me, &new).await.unwrap().number.to_string();
    accounts::credit(store, me, &Movement { account: &account, amount: "5.00", reason: "bench", reference: None }).await.unwrap();
    let wanted = order::Order { label: Some(format!("h{n}")), ..order::Order::new(&account, "small", "debian-12") };
    (account, order::order(store, me, &wanted).await.unwrap().id.to_string())
}

/// What an unpaid month and its dunning would have left: an open charge, a suspended lease, a hold.
async fn suspend(store: &Store, server: &str) {
    let mut tx = store.begin().await.unwrap();
    let (now, server) = (tx.now, server.into());
    let lease = tx.lease_of(&server).await.unwrap().unwrap();
    let sql = "insert into charges (lease_id, kind, no, from_at, until_at, amount, currency, state, created_at) values ($1, 'period', 2, $2, $3, 500, 'EUR', 'open', $2)";
    tx.exec_one(sql, args![&lease.id, now, now + MONTH]).await.unwrap();
    let sql = "update leases set state = 'suspended', period_no = 2, paid_until = $1, suspended_at = $1, off_at = $1, decide_at = $2 where id = $3";
    tx.exec_one(sql, args![now, now + MONTH, &lease.id]).await.unwrap();
    tx.exec_one("update wallets set settle_at = $1 where account_id = $2", args![now + MONTH, &lease.account]).await.unwrap();
    tx.place_hold(&server, leasehold_domain::server::HoldKind::Billing, leasehold_domain::server::Means::PowerOff, "bench").await.unwrap();
    tx.commit().await.unwrap();
}

async fn wait_for(store: &Store, status: &str) {
    let all = "select count(*) from servers where status = $1";
    while store.read().await.unwrap().int(all, args![status]).await.unwrap() < SERVERS as i64 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

pub(crate) async fn measure(kind: Kind) -> Vec<Figure> {
    eprintln!("{kind:?}: payment to claim");
    let host = Host::new(kind, "heal", "latency = \"5ms..20ms\"\nboot_time = \"1s\"").await;
    let daemon = tokio::task::block_in_place(|| host.daemon());
    let (store, me) = (Store::open(Options::new(host.url.clone())).await.unwrap(), Actor::operator("bench"));
    let mut tenants = Vec::new();
    for n in 0..SERVERS {
        tenants.push(tenant(&store, &me, n).await);
    }
    wait_for(&store, "running").await;
    for (_, server) in &tenants {
        suspend(&store, server).await;
    }
    wait_for(&store, "suspended").await;
    let mut paid: HashMap<String, Timestamp> = HashMap::new();
    for (account, server) in &tenants {
        paid.insert(server.clone(), store.clock().now());
        accounts::credit(&store, &me, &Movement { account, amount: "50.00", reason: "bench", reference: None }).await.unwrap();
        tokio::time::sleep(APART).await;
    }
    wait_for(&store, "running").await;
    let sql = "select server_id, min(started_at) from server_steps where step = 'power_on' group by server_id";
    let begun: Vec<(String, i64)> = store.read().await.unwrap().all(sql, args![]).await.unwrap();
    let mut waits: Vec<i64> = begun.iter().map(|(id, at)| (at - paid[id].as_millis()).max(0)).collect();
    waits.sort_unstable();
    daemon.stop();
    let what = format!("top-up → settled, unsuspended and claimed, {SERVERS} payments of another process, p50 / p99");
    vec![Figure::new(what, "p99 ≤ 1000 ms", format!("{} / {} ms", part(&waits, 0.5), part(&waits, 0.99)))]
}
