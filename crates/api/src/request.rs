//! What is true of every request: it has a number, a body of bearable size, and its fields are named when they are wrong.

use std::time::{Duration, Instant};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request, State},
    http::{HeaderValue, StatusCode, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use leasehold_store::Page;
use serde::{Deserialize, de::DeserializeOwned};
use tracing::Instrument;
use utoipa::IntoParams;

use crate::{
    Api,
    failure::{self, Failure},
    surface::Surface,
};

/// A longer body is refused.
pub(crate) const MOST_BYTES: usize = 256 * 1024;

/// A path without what is secret in it.
fn loggable(path: &str) -> &str {
    ["/invitations/", "/register/", "/sso/"].into_iter().find(|begins| path.starts_with(begins)).unwrap_or(path)
}

/// Gives the request a number, which its log lines and its answer carry.
pub(crate) async fn number(State(api): State<Api>, request: Request, next: Next) -> Response {
    let id = api.store.dice().uuid(api.store.clock().now()).to_string();
    let span = tracing::info_span!("request", %id, method = %request.method(), path = loggable(request.uri().path()));
    let (surface, began) = (Surface::of(request.uri().path()).map_or("other", |surface| surface.name), Instant::now());
    let mut response = next.run(request).instrument(span).await;
    ::metrics::counter!("leasehold_http_requests_total", "surface" => surface, "status" => response.status().as_u16().to_string()).increment(1);
    ::metrics::histogram!("leasehold_http_request_duration_seconds", "surface" => surface).record(began.elapsed().as_secs_f64());
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// Refuses what holds a NUL, in the path or the query: nothing of ours does, and PostgreSQL keeps none.
pub(crate) async fn without_nul(request: Request, next: Next) -> Response {
    let holds = |text: Option<&str>| text.is_some_and(|text| text.contains("%00"));
    if holds(Some(request.uri().path())) {
        return failure::no_such_route().await.into_response();
    }
    if holds(request.uri().query()) {
        return Failure::bad("the query holds a NUL character").into_response();
    }
    next.run(request).await
}

/// Whether JSON text has a NUL in one of its strings, `\u0000`.
fn has_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|b| *b == b'\\') {
        rest = &rest[at + 1..];
        if rest.starts_with(b"u0000") {
            return true;
        }
        // What is escaped escapes nothing.
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

/// What is asked in the query.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        let Query(asked) = Query::<T>::from_request_parts(parts, api).await.map_err(|e| Failure::bad(e.body_text()))?;
        Ok(Self(asked))
    }
}

/// A body of plain text.
pub(crate) struct Text(pub(crate) String);

impl FromRequest<Api> for Text {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Failure> {
        let text = String::from_utf8(bytes(request, api).await?.into());
        text.map(Self).map_err(|_| Failure::bad("the body is not UTF-8"))
    }
}

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paged {
    /// From 1.
    #[param(minimum = 1, maximum = 1_000_000)]
    page: Option<u32>,
    /// Lines a page.
    #[param(minimum = 1, maximum = 100, default = 100)]
    limit: Option<u32>,
}

/// The last page that is looked for.
pub(crate) const PAGES: u32 = 1_000_000;

/// Whether a page can be meant.
pub(crate) fn check_page(page: Option<u32>) -> Result<(), Failure> {
    if page.is_some_and(|page| !(1..=PAGES).contains(&page)) {
        return Err(Failure::bad(format!("'page' is 1 to {PAGES}")));
    }
    Ok(())
}

/// Lines a page at most, and where nothing is said.
const MOST_LINES: u32 = 100;

impl Paged {
    pub(crate) fn page(self) -> Page {
        let limit = self.limit.unwrap_or(MOST_LINES);
        Page { limit: Some(i64::from(limit)), skip: i64::from(self.page.unwrap_or(1) - 1) * i64::from(limit) }
    }
}

impl FromRequestParts<Api> for Paged {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        let Asked(paged) = Asked::<Self>::from_request_parts(parts, api).await?;
        check_page(paged.page)?;
        if paged.limit.is_some_and(|limit| !(1..=MOST_LINES).contains(&limit)) {
            return Err(Failure::bad(format!("'limit' is 1 to {MOST_LINES}")));
        }
        Ok(paged)
    }
}

/// A JSON body. Unknown fields are ignored; a wrong one is named.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Api> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Failure> {
        let bytes = bytes(request, api).await?;
        parse(&bytes).map(Self)
    }
}

/// How long a body may take.
const BODY: Duration = Duration::from_secs(20);

/// The body as it was sent.
pub(crate) async fn bytes(request: Request, api: &Api) -> Result<Bytes, Failure> {
    let read = tokio::time::timeout(BODY, Bytes::from_request(request, api)).await;
    read.map_err(|_| Failure::new(StatusCode::REQUEST_TIMEOUT, format!("the body did not come within {} s", BODY.as_secs())))?
        .map_err(|e| if e.status() == StatusCode::PAYLOAD_TOO_LARGE { Failure::too_large(MOST_BYTES) } else { Failure::bad("the body could not be read") })
}

/// Reads JSON whole; nothing at all counts as `null`, so that a body may be left out where all of its fields may.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    if has_nul(bytes) {
        return Err(Failure::bad("the body holds a NUL character"));
    }
    let mut json = serde_json::Deserializer::from_slice(if bytes.is_empty() { b"null" } else { bytes });
    let body = serde_path_to_error::deserialize(&mut json).map_err(|e| {
        let path = e.path().to_string();
        let field = if path == "." { "the body".to_owned() } else { format!("'{path}'") };
        Failure::bad(format!("{field}: {}", e.inner())).about(path, e.inner().to_string())
    })?;
    json.end().map_err(|e| Failure::bad(format!("the body: {e}")))?;
    Ok(body)
}
