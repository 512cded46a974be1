//! No-op work rows through the whole queue, beside a bare loop of the same two updates.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures::FutureExt;
use leasehold_store::{Queue, args, work::Settled};
use leasehold_tests::{App, Kind};
use leasehold_worker::{Handler, Roles, run_queues_with};
use tokio_util::sync::CancellationToken;

use crate::{Figure, median};

const ROWS: u64 = 20_000;
/// Rows whose work takes longer than the whole run.
const LONG: u64 = 8_000;
const CLAIM: Duration = Duration::from_secs(30);
const RUNS: usize = 3;

async fn fill(app: &App, prefix: &str, rows: u64) {
    let mut tx = app.store.begin().await.unwrap();
    for n in 0..rows {
        let sql = "insert into mails (id, kind, dedup_key, recipient, locale, data, message_id, state, created_at, next_at) \
                   values ($1, 'order_confirmation', $1, 'a@example.org', 'en', '{}', $1, 'sent', $2, $2)";
        tx.exec_one(sql, args![format!("{prefix}{n:06}"), app.now()]).await.unwrap();
    }
    tx.wake(Queue::Mails);
    tx.commit().await.unwrap();
}

async fn clear(app: &App) {
    let mut tx = app.store.begin().await.unwrap();
    tx.exec("delete from mails", &[]).await.unwrap();
    tx.commit().await.unwrap();
}

/// Claim a batch, settle the batch, until nothing is left; rows a second.
async fn bare(app: &App, batch: i64) -> f64 {
    clear(app).await;
    fill(app, "m", ROWS).await;
    let began = Instant::now();
    loop {
        let claims = app.store.claim(Queue::Mails, "bare", batch, CLAIM).await.unwrap();
        if claims.is_empty() {
            return ROWS as f64 / began.elapsed().as_secs_f64();
        }
        let outcomes: Vec<Settled> = claims.iter().map(|c| c.at_rest(app.now())).collect();
        app.store.settle(Queue::Mails, "bare", &outcomes).await.unwrap();
    }
}

/// The same rows through apalis with a handler that does nothing, while `long` other rows are held; rows a second.
async fn queued(app: &App, concurrency: usize, long: u64) -> f64 {
    clear(app).await;
    let (stop, held, done, store) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), app.store.clone());
    let (ended, holding, counted) = (stop.clone(), Arc::clone(&held), Arc::clone(&done));
    let handler: Handler = Arc::new(move |_, claim, _| {
        let (outcome, ended) = (claim.at_rest(store.clock().now()), ended.clone());
        if claim.id.starts_with('h') {
            holding.fetch_add(1, Relaxed);
            return async move {
                ended.cancelled().await;
                outcome
            }
            .boxed();
        }
        if counted.fetch_add(1, Relaxed) + 1 == ROWS {
            ended.cancel();
        }
        async move { outcome }.boxed()
    });
    let roles = Roles { queues: vec![Queue::Mails], concurrency: concurrency + long as usize, poll: Duration::from_secs(1), grace: Duration::from_secs(30) };
    let filled = async {
        if long > 0 {
            fill(app, "h", long).await;
            while held.load(Relaxed) < long {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        fill(app, "m", ROWS).await;
        Instant::now()
    };
    // Where nothing is held first, the rows are there before the worker is: as for the bare loop.
    if long == 0 {
        let began = filled.await;
        run_queues_with(&app.worker, &roles, &handler, stop.cancelled_owned()).await.unwrap();
        return ROWS as f64 / began.elapsed().as_secs_f64();
    }
    let told = stop.clone();
    let (began, ran) = tokio::join!(
        async {
            let began = filled.await;
            told.cancelled().await;
            began.elapsed()
        },
        run_queues_with(&app.worker, &roles, &handler, stop.cancelled_owned())
    );
    ran.unwrap();
    ROWS as f64 / began.as_secs_f64()
}

/// Medians of runs in turns, so that all meet the same machine.
pub(crate) async fn measure(kind: Kind) -> Vec<Figure> {
    let app = App::new(kind).await;
    let mut seen = [const { Vec::new() }; 5];
    for run in 1..=RUNS {
        eprintln!("{kind:?}: {ROWS} rows, run {run} of {RUNS}");
        seen[0].push(bare(&app, 100).await);
        seen[1].push(queued(&app, 100, 0).await);
        seen[2].push(queued(&app, 100, LONG).await);
        seen[3].push(bare(&app, 10).await);
        seen[4].push(queued(&app, 10, 0).await);
    }
    let [bare100, queue100, held, bare10, queue10] = seen.map(median);
    let beside = |rate: f64, of: f64| format!("{rate:.0}/s ({:.2})", rate / of);
    vec![
        Figure::new(format!("{ROWS} no-op rows, bare loop, batches of 100"), "", format!("{bare100:.0}/s")),
        Figure::new("the queue, concurrency 100 (ratio to the bare loop)", "≥ 0.9, floor 0.6", beside(queue100, bare100)),
        Figure::new(format!("the same while it holds {LONG} long ones (ratio to the queue without)"), "≥ 0.8", beside(held, queue100)),
        Figure::new("bare loop, batches of 10", "", format!("{bare10:.0}/s")),
        Figure::new("the queue, concurrency 10 (ratio to the bare loop)", "≥ 0.9, floor 0.6", beside(queue10, bare10)),
    ]
}
