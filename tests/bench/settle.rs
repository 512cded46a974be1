//! The books of many leases that fell due at once, beside the same statements with one transaction a lease; and the tick that finds nothing due.

use std::time::{Duration, Instant};

use leasehold_cron::settle::Settler;
use leasehold_domain::{
    Timestamp,
    decision::{Permits, Verb},
};
use leasehold_store::{Options, Store};
use leasehold_tests::{
    App, Kind,
    fleet::{self, Fleet},
};

use crate::{
    Figure, median,
    process::{Host, mebibytes},
};

/// Leases an account.
const LEASES: i64 = 2;
/// Every so manieth wallet is empty.
const POOR: i64 = 20;
/// Accounts that are settled one by one, for comparison.
const ONE_BY_ONE: i64 = 2_000;

async fn due(kind: Kind, accounts: i64, leases: i64) -> App {
    let app = App::new(kind).await;
    fleet::found(&app.store, Fleet { accounts, leases, poor_every: POOR, due: app.now() }).await;
    app.analyze().await;
    app
}

/// Several settlers at once; the renewals they made, and the time that they took.
async fn settle_all(store: &Store, settlers: usize) -> (usize, Duration) {
    let began = Instant::now();
    let runs = (0..settlers).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { leasehold_cron::settle::run(&store).await.unwrap() })
    });
    let mut renewed = 0;
    for run in runs.collect::<Vec<_>>() {
        renewed += run.await.unwrap().verbs.get(&Verb::Renew).copied().unwrap_or_default();
    }
    (renewed, began.elapsed())
}

/// One transaction a lease: every account has one, and is claimed alone.
async fn one_by_one(store: &Store, accounts: i64) -> Duration {
    let began = Instant::now();
    for _ in 0..accounts {
        let mut tx = store.begin().await.unwrap();
        let claimed = tx.claim_due(Timestamp::default(), 1, true).await.unwrap();
        tx.settle(claimed, &Permits::None).await.unwrap();
        tx.commit().await.unwrap();
    }
    began.elapsed()
}

fn rate(leases: i64, took: Duration) -> f64 {
    leases as f64 / took.as_secs_f64()
}

/// The tick with nothing due: p50 and p99 in milliseconds.
async fn idle_tick(store: &Store) -> (f64, f64) {
    let (mut took, settler) = (Vec::new(), Settler::new(store.clone()));
    settler.run().await.unwrap();
    for _ in 0..300 {
        let began = Instant::now();
        let settled = settler.run().await.unwrap();
        assert_eq!(settled.accounts, 0);
        took.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    took.sort_by(f64::total_cmp);
    (median(took.clone()), took[took.len() * 99 / 100])
}

/// The most memory that a settler takes, as a process of its own.
pub(crate) async fn memory(kind: Kind, leases: i64) -> Figure {
    eprintln!("{kind:?}: a settler's memory");
    let host = Host::new(kind, "memory", "").await;
    let store = Store::open(Options::new(host.url.clone())).await.unwrap();
    fleet::found(&store, Fleet { accounts: leases / LEASES, leases: LEASES, poor_every: POOR, due: store.clock().now() }).await;
    let settler = host.program.daemon(&["billing", "run"]);
    let mut peak = 0.0_f64;
    while let Some(now) = mebibytes(&settler, "VmHWM") {
        peak = peak.max(now);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let left = store.read().await.unwrap().oldest_due_account().await.unwrap();
    assert_eq!((settler.wait(), left), (Some(0), None), "all is settled");
    Figure::new(format!("`leasehold billing run` over {leases} due leases: peak memory"), "≤ 32 MiB (PostgreSQL)", format!("{peak:.0} MiB"))
}

/// A million leases, on PostgreSQL: on the embedded database nobody has as many.
pub(crate) async fn million(kind: Kind) -> Vec<Figure> {
    match kind {
        Kind::Postgres => sizes(kind, &[1_000_000], None).await,
        Kind::Sqlite => vec![Figure::new("", "", "–"), Figure::new("", "", "–")],
    }
}

/// Settles `sizes` leases and more; a line of the plot each.
pub(crate) async fn measure(kind: Kind, sizes: &[i64]) -> Vec<Figure> {
    // On as many leases as the others have at most.
    let app = due(kind, sizes.iter().copied().max().unwrap_or(ONE_BY_ONE), 1).await;
    let alone = rate(ONE_BY_ONE, one_by_one(&app.store, ONE_BY_ONE).await);
    let mut figures = vec![Figure::new("settle, row by row: one transaction a lease, one session", "", format!("{alone:.0} leases/s"))];
    figures.extend(self::sizes(kind, sizes, Some(alone)).await);
    figures
}

async fn sizes(kind: Kind, sizes: &[i64], alone: Option<f64>) -> Vec<Figure> {
    let settlers = if kind == Kind::Postgres { 2 } else { 1 };
    let mut figures = Vec::new();
    for leases in sizes {
        eprintln!("{kind:?}: {leases} leases fall due");
        let app = due(kind, leases / LEASES, LEASES).await;
        let (renewed, took) = settle_all(&app.store, settlers).await;
        assert_eq!(renewed as i64, leases - leases / POOR, "who can pay is renewed, who cannot is not");
        let all = rate(*leases, took);
        let mut figure = Figure::new(
            format!("settle {leases} due leases (charge, transfer, invoice, receipt), {settlers} at once (ratio to row by row)"),
            target(kind, *leases),
            format!("{:.1} s, {all:.0}/s{}", took.as_secs_f64(), alone.map_or_else(String::new, |alone| format!(" ({:.0} ×)", all / alone))),
        );
        figure.points.push((format!("{kind:?}, {settlers} settling at once"), *leases, took.as_secs_f64()));
        if let Some(alone) = alone {
            figure.points.push((format!("{kind:?}, row by row (by the rate of {ONE_BY_ONE})"), *leases, *leases as f64 / alone));
        }
        figures.push(figure);
        let (p50, p99) = idle_tick(&app.store).await;
        figures.push(Figure::new(format!("tick with nothing due, {leases} leases, p50 / p99"), "≤ 1 / 5 ms", format!("{p50:.2} / {p99:.2} ms")));
        let findings = app.store.audit().await.unwrap();
        assert!(findings.is_empty(), "{findings:?}");
    }
    figures
}

const fn target(kind: Kind, leases: i64) -> &'static str {
    match (kind, leases) {
        (Kind::Postgres, 100_000) => "≤ 10 s, ≥ 30 ×",
        (Kind::Sqlite, 100_000) => "≤ 12 s, ≥ 10 ×",
        (Kind::Postgres, 1_000_000) => "≤ 120 s",
        (Kind::Sqlite, 1_000_000) => "≤ 200 s",
        _ => "",
    }
}
