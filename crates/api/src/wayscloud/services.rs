//! What the account has running.

use std::collections::HashMap;

use axum::{Json, extract::State};
use leasehold_domain::{Timestamp, server::Status};
use leasehold_store::{Page, servers::Server};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    access::{For, ServicesRead},
    failure::Failure,
    names,
};

/// A server, as a service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceView {
    id: String,
    /// Always `vps`.
    service_type: &'static str,
    #[schema(example = "web-1")]
    name: String,
    #[schema(schema_with = names::status)]
    status: Status,
    #[schema(example = "fra")]
    region: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    metadata: Metadata,
}

/// What a server is made of.
#[derive(Debug, Serialize, ToSchema)]
struct Metadata {
    hostname: String,
    #[schema(example = "debian-12")]
    os: String,
    vcpu: i64,
    ram_mb: i64,
    disk_gb: i64,
    /// None before it is placed.
    ip_address: Option<String>,
}

fn view(s: Server, ip_address: Option<String>) -> ServiceView {
    ServiceView {
        id: s.id.0,
        service_type: "vps",
        name: s.label,
        status: s.status,
        region: s.region_id.0,
        created_at: s.created_at,
        metadata: Metadata { hostname: s.hostname, os: s.template_id.0, vcpu: s.vcpu, ram_mb: s.ram_mb, disk_gb: s.disk_gb, ip_address },
    }
}

/// The account's servers, newest first.
#[utoipa::path(get, path = "/services", tag = "wayscloud", security(("key" = ["services:read"]), ("x_api_key" = [])), responses(
    (status = 200, body = [ServiceView]),
))]
pub(crate) async fn list(State(api): State<Api>, caller: For<ServicesRead>) -> Result<Json<Vec<ServiceView>>, Failure> {
    let mut tx = api.store.read().await?;
    let found = tx.servers_of(&caller.account, None, Page { limit: None, skip: 0 }).await?;
    let mut addresses: HashMap<_, _> = tx.addresses_of(found.iter().map(|s| &s.id)).await?;
    let first = |s: Server| {
        let own = addresses.remove(&s.id).unwrap_or_default().into_iter().next();
        view(s, own.map(|a| a.address))
    };
    Ok(Json(found.into_iter().map(first).collect()))
}
