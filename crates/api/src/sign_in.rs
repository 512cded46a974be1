//! Where a link of single sign-on leads.

use axum::{
    extract::{Path, Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use leasehold_commands::sign_in;

use crate::{Api, cloud::error::Failure as CloudFailure, failure::Failure, limit::client};

/// Uses a one-time password up, and says who is signed in.
#[utoipa::path(get, path = "/sso/otp/{otp}", tag = "cloud66", params(("otp" = String, Path)), responses(
    (status = 200, description = "who is signed in", body = String, content_type = "text/plain"),
    (status = 404, description = "it was used, or is over", body = CloudFailure),
))]
pub(crate) async fn follow_otp(api: State<Api>, otp: Path<String>, request: Request) -> Result<Response, Failure> {
    follow(api, otp, request).await
}

/// Uses a link up, and says who is signed in.
#[utoipa::path(get, path = "/sso/{token}", tag = "account", params(("token" = String, Path)), responses(
    (status = 200, description = "who is signed in", body = String, content_type = "text/plain"),
    (status = 404, description = "the link was used, or is over", body = CloudFailure),
))]
pub(crate) async fn follow(State(api): State<Api>, Path(token): Path<String>, request: Request) -> Result<Response, Failure> {
    let who = sign_in::follow(&api.store, &client(&api, &request), &token).await?;
    let page = format!("Signed in as {} for account {}.\nNext: {}{}\n", who.email, who.number, api.settings.public_url, who.next);
    // The address holds a secret that was good once; nobody else has to see it.
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::REFERRER_POLICY, "no-referrer"), (header::CACHE_CONTROL, "no-store")], page)
        .into_response())
}
