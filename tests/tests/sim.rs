//! The seeded simulation. Replay one history with: `just sim sqlite 42` (`LEASEHOLD_SIM_SEED=42 LEASEHOLD_SIM_LOG=1`).

use std::{collections::BTreeMap, panic::AssertUnwindSafe};

use futures::FutureExt;
use leasehold_domain::decision::Verb;
use leasehold_store::crash::POINTS;
use leasehold_tests::{Kind, sim::Sim};

/// Histories a test on SQLite; four tests make 300.
const SQLITE: u64 = 75;
/// Histories a test on PostgreSQL; two tests make 50.
const POSTGRES: u64 = 25;

async fn histories(kind: Kind, from: u64, count: u64) {
    let told = std::env::var("LEASEHOLD_SIM_SEED").ok().and_then(|s| s.parse().ok());
    let seeds = told.map_or(from..from + count, |seed| seed..seed + 1);
    let mut visited: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in seeds.clone() {
        let hits = AssertUnwindSafe(Sim::run(kind, seed)).catch_unwind().await;
        let hits = hits.unwrap_or_else(|_| panic!("seed {seed} on {kind:?} broke a promise; replay it with LEASEHOLD_SIM_SEED={seed} LEASEHOLD_SIM_LOG=1"));
        hits.into_iter().for_each(|(point, n)| *visited.entry(point).or_default() += n);
    }
    if seeds.count() > 1 {
        let verbs = Verb::ALL.iter().map(|verb| verb.as_str());
        let missed: Vec<&str> = POINTS.iter().copied().chain(verbs).filter(|p| !visited.contains_key(p)).collect();
        assert!(missed.is_empty(), "crash points and decisions that no history visits: {missed:?}");
    }
}

#[tokio::test]
async fn sqlite_1() {
    histories(Kind::Sqlite, 0, SQLITE).await;
}

#[tokio::test]
async fn sqlite_2() {
    histories(Kind::Sqlite, 1000, SQLITE).await;
}

#[tokio::test]
async fn sqlite_3() {
    histories(Kind::Sqlite, 2000, SQLITE).await;
}

#[tokio::test]
async fn sqlite_4() {
    histories(Kind::Sqlite, 3000, SQLITE).await;
}

#[tokio::test]
async fn postgres_1() {
    histories(Kind::Postgres, 0, POSTGRES).await;
}

#[tokio::test]
async fn postgres_2() {
    histories(Kind::Postgres, 1000, POSTGRES).await;
}
