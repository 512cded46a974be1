//! From the return of the enqueueing call to the start of the handler, in a worker that has nothing else to do.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::{
    cluster::Cluster,
    inside::Inside,
    peer::{Act, Handler, Order, Outcome, Peer, Terms, Worker},
};

const JOBS: i32 = 200;
const PAUSE: Duration = Duration::from_millis(60);
/// A worker that was not woken finds a job at its next poll, and polls may be a minute apart.
const LIMIT: Duration = Duration::from_secs(70);

/// The `p`-th part of sorted values, to a tenth.
fn part(sorted: &[f64], p: f64) -> f64 {
    (sorted[((sorted.len() - 1) as f64 * p) as usize] * 10.0).round() / 10.0
}

/// p50 and p99 in ms, or nothing if a job did not start at all.
pub(crate) async fn measure<P: Peer>(cluster: &Cluster) -> Option<(f64, f64)> {
    let terms = Terms { attempts: 5, brisk: false };
    let database = cluster.fresh().await;
    let peer = P::install(&database.url).await;
    let (started, mut starts) = mpsc::unbounded_channel();
    let handler = Handler::new(move |order| {
        let _ = started.send((order.job, Instant::now()));
        async { Outcome::Done }
    });
    let worker = Worker { name: "wait".into(), concurrency: 10, batch: 10, drain: false, terms: terms.clone() };
    let inside = Inside::start::<P>(&database.url, worker, handler);
    sleep(Duration::from_secs(2)).await;
    let mut enqueued = Vec::new();
    for job in 0..JOBS {
        peer.enqueue(&[Order { job, act: Act::Nothing }], &terms).await;
        enqueued.push(Instant::now());
        sleep(PAUSE).await;
    }
    let mut first = HashMap::new();
    let all = timeout(LIMIT, async {
        while first.len() < JOBS as usize {
            let (job, at) = starts.recv().await.unwrap();
            first.entry(job as usize).or_insert(at);
        }
    })
    .await;
    inside.stop().await;
    database.drop().await;
    // A handler may start before the enqueueing call is back: that is no wait at all.
    let mut waits: Vec<f64> = first.iter().map(|(job, at)| at.saturating_duration_since(enqueued[*job]).as_secs_f64() * 1000.0).collect();
    waits.sort_by(f64::total_cmp);
    eprintln!("{}: {} of {JOBS} single jobs started", P::NAME, waits.len());
    all.ok().map(|()| (part(&waits, 0.5), part(&waits, 0.99)))
}
