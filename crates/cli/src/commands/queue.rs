//! `leasehold queue …`

use clap::Subcommand;
use std::time::Duration;

use leasehold_domain::Timestamp;
use leasehold_store::{Queue, servers::WorkRow};
use serde_json::json;

use super::Context;
use crate::{
    exit::Failure,
    output::{show, table},
};

/// `leasehold queue …`
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// The jobs themselves.
    List {
        /// Only of this queue.
        #[arg(long)]
        queue: Option<Queue>,
        /// Only due, claimed, waiting, parked or stuck ones.
        #[arg(long)]
        state: Option<String>,
    },
    /// What ran where and how it ended.
    Runs {
        /// Only of this worker.
        #[arg(long)]
        worker: Option<String>,
        /// Lines at most.
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// How many jobs are due, claimed, waiting, parked, stuck; who is alive.
    Status,
}

/// Rows of one queue that are looked at.
const LIMIT: i64 = 10_000;
const STATES: [&str; 5] = ["due", "claimed", "waiting", "parked", "stuck"];

/// `stuck`: due for more than five minutes, or a claim that ran out more than a minute ago.
fn state(row: &WorkRow, now: Timestamp) -> &'static str {
    let Some(next) = row.next_at.map(|at| at.0) else { return "parked" };
    let late = now.since(next);
    match (&row.claimed_by, next <= now) {
        (Some(_), true) if late > Duration::from_mins(1) => "stuck",
        (Some(_), _) => "claimed",
        (None, true) if late > Duration::from_mins(5) => "stuck",
        (None, true) => "due",
        (None, false) => "waiting",
    }
}

pub(super) async fn run(c: &Context, command: QueueCommand) -> Result<(), Failure> {
    match command {
        QueueCommand::Status => status(c).await,
        QueueCommand::List { queue, state } => list(c, queue, state).await,
        QueueCommand::Runs { worker, limit } => runs(c, worker, limit).await,
    }
}

async fn status(c: &Context) -> Result<(), Failure> {
    let app = c.app().await?;
    let mut tx = app.store.read().await?;
    let now = tx.now;
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for queue in Queue::ALL {
        let work = tx.work_in(*queue, LIMIT).await?;
        let count = |s: &str| work.iter().filter(|w| state(w, now) == s).count();
        let oldest = work.iter().filter(|w| w.claimed_by.is_none()).filter_map(|w| w.next_at).map(|at| now.since(at.0)).max().unwrap_or_default();
        let counts = STATES.map(count);
        values.push(json!({ "queue": queue, "due": counts[0], "claimed": counts[1], "waiting": counts[2], "parked": counts[3], "stuck": counts[4], "oldestDueSeconds": oldest.as_secs() }));
        rows.push([vec![queue.to_string()], counts.iter().map(usize::to_string).collect(), vec![format!("{} s", oldest.as_secs())]].concat());
    }
    let processes = tx.processes().await?;
    show(c.json(), &json!({ "queues": values, "processes": processes }), || {
        table(&["QUEUE", "DUE", "CLAIMED", "WAITING", "PARKED", "STUCK", "OLDEST DUE"], rows);
        if processes.is_empty() {
            println!("no daemon is running; start one with: leasehold serve");
        } else {
            table(
                &["PROCESS", "ROLE", "QUEUES", "VERSION", "LAST SEEN"],
                processes.iter().map(|p| vec![p.name.clone(), p.role.clone(), p.queues.clone(), p.version.clone(), p.seen_at.human()]),
            );
        }
    });
    Ok(())
}

async fn list(c: &Context, queue: Option<Queue>, wanted: Option<String>) -> Result<(), Failure> {
    if let Some(unknown) = wanted.as_deref().filter(|s| !STATES.contains(s)) {
        return Err(Failure::Usage(format!("unknown state '{unknown}' (known: {})", STATES.join(", "))));
    }
    let app = c.app().await?;
    let mut tx = app.store.read().await?;
    let now = tx.now;
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for q in Queue::ALL.iter().filter(|q| queue.is_none_or(|wanted| wanted == **q)) {
        for w in tx.work_in(*q, LIMIT).await? {
            let s = state(&w, now);
            if wanted.as_deref().is_some_and(|wanted| wanted != s) {
                continue;
            }
            values.push(json!({ "queue": q, "id": w.id, "state": s, "nextAt": w.next_at.map(|at| at.0), "claimedBy": w.claimed_by, "attempt": w.attempt, "lost": w.lost, "error": w.last_error }));
            rows.push(vec![
                q.to_string(),
                w.id,
                s.to_owned(),
                w.next_at.map_or_else(String::new, |at| at.0.human()),
                w.claimed_by.unwrap_or_default(),
                w.attempt.to_string(),
                w.last_error.unwrap_or_default(),
            ]);
        }
    }
    show(c.json(), &json!(values), || table(&["QUEUE", "ROW", "STATE", "NEXT", "WORKER", "ATTEMPT", "ERROR"], rows));
    Ok(())
}

async fn runs(c: &Context, worker: Option<String>, limit: i64) -> Result<(), Failure> {
    let app = c.app().await?;
    let runs = app.store.read().await?.runs(worker.as_deref(), limit).await?;
    let rows = runs.iter().map(|r| {
        vec![
            r.ended_at.human(),
            r.queue.clone(),
            r.row_id.clone(),
            r.outcome.clone(),
            format!("{} ms", r.ended_at.since(r.started_at).as_millis()),
            r.worker.clone(),
            r.error.clone().unwrap_or_default(),
        ]
    });
    show(c.json(), &json!(runs), || table(&["ENDED", "QUEUE", "ROW", "OUTCOME", "TOOK", "WORKER", "ERROR"], rows));
    Ok(())
}
