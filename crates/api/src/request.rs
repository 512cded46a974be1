//! What is true of every request: it has a number, a body of bearable size, and its fields are named when they are wrong.

use axum::{
    extract::{FromRequest, Request, State},
    http::HeaderValue,
    middleware::Next,
    response::Response,
};
use serde::de::DeserializeOwned;
use tracing::Instrument;

use crate::{Api, cloud::error::Failure};

/// A longer body is refused.
pub(crate) const MOST_BYTES: usize = 256 * 1024;

/// Gives the request a number, which its log lines and its answer carry.
pub(crate) async fn number(State(api): State<Api>, request: Request, next: Next) -> Response {
    let id = api.store.dice().uuid(api.store.clock().now()).to_string();
    let span = tracing::info_span!("request", %id, method = %request.method(), path = request.uri().path());
    let mut response = next.run(request).instrument(span).await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// A JSON body. Unknown fields are ignored; a wrong one is named.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Api> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Failure> {
        let bytes = axum::body::Bytes::from_request(request, api).await.map_err(|e| {
            if e.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE { Failure::too_large(MOST_BYTES) } else { Failure::bad("the body could not be read") }
        })?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let body = serde_path_to_error::deserialize(&mut json).map_err(|e| {
            let path = e.path().to_string();
            let field = if path == "." { "the body".to_owned() } else { format!("'{path}'") };
            Failure::bad(format!("{field}: {}", e.inner()))
        })?;
        json.end().map_err(|e| Failure::bad(format!("the body: {e}")))?;
        Ok(Self(body))
    }
}
