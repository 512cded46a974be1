//! Servers of all accounts.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use leasehold_commands::servers::{self, Unfinished};
use leasehold_domain::{
    Timestamp,
    server::{Goal, HoldKind, Means, Status, Step},
};
use leasehold_store::{
    Page, Tx,
    servers::{HoldTerms, Server},
    steps::StepRow,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    access::Operator,
    cloud::view::{BillingView, billing},
    failure::Failure,
    names,
    request::{Asked, Body, Paged},
};

/// A server as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperatorServer {
    id: String,
    account_id: String,
    label: String,
    hostname: String,
    #[schema(schema_with = names::status)]
    status: Status,
    /// What it should be: `running`, `stopped` or `terminated`.
    #[schema(schema_with = names::goal)]
    goal: Goal,
    status_reason: Option<String>,
    region: String,
    node: Option<String>,
    /// Counts builds.
    generation: i64,
    attempt: i64,
    error: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    next_at: Option<Timestamp>,
    /// Put aside until a person looks.
    #[schema(value_type = Option<String>, format = DateTime)]
    parked_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Server> for OperatorServer {
    fn from(s: Server) -> Self {
        Self {
            id: s.id.0,
            account_id: s.account_id.0,
            label: s.label,
            hostname: s.hostname,
            status: s.status,
            goal: s.goal,
            status_reason: s.status_reason,
            region: s.region_id.0,
            node: s.node_id,
            generation: s.generation,
            attempt: s.attempt,
            error: s.last_error,
            next_at: s.next_at.map(|at| at.0),
            parked_at: s.parked_at.map(|at| at.0),
            created_at: s.created_at,
        }
    }
}

/// A step that was tried.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StepView {
    no: i64,
    generation: i64,
    #[schema(schema_with = names::step)]
    step: Step,
    attempt: i64,
    worker: String,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    outcome: Option<String>,
    detail: Option<String>,
}

impl From<StepRow> for StepView {
    fn from(s: StepRow) -> Self {
        Self {
            no: s.no,
            generation: s.generation,
            step: s.step,
            attempt: s.attempt,
            worker: s.worker,
            started_at: s.started_at,
            ended_at: s.ended_at.map(|at| at.0),
            outcome: s.outcome,
            detail: s.detail,
        }
    }
}

/// A hold.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HoldView {
    #[schema(schema_with = names::hold_kind)]
    kind: HoldKind,
    reason: String,
    /// Nothing is charged while it stands.
    free: bool,
    #[schema(value_type = String, format = DateTime)]
    placed_at: Timestamp,
}

/// A server with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperatorServerDetail {
    #[serde(flatten)]
    server: OperatorServer,
    addresses: Vec<String>,
    holds: Vec<HoldView>,
    billing: Option<BillingView>,
    /// Every step that was tried, the oldest first.
    steps: Vec<StepView>,
}

/// Which servers are meant.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Only of this status.
    #[param(schema_with = names::status)]
    status: Option<Status>,
    /// Only of this account, by id or number.
    account: Option<String>,
}

async fn found(tx: &mut Tx, wanted: &Wanted, page: Page) -> Result<Vec<Server>, Failure> {
    let account = match &wanted.account {
        Some(text) => Some(tx.find_account(text).await.map_err(|e| Failure::of_body(e.into()))?.id),
        None => None,
    };
    Ok(tx.servers(wanted.status, account.as_ref(), page).await?)
}

/// Servers, newest first.
#[utoipa::path(get, path = "/servers", tag = "operator", security(("operator" = [])), params(Wanted, Paged), responses((status = 200, body = [OperatorServer])))]
pub(crate) async fn list(State(api): State<Api>, _: Operator, Asked(wanted): Asked<Wanted>, paged: Paged) -> Result<Json<Vec<OperatorServer>>, Failure> {
    let servers = found(&mut api.store.read().await?, &wanted, paged.page()).await?;
    Ok(Json(servers.into_iter().map(OperatorServer::from).collect()))
}

