//! Where an account's programs are told what happens.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use leasehold_commands::webhooks::{self, NewWebhook as New};
use leasehold_domain::Timestamp;
use leasehold_store::{Tx, webhooks::Webhook};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::Failure as CloudFailure;
use crate::{
    Api,
    access::{Caller, For, WebhooksRead, WebhooksWrite},
    failure::Failure,
    names,
    once::{Begun, Posted, begin, marked},
};

/// Where an account is told what.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebhookView {
    id: String,
    #[schema(example = "https://example.org/hook")]
    url: String,
    #[schema(schema_with = names::event_kinds)]
    events: Vec<String>,
    /// What deliveries are signed with, as Standard Webhooks has it; shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Since when it has taken nothing.
    #[schema(value_type = Option<String>, format = DateTime)]
    failing_since: Option<Timestamp>,
    /// When it was given up: after a day in which it took nothing, or at once where it answered 410.
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<Timestamp>,
}

impl From<Webhook> for WebhookView {
    fn from(w: Webhook) -> Self {
        Self {
            events: w.events().map(str::to_owned).collect(),
            id: w.id,
            url: w.url,
            secret: None,
            created_at: w.created_at,
            failing_since: w.failing_since.map(|at| at.0),
            disabled_at: w.disabled_at.map(|at| at.0),
        }
    }
}

/// A webhook to be.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewWebhook {
    /// It begins with https:// and leads to a public address.
    #[schema(max_length = 2000, example = "https://example.org/hook")]
    url: String,
    /// What it is told.
    #[schema(schema_with = names::event_kinds)]
    events: Vec<String>,
}

/// The account's webhooks.
#[utoipa::path(get, path = "/webhooks", tag = "webhooks", security(("key" = ["webhooks:read"])), responses(
    (status = 200, body = [WebhookView]),
))]
pub(crate) async fn list(State(api): State<Api>, caller: For<WebhooksRead>) -> Result<Json<Vec<WebhookView>>, Failure> {
    let all = api.store.read().await?.webhooks(&caller.account).await?;
    Ok(Json(all.into_iter().map(WebhookView::from).collect()))
}

/// One webhook.
#[utoipa::path(get, path = "/webhooks/{webhook}", tag = "webhooks", security(("key" = ["webhooks:read"])), params(("webhook" = String, Path)), responses(
    (status = 200, body = WebhookView),
))]
pub(crate) async fn show(State(api): State<Api>, caller: For<WebhooksRead>, Path(id): Path<String>) -> Result<Json<WebhookView>, Failure> {
    Ok(Json(api.store.read().await?.webhook_of(&caller.account, &id).await?.into()))
}

/// Has an address told what happens: within seconds, signed, tried for a day, each at least once.
#[utoipa::path(post, path = "/webhooks", tag = "webhooks", security(("key" = ["webhooks:write"])), params(("Idempotency-Key" = Option<String>, Header)), request_body = NewWebhook, responses(
    (status = 201, body = WebhookView),
    (status = 409, body = CloudFailure, description = "the account has ten, or an equal request is being carried out"),
))]
pub(crate) async fn create(State(api): State<Api>, caller: For<WebhooksWrite>, posted: Posted<NewWebhook>) -> Result<Response, Failure> {
    // What is kept is the id: a secret is in one place only.
    match begin(&api, &caller, &posted).await? {
        Begun::Before(id) => Ok(marked(created(&mut api.store.read().await?, &caller, &id).await?)),
        Begun::Now(mut open) => {
            let new = New { url: &posted.body.url, events: &posted.body.events, plain: api.settings.private_webhooks };
            let (id, _) = webhooks::add(&mut open.tx, &caller.actor, &caller.account, &new).await?;
            let response = created(&mut open.tx, &caller, &id).await?;
            open.end(&id).await?;
            Ok(response)
        }
    }
}

async fn created(tx: &mut Tx, caller: &Caller, id: &str) -> Result<Response, Failure> {
    let webhook = tx.webhook_of(&caller.account, id).await?;
    let secret = tx.webhook_secret(&webhook.id).await?.expose_secret().to_owned();
    let view = WebhookView { secret: Some(secret), ..webhook.into() };
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

/// Forgets a webhook; what it was not told yet it is not told any more.
#[utoipa::path(delete, path = "/webhooks/{webhook}", tag = "webhooks", security(("key" = ["webhooks:write"])), params(("webhook" = String, Path)), responses(
    (status = 204, description = "it is forgotten"),
))]
pub(crate) async fn delete(State(api): State<Api>, caller: For<WebhooksWrite>, Path(id): Path<String>) -> Result<StatusCode, Failure> {
    webhooks::delete(&api.store, &caller.actor, &caller.account, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
