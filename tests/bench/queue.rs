//! No-op work rows through the whole queue, beside a bare loop of the same two updates.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures::FutureExt;
use leasehold_store::{
    Queue, args,
    work::{Claim, Settled},
};
use leasehold_tests::{App, Kind};
use leasehold_worker::{Handler, Roles, run_queues_with};
use tokio_util::sync::CancellationToken;

const ROWS: u64 = 20_000;
const BATCH: i64 = 100;
const CLAIM: Duration = Duration::from_secs(30);

async fn fill(app: &App) {
    let mut tx = app.store.begin().await.unwrap();
    tx.exec("delete from mails", &[]).await.unwrap();
    for n in 0..ROWS {
        let sql = "insert into mails (id, kind, dedup_key, recipient, locale, data, message_id, state, created_at, next_at) \
                   values ($1, 'order_confirmation', $1, 'a@example.org', 'en', '{}', $1, 'sent', $2, $2)";
        tx.exec_one(sql, args![format!("m{n:06}"), app.now()]).await.unwrap();
    }
    tx.commit().await.unwrap();
}

fn settled(claim: &Claim, now: leasehold_domain::Timestamp) -> Settled {
    Settled { id: claim.id.clone(), epoch: claim.epoch, seen: claim.wants, next_at: None, parked: false, started_at: now, outcome: "rest", error: None }
}

/// Claim a batch, settle the batch, until nothing is left.
async fn bare(app: &App) -> f64 {
    fill(app).await;
    let began = Instant::now();
    loop {
        let claims = app.store.claim(Queue::Mails, "bare", BATCH, CLAIM).await.unwrap();
        if claims.is_empty() {
            return ROWS as f64 / began.elapsed().as_secs_f64();
        }
        let outcomes: Vec<Settled> = claims.iter().map(|c| settled(c, app.now())).collect();
        app.store.settle(Queue::Mails, "bare", &outcomes).await.unwrap();
    }
}

/// The same rows through apalis, with a handler that does nothing.
async fn queued(app: &App) -> f64 {
    fill(app).await;
    let (stop, done, store) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)), app.store.clone());
    let (ended, counted) = (stop.clone(), Arc::clone(&done));
    let handler: Handler = Arc::new(move |_, claim, _| {
        let outcome = settled(&claim, store.clock().now());
        if counted.fetch_add(1, Relaxed) + 1 == ROWS {
            ended.cancel();
        }
        async move { outcome }.boxed()
    });
    let roles = Roles { queues: vec![Queue::Mails], concurrency: BATCH as usize, poll: Duration::from_secs(1), grace: Duration::from_secs(10) };
    let began = Instant::now();
    run_queues_with(&app.worker, &roles, &handler, stop.cancelled_owned()).await.unwrap();
    ROWS as f64 / began.elapsed().as_secs_f64()
}

/// Median of three, in turns, so that both meet the same machine.
pub(crate) async fn measure(kind: Kind) -> Vec<(String, String)> {
    let app = App::new(kind).await;
    let (mut loops, mut queues) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        loops.push(bare(&app).await);
        queues.push(queued(&app).await);
    }
    loops.sort_by(f64::total_cmp);
    queues.sort_by(f64::total_cmp);
    vec![
        (format!("bare loop, {ROWS} rows, batches of {BATCH}"), format!("{:.0}/s", loops[1])),
        (format!("the queue, same rows, concurrency {BATCH}"), format!("{:.0}/s ({:.2})", queues[1], queues[1] / loops[1])),
    ]
}
