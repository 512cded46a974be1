//! Keys that other systems of the host are shown.

use axum::{Json, extract::State};
use leasehold_domain::Timestamp;
use leasehold_store::keys::KeyKind;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Api, access::Operator, failure::Failure, request::Body};

/// A key that somebody presented.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Presented {
    /// All of it.
    #[schema(value_type = String)]
    key: SecretString,
    /// What it is wanted for.
    #[schema(example = "storage:write")]
    scope: Option<String>,
}

/// Whether it opens anything.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verified {
    /// It is known, neither revoked nor expired, and has the scope that was asked for.
    valid: bool,
    account_id: Option<String>,
    /// `api`, `pat`, `service`, `e24` or `operator`.
    #[schema(value_type = Option<String>, example = "service")]
    kind: Option<KeyKind>,
    scopes: Vec<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// Says whether a key is valid, whose it is, and what it may do.
#[utoipa::path(post, path = "/keys/verify", tag = "operator", security(("operator" = [])), request_body = Presented, responses((status = 200, body = Verified)))]
pub(crate) async fn verify(State(api): State<Api>, _: Operator, Body(p): Body<Presented>) -> Result<Json<Verified>, Failure> {
    let found = api.store.read().await?.key_presented(p.key.expose_secret()).await?;
    let Some(key) = found else { return Ok(Json(Verified { valid: false, account_id: None, kind: None, scopes: vec![], expires_at: None })) };
    let valid = p.scope.is_none_or(|wanted| key.may(&wanted));
    let scopes = key.scopes.split(',').map(str::to_owned).collect();
    Ok(Json(Verified { valid, account_id: key.account_id, kind: Some(key.kind), scopes, expires_at: key.expires_at.map(|at| at.0) }))
}
