//! What webhooks were told.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use leasehold_commands::webhooks;
use leasehold_domain::{Timestamp, event::EventKind};
use leasehold_store::webhooks::{Delivery, DeliveryState};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    access::Operator,
    failure::Failure,
    names,
    request::{Asked, Paged},
};

/// Something that a webhook is told.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryView {
    id: String,
    webhook_id: String,
    account_id: String,
    #[schema(schema_with = names::event_kind)]
    event: EventKind,
    /// `queued`, `delivered` or `dead`.
    #[schema(schema_with = names::delivery_state)]
    state: DeliveryState,
    /// The status that was answered last.
    answer: Option<i64>,
    attempts: i64,
    error: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    delivered_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    next_at: Option<Timestamp>,
}

impl From<Delivery> for DeliveryView {
    fn from(d: Delivery) -> Self {
        Self {
            id: d.id,
            webhook_id: d.webhook_id,
            account_id: d.account_id,
            event: d.event,
            state: d.state,
            answer: d.answer,
            attempts: d.attempt,
            error: d.last_error,
            created_at: d.created_at,
            delivered_at: d.delivered_at.map(|at| at.0),
            next_at: d.next_at.map(|at| at.0),
        }
    }
}

/// Which deliveries are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Only to this webhook.
    webhook: Option<String>,
    /// Only those that are `queued`, `delivered` or `dead`.
    #[param(schema_with = names::delivery_state)]
    state: Option<DeliveryState>,
}

/// What webhooks were told, newest first.
#[utoipa::path(get, path = "/webhook-deliveries", tag = "operator", security(("operator" = [])), params(Wanted, Paged), responses((status = 200, body = [DeliveryView])))]
pub(crate) async fn list(State(api): State<Api>, _: Operator, Asked(wanted): Asked<Wanted>, paged: Paged) -> Result<Json<Vec<DeliveryView>>, Failure> {
    let found = api.store.read().await?.deliveries(wanted.webhook.as_deref(), wanted.state, paged.page()).await?;
    Ok(Json(found.into_iter().map(DeliveryView::from).collect()))
}

/// Tells something once more, under the id that it had.
#[utoipa::path(post, path = "/webhook-deliveries/{id}/redeliver", tag = "operator", security(("operator" = [])), params(("id" = String, Path)), responses((status = 202, description = "it is tried now")))]
pub(crate) async fn redeliver(State(api): State<Api>, operator: Operator, Path(id): Path<String>) -> Result<StatusCode, Failure> {
    webhooks::redeliver(&api.store, &operator, &id).await?;
    Ok(StatusCode::ACCEPTED)
}
