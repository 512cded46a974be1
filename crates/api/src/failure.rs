//! Why a request was not carried out, before any dialect has words for it. What went wrong inside is in the log under the request's
//! number, and nowhere else.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use leasehold_commands::CommandError;
use leasehold_store::StoreError;

/// Why a request was not carried out. It goes with the response to the edge, where the surface's dialect writes it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    /// What, which, why, and what to do.
    pub(crate) message: String,
    /// The field of the body that is wrong, and what is wrong with it, where that is it.
    pub(crate) field: Option<(String, String)>,
    retry_after: Option<u64>,
}

/// After how many seconds a request is worth another try that something temporary was in the way of.
const SOON: u64 = 5;

impl Failure {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), field: None, retry_after: None }
    }

    /// 400: the request is wrong.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// A word for the status.
    pub(crate) const fn code(&self) -> &'static str {
        match self.status {
            StatusCode::BAD_REQUEST => "invalid_request",
            StatusCode::UNAUTHORIZED => "unauthorized",
            StatusCode::FORBIDDEN => "forbidden",
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            StatusCode::REQUEST_TIMEOUT => "timeout",
            StatusCode::CONFLICT => "conflict",
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            StatusCode::UNPROCESSABLE_ENTITY => "other_request",
            StatusCode::TOO_MANY_REQUESTS => "rate_limited",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            _ => "internal_error",
        }
    }

    /// The field that is wrong, and what is wrong with it.
    pub(crate) fn about(self, field: String, why: String) -> Self {
        Self { field: Some((field, why)), ..self }
    }

    /// 401: no key, or one that is not valid (any more).
    pub(crate) fn unknown_key() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "a valid API key is needed: Authorization: Bearer KEY")
    }

    /// 403: the key lacks a scope.
    pub(crate) fn lacks(scope: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, format!("the key lacks the scope '{scope}'"))
    }

    /// 403: the key has the scope, but its person's role in the account has no use for it.
    pub(crate) fn role_lacks(scope: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, format!("the role of the key's person does not allow '{scope}'; an owner or admin of the account can change it"))
    }

    /// 404: as if it were not there.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 413: the body is too long.
    pub(crate) fn too_large(most: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("a body has {most} bytes at most"))
    }

    /// 429: too many requests.
    pub(crate) fn too_many(wait: Duration) -> Self {
        let seconds = wait.as_secs() + 1;
        let message = format!("too many requests; try again in {seconds} s");
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, message) }
    }

    /// 503: it may work soon.
    pub(crate) fn later(message: impl Into<String>) -> Self {
        Self { retry_after: Some(SOON), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) }
    }

    /// 500: it is ours to mend; nobody else learns why.
    pub(crate) fn inside(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "something broke inside; the X-Request-Id of this answer tells the operator what")
    }

    /// As ever, but a thing that the body or the query names and that is not there is their fault.
    pub(crate) fn of_body(error: CommandError) -> Self {
        match error {
            CommandError::NotFound(text) => Self::bad(text),
            other => other.into(),
        }
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Funds { available, wanted } => {
                Self::new(StatusCode::PAYMENT_REQUIRED, format!("the wallet holds {available} to spend, {wanted} is needed; add funds and try again"))
            }
            CommandError::Forbidden(text) | CommandError::Frozen(text) => Self::new(StatusCode::FORBIDDEN, text),
            CommandError::TooMany { text, wait } => Self { message: text, ..Self::too_many(wait) },
            CommandError::OtherRequest(text) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, text),
            CommandError::Underway(text) => Self { retry_after: Some(1), ..Self::new(StatusCode::CONFLICT, text) },
            CommandError::Invalid(text) | CommandError::Exists(text) => Self::bad(text),
            CommandError::NotFound(text) => Self::not_found(text),
            CommandError::Refused(text) => Self::new(StatusCode::CONFLICT, text),
            CommandError::TryAgain(text) => {
                tracing::warn!(error = text, "a request could not be carried out now");
                Self::later("what this needs does not answer in time; try again")
            }
            CommandError::Store(error) => Self::inside(&error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        CommandError::from(error).into()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// No route has this path.
pub(crate) async fn no_such_route() -> Failure {
    Failure::not_found("no such path; all there are stand in /openapi.json")
}

/// The path has no such method.
pub(crate) async fn no_such_method() -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not know that method; all there are stand in /openapi.json")
}
