//! The edge: every failure is written in the words of the surface that was asked, also one that no handler of ours made.

use std::panic::AssertUnwindSafe;

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;

use crate::{failure::Failure, surface::Surface};

/// What is read of a text that a library answered.
const MOST: usize = 4096;

/// Writes failures, those of a handler that panicked too.
pub(crate) async fn speak(request: Request, next: Next) -> Response {
    let surface = Surface::of(request.uri().path());
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_| Failure::inside(&"a handler panicked").into_response());
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let failure = match response.extensions_mut().remove::<Failure>() {
        Some(failure) => failure,
        None if surface.is_some() && is_text(response.headers()) => Failure::new(status, text(&mut response).await),
        None => return response,
    };
    let mut written = (surface.unwrap_or(Surface::fallback()).write)(&failure);
    *written.status_mut() = status;
    for (name, value) in response.headers() {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            written.headers_mut().insert(name, value.clone());
        }
    }
    written
}

/// Whether a library wrote it.
fn is_text(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"))
}

async fn text(response: &mut Response) -> String {
    let body = std::mem::replace(response.body_mut(), Body::empty());
    let bytes = to_bytes(body, MOST).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    if text.is_empty() { StatusCode::canonical_reason(&response.status()).unwrap_or("failed").to_lowercase() } else { text }
}

/// A JSON answer with this status and type.
pub(crate) fn json(status: StatusCode, kind: &'static str, body: &impl serde::Serialize) -> Response {
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
