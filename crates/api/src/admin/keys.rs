//! Keys that other systems of the host are shown, and signatures.

use axum::{Json, extract::State};
use base64::{Engine, engine::general_purpose::STANDARD};
use leasehold_commands::signatures::{signs_aws, signs_e24};
use leasehold_domain::Timestamp;
use leasehold_store::{
    Tx,
    keys::{ApiKey, KeyKind},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Api, access::Operator, e24cloud::signed::is_now, failure::Failure, request::Body};

/// What somebody presented: a key, or a signature.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Presented {
    /// All of it.
    #[schema(value_type = Option<String>)]
    key: Option<SecretString>,
    /// A signature, where that is what was presented.
    signed: Option<Signed>,
    /// What it is wanted for.
    #[schema(example = "storage:write")]
    scope: Option<String>,
}

/// A request that somebody signed.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "scheme", rename_all = "lowercase", deny_unknown_fields)]
enum Signed {
    /// AWS signature version 4, of an S3 gateway. Whether the request is the one of the string, and recent, is the gateway's to see.
    #[serde(rename_all = "camelCase")]
    Aws4 { access_key: String, string_to_sign: String, signature: String },
    /// As e24cloud's clients sign, with a date of the last 15 minutes.
    #[serde(rename_all = "camelCase")]
    E24 {
        access_key: String,
        #[schema(example = "GET")]
        method: String,
        host: String,
        /// As it stands in `X-Date`.
        date: String,
        /// The path, with its query.
        target: String,
        /// Base64.
        body: String,
        signature: String,
    },
}

/// Whether it opens anything.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verified {
    /// It is known, neither revoked nor expired, and has the scope that was asked for.
    valid: bool,
    account_id: Option<String>,
    /// `api`, `pat`, `service`, `e24`, `s3` or `operator`.
    #[schema(value_type = Option<String>, example = "service")]
    kind: Option<KeyKind>,
    scopes: Vec<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// Says whether a key or a signature is valid, whose it is, and what it may do.
#[utoipa::path(post, path = "/keys/verify", tag = "operator", security(("operator" = [])), request_body = Presented, responses((status = 200, body = Verified)))]
pub(crate) async fn verify(State(api): State<Api>, _: Operator, Body(p): Body<Presented>) -> Result<Json<Verified>, Failure> {
    let mut tx = api.store.read().await?;
    let found = match (&p.key, &p.signed) {
        (Some(key), None) => tx.key_presented(key.expose_secret()).await?,
        (None, Some(signed)) => signer(&mut tx, signed).await?,
        _ => return Err(Failure::bad("either 'key' or 'signed' is needed")),
    };
    let Some(key) = found else { return Ok(Json(Verified::default())) };
    let valid = p.scope.is_none_or(|wanted| key.may(&wanted));
    let scopes = key.scopes.split(',').filter(|scope| key.role_may(scope)).map(str::to_owned).collect();
    Ok(Json(Verified { valid, account_id: key.account_id, kind: Some(key.kind), scopes, expires_at: key.expires_at.map(|at| at.0) }))
}

/// The pair that signed, if one did.
async fn signer(tx: &mut Tx, signed: &Signed) -> Result<Option<ApiKey>, Failure> {
    Ok(match signed {
        Signed::Aws4 { access_key, string_to_sign, signature } => {
            let pair = tx.pair(KeyKind::S3, access_key).await?;
            pair.filter(|(_, secret)| signs_aws(secret.expose_secret(), string_to_sign, signature)).map(|(key, _)| key)
        }
        Signed::E24 { access_key, method, host, date, target, body, signature } => {
            let body = STANDARD.decode(body).map_err(|_| Failure::bad("'signed.body' is no base64"))?;
            let (pair, now) = (tx.pair(KeyKind::E24, access_key).await?, tx.now);
            let signs = |secret: &SecretString| is_now(date, now) && signs_e24(secret.expose_secret(), [method, host, date, target], &body, signature);
            pair.filter(|(_, secret)| signs(secret)).map(|(key, _)| key)
        }
    })
}
