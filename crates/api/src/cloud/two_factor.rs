//! The second factor of the person whose key it is.

use axum::{Json, extract::State, http::StatusCode};
use leasehold_commands::two_factor;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::Failure as CloudFailure;
use crate::{
    Api,
    access::{For, Users},
    failure::Failure,
    once,
    request::Body,
};

/// What an app on a phone is given.
#[derive(Serialize, ToSchema)]
pub(crate) struct Proposed {
    /// In base32, for typing; shown once.
    secret: String,
    /// The same for a QR code.
    #[schema(example = "otpauth://totp/…")]
    url: String,
}

/// A code of the app.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Code {
    #[schema(example = "492039")]
    code: String,
}

/// Proposes a second factor (codes of RFC 6238); it is asked for from its first code on.
#[utoipa::path(post, path = "/two-factor", tag = "members", security(("key" = ["users"])), responses(
    (status = 200, body = Proposed),
    (status = 409, body = CloudFailure, description = "one is on already"),
))]
pub(crate) async fn propose(State(api): State<Api>, caller: For<Users>) -> Result<Json<Proposed>, Failure> {
    let mut open = once::open(&api, &caller).await?;
    let new = two_factor::propose(&mut open.tx, &api.settings.host, caller.user()?).await?;
    open.end("").await?;
    Ok(Json(Proposed { secret: new.secret.expose_secret().to_owned(), url: new.url.expose_secret().to_owned() }))
}

/// Turns it on, with its first code.
#[utoipa::path(put, path = "/two-factor", tag = "members", security(("key" = ["users"])), request_body = Code, responses(
    (status = 204, description = "it is on"),
    (status = 409, body = CloudFailure, description = "none was proposed"),
))]
pub(crate) async fn confirm(State(api): State<Api>, caller: For<Users>, Body(shown): Body<Code>) -> Result<StatusCode, Failure> {
    let mut open = once::open(&api, &caller).await?;
    two_factor::confirm(&mut open.tx, &caller.actor, &caller.account, caller.user()?, &shown.code).await?;
    open.end("").await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Turns it off, with a code of it.
#[utoipa::path(delete, path = "/two-factor", tag = "members", security(("key" = ["users"])), request_body = Code, responses(
    (status = 204, description = "it is off"),
    (status = 404, body = CloudFailure, description = "none is on"),
))]
pub(crate) async fn end(State(api): State<Api>, caller: For<Users>, Body(shown): Body<Code>) -> Result<StatusCode, Failure> {
    let mut open = once::open(&api, &caller).await?;
    two_factor::end(&mut open.tx, &caller.actor, &caller.account, caller.user()?, Some(&shown.code)).await?;
    open.end("").await?;
    Ok(StatusCode::NO_CONTENT)
}
