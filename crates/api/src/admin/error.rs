//! The errors of the operator API: `application/problem+json` (RFC 9457).

use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{dialect::json, failure::Failure};

/// Why a request was not carried out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "type": "about:blank", "title": "Not Found", "status": 404, "detail": "no account '7'" }))]
pub(crate) struct Problem<'a> {
    /// Always `about:blank`: the status says it all.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    status: u16,
    /// What, which, why, and what to do.
    detail: &'a str,
}

/// Writes a failure.
pub(crate) fn write(f: &Failure) -> Response {
    let title = f.status.canonical_reason().unwrap_or("Failed");
    json(f.status, "application/problem+json", &Problem { kind: "about:blank", title, status: f.status.as_u16(), detail: &f.message })
}
