//! From an accepted order to its claim by a daemon, the real program in a process of its own, ordered from this one.

use std::time::Duration;

use leasehold_commands::order;
use leasehold_domain::lease::Cycle;
use leasehold_store::{Options, Store, activity::Actor, args};
use leasehold_tests::{
    Kind,
    database::fresh_postgres,
    program::{Program, eventually},
};

const ORDERS: usize = 200;

/// The `p`-th part of sorted values.
fn part(sorted: &[i64], p: f64) -> i64 {
    sorted[((sorted.len() - 1) as f64 * p) as usize]
}

pub(crate) async fn program(kind: Kind, name: &str) -> (Program, String, &'static str) {
    let (mut p, url, role) = match kind {
        Kind::Sqlite => {
            let p = Program::new(None);
            let url = format!("sqlite:{}", p.path("leasehold.db").display());
            (p, url, "serve")
        }
        Kind::Postgres => {
            let url = fresh_postgres(&format!("bench_{name}_{}", std::process::id())).await;
            (Program::new(Some(&url)), url, "worker")
        }
    };
    p.set("WORKER__CLAIM", "30s");
    p.set("PROVISION__BUILDS_PER_ACCOUNT", "1000");
    (p, url, role)
}

pub(crate) async fn measure(kind: Kind) -> Vec<(String, String)> {
    let (p, url, role) = program(kind, "latency").await;
    let account = tokio::task::block_in_place(|| {
        let account = p.set_up("100000.00");
        // Room for all of them at once.
        let large = include_str!("../../config/catalog.toml")
            .replace("vcpu = 64, ram_mb = 131072", "vcpu = 4000, ram_mb = 4000000")
            .replace("builds = 8", "builds = 1000");
        std::fs::write(p.path("large.toml"), large).unwrap();
        p.ok(&["catalog", "import", "large.toml"]);
        account
    });
    let daemon = p.daemon(&[role]);
    tokio::task::block_in_place(|| eventually("the daemon has nothing to do", || p.json(&["node", "list"])[0]["seenAt"].is_string()));
    let store = Store::open(Options::new(url)).await.unwrap();
    for n in 0..ORDERS {
        let wanted = order::Order {
            account: account.clone(),
            product: "small".into(),
            template: "debian-12".into(),
            region: None,
            label: Some(format!("b{n}")),
            hostname: None,
            cycle: Cycle::Month,
            key: None,
        };
        order::order(&store, &Actor::operator("bench"), &wanted).await.unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
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
    vec![(format!("order accepted → first step begun, {ORDERS} orders, p50 / p99"), format!("{} / {} ms", part(&waits, 0.5), part(&waits, 0.99)))]
}
