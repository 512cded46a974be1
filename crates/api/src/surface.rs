//! The surfaces: where each begins, and in which words it says why a request was not carried out.

use axum::response::Response;

use crate::{admin, cloud, cloud66, e24cloud, failure::Failure, wayscloud};

/// A way of speaking over HTTP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surface {
    /// For metrics.
    pub(crate) name: &'static str,
    /// What its paths begin with, one of these.
    begins: &'static [&'static str],
    /// Writes a failure.
    pub(crate) write: fn(&Failure) -> Response,
    /// What that is in the description of the routes.
    pub(crate) failure: &'static str,
    /// And its type.
    pub(crate) kind: &'static str,
    /// How keys are shown on it.
    pub(crate) auth: Auth,
}

/// How a request says whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// The same, or `X-API-Key: KEY`.
    KeyHeader,
    /// By a signature over all of it.
    Signed,
}

/// What has no surface is answered as the Cloud API does.
const CLOUD: Surface =
    Surface { name: "cloud", begins: &["/api/"], write: cloud::error::write, failure: "Failure", kind: "application/json", auth: Auth::Bearer };

const ALL: &[Surface] = &[
    // Before the Cloud API, whose paths begin with a part of its.
    Surface {
        name: "cloud66",
        begins: &["/api/3/", "/register/"],
        write: cloud66::error::write,
        failure: "Cloud66Failure",
        kind: "application/json",
        auth: Auth::Bearer,
    },
    CLOUD,
    Surface { name: "operator", begins: &["/admin/"], write: admin::error::write, failure: "Problem", kind: "application/problem+json", auth: Auth::Bearer },
    Surface {
        name: "wayscloud",
        begins: &["/v1/account/"],
        write: wayscloud::error::write,
        failure: "WaysFailure",
        kind: "application/json",
        auth: Auth::KeyHeader,
    },
    Surface { name: "e24cloud", begins: &["/v2/account"], write: e24cloud::error::write, failure: "E24Failure", kind: "application/json", auth: Auth::Signed },
];

impl Surface {
    /// The one of a path; none of what all have in common.
    pub(crate) fn of(path: &str) -> Option<&'static Self> {
        ALL.iter().find(|surface| surface.begins.iter().any(|begins| path.starts_with(begins)))
    }

    /// The one whose words are used where there is none.
    pub(crate) const fn fallback() -> &'static Self {
        &CLOUD
    }
}
