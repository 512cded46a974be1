//! What needs a person.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use leasehold_commands::operate;
use leasehold_domain::Timestamp;
use leasehold_store::attention::Attention;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    access::Operator,
    failure::Failure,
    request::{Asked, Paged},
};

/// Something that needs a person.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MatterView {
    id: String,
    #[schema(example = "build_failed")]
    kind: String,
    #[schema(example = "server:0198f0e2-0000-7000-8000-000000000001")]
    subject: String,
    /// What, and what to do.
    detail: String,
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<Timestamp>,
    closed_by: Option<String>,
}

impl From<Attention> for MatterView {
    fn from(a: Attention) -> Self {
        Self {
            id: a.id,
            kind: a.kind,
            subject: a.subject,
            detail: a.detail,
            opened_at: a.opened_at,
            closed_at: a.closed_at.map(|at| at.0),
            closed_by: a.closed_by,
        }
    }
}

/// Which matters are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Closed ones too.
    #[serde(default)]
    all: bool,
}

/// What needs a person, newest first.
#[utoipa::path(get, path = "/attention", tag = "operator", security(("operator" = [])), params(Wanted, Paged), responses((status = 200, body = [MatterView])))]
pub(crate) async fn list(State(api): State<Api>, _: Operator, Asked(wanted): Asked<Wanted>, paged: Paged) -> Result<Json<Vec<MatterView>>, Failure> {
    let all = api.store.read().await?.attention(wanted.all, paged.page()).await?;
    Ok(Json(all.into_iter().map(MatterView::from).collect()))
}

/// Closes a matter.
#[utoipa::path(post, path = "/attention/{id}/close", tag = "operator", security(("operator" = [])), params(("id" = String, Path)), responses((status = 204, description = "it is closed")))]
pub(crate) async fn close(State(api): State<Api>, operator: Operator, Path(id): Path<String>) -> Result<StatusCode, Failure> {
    operate::close_attention(&api.store, &operator, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
