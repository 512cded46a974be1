//! A server's addresses, and the names that they resolve to.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use leasehold_commands::ptr;
use leasehold_store::addresses::Address;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::view::netmask;
use crate::{
    Api,
    access::{Caller, For, ServersRead, ServersWrite},
    failure::Failure,
    once,
    request::Body,
};

/// An address of a server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AddressView {
    #[schema(example = "203.0.113.17")]
    ip: String,
    /// 4 or 6.
    family: i64,
    gateway: String,
    /// None for IPv6.
    netmask: Option<String>,
    #[schema(example = "203.0.113.0/24")]
    cidr: String,
    /// What it resolves to.
    #[schema(example = "web-1.example.org")]
    ptr: Option<String>,
    /// Whether it is the server's own IPv4 address.
    primary: bool,
}

impl From<Address> for AddressView {
    fn from(a: Address) -> Self {
        let cidr = if a.is_block() { a.address.clone() } else { a.cidr };
        Self { netmask: netmask(&cidr), cidr, family: a.family, gateway: a.gateway, ptr: a.ptr, primary: a.family == 4 && a.addon.is_none(), ip: a.address }
    }
}

/// A name.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Name {
    #[schema(max_length = 253, example = "web-1.example.org")]
    hostname: String,
}

/// A server's addresses.
#[utoipa::path(get, path = "/servers/{id}/ips", tag = "servers", security(("key" = ["servers:read"])), params(("id" = String, Path)), responses(
    (status = 200, body = [AddressView]),
))]
pub(crate) async fn list(State(api): State<Api>, caller: For<ServersRead>, Path(id): Path<String>) -> Result<Json<Vec<AddressView>>, Failure> {
    let mut tx = api.store.read().await?;
    let id = caller.server(&mut tx, &id).await?.id;
    Ok(Json(tx.addresses(&id).await?.into_iter().map(AddressView::from).collect()))
}

/// Says what an address resolves to. The host publishes it.
#[utoipa::path(put, path = "/servers/{id}/ips/{ip}/ptr", tag = "servers", security(("key" = ["servers:write"])), params(("id" = String, Path), ("ip" = String, Path, example = "203.0.113.17")), request_body = Name, responses(
    (status = 200, body = AddressView),
))]
pub(crate) async fn set_ptr(
    State(api): State<Api>,
    caller: For<ServersWrite>,
    Path((id, ip)): Path<(String, String)>,
    Body(name): Body<Name>,
) -> Result<Json<AddressView>, Failure> {
    Ok(Json(set(&api, &caller, &id, &ip, Some(&name.hostname)).await?))
}

/// Has an address resolve to nothing.
#[utoipa::path(delete, path = "/servers/{id}/ips/{ip}/ptr", tag = "servers", security(("key" = ["servers:write"])), params(("id" = String, Path), ("ip" = String, Path, example = "203.0.113.17")), responses(
    (status = 204, description = "it resolves to nothing"),
))]
pub(crate) async fn clear_ptr(State(api): State<Api>, caller: For<ServersWrite>, Path((id, ip)): Path<(String, String)>) -> Result<StatusCode, Failure> {
    set(&api, &caller, &id, &ip, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set(api: &Api, caller: &Caller, id: &str, ip: &str, name: Option<&str>) -> Result<AddressView, Failure> {
    let mut open = once::open(api, caller).await?;
    let id = caller.server(&mut open.tx, id).await?.id;
    ptr::set(&mut open.tx, &caller.actor, &id, ip, name).await?;
    let found = open.tx.addresses(&id).await?.into_iter().find(|a| a.address == ip);
    open.end("").await?;
    found.map(AddressView::from).ok_or_else(|| Failure::not_found(format!("no address '{ip}'")))
}
