//! The jobs: what waits, what is worked on, what ran, and who is alive.

use axum::{Json, extract::State};
use leasehold_domain::Timestamp;
use leasehold_store::{
    Queue,
    depth::{WorkRow, WorkState},
    processes::Process,
    runs::Run,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    access::Operator,
    failure::Failure,
    names,
    request::{Asked, Paged},
};

/// A queue, counted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueueView {
    /// `servers`, `nodes`, `mails`, `webhooks` or `names`.
    #[schema(schema_with = names::queue)]
    queue: Queue,
    /// Due, and nobody has taken it yet.
    due: i64,
    claimed: i64,
    /// Due later.
    waiting: i64,
    /// Put aside until a person looks.
    parked: i64,
    /// Due for more than five minutes, or a claim that ran out more than a minute ago.
    stuck: i64,
    oldest_due_seconds: u64,
}

/// How deep the queues are.
#[utoipa::path(get, path = "/queue", tag = "operator", security(("operator" = [])), responses((status = 200, body = [QueueView])))]
pub(crate) async fn depths(State(api): State<Api>, _: Operator) -> Result<Json<Vec<QueueView>>, Failure> {
    let mut tx = api.store.read().await?;
    let now = tx.now;
    let mut views = Vec::new();
    for queue in Queue::ALL {
        let d = tx.depth(*queue).await?;
        views.push(QueueView {
            queue: *queue,
            due: d.of(WorkState::Due),
            claimed: d.of(WorkState::Claimed),
            waiting: d.of(WorkState::Waiting),
            parked: d.of(WorkState::Parked),
            stuck: d.of(WorkState::Stuck),
            oldest_due_seconds: d.oldest_due(now).as_secs(),
        });
    }
    Ok(Json(views))
}

/// Which jobs are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Of which queue.
    #[param(schema_with = names::queue)]
    queue: Queue,
    /// Only due, claimed, waiting, parked or stuck ones.
    #[param(schema_with = names::work_state)]
    state: Option<WorkState>,
}

/// A job.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobView {
    /// The row.
    id: String,
    #[schema(schema_with = names::work_state)]
    state: WorkState,
    #[schema(value_type = Option<String>, format = DateTime)]
    next_at: Option<Timestamp>,
    claimed_by: Option<String>,
    /// Failed attempts of the current step.
    attempt: i64,
    /// Claims in a row that ran out.
    lost: i64,
    error: Option<String>,
}

/// Rows of a queue that are looked at.
const MOST: i64 = 10_000;

/// The jobs of a queue, the most urgent first.
#[utoipa::path(get, path = "/queue/jobs", tag = "operator", security(("operator" = [])), params(Wanted), responses((status = 200, body = [JobView])))]
pub(crate) async fn jobs(State(api): State<Api>, _: Operator, Asked(wanted): Asked<Wanted>) -> Result<Json<Vec<JobView>>, Failure> {
    let mut tx = api.store.read().await?;
    let now = tx.now;
    let view = |w: WorkRow| JobView {
        state: w.state(now),
        id: w.id,
        next_at: w.next_at.map(|at| at.0),
        claimed_by: w.claimed_by,
        attempt: w.attempt,
        lost: w.lost,
        error: w.last_error,
    };
    let all = tx.work_in(wanted.queue, MOST).await?;
    Ok(Json(all.into_iter().map(view).filter(|job| wanted.state.is_none_or(|state| state == job.state)).collect()))
}

/// Whose runs are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfWorker {
    /// Only of this worker.
    worker: Option<String>,
}

/// A run of a job.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunView {
    queue: String,
    /// The row.
    id: String,
    worker: String,
    /// One word: `rest`, `later`, `retry`, `parked`, …
    #[schema(example = "rest")]
    outcome: String,
    error: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    ended_at: Timestamp,
}

/// What ran where, and how it ended; newest first.
#[utoipa::path(get, path = "/queue/runs", tag = "operator", security(("operator" = [])), params(OfWorker, Paged), responses((status = 200, body = [RunView])))]
pub(crate) async fn runs(State(api): State<Api>, _: Operator, Asked(of): Asked<OfWorker>, paged: Paged) -> Result<Json<Vec<RunView>>, Failure> {
    let view =
        |r: Run| RunView { queue: r.queue, id: r.row_id, worker: r.worker, outcome: r.outcome, error: r.error, started_at: r.started_at, ended_at: r.ended_at };
    let found = api.store.read().await?.runs(of.worker.as_deref(), paged.page()).await?;
    Ok(Json(found.into_iter().map(view).collect()))
}

/// A process of this house.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProcessView {
    name: String,
    #[schema(example = "serve")]
    role: String,
    host: String,
    version: String,
    /// What it works on, separated by commas.
    queues: String,
    alive: bool,
    /// What is in its way.
    trouble: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    seen_at: Timestamp,
}

/// Who is alive.
#[utoipa::path(get, path = "/queue/processes", tag = "operator", security(("operator" = [])), responses((status = 200, body = [ProcessView])))]
pub(crate) async fn processes(State(api): State<Api>, _: Operator) -> Result<Json<Vec<ProcessView>>, Failure> {
    let mut tx = api.store.read().await?;
    let now = tx.now;
    let view = |p: Process| ProcessView {
        alive: p.is_alive(now),
        name: p.name,
        role: p.role,
        host: p.host,
        version: p.version,
        queues: p.queues,
        trouble: p.trouble,
        started_at: p.started_at,
        seen_at: p.seen_at,
    };
    Ok(Json(tx.processes().await?.into_iter().map(view).collect()))
}
