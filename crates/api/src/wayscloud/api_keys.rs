//! Keys for programs: of one service each, and personal ones.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use leasehold_commands::keys::{self, Wanted};
use leasehold_domain::Timestamp;
use leasehold_store::{
    Tx,
    keys::{ApiKey, KeyKind, Service},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Deleted, error::WaysFailure};
use crate::{
    Api,
    access::{ApiKeysRead, ApiKeysWrite, Caller, For},
    failure::Failure,
    names,
    once::{Begun, Posted, begin, marked},
};

/// A key, never its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiKeyView {
    id: String,
    #[schema(example = "lsh_0k3Xq9mPq2aB")]
    key_prefix: String,
    /// `service` or `pat`.
    #[schema(example = "service")]
    key_type: &'static str,
    #[schema(schema_with = names::service_if_any)]
    service: Option<Service>,
    description: Option<String>,
    #[schema(example = json!(["database:read", "database:write"]))]
    scopes: Vec<String>,
    /// Neither revoked nor expired.
    is_active: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// To the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

const fn key_type(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Service => "service",
        _ => "pat",
    }
}

fn view(k: ApiKey, now: Timestamp) -> ApiKeyView {
    ApiKeyView {
        key_prefix: k.shown(),
        key_type: key_type(k.kind),
        scopes: k.scopes.split(',').map(str::to_owned).collect(),
        is_active: k.is_active(now),
        id: k.id,
        service: k.service.map(|service| service.0),
        description: k.description,
        created_at: k.created_at,
        last_used_at: k.last_used_at.map(|at| at.0),
        expires_at: k.expires_at.map(|at| at.0),
    }
}

/// A key of one service to be.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewServiceKey {
    #[schema(schema_with = names::service)]
    service: Service,
    #[schema(max_length = 200, example = "CI/CD pipeline database access")]
    description: Option<String>,
}

/// A personal token to be.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewToken {
    /// None that the key which asks lacks.
    #[schema(min_items = 1, example = json!(["ssh_keys:read", "services:read"]))]
    scopes: Vec<String>,
    #[schema(max_length = 200, example = "Terraform automation token")]
    description: Option<String>,
    /// It ends no later than the key which asks.
    #[schema(minimum = 1, maximum = 3650, example = 90)]
    expires_in_days: Option<u32>,
}

/// A new key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewKeyView {
    id: String,
    /// All of it, once: null where the same request was carried out before.
    key: Option<String>,
    key_prefix: String,
    key_type: &'static str,
    warning: &'static str,
}

const WARNING: &str = "Save this key now: it is shown once, and cannot be read again.";

/// The account's keys.
#[utoipa::path(get, path = "/api-keys", tag = "wayscloud", security(("key" = ["api_keys:read"]), ("x_api_key" = [])), responses(
    (status = 200, body = [ApiKeyView]),
))]
pub(crate) async fn list(State(api): State<Api>, caller: For<ApiKeysRead>) -> Result<Json<Vec<ApiKeyView>>, Failure> {
    let mut tx = api.store.read().await?;
    let (all, now) = (tx.keys(Some(&caller.account)).await?, tx.now);
    Ok(Json(all.into_iter().filter(|k| !k.kind.signs()).map(|k| view(k, now)).collect()))
}

/// Makes a key of one service. One of `vps` works on the Cloud API, but ends no server; the others are for the host's other systems.
#[utoipa::path(post, path = "/api-keys/service", tag = "wayscloud", security(("key" = ["api_keys:write"]), ("x_api_key" = [])), params(("Idempotency-Key" = Option<String>, Header)), request_body = NewServiceKey, responses(
    (status = 201, body = NewKeyView),
    (status = 403, body = WaysFailure, description = "the key lacks the scope, or one that the new key would have"),
))]
pub(crate) async fn create_service(State(api): State<Api>, caller: For<ApiKeysWrite>, posted: Posted<NewServiceKey>) -> Result<Response, Failure> {
    create(&api, &caller, &posted, |new| Wanted {
        kind: KeyKind::Service,
        scopes: new.service.scopes(),
        service: Some(new.service),
        description: new.description.as_deref(),
        lasts: None,
        member: None,
    })
    .await
}

/// Makes a personal token.
#[utoipa::path(post, path = "/api-keys/pat", tag = "wayscloud", security(("key" = ["api_keys:write"]), ("x_api_key" = [])), params(("Idempotency-Key" = Option<String>, Header)), request_body = NewToken, responses(
    (status = 201, body = NewKeyView),
    (status = 403, body = WaysFailure, description = "the key lacks the scope, or one that the new token would have"),
))]
pub(crate) async fn create_token(State(api): State<Api>, caller: For<ApiKeysWrite>, posted: Posted<NewToken>) -> Result<Response, Failure> {
    create(&api, &caller, &posted, |new| Wanted {
        kind: KeyKind::Pat,
        scopes: new.scopes.join(","),
        service: None,
        description: new.description.as_deref(),
        lasts: new.expires_in_days.map(|days| Duration::from_hours(24) * days),
        member: None,
    })
    .await
}

async fn create<'a, T>(api: &Api, caller: &Caller, posted: &'a Posted<T>, wanted: impl FnOnce(&'a T) -> Wanted<'a>) -> Result<Response, Failure> {
    match begin(api, caller, posted).await? {
        // What is kept is the id: nobody can say the secret again.
        Begun::Before(id) => Ok(marked(created(&mut api.store.read().await?, caller, &id, None).await?)),
        Begun::Now(mut open) => {
            let (key, secret) = keys::mint(&mut open.tx, &caller.actor, caller.key(), &api.settings.key_prefix, &wanted(&posted.body)).await?;
            let response = created(&mut open.tx, caller, &key.id, Some(&secret)).await?;
            open.end(&key.id).await?;
            Ok(response)
        }
    }
}

async fn created(tx: &mut Tx, caller: &Caller, id: &str, secret: Option<&SecretString>) -> Result<Response, Failure> {
    let key = tx.key_of(&caller.account, id).await?;
    let (key_prefix, key_type, secret) = (key.shown(), key_type(key.kind), secret.map(|secret| secret.expose_secret().to_owned()));
    Ok((StatusCode::CREATED, Json(NewKeyView { id: key.id, key: secret, key_prefix, key_type, warning: WARNING })).into_response())
}

/// Ends a key at once and for ever.
#[utoipa::path(delete, path = "/api-keys/{api_key}", tag = "wayscloud", security(("key" = ["api_keys:write"]), ("x_api_key" = [])), params(("api_key" = String, Path)), responses(
    (status = 200, body = Deleted),
))]
pub(crate) async fn revoke(State(api): State<Api>, caller: For<ApiKeysWrite>, Path(id): Path<String>) -> Result<Json<Deleted>, Failure> {
    keys::revoke_of(&api.store, &caller.actor, &caller.account, &id).await?;
    Ok(Deleted::because("the key is revoked, from this moment on"))
}
