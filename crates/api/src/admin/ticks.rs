//! What is done by the clock.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use leasehold_commands::operate;
use leasehold_domain::Timestamp;
use leasehold_store::ticks::Tick;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Api, access::Operator, failure::Failure};

/// A tick.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TickView {
    #[schema(example = "settle")]
    name: String,
    #[schema(value_type = String, format = DateTime)]
    next_at: Timestamp,
    paused: bool,
    runs: i64,
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// How late it is, seconds.
    late_seconds: u64,
    error: Option<String>,
}

async fn all(api: &Api) -> Result<Vec<TickView>, Failure> {
    let mut tx = api.store.read().await?;
    let now = tx.now;
    let view = |t: Tick| TickView {
        late_seconds: if t.paused { 0 } else { now.since(t.next_at).as_secs() },
        name: t.name,
        next_at: t.next_at,
        paused: t.paused,
        runs: t.runs,
        started_at: t.started_at.map(|at| at.0),
        ended_at: t.ended_at.map(|at| at.0),
        error: t.last_error,
    };
    Ok(tx.ticks().await?.into_iter().map(view).collect())
}

async fn one(api: &Api, name: &str) -> Result<Json<TickView>, Failure> {
    all(api).await?.into_iter().find(|t| t.name == name).map(Json).ok_or_else(|| Failure::not_found(format!("no tick '{name}'")))
}

/// Every tick.
#[utoipa::path(get, path = "/ticks", tag = "operator", security(("operator" = [])), responses((status = 200, body = [TickView])))]
pub(crate) async fn list(State(api): State<Api>, _: Operator) -> Result<Json<Vec<TickView>>, Failure> {
    Ok(Json(all(&api).await?))
}

/// Makes a tick due now.
#[utoipa::path(post, path = "/ticks/{name}/run", tag = "operator", security(("operator" = [])), params(("name" = String, Path)), responses((status = 202, body = TickView)))]
pub(crate) async fn run(State(api): State<Api>, operator: Operator, Path(name): Path<String>) -> Result<(StatusCode, Json<TickView>), Failure> {
    operate::ring_tick(&api.store, &operator, &name).await?;
    Ok((StatusCode::ACCEPTED, one(&api, &name).await?))
}

/// Skips a tick until it is resumed.
#[utoipa::path(post, path = "/ticks/{name}/pause", tag = "operator", security(("operator" = [])), params(("name" = String, Path)), responses((status = 200, body = TickView)))]
pub(crate) async fn pause(State(api): State<Api>, operator: Operator, Path(name): Path<String>) -> Result<Json<TickView>, Failure> {
    operate::pause_tick(&api.store, &operator, &name, true).await?;
    one(&api, &name).await
}

/// No longer skips a tick.
#[utoipa::path(post, path = "/ticks/{name}/resume", tag = "operator", security(("operator" = [])), params(("name" = String, Path)), responses((status = 200, body = TickView)))]
pub(crate) async fn resume(State(api): State<Api>, operator: Operator, Path(name): Path<String>) -> Result<Json<TickView>, Failure> {
    operate::pause_tick(&api.store, &operator, &name, false).await?;
    one(&api, &name).await
}
