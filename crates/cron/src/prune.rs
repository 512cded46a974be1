//! Removing what nobody needs any more.

use std::time::Duration;

use leasehold_store::{Result, Store};

/// How long runs are kept.
const RUNS: Duration = Duration::from_hours(30 * 24);
/// How long answers to idempotent requests are kept.
const ANSWERS: Duration = Duration::from_hours(24);
/// How long it is known what webhooks were told.
const DELIVERIES: Duration = Duration::from_hours(7 * 24);
/// How long it is known how often somebody asked.
const CALLS: Duration = Duration::from_mins(10);
/// How long wrong tries to sign in are counted.
const TRIES: Duration = Duration::from_hours(24);
/// Nothing in a queue waits longer: what is due later was put off by a clock that was ahead.
const PUT_OFF: Duration = Duration::from_hours(48);
/// How long a process may be silent before it is forgotten.
const SILENT: Duration = Duration::from_mins(10);

pub(crate) async fn run(store: &Store) -> Result<()> {
    let mut tx = store.begin().await?;
    tx.trusted().await?;
    let now = tx.now;
    let runs = tx.prune_runs(now - RUNS).await?;
    let answers = tx.prune_answers(now - ANSWERS).await?;
    tx.prune_deliveries(now - DELIVERIES).await?;
    tx.prune_sign_in(now).await?;
    tx.prune_invitations(now).await?;
    tx.prune_tries(now - TRIES).await?;
    tx.prune_calls((now - CALLS).as_millis() / 60_000).await?;
    tx.commit().await?;
    tracing::info!(runs, answers, "pruned");
    Ok(())
}

pub(crate) async fn processes(store: &Store) -> Result<()> {
    let mut tx = store.begin().await?;
    let now = tx.now;
    let forgotten = tx.prune_processes(now - SILENT).await?;
    if forgotten + tx.bring_back(now + PUT_OFF).await? > 0 {
        tx.commit().await?;
    }
    Ok(())
}
