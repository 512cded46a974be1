//! From an accepted order to its claim by a daemon: the real program in a process of its own, ordered from this one.

use std::{collections::HashMap, time::Duration};

use leasehold_commands::order;
use leasehold_store::{Options, Store, activity::Actor, args};
use leasehold_tests::Kind;

use crate::{Figure, process::Host};

const ORDERS: usize = 100;
const APART: Duration = Duration::from_millis(300);

/// The `p`-th part of sorted values.
pub(crate) fn part(sorted: &[i64], p: f64) -> i64 {
    sorted[((sorted.len() - 1) as f64 * p) as usize]
}

pub(crate) async fn measure(kind: Kind) -> Vec<Figure> {
    eprintln!("{kind:?}: order to claim");
    let host = Host::new(kind, "latency", "latency = \"50ms..200ms\"\nboot_time = \"2s\"").await;
    let daemon = tokio::task::block_in_place(|| host.daemon());
    let store = Store::open(Options::new(host.url.clone())).await.unwrap();
    let mut accepted = HashMap::new();
    for n in 0..ORDERS {
        let wanted = order::Order { label: Some(format!("b{n}")), ..order::Order::new(&host.account, "small", "debian-12") };
        let server = order::order(&store, &Actor::operator("bench"), &wanted).await.unwrap();
        accepted.insert(server.id.to_string(), store.clock().now());
        tokio::time::sleep(APART).await;
    }
    // The first step's intent is written right after the claim, maybe before the order's answer has arrived.
    let sql = "select server_id, min(started_at) from server_steps group by server_id";
    let mut begun: Vec<(String, i64)> = Vec::new();
    while begun.len() < ORDERS {
        begun = store.read().await.unwrap().all(sql, args![]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let mut waits: Vec<i64> = begun.iter().map(|(id, at)| (at - accepted[id].as_millis()).max(0)).collect();
    waits.sort_unstable();
    daemon.stop();
    let what = format!("order accepted → claimed and its first step begun, {ORDERS} orders of another process, one every {} ms, p50 / p99", APART.as_millis());
    vec![Figure::new(what, "≤ 6 / 40 ms", format!("{} / {} ms", part(&waits, 0.5), part(&waits, 0.99)))]
}
