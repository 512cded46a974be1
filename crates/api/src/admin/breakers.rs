//! What is due to be renewed and to be taken away, and what stops it.

use axum::{
    Json,
    extract::{Path, State},
};
use leasehold_commands::breakers;
use leasehold_domain::{Timestamp, breaker::Kind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Api, access::Operator, failure::Failure, names, request::Body};

/// A breaker.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BreakerView {
    /// `renewal`, `suspension` or `termination`.
    #[schema(schema_with = names::breaker_kind)]
    kind: Kind,
    /// Since when nothing goes through; none: it is closed.
    #[schema(value_type = Option<String>, format = DateTime)]
    opened_at: Option<Timestamp>,
    due: i64,
    /// Within the last day; none for renewals.
    done_within_a_day: Option<i64>,
    /// More than so many open it.
    limit: i64,
    /// How many an operator lets through.
    confirmed: i64,
}

/// How many are let through.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmation {
    /// Of renewals all that are due.
    #[schema(minimum = 1)]
    count: i64,
}

async fn all(api: &Api) -> Result<Json<Vec<BreakerView>>, Failure> {
    let view = |b: breakers::Standing| BreakerView {
        kind: b.kind,
        opened_at: b.opened_at,
        due: b.due,
        done_within_a_day: b.done,
        limit: b.limit,
        confirmed: b.confirmed,
    };
    Ok(Json(breakers::standings(&api.store).await?.into_iter().map(view).collect()))
}

/// Every breaker.
#[utoipa::path(get, path = "/breakers", tag = "operator", security(("operator" = [])), responses((status = 200, body = [BreakerView])))]
pub(crate) async fn list(State(api): State<Api>, _: Operator) -> Result<Json<Vec<BreakerView>>, Failure> {
    all(&api).await
}

/// Lets exactly so many through an open breaker.
#[utoipa::path(post, path = "/breakers/{kind}/confirm", tag = "operator", security(("operator" = [])), params(("kind" = String, Path, example = "suspension")), request_body = Confirmation, responses(
    (status = 200, body = [BreakerView]),
    (status = 409, body = super::error::Problem, description = "it is closed, or another number is due"),
))]
pub(crate) async fn confirm(
    State(api): State<Api>,
    operator: Operator,
    Path(kind): Path<String>,
    Body(c): Body<Confirmation>,
) -> Result<Json<Vec<BreakerView>>, Failure> {
    let kind = kind.parse().map_err(|_| Failure::not_found(format!("no breaker '{kind}'")))?;
    leasehold_commands::billing::confirm_breaker(&api.store, &operator, kind, c.count).await?;
    all(&api).await
}
