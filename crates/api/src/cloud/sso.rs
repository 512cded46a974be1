//! Links that sign a person in to the panel.

use axum::{
    Json,
    extract::{Path, State},
};
use leasehold_commands::sign_in;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Api,
    access::{Caller, For, ServersWrite},
    failure::Failure,
    request::Body,
};

/// Where a link leads.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct LinkWanted {
    /// A path of the panel that begins with one `/`.
    #[schema(max_length = 500, example = "/dashboard")]
    next: Option<String>,
}

/// A link that works once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LinkView {
    url: String,
    /// Seconds.
    #[schema(example = 300)]
    expires_in: u64,
}

/// As it is shown.
pub(crate) fn view(api: &Api, secret: &SecretString) -> Json<LinkView> {
    Json(LinkView { url: format!("{}/sso/{}", api.settings.public_url, secret.expose_secret()), expires_in: sign_in::LASTS.as_secs() })
}

async fn link(api: &Api, caller: &Caller, next: &str) -> Result<Json<LinkView>, Failure> {
    let secret = sign_in::link(&api.store, &caller.actor, &caller.account, caller.user()?, next).await?;
    Ok(view(api, &secret))
}

/// A link that signs the person whose key it is in to the panel, once and within five minutes.
#[utoipa::path(post, path = "/sso", tag = "account", security(("key" = ["servers:write"])), request_body = Option<LinkWanted>, responses(
    (status = 200, body = LinkView),
))]
pub(crate) async fn of_account(State(api): State<Api>, caller: For<ServersWrite>, Body(wanted): Body<Option<LinkWanted>>) -> Result<Json<LinkView>, Failure> {
    let next = wanted.unwrap_or_default().next.unwrap_or_else(|| "/dashboard".into());
    link(&api, &caller, &next).await
}

/// A link that signs the person whose key it is in to the panel, at this server.
#[utoipa::path(post, path = "/servers/{id}/sso", tag = "servers", security(("key" = ["servers:write"])), params(("id" = String, Path)), request_body = Option<LinkWanted>, responses(
    (status = 200, body = LinkView),
))]
pub(crate) async fn of_server(
    State(api): State<Api>,
    caller: For<ServersWrite>,
    Path(id): Path<String>,
    Body(wanted): Body<Option<LinkWanted>>,
) -> Result<Json<LinkView>, Failure> {
    let id = caller.server_id(&api.store, &id).await?;
    let next = wanted.unwrap_or_default().next.unwrap_or_else(|| format!("/dashboard/servers/{id}"));
    link(&api, &caller, &next).await
}
