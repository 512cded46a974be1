//! What a server is using, and how its owner signs in.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use leasehold_commands::{servers, stats};
use leasehold_domain::usage::Live;
use secrecy::ExposeSecret;
use serde::{Serialize, de::IgnoredAny};
use utoipa::ToSchema;

use super::error::Failure as CloudFailure;
use crate::{
    Api,
    access::{For, ServersRead, ServersWrite},
    failure::Failure,
    once::{Begun, Posted, begin, marked},
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
#[serde(rename_all = "camelCase")]
pub(crate) struct CredentialsView {
    #[schema(example = "root")]
    username: String,
    /// None where the guest never answered, so that none could be set.
    password: Option<String>,
    ip: String,
    port: u16,
    /// Windows only: where a remote desktop connects to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "203.0.113.17:3389")]
    rdp_address: Option<String>,
}

/// What a server is using.
#[utoipa::path(get, path = "/servers/{id}/stats", tag = "servers", security(("key" = ["servers:read"])), params(("id" = String, Path)), responses(
    (status = 200, body = StatsView),
))]
pub(crate) async fn stats(State(api): State<Api>, caller: For<ServersRead>, Path(id): Path<String>) -> Result<Json<StatsView>, Failure> {
    let id = caller.server_id(&api.store, &id).await?;
    let s = stats::stats(&api.store, id.as_str()).await?;
    Ok(Json(StatsView { power_state: s.power_state, live: s.live }))
}

/// Who signs in, and with what.
#[derive(Serialize, ToSchema)]
pub(crate) struct PasswordView {
    #[schema(example = "root")]
    username: String,
    password: Option<String>,
}

/// Gives a server that runs a new password, through its guest agent and without a restart.
#[utoipa::path(post, path = "/servers/{id}/password-reset", tag = "servers", security(("key" = ["servers:write"])), params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)), responses(
    (status = 200, body = PasswordView),
    (status = 409, body = CloudFailure, description = "it is not running"),
    (status = 503, body = CloudFailure, description = "the guest has not answered in 10 s; it may still happen, the same Idempotency-Key tells"),
))]
pub(crate) async fn password_reset(
    State(api): State<Api>,
    caller: For<ServersWrite>,
    Path(id): Path<String>,
    posted: Posted<IgnoredAny>,
) -> Result<Response, Failure> {
    // What is kept is the number of the request, not its outcome: a password is in one place only.
    let (s, number, before) = match begin(&api, &caller, &posted).await? {
        Begun::Before(kept) => {
            let number = kept.parse().map_err(|_| Failure::bad("the Idempotency-Key was used for another request"))?;
            (caller.server(&mut api.store.read().await?, &id).await?, number, true)
        }
        Begun::Now(mut open) => {
            let id = caller.server(&mut open.tx, &id).await?.id;
            let s = open.tx.lock_server(&id).await?;
            let number = servers::ask_password(&mut open.tx, &caller.actor, &s).await?;
            open.end(&number.to_string()).await?;
            (s, number, false)
        }
    };
    servers::password_reset_outcome(&api.store, &s, number).await?;
    let (at, password) = servers::credentials(&api.store, &caller.actor, s.id.as_str()).await?;
    let view = PasswordView { username: at.username, password: password.map(|p| p.expose_secret().to_owned()) };
    let response = Json(view).into_response();
    Ok(if before { marked(response) } else { response })
}

/// How to sign in to a server. Each reading stands in the activity log.
#[utoipa::path(get, path = "/servers/{id}/credentials", tag = "servers", security(("key" = ["servers:read"])), params(("id" = String, Path)), responses(
    (status = 200, body = CredentialsView),
    (status = 409, body = CloudFailure, description = "it never ran"),
))]
pub(crate) async fn credentials(State(api): State<Api>, caller: For<ServersRead>, Path(id): Path<String>) -> Result<Json<CredentialsView>, Failure> {
    if !caller.key().runs_it() {
        return Err(Failure::new(StatusCode::FORBIDDEN, "only owners and admins of the account see what opens a server"));
    }
    let id = caller.server_id(&api.store, &id).await?;
    let (at, password) = servers::credentials(&api.store, &caller.actor, id.as_str()).await?;
    let password = password.map(|p| p.expose_secret().to_owned());
    let rdp_address = at.desktop.then(|| format!("{}:{}", at.host, at.port));
    Ok(Json(CredentialsView { username: at.username, password, ip: at.host, port: at.port, rdp_address }))
}
