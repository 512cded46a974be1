//! What can be added to a server.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use leasehold_commands::{CommandError, addons};
use leasehold_domain::{
    Timestamp,
    addon::{AddonKind, AddonState},
};
use leasehold_store::{Tx, servers::Server};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::Failure as CloudFailure;
use crate::{
    Api,
    access::{For, ServersDestroy, ServersRead, ServersWrite},
    failure::Failure,
    names,
    once::{Begun, Posted, again, answer, begin},
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
    #[schema(schema_with = names::addon_kind)]
    kind: AddonKind,
    /// What it costs a period of the server's cycle, tax included, a decimal.
    #[schema(example = "3.00")]
    monthly_price: String,
    /// What it costs from now to the end of what is paid; none where it cannot be attached now.
    #[schema(example = "1.42")]
    prorated_price: Option<String>,
    /// Whether the server has it, or is being given it.
    active: bool,
    /// When it ends, if it does.
    #[schema(value_type = Option<String>, format = DateTime)]
    active_until: Option<Timestamp>,
}

impl From<addons::Offer> for AddonView {
    fn from(o: addons::Offer) -> Self {
        Self {
            id: o.id,
            name: o.name,
            kind: o.kind,
            monthly_price: o.price,
            prorated_price: o.price_now,
            active: o.state.is_some_and(|state| state != AddonState::Ended),
            active_until: o.until,
        }
    }
}

/// Something to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AddonWanted {
    #[schema(example = "vpk7wjf5")]
    addon_id: String,
}

/// What can be added to a server, and what it would cost now.
#[utoipa::path(get, path = "/servers/{id}/addons", tag = "servers", security(("key" = ["servers:read"])), params(("id" = String, Path)), responses(
    (status = 200, body = [AddonView]),
))]
pub(crate) async fn list(State(api): State<Api>, caller: For<ServersRead>, Path(id): Path<String>) -> Result<Json<Vec<AddonView>>, Failure> {
    let id = caller.server_id(&api.store, &id).await?;
    let offers = addons::offers(&api.store, id.as_str()).await?;
    Ok(Json(offers.into_iter().map(AddonView::from).collect()))
}

/// An add-on of a server as it stands now.
async fn one(tx: &mut Tx, s: &Server, addon: &str) -> Result<AddonView, Failure> {
    let offer = addons::offers_of(tx, s).await?.into_iter().find(|o| o.id == addon);
    offer.map(AddonView::from).ok_or_else(|| Failure::not_found(format!("no add-on '{addon}'")))
}

/// Adds something to a server: it is paid to the end of what the server is paid for, and renewed with it at its full price.
/// `proratedPrice` is what was charged.
#[utoipa::path(post, path = "/servers/{id}/addons", tag = "servers", security(("key" = ["servers:write"])), params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = AddonWanted, responses(
    (status = 201, body = AddonView),
    (status = 400, body = CloudFailure, description = "no such add-on, or the server has one of its type"),
    (status = 402, body = CloudFailure, description = "the wallet does not hold enough; nothing was added"),
    (status = 409, body = CloudFailure, description = "it is not delivered or not paid, the region has no room, or an equal request is being carried out"),
))]
pub(crate) async fn add(State(api): State<Api>, caller: For<ServersWrite>, Path(id): Path<String>, posted: Posted<AddonWanted>) -> Result<Response, Failure> {
    let mut open = match begin(&api, &caller, &posted).await? {
        Begun::Before(text) => return Ok(again(StatusCode::CREATED, text)),
        Begun::Now(open) => open,
    };
    let s = caller.server(&mut open.tx, &id).await?;
    let added = addons::add(&mut open.tx, &caller.actor, &s.id, &posted.body.addon_id).await.map_err(Failure::of_body)?;
    let charged = added.price_now().map_err(CommandError::from)?;
    let view = AddonView { prorated_price: Some(charged.decimal()), ..one(&mut open.tx, &s, &added.addon_id).await? };
    answer(open, StatusCode::CREATED, &view).await
}

/// Ends an add-on with what is paid; the next period is not charged for it.
#[utoipa::path(delete, path = "/servers/{id}/addons/{addon}", tag = "servers", security(("key" = ["servers:destroy"])), params(("id" = String, Path), ("addon" = String, Path)), responses(
    (status = 200, body = AddonView),
    (status = 409, body = CloudFailure, description = "it is being attached"),
))]
pub(crate) async fn end(State(api): State<Api>, caller: For<ServersDestroy>, Path((id, addon)): Path<(String, String)>) -> Result<Json<AddonView>, Failure> {
    let s = caller.server(&mut api.store.read().await?, &id).await?;
    let ended = addons::detach(&api.store, &caller.actor, s.id.as_str(), &addon).await?;
    Ok(Json(one(&mut api.store.read().await?, &s, &ended.addon_id).await?))
}
