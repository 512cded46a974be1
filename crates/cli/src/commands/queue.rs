//! `leasehold queue …`

use clap::Subcommand;
use leasehold_store::{Queue, depth::WorkState};
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
        state: Option<WorkState>,
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
        let depth = tx.depth(*queue).await?;
        let oldest = depth.oldest_due(now).as_secs();
        let mut value = json!({ "queue": queue, "oldestDueSeconds": oldest });
        WorkState::ALL.iter().for_each(|s| value[s.as_str()] = depth.of(*s).into());
        values.push(value);
        let counts = WorkState::ALL.iter().map(|s| depth.of(*s).to_string());
        rows.push([queue.to_string()].into_iter().chain(counts).chain([format!("{oldest} s")]).collect::<Vec<_>>());
    }
    let processes = tx.processes().await?;
    show(c.json(), &json!({ "queues": values, "processes": processes }), || {
        table(&["QUEUE", "DUE", "CLAIMED", "WAITING", "PARKED", "STUCK", "OLDEST DUE"], rows);
        if processes.is_empty() {
            say!("no daemon is running; start one with: leasehold serve");
        } else {
            table(
                &["PROCESS", "ROLE", "QUEUES", "VERSION", "LAST SEEN", "TROUBLE"],
                processes.iter().map(|p| {
                    let silent = (!p.is_alive(now)).then(|| "no sign of life: ended, or stuck; what it held is taken over".to_owned());
                    let trouble = silent.or_else(|| p.trouble.clone()).unwrap_or_default();
                    vec![p.name.clone(), p.role.clone(), p.queues.clone(), p.version.clone(), p.seen_at.human(), trouble]
                }),
            );
        }
    });
    Ok(())
}

async fn list(c: &Context, queue: Option<Queue>, wanted: Option<WorkState>) -> Result<(), Failure> {
    let app = c.app().await?;
    let mut tx = app.store.read().await?;
    let now = tx.now;
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for q in Queue::ALL.iter().filter(|q| queue.is_none_or(|wanted| wanted == **q)) {
        for w in tx.work_in(*q, LIMIT).await? {
            let s = w.state(now);
            if wanted.is_some_and(|wanted| wanted != s) {
                continue;
            }
            values.push(json!({ "queue": q, "id": w.id, "state": s, "nextAt": w.next_at.map(|at| at.0), "claimedBy": w.claimed_by, "attempt": w.attempt, "lost": w.lost, "error": w.last_error }));
            rows.push(vec![
                q.to_string(),
                w.id,
                s.to_string(),
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
