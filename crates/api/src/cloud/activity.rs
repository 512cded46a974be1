//! What happened to a server.

use axum::{
    Json,
    extract::{Path, State},
};
use leasehold_domain::Timestamp;
use leasehold_store::activity::Activity;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    access::{For, ServersRead},
    failure::Failure,
    request::Paged,
};

/// Something that was done.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActivityView {
    id: String,
    #[schema(example = "server.reboot")]
    action: String,
    /// `customer`, `operator` or `system`.
    #[schema(example = "customer")]
    by: &'static str,
    /// What else is known of what the customer did.
    detail: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Activity> for ActivityView {
    fn from(a: Activity) -> Self {
        let by = match a.actor.split(':').next() {
            Some("key" | "account" | "user") => "customer",
            Some("operator") => "operator",
            _ => "system",
        };
        // What an operator wrote is for operators.
        let detail = Some(a.detail).filter(|detail| by == "customer" && !detail.is_empty());
        Self { id: a.id, action: a.action, by, detail, created_at: a.created_at }
    }
}

/// What happened to a server, newest first.
#[utoipa::path(get, path = "/servers/{id}/activity", tag = "servers", security(("key" = ["servers:read"])), params(("id" = String, Path), Paged), responses(
    (status = 200, body = [ActivityView]),
))]
pub(crate) async fn list(State(api): State<Api>, caller: For<ServersRead>, Path(id): Path<String>, paged: Paged) -> Result<Json<Vec<ActivityView>>, Failure> {
    let mut tx = api.store.read().await?;
    let id = caller.server(&mut tx, &id).await?.id;
    Ok(Json(tx.activity_of(&id, paged.page()).await?.into_iter().map(ActivityView::from).collect()))
}
