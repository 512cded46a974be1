//! Where a link of single sign-on leads, and how one is made with a password.

use axum::{
    Json,
    extract::{Path, Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use leasehold_commands::{
    people::{self, Shown},
    sign_in,
};
use leasehold_store::activity::Actor;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    Api,
    cloud::{
        error::Failure as CloudFailure,
        sso::{LinkView, view},
    },
    failure::Failure,
    limit::client,
    request::{bytes, parse},
};

/// What somebody shows who signs in.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SigningIn {
    #[schema(example = "ada@example.org")]
    email: String,
    #[schema(value_type = String)]
    password: SecretString,
    /// Of the second factor, where one is on.
    #[schema(example = "492039")]
    code: Option<String>,
    /// Which of their accounts, by its number; the first where none is said.
    account: Option<i64>,
}

/// A link that signs a person in, by their password and, where one is on, a code of their second factor.
#[utoipa::path(post, path = "/public/sign-in", tag = "account", request_body = SigningIn, responses(
    (status = 200, body = LinkView),
    (status = 403, body = CloudFailure, description = "the address, the password or the code is wrong; or a code is needed, and none was sent"),
    (status = 404, body = CloudFailure, description = "the person has no such account"),
    (status = 429, body = CloudFailure, description = "too many requests, or wrong tries"),
))]
pub(crate) async fn with_password(State(api): State<Api>, request: Request) -> Result<Json<LinkView>, Failure> {
    let origin = client(&api, &request);
    let new: SigningIn = parse(&bytes(request, &api).await?)?;
    let shown = Shown { email: &new.email, password: &new.password, code: new.code.as_deref() };
    let person = people::prove(&api.store, &shown).await?;
    let accounts = api.store.read().await?.accounts_of(&person.id).await?;
    let account = accounts.into_iter().find(|a| new.account.is_none_or(|number| number == a.number));
    let account = account.ok_or_else(|| Failure::not_found("the person has no such account"))?;
    let actor = Actor { name: format!("user:{}", person.id), origin };
    let secret = sign_in::link(&api.store, &actor, &account.id, &person.id, "/dashboard").await?;
    Ok(view(&api, &secret))
}

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
