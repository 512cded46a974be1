//! The errors of e24cloud's account API: `{"success": false, "error": {"code", "message"}}`.

use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{dialect::json, failure};

/// Why a request was not carried out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "success": false, "error": { "code": "not_found", "message": "no key 'x'" } }))]
pub(crate) struct E24Failure<'a> {
    /// Always false.
    success: bool,
    error: Why<'a>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = E24Why)]
struct Why<'a> {
    /// A word for the status.
    code: &'static str,
    /// What, which, why, and what to do.
    message: &'a str,
}

/// Writes a failure.
pub(crate) fn write(f: &failure::Failure) -> Response {
    json(f.status, "application/json", &E24Failure { success: false, error: Why { code: f.code(), message: &f.message } })
}
