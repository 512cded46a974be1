//! On, off, and off and on again. The answer comes before a worker has done it.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use leasehold_commands::servers;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Failure as CloudFailure;
use crate::{
    Api,
    access::{For, ServersWrite},
    failure::Failure,
};

/// What the server is doing now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PowerView {
    #[schema(example = "starting")]
    status: &'static str,
}

type Accepted = (StatusCode, Json<PowerView>);

const fn accepted(status: &'static str) -> Accepted {
    (StatusCode::ACCEPTED, Json(PowerView { status }))
}

/// Switches a server on.
#[utoipa::path(post, path = "/servers/{id}/power/start", tag = "servers", security(("key" = ["servers:write"])), params(("id" = String, Path)), responses(
    (status = 202, body = PowerView),
    (status = 409, body = CloudFailure, description = "suspended, being built, failed, or on already"),
))]
pub(crate) async fn start(State(api): State<Api>, caller: For<ServersWrite>, Path(id): Path<String>) -> Result<Accepted, Failure> {
    servers::start(&api.store, &caller.actor, caller.server_id(&api.store, &id).await?.as_str()).await?;
    Ok(accepted("starting"))
}

/// Switches a server off; its guest is asked to shut down first.
#[utoipa::path(post, path = "/servers/{id}/power/stop", tag = "servers", security(("key" = ["servers:write"])), params(("id" = String, Path)), responses(
    (status = 202, body = PowerView),
    (status = 409, body = CloudFailure, description = "suspended, being built, failed, or off already"),
))]
pub(crate) async fn stop(State(api): State<Api>, caller: For<ServersWrite>, Path(id): Path<String>) -> Result<Accepted, Failure> {
    servers::stop(&api.store, &caller.actor, caller.server_id(&api.store, &id).await?.as_str()).await?;
    Ok(accepted("stopping"))
}

/// Switches a server off and on again.
#[utoipa::path(post, path = "/servers/{id}/power/reboot", tag = "servers", security(("key" = ["servers:write"])), params(("id" = String, Path)), responses(
    (status = 202, body = PowerView),
    (status = 409, body = CloudFailure, description = "not running"),
))]
pub(crate) async fn reboot(State(api): State<Api>, caller: For<ServersWrite>, Path(id): Path<String>) -> Result<Accepted, Failure> {
    servers::reboot(&api.store, &caller.actor, caller.server_id(&api.store, &id).await?.as_str()).await?;
    Ok(accepted("rebooting"))
}
