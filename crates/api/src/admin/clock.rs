//! Simulated time.

use axum::{Json, extract::State};
use leasehold_domain::{Timestamp, time::parse_duration};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Api, access::Operator, failure::Failure, request::Body};

/// What time it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClockView {
    #[schema(value_type = String, format = DateTime)]
    now: Timestamp,
    /// `system` or `simulated`.
    mode: String,
}

/// By how much time is moved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    #[schema(example = "40d")]
    by: String,
}

async fn read(api: &Api) -> Result<ClockView, Failure> {
    let mode = api.store.clock_mode().await?.unwrap_or_else(|| "system".into());
    Ok(ClockView { now: api.store.clock().now(), mode })
}

/// What time it is for leasehold.
#[utoipa::path(get, path = "/clock", tag = "operator", security(("operator" = [])), responses((status = 200, body = ClockView)))]
pub(crate) async fn show(State(api): State<Api>, _: Operator) -> Result<Json<ClockView>, Failure> {
    Ok(Json(read(&api).await?))
}

/// Moves simulated time forward in one step; the daemon does what fell due meanwhile.
#[utoipa::path(post, path = "/clock/advance", tag = "operator", security(("operator" = [])), request_body = Step, responses(
    (status = 200, body = ClockView),
    (status = 409, body = super::error::Problem, description = "the clock is the system's"),
))]
pub(crate) async fn advance(State(api): State<Api>, operator: Operator, Body(step): Body<Step>) -> Result<Json<ClockView>, Failure> {
    let by = parse_duration(&step.by).map_err(|e| Failure::bad(format!("'by': {e}")))?;
    leasehold_commands::operate::advance_clock(&api.store, &operator, by).await?;
    Ok(Json(read(&api).await?))
}
