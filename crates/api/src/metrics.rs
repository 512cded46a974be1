//! What this process measures, for Prometheus on the same machine. It tells of all money that the host holds, so nobody who comes
//! through a proxy or over a network is shown it; a scraper elsewhere asks a listener of its own (`api.metrics_listen`).

use std::{fmt, net::IpAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};

use crate::{Api, failure::Failure};

/// The page of a process's metrics.
#[derive(Clone)]
pub struct Page(Arc<dyn Fn() -> String + Send + Sync>);

impl Page {
    /// Written anew for whoever asks.
    pub fn new(write: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Page")
    }
}

/// Whether somebody on this machine asks, and for nobody else.
fn is_from_here(request: &Request) -> bool {
    let peer: Option<IpAddr> = request.extensions().get::<ConnectInfo<std::net::SocketAddr>>().map(|peer| peer.0.ip());
    let passed_on = ["x-forwarded-for", "forwarded", "via"].iter().any(|name| request.headers().contains_key(*name));
    peer.is_some_and(|ip| ip.to_canonical().is_loopback()) && !passed_on
}

/// What this process measures, in the text format of Prometheus; for programs on this machine only.
#[utoipa::path(get, path = "/metrics", tag = "health", responses(
    (status = 200, description = "the text format of Prometheus", body = String, content_type = "text/plain"),
    (status = 404, description = "asked from elsewhere, or served elsewhere", body = crate::cloud::error::Failure),
))]
pub(crate) async fn show(State(api): State<Api>, request: Request) -> Result<Response, Failure> {
    let page = api.settings.metrics.as_ref().filter(|_| is_from_here(&request)).ok_or_else(|| Failure::not_found("no such path"))?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (page.0)()).into_response())
}
