//! An account's servers.

use std::collections::HashMap;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use leasehold_commands::{cycle, servers};
use leasehold_domain::{ServerId, lease::Cycle, server::Status};
use leasehold_store::{Page, addresses::Address};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    error::Failure as CloudFailure,
    view::{BillingView, ServerDetail, ServerView, billing, detail, view},
};
use crate::{
    Api,
    access::{For, ServersDestroy, ServersRead, ServersWrite},
    failure::Failure,
    names, once,
    request::{Asked, Body, check_page},
};

/// Which servers are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Only those of this status.
    #[param(schema_with = names::status)]
    status: Option<Status>,
    /// From 1.
    #[param(minimum = 1, maximum = 1_000_000)]
    page: Option<u32>,
    /// Servers a page; all are on one where it is left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// The other name of a server.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Label {
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-zA-Z0-9][a-zA-Z0-9 _-]*$", example = "web-1")]
    label: String,
}

/// The account's servers, newest first.
#[utoipa::path(get, path = "/servers", tag = "servers", security(("key" = ["servers:read"])), params(Wanted), responses(
    (status = 200, body = [ServerView]),
))]
pub(crate) async fn list(State(api): State<Api>, caller: For<ServersRead>, Asked(wanted): Asked<Wanted>) -> Result<Json<Vec<ServerView>>, Failure> {
    check_page(wanted.page)?;
    let page = match (wanted.page, wanted.limit) {
        (_, Some(limit)) if limit == 0 || limit > 1000 => return Err(Failure::bad("'limit' is 1 to 1000")),
        (page, limit) => Page { limit: limit.map(i64::from), skip: i64::from(page.unwrap_or(1) - 1) * i64::from(limit.unwrap_or(0)) },
    };
    let mut tx = api.store.read().await?;
    let found = tx.servers_of(&caller.account, wanted.status, page).await?;
    let mut addresses: HashMap<ServerId, Vec<Address>> = tx.addresses_of(found.iter().map(|s| &s.id)).await?;
    Ok(Json(
        found
            .into_iter()
            .map(|s| {
                let own = addresses.remove(&s.id).unwrap_or_default();
                view(s, &own)
            })
            .collect(),
    ))
}

/// A server with its network, its bill and how far it is.
#[utoipa::path(get, path = "/servers/{id}", tag = "servers", security(("key" = ["servers:read"])), params(("id" = String, Path)), responses(
    (status = 200, body = ServerDetail),
))]
pub(crate) async fn show(State(api): State<Api>, caller: For<ServersRead>, Path(id): Path<String>) -> Result<Json<ServerDetail>, Failure> {
    let mut tx = api.store.read().await?;
    let s = caller.server(&mut tx, &id).await?;
    Ok(Json(detail(&mut tx, s).await?))
}

/// Gives a server another label.
#[utoipa::path(patch, path = "/servers/{id}/label", tag = "servers", security(("key" = ["servers:write"])), params(("id" = String, Path)), request_body = Label, responses(
    (status = 200, body = ServerView),
))]
pub(crate) async fn rename(
    State(api): State<Api>,
    caller: For<ServersWrite>,
    Path(id): Path<String>,
    Body(new): Body<Label>,
) -> Result<Json<ServerView>, Failure> {
    let id = caller.server_id(&api.store, &id).await?;
    let s = servers::label(&api.store, &caller.actor, id.as_str(), &new.label).await?;
    let addresses = api.store.read().await?.addresses(&id).await?;
    Ok(Json(view(s, &addresses)))
}

/// How a server is to be paid.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewBilling {
    /// Off: it ends with what is paid.
    auto_renew: Option<bool>,
    /// How much is paid at once from the next period on: 1m, 3m, 6m or 12m.
    #[schema(schema_with = names::cycle)]
    cycle: Option<Cycle>,
}

/// Cancels a server with the end of what is paid, takes that back, or has it paid by another cycle from the next period on.
#[utoipa::path(patch, path = "/servers/{id}/billing", tag = "servers", security(("key" = ["servers:write"])), params(("id" = String, Path)), request_body = NewBilling, responses(
    (status = 200, body = BillingView),
    (status = 409, body = CloudFailure, description = "it is not paid"),
))]
pub(crate) async fn set_billing(
    State(api): State<Api>,
    caller: For<ServersWrite>,
    Path(id): Path<String>,
    Body(new): Body<NewBilling>,
) -> Result<Json<BillingView>, Failure> {
    let mut open = once::open(&api, &caller).await?;
    let tx = &mut open.tx;
    let id = caller.server(tx, &id).await?.id;
    let s = tx.lock_server(&id).await?;
    if let Some(cycle) = new.cycle {
        cycle::switch(tx, &caller.actor, &s, cycle).await?;
    }
    if let Some(auto_renew) = new.auto_renew {
        servers::renew(tx, &caller.actor, &s, auto_renew).await?;
    }
    let view = billing(tx, &s).await?.ok_or_else(|| Failure::not_found("the server has no lease"))?;
    open.end("").await?;
    Ok(Json(view))
}

/// Ends a server at once, also while it is built. Its disk is lost; what was paid is not given back.
#[utoipa::path(delete, path = "/servers/{id}", tag = "servers", security(("key" = ["servers:destroy"])), params(("id" = String, Path)), responses(
    (status = 204, description = "it is being ended"),
))]
pub(crate) async fn destroy(State(api): State<Api>, caller: For<ServersDestroy>, Path(id): Path<String>) -> Result<StatusCode, Failure> {
    let id = caller.server_id(&api.store, &id).await?;
    servers::terminate(&api.store, &caller.actor, id.as_str(), servers::Unfinished::Paid).await?;
    Ok(StatusCode::NO_CONTENT)
}
