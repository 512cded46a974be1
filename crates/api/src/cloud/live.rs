//! What a server is using, and how its owner signs in.

use axum::{
    Json,
    extract::{Path, State},
};
use leasehold_commands::{servers, stats};
use leasehold_domain::usage::Live;
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Failure;
use crate::{
    Api,
    access::{For, ServersRead},
};

/// What a server is using.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatsView {
    #[schema(example = "POWERED_ON")]
    power_state: &'static str,
    /// The last sample; none where it is older than 30 s. Asking has the server sampled for the next minute.
    #[schema(value_type = Option<Object>)]
    live: Option<Live>,
}

/// How to sign in.
#[derive(Serialize, ToSchema)]
pub(crate) struct CredentialsView {
    #[schema(example = "root")]
    username: String,
    /// None where the guest never answered, so that none could be set.
    password: Option<String>,
    ip: String,
    port: u16,
}

/// What a server is using.
#[utoipa::path(get, path = "/servers/{id}/stats", tag = "servers", security(("key" = ["servers:read"])), params(("id" = String, Path)), responses(
    (status = 200, body = StatsView),
    (status = 401, body = Failure),
    (status = 403, body = Failure),
    (status = 404, body = Failure),
    (status = 429, body = Failure),
))]
pub(crate) async fn stats(State(api): State<Api>, caller: For<ServersRead>, Path(id): Path<String>) -> Result<Json<StatsView>, Failure> {
    let id = caller.server_id(&api.store, &id).await?;
    let s = stats::stats(&api.store, id.as_str()).await?;
    Ok(Json(StatsView { power_state: s.power_state, live: s.live }))
}

/// How to sign in to a server. Each reading stands in the activity log.
#[utoipa::path(get, path = "/servers/{id}/credentials", tag = "servers", security(("key" = ["servers:read"])), params(("id" = String, Path)), responses(
    (status = 200, body = CredentialsView),
    (status = 401, body = Failure),
    (status = 403, body = Failure),
    (status = 404, body = Failure),
    (status = 409, body = Failure, description = "it never ran"),
    (status = 429, body = Failure),
))]
pub(crate) async fn credentials(State(api): State<Api>, caller: For<ServersRead>, Path(id): Path<String>) -> Result<Json<CredentialsView>, Failure> {
    let id = caller.server_id(&api.store, &id).await?;
    let (at, password) = servers::credentials(&api.store, &caller.actor, id.as_str()).await?;
    let password = password.map(|p| p.expose_secret().to_owned());
    Ok(Json(CredentialsView { username: at.username, password, ip: at.host, port: at.port }))
}
