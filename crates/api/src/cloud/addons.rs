//! What can be added to a server.

use axum::{
    Json,
    extract::{Path, State},
};
use leasehold_commands::addons;
use leasehold_domain::addon::{AddonKind, AddonState};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Failure;
use crate::{
    Api,
    access::{For, ServersRead},
};

/// An add-on that the server's plan offers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AddonView {
    #[schema(example = "vpk7wjf5")]
    id: String,
    name: String,
    /// A server has one of each type at most.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "extra-ip")]
    kind: AddonKind,
    /// What it costs a period of the server's cycle, tax included, a decimal.
    #[schema(example = "3.00")]
    monthly_price: String,
    /// What it costs from now to the end of what is paid; none where it cannot be attached now.
    #[schema(example = "1.42")]
    prorated_price: Option<String>,
    /// Whether the server has it, or is being given it.
    active: bool,
}

/// What can be added to a server, and what it would cost now.
#[utoipa::path(get, path = "/servers/{id}/addons", tag = "servers", security(("key" = ["servers:read"])), params(("id" = String, Path)), responses(
    (status = 200, body = [AddonView]),
    (status = 401, body = Failure),
    (status = 403, body = Failure),
    (status = 404, body = Failure),
    (status = 429, body = Failure),
))]
pub(crate) async fn list(State(api): State<Api>, caller: For<ServersRead>, Path(id): Path<String>) -> Result<Json<Vec<AddonView>>, Failure> {
    let id = caller.server_id(&api.store, &id).await?;
    let offers = addons::offers(&api.store, id.as_str()).await?;
    let view = |o: addons::Offer| AddonView {
        id: o.id,
        name: o.name,
        kind: o.kind,
        monthly_price: o.price,
        prorated_price: o.price_now,
        active: o.state.is_some_and(|state| state != AddonState::Ended),
    };
    Ok(Json(offers.into_iter().map(view).collect()))
}
