//! The errors of the Cloud API: `{"message", "statusCode"}`.

use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{dialect::json, failure};

/// Why a request was not carried out.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({ "message": "no server 'web'", "statusCode": 404 }))]
pub(crate) struct Failure<'a> {
    /// What, which, why, and what to do.
    message: &'a str,
    /// The status of the answer.
    status_code: u16,
}

/// Writes a failure.
pub(crate) fn write(f: &failure::Failure) -> Response {
    json(f.status, "application/json", &Failure { message: &f.message, status_code: f.status.as_u16() })
}