/// A server with its whole step log.
#[utoipa::path(get, path = "/servers/{id}", tag = "operator", security(("operator" = [])), params(("id" = String, Path)), responses((status = 200, body = OperatorServerDetail)))]
pub(crate) async fn show(State(api): State<Api>, _: Operator, Path(id): Path<String>) -> Result<Json<OperatorServerDetail>, Failure> {
    let mut tx = api.store.read().await?;
    let s = tx.server(&id.into()).await?;
    let hold = |h: leasehold_store::servers::Hold| HoldView { kind: h.kind, reason: h.reason, free: h.free, placed_at: h.placed_at };
    Ok(Json(OperatorServerDetail {
        addresses: tx.addresses(&s.id).await?.into_iter().map(|a| a.address).collect(),
        holds: tx.holds(&s.id).await?.into_iter().map(hold).collect(),
        billing: billing(&mut tx, &s).await?,
        steps: tx.steps(&s.id).await?.into_iter().map(StepView::from).collect(),
        server: s.into(),
    }))
}

/// Which failed servers are meant.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Matching {
    /// Only of this account, by id or number.
    account: Option<String>,
    /// Only of this region.
    region: Option<String>,
}

/// Servers that were retried, and those that were not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetriedView {
    retried: Vec<OperatorServer>,
    /// Why not, one line each.
    refused: Vec<String>,
}

/// Servers that are retried together.
const MOST: i64 = 10_000;

/// Has a failed server built once more; its price is set aside anew.
#[utoipa::path(post, path = "/servers/{id}/retry", tag = "operator", security(("operator" = [])), params(("id" = String, Path)), responses(
    (status = 202, body = OperatorServer),
    (status = 402, body = super::error::Problem, description = "the wallet does not hold enough"),
    (status = 409, body = super::error::Problem, description = "it has not failed"),
))]
pub(crate) async fn retry(State(api): State<Api>, operator: Operator, Path(id): Path<String>) -> Result<Accepted, Failure> {
    let id = by_id(&api, id).await?;
    Ok(accepted(servers::retry(&api.store, &operator, &id).await?))
}

/// Has every failed server that matches built once more.
#[utoipa::path(post, path = "/servers/retry", tag = "operator", security(("operator" = [])), params(Matching), responses((status = 200, body = RetriedView)))]
pub(crate) async fn retry_all(State(api): State<Api>, operator: Operator, Asked(matching): Asked<Matching>) -> Result<Json<RetriedView>, Failure> {
    let wanted = Wanted { status: Some(Status::Failed), account: matching.account };
    let mut failed = found(&mut api.store.read().await?, &wanted, MOST.into()).await?;
    failed.retain(|s| matching.region.as_ref().is_none_or(|region| s.region_id.as_str() == region));
    let (mut retried, mut refused) = (Vec::new(), Vec::new());
    for s in failed {
        match servers::retry(&api.store, &operator, s.id.as_str()).await {
            Ok(s) => retried.push(s.into()),
            Err(error) => refused.push(format!("{}: {error}", s.id)),
        }
    }
    Ok(Json(RetriedView { retried, refused }))
}

/// Operators, too, name servers by their ids here: labels are for people.
async fn by_id(api: &Api, id: String) -> Result<String, Failure> {
    Ok(api.store.read().await?.server(&id.into()).await?.id.0)
}

/// It is on its way.
type Accepted = (StatusCode, Json<OperatorServer>);

fn accepted(s: Server) -> Accepted {
    (StatusCode::ACCEPTED, Json(s.into()))
}

/// Why a server is suspended.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Suspension {
    /// `abuse`, `admin` or `review`.
    #[schema(schema_with = names::hold_kind)]
    kind: HoldKind,
    reason: String,
    /// Only its network is cut; it stays on.
    cut_network: Option<bool>,
    /// Nothing is charged meanwhile.
    free: Option<bool>,
}

