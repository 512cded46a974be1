//! The HTTP APIs: thin dialects over the commands. Each request is given an id, a caller and its place under the rate limit before
//! a handler sees it; a handler takes the scope that it needs as the type of an argument.

pub mod access;
mod admin;
mod cloud;
mod cloud66;
mod dialect;
mod e24cloud;
mod failure;
mod health;
mod invitation;
mod limit;
pub mod metrics;
mod names;
mod once;
mod openapi;
mod reference;
mod request;
mod routes;
mod serve;
mod sign_in;
mod surface;
mod wayscloud;

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::Router;
use leasehold_store::Store;
use tokio_util::sync::CancellationToken;

pub use openapi::document;
pub use reference::{index, markdown};
pub use serve::serve;

/// How the APIs are served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Requests a minute of each key, and of each address without one.
    pub per_minute: i64,
    /// The host's name.
    pub host: String,
    /// What the APIs are called from outside, without a `/` at the end.
    pub public_url: String,
    /// Whether webhooks may be plain HTTP.
    pub private_webhooks: bool,
    /// Whether a backend accepts a node's settings.
    pub check_node: fn(&str, &str) -> leasehold_commands::Result<()>,
    /// What every key begins with.
    pub key_prefix: String,
    /// How long an address rests after a machine used it.
    pub ip_quarantine: Duration,
    /// What `/metrics` shows.
    pub metrics: Option<metrics::Page>,
    /// Whose `X-Forwarded-For` says where a request came from.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            per_minute: 100,
            host: "Leasehold".into(),
            public_url: "http://127.0.0.1:8066".into(),
            private_webhooks: false,
            check_node: |_, _| Ok(()),
            key_prefix: "lsh_".into(),
            ip_quarantine: Duration::from_hours(24),
            metrics: None,
            trusted_proxies: vec![],
        }
    }
}

/// What the handlers share. Cloning shares it.
#[derive(Clone)]
pub struct Api {
    store: Store,
    settings: Arc<Settings>,
    limiter: Arc<limit::Limiter>,
    listeners: cloud::events::Listeners,
    /// Fires when the process is told to stop: answers that would never end do.
    stopping: CancellationToken,
}

impl Api {
    /// Over a store.
    pub fn new(store: Store, settings: Settings) -> Self {
        let limiter = Arc::new(limit::Limiter::new(settings.per_minute));
        Self { store, settings: Arc::new(settings), limiter, listeners: cloud::events::Listeners::default(), stopping: CancellationToken::new() }
    }

    /// Everything that is served, with what every request passes through first.
    pub fn router(&self) -> Router {
        let routes = routes::all().split_for_parts().0;
        let passed = routes
            .fallback(failure::no_such_route)
            .method_not_allowed_fallback(failure::no_such_method)
            .layer(axum::middleware::from_fn_with_state(self.clone(), limit::count))
            .layer(axum::middleware::from_fn_with_state(self.clone(), access::find_out_who))
            // Around that, too: signed bodies are read there.
            .layer(axum::extract::DefaultBodyLimit::max(request::MOST_BYTES))
            .layer(axum::middleware::from_fn(request::without_nul))
            .layer(axum::middleware::from_fn(dialect::speak))
            .layer(axum::middleware::from_fn_with_state(self.clone(), request::number));
        passed.with_state(self.clone())
    }
}
