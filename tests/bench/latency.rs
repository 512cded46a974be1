//! From an accepted order to its claim by a daemon: the real program in a process of its own, ordered from this one.

use std::time::Duration;

use leasehold_commands::order;
use leasehold_domain::lease::Cycle;
use leasehold_store::{Options, Store, activity::Actor, args};
use leasehold_tests::Kind;

use crate::{Figure, process::Host};

const ORDERS: usize = 200;
const APART: Duration = Duration::from_millis(60);

/// The `p`-th part of sorted values.
fn part(sorted: &[i64], p: f64) -> i64 {
    sorted[((sorted.len() - 1) as f64 * p) as usize]
}

pub(crate) async fn measure(kind: Kind) -> Vec<Figure> {
    eprintln!("{kind:?}: order to claim");
    let host = Host::new(kind, "latency", "latency = \"50ms..200ms\"\nboot_time = \"2s\"").await;
    let daemon = tokio::task::block_in_place(|| host.daemon());
    let store = Store::open(Options::new(host.url.clone())).await.unwrap();
    for n in 0..ORDERS {
        let wanted = order::Order {
            account: host.account.clone(),
            product: "small".into(),
            template: "debian-12".into(),
            region: None,
            label: Some(format!("b{n}")),
            hostname: None,
            cycle: Cycle::Month,
            key: None,
        };
        order::order(&store, &Actor::operator("bench"), &wanted).await.unwrap();
        tokio::time::sleep(APART).await;
    }
    // The first step's intent is written right after the claim.
    let sql = "select min(st.started_at) - s.created_at from servers s join server_steps st on st.server_id = s.id group by s.id, s.created_at";
    let mut waits: Vec<i64> = Vec::new();
    while waits.len() < ORDERS {
        waits = store.read().await.unwrap().all::<(i64,)>(sql, args![]).await.unwrap().into_iter().map(|(ms,)| ms).collect();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    waits.sort_unstable();
    daemon.stop();
    let what = format!("order begun → claimed and its first step written, {ORDERS} orders of another process, one every {} ms, p50 / p99", APART.as_millis());
    vec![Figure::new(what, "≤ 6 / 40 ms", format!("{} / {} ms", part(&waits, 0.5), part(&waits, 0.99)))]
}
