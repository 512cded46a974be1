//! One-time passwords that sign a person in.

use axum::{Json, extract::State};
use leasehold_commands::sign_in;
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    Api,
    access::{For, Users},
    failure::Failure,
    request::Body,
};

#[derive(Debug, Serialize, ToSchema)]
struct Otp {
    ok: bool,
    /// Good once, for 5 minutes, at `/sso/otp/{otp}`.
    otp: String,
}

/// A one-time password.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OtpView {
    response: Otp,
}

/// Makes a one-time password for the person whose key it is: `/sso/otp/{otp}` signs a browser in, once, within 5 minutes.
#[utoipa::path(post, path = "/accounts/otp", tag = "cloud66", security(("key" = ["users"])), request_body = Option<Object>, responses((status = 200, body = OtpView)))]
pub(crate) async fn create(State(api): State<Api>, caller: For<Users>, _: Body<Option<Map<String, Value>>>) -> Result<Json<OtpView>, Failure> {
    let secret = sign_in::link(&api.store, &caller.actor, &caller.account, caller.user()?, "/").await?;
    Ok(Json(OtpView { response: Otp { ok: true, otp: secret.expose_secret().to_owned() } }))
}
