//! Requests that take effect once: `Idempotency-Key`, and the answer that is given again.

use axum::{
    extract::{FromRequest, OriginalUri, Request},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
pub(crate) use leasehold_commands::once::Begun;
use leasehold_commands::once::{self, Once, Open};
use leasehold_domain::hex;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::{
    Api,
    access::{Caller, Operator},
    failure::Failure,
    request::{bytes, parse},
};

/// A request that creates or spends: its body, and under which key it takes effect once.
pub(crate) struct Posted<T> {
    pub(crate) body: T,
    once: Option<Once>,
}

/// The header that carries the key.
pub(crate) const KEY: &str = "idempotency-key";

impl<T: DeserializeOwned> FromRequest<Api> for Posted<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Failure> {
        let key = match request.headers().get(KEY) {
            Some(value) => Some(value.to_str().map_err(|_| Failure::bad("the Idempotency-Key is not visible ASCII"))?.to_owned()),
            None => None,
        };
        let path = request.extensions().get::<OriginalUri>().map_or_else(|| request.uri().path(), |uri| uri.path());
        let route = format!("{} {path}", request.method());
        let bytes = bytes(request, api).await?;
        let once = key.map(|key| Once::new(&key, format!("{route} {}", hex(&Sha256::digest(&bytes))))).transpose()?;
        Ok(Self { body: parse(&bytes)?, once })
    }
}

/// Begins to carry out a caller's request, unless that was done before.
pub(crate) async fn begin<T>(api: &Api, caller: &Caller, posted: &Posted<T>) -> Result<Begun, Failure> {
    Ok(once::begin(&api.store, caller.account.as_str(), posted.once.clone()).await?)
}

/// Begins to carry out an operator's request, unless that was done before.
pub(crate) async fn begin_for_host<T>(api: &Api, operator: &Operator, posted: &Posted<T>) -> Result<Begun<()>, Failure> {
    Ok(once::begin_for_host(&api.store, &operator.key, posted.once.clone()).await?)
}

/// Begins what has no key, under the account's lock.
pub(crate) async fn open(api: &Api, caller: &Caller) -> Result<Box<Open>, Failure> {
    match once::begin(&api.store, caller.account.as_str(), None).await? {
        once::Begun::Now(open) => Ok(open),
        once::Begun::Before(_) => Err(Failure::bad("the request was carried out before")),
    }
}

/// Makes it so and answers; whoever sends the same again is given the same again.
pub(crate) async fn answer<A>(open: Box<Open<A>>, status: StatusCode, body: &impl Serialize) -> Result<Response, Failure> {
    let text = serde_json::to_string(body).map_err(|e| Failure::inside(&e))?;
    open.end(&text).await?;
    Ok(json(status, text))
}

/// The answer of an earlier request.
pub(crate) fn again(status: StatusCode, text: String) -> Response {
    marked(json(status, text))
}

/// Says that the request was carried out earlier.
pub(crate) fn marked(mut response: Response) -> Response {
    response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    response
}

fn json(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}
