//! Pairs that sign: for this API, and for the host's S3 gateway.

use axum::{Json, extract::State};
use leasehold_commands::pairs;
use leasehold_store::keys::{ApiKey, KeyKind};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    SUCCESS, Success,
    account::{FilesView, PairView, S3View},
};
use crate::{
    Api,
    access::{E24, For},
    failure::Failure,
    once,
    request::Body,
};

/// A pair whose secret is new.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = E24NewPair)]
pub(crate) struct NewPair {
    success: bool,
    api: PairView,
}

/// A pair of the S3 gateway whose secret is new.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = E24NewFiles)]
pub(crate) struct NewFiles {
    success: bool,
    e24files: FilesView,
}

/// Which pair is meant.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = E24Named)]
pub(crate) struct Named {
    #[schema(example = "7QF3ZKWPM2XVN8RTBC4D")]
    api_key: String,
}

fn pair((key, secret): (ApiKey, SecretString)) -> PairView {
    PairView { api_key: key.public_id, secret_key: secret.expose_secret().to_owned() }
}

/// Makes a pair for this API; its secret is shown once.
#[utoipa::path(put, path = "/api", tag = "e24cloud", security(("signed" = ["e24"])), responses((status = 200, body = NewPair)))]
pub(crate) async fn create(State(api): State<Api>, caller: For<E24>) -> Result<Json<NewPair>, Failure> {
    let mut open = once::open(&api, &caller).await?;
    let made = pairs::create(&mut open.tx, &caller.actor, &caller.account, Some(caller.user()?)).await?;
    open.end("").await?;
    Ok(Json(NewPair { success: true, api: pair(made) }))
}

/// Gives a pair another secret, shown once; the one before signs nothing from now on.
#[utoipa::path(post, path = "/api-new-secret-key", tag = "e24cloud", security(("signed" = ["e24"])), request_body = Named, responses((status = 200, body = NewPair)))]
pub(crate) async fn renew(State(api): State<Api>, caller: For<E24>, Body(named): Body<Named>) -> Result<Json<NewPair>, Failure> {
    let mut open = once::open(&api, &caller).await?;
    let renewed = pairs::renew(&mut open.tx, &caller.actor, &caller.account, caller.user()?, KeyKind::E24, &named.api_key).await?;
    open.end("").await?;
    Ok(Json(NewPair { success: true, api: pair(renewed) }))
}

/// Gives the pair of the S3 gateway another secret, shown once; the one before signs nothing from now on.
#[utoipa::path(post, path = "/files-new-secret-key", tag = "e24cloud", security(("signed" = ["e24"])), request_body = Named, responses((status = 200, body = NewFiles)))]
pub(crate) async fn renew_files(State(api): State<Api>, caller: For<E24>, Body(named): Body<Named>) -> Result<Json<NewFiles>, Failure> {
    let mut open = once::open(&api, &caller).await?;
    let new = pair(pairs::renew(&mut open.tx, &caller.actor, &caller.account, caller.user()?, KeyKind::S3, &named.api_key).await?);
    open.end("").await?;
    Ok(Json(NewFiles { success: true, e24files: FilesView { s3: Some(S3View { api_id: new.api_key, secret_key: new.secret_key }) } }))
}

/// Ends a pair of this API at once.
#[utoipa::path(delete, path = "/api", tag = "e24cloud", security(("signed" = ["e24"])), request_body = Named, responses((status = 200, body = Success)))]
pub(crate) async fn delete(State(api): State<Api>, caller: For<E24>, Body(named): Body<Named>) -> Result<Json<Success>, Failure> {
    let mut open = once::open(&api, &caller).await?;
    pairs::delete(&mut open.tx, &caller.actor, &caller.account, &named.api_key).await?;
    open.end("").await?;
    Ok(SUCCESS)
}
