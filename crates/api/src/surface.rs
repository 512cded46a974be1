//! The surfaces: where each begins, and in which words it says why a request was not carried out.

use axum::response::Response;

use crate::{admin, cloud, failure::Failure, wayscloud};

/// A way of speaking over HTTP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surface {
    /// For metrics.
    pub(crate) name: &'static str,
    /// What its paths begin with.
    begins: &'static str,
    /// Writes a failure.
    pub(crate) write: fn(&Failure) -> Response,
    /// What that is in the description of the routes.
    pub(crate) failure: &'static str,
    /// And its type.
    pub(crate) kind: &'static str,
    /// Whether a key may also come in the header `X-API-Key`.
    pub(crate) key_header: bool,
}

/// What has no surface is answered as the Cloud API does.
const CLOUD: Surface = Surface { name: "cloud", begins: "/api/", write: cloud::error::write, failure: "Failure", kind: "application/json", key_header: false };

const ALL: &[Surface] = &[
    CLOUD,
    Surface { name: "operator", begins: "/admin/", write: admin::error::write, failure: "Problem", kind: "application/problem+json", key_header: false },
    Surface { name: "wayscloud", begins: "/v1/account/", write: wayscloud::error::write, failure: "WaysFailure", kind: "application/json", key_header: true },
];

impl Surface {
    /// The one of a path; none of what all have in common.
    pub(crate) fn of(path: &str) -> Option<&'static Self> {
        ALL.iter().find(|surface| path.starts_with(surface.begins))
    }

    /// The one whose words are used where there is none.
    pub(crate) const fn fallback() -> &'static Self {
        &CLOUD
    }
}