/// Takes a server off power, or only off the net, until the hold is lifted.
#[utoipa::path(post, path = "/servers/{id}/suspend", tag = "operator", security(("operator" = [])), params(("id" = String, Path)), request_body = Suspension, responses(
    (status = 202, body = OperatorServer),
    (status = 409, body = super::error::Problem, description = "it is being ended"),
))]
pub(crate) async fn suspend(State(api): State<Api>, operator: Operator, Path(id): Path<String>, Body(s): Body<Suspension>) -> Result<Accepted, Failure> {
    let id = by_id(&api, id).await?;
    let means = if s.cut_network == Some(true) { Means::CutNetwork } else { Means::PowerOff };
    let terms = HoldTerms { means, free: s.free.unwrap_or(false) };
    Ok(accepted(servers::suspend(&api.store, &operator, &id, s.kind, terms, &s.reason).await?))
}

/// Which hold is lifted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lift {
    /// `billing`, `abuse`, `admin` or `review`.
    #[schema(schema_with = names::hold_kind)]
    kind: HoldKind,
    /// For `billing` only: suspended again then unless it is paid.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// Lifts a hold.
#[utoipa::path(post, path = "/servers/{id}/unsuspend", tag = "operator", security(("operator" = [])), params(("id" = String, Path)), request_body = Lift, responses(
    (status = 202, body = OperatorServer),
    (status = 409, body = super::error::Problem, description = "it has no such hold"),
))]
pub(crate) async fn unsuspend(State(api): State<Api>, operator: Operator, Path(id): Path<String>, Body(l): Body<Lift>) -> Result<Accepted, Failure> {
    let id = by_id(&api, id).await?;
    Ok(accepted(servers::unsuspend(&api.store, &operator, &id, l.kind, l.until).await?))
}

/// How an order is ended that was not delivered.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Ending {
    /// Nothing is paid for an order that was booted and not delivered.
    #[serde(default)]
    free: bool,
}

/// Ends a server: its disk and its addresses are given back. An order that was booted and not delivered is paid for as far as it was used (`min_charge`).
#[utoipa::path(post, path = "/servers/{id}/terminate", tag = "operator", security(("operator" = [])), params(("id" = String, Path), Ending), responses((status = 202, body = OperatorServer)))]
pub(crate) async fn terminate(State(api): State<Api>, operator: Operator, Path(id): Path<String>, Asked(ending): Asked<Ending>) -> Result<Accepted, Failure> {
    let id = by_id(&api, id).await?;
    let unfinished = if ending.free { Unfinished::Free } else { Unfinished::Paid };
    Ok(accepted(servers::terminate(&api.store, &operator, &id, unfinished).await?))
}

/// Until when a server is protected.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Protection {
    /// None lifts the protection.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// Has nothing taken away for an unpaid charge before a date.
#[utoipa::path(post, path = "/servers/{id}/protect", tag = "operator", security(("operator" = [])), params(("id" = String, Path)), request_body = Protection, responses(
    (status = 202, body = OperatorServer),
    (status = 409, body = super::error::Problem, description = "it has no lease that runs"),
))]
pub(crate) async fn protect(State(api): State<Api>, operator: Operator, Path(id): Path<String>, Body(p): Body<Protection>) -> Result<Accepted, Failure> {
    let id = by_id(&api, id).await?;
    Ok(accepted(servers::protect(&api.store, &operator, &id, p.until).await?))
}

/// Why a matter is settled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resolution {
    reason: String,
}

/// Says that what was the matter is settled: open attention is closed, its owner counts as told, and a machine that its node cannot be
/// asked about counts as gone.
#[utoipa::path(post, path = "/servers/{id}/resolve", tag = "operator", security(("operator" = [])), params(("id" = String, Path)), request_body = Resolution, responses((status = 202, body = OperatorServer)))]
pub(crate) async fn resolve(State(api): State<Api>, operator: Operator, Path(id): Path<String>, Body(r): Body<Resolution>) -> Result<Accepted, Failure> {
    let id = by_id(&api, id).await?;
    Ok(accepted(servers::resolve(&api.store, &operator, &id, &r.reason, api.settings.ip_quarantine).await?))
}
