//! The errors of the WAYSCloud account API: `{"error": {"code", "message", "details"}}`.

use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{dialect::json, failure};

/// Why a request was not carried out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "error": { "code": "not_found", "message": "no API key 'x'", "details": { "field": null, "provided": null, "expected": null } } }))]
pub(crate) struct WaysFailure<'a> {
    error: Why<'a>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Why<'a> {
    /// A word for the status.
    code: &'static str,
    /// What, which, why, and what to do.
    message: &'a str,
    details: Details<'a>,
}

/// What is wrong with a field of the body, where that is it.
#[derive(Debug, Serialize, ToSchema)]
struct Details<'a> {
    field: Option<&'a str>,
    /// Never said again: it may be a secret.
    provided: Option<&'a str>,
    expected: Option<&'a str>,
}

/// Writes a failure.
pub(crate) fn write(f: &failure::Failure) -> Response {
    let (field, expected) = f.field.as_ref().map(|(field, expected)| (field.as_str(), expected.as_str())).unzip();
    let details = Details { field, provided: None, expected };
    json(f.status, "application/json", &WaysFailure { error: Why { code: f.code(), message: &f.message, details } })
}
