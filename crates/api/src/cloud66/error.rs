//! The errors of Cloud 66's accounts API: `{"error", "error_description"}`.

use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{dialect::json, failure};

/// Why a request was not carried out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "error": "not_found", "error_description": "no account '7'" }))]
pub(crate) struct Cloud66Failure<'a> {
    /// A word for the status.
    error: &'static str,
    /// What, which, why, and what to do.
    error_description: &'a str,
}

/// Writes a failure.
pub(crate) fn write(f: &failure::Failure) -> Response {
    json(f.status, "application/json", &Cloud66Failure { error: f.code(), error_description: &f.message })
}
