//! No-op jobs worked off: from the start of a worker until no unfinished row is left.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use sqlx::AssertSqlSafe;
use tokio::time::{sleep, timeout};

use crate::{
    cluster::Cluster,
    inside::Inside,
    peer::{Act, Handler, Order, Outcome, Peer, Terms, Worker},
};

const LIMIT: Duration = Duration::from_secs(120);
/// A run that would take longer than this is made with fewer jobs, such that it takes `SHORT_SECS`.
const LONG_SECS: f64 = 30.0;
const SHORT_SECS: f64 = 15.0;
/// All but one of them are slower the more jobs are waiting: a tenth of the jobs takes less than a tenth of the time.
const GROWTH: f64 = 3.0;

/// Seconds for all jobs, or nothing if they took too long.
async fn drain<P: Peer>(cluster: &Cluster, jobs: usize, concurrency: usize) -> Option<f64> {
    let terms = Terms { attempts: 5, brisk: false };
    let database = cluster.fresh().await;
    let peer = P::install(&database.url).await;
    let orders: Vec<Order> = (0..jobs).map(|job| Order { job: job as i32, act: Act::Nothing }).collect();
    peer.enqueue(&orders, &terms).await;
    // Autovacuum would do it sooner or later; so all of them meet a planner that knows.
    sqlx::query("analyze").execute(&database.plain).await.unwrap();

    let handled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&handled);
    let handler = Handler::new(move |_| {
        counter.fetch_add(1, Relaxed);
        async { Outcome::Done }
    });
    let worker = Worker { name: "drain".into(), concurrency, batch: concurrency, drain: true, terms };
    let began = Instant::now();
    let inside = Inside::start::<P>(&database.url, worker, handler);
    let unfinished = format!("select count(*) from ({}) j where state in ('waiting', 'running')", P::JOBS);
    let emptied = timeout(LIMIT, async {
        // The rows are looked at only when there may be none left: looking is work for the database, too.
        while handled.load(Relaxed) < jobs {
            sleep(Duration::from_millis(2)).await;
        }
        while sqlx::query_scalar::<_, i64>(AssertSqlSafe(unfinished.as_str())).fetch_one(&database.plain).await.unwrap() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let took = began.elapsed().as_secs_f64();
    inside.stop().await;
    database.drop().await;
    eprintln!("{}: {jobs} jobs, concurrency {concurrency}: {took:.1} s{}", P::NAME, if emptied.is_err() { ", not done" } else { "" });
    emptied.ok().map(|()| took)
}

/// How many of the wanted jobs a run can have: a tenth is tried, with the lower concurrency.
pub(crate) async fn affordable<P: Peer>(cluster: &Cluster, jobs: usize) -> usize {
    let tenth = (jobs / 10).max(1);
    let took = GROWTH * drain::<P>(cluster, tenth, 10).await.unwrap_or(LIMIT.as_secs_f64());
    if took * 10.0 <= LONG_SECS { jobs } else { ((tenth as f64 * SHORT_SECS / took / 100.0) as usize).max(1) * 100 }
}

/// Jobs a second, the median of three.
pub(crate) async fn measure<P: Peer>(cluster: &Cluster, jobs: usize, concurrency: usize) -> Option<f64> {
    let mut rates = Vec::new();
    for _ in 0..3 {
        rates.push((jobs as f64 / drain::<P>(cluster, jobs, concurrency).await?).round());
    }
    rates.sort_by(f64::total_cmp);
    Some(rates[1])
}
