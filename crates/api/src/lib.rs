//! The HTTP APIs: thin dialects over the commands. Each request is given an id, a caller and its place under the rate limit before
//! a handler sees it; a handler takes the scope that it needs as the type of an argument.

pub mod access;
mod cloud;
mod health;
mod limit;
mod once;
mod openapi;
mod request;
mod routes;

use std::{future::IntoFuture, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use leasehold_store::Store;
use tokio::net::TcpListener;

pub use openapi::document;

/// What the handlers share. Cloning shares it.
#[derive(Clone)]
pub struct Api {
    store: Store,
    limiter: Arc<limit::Limiter>,
}

impl Api {
    /// Over a store; `per_minute` requests of each key, and of each address without one.
    pub fn new(store: Store, per_minute: i64) -> Self {
        Self { limiter: Arc::new(limit::Limiter::new(per_minute)), store }
    }

    /// Everything that is served, with what every request passes through first.
    pub fn router(&self) -> Router {
        let routes = routes::all().split_for_parts().0;
        let passed = routes
            .fallback(cloud::error::no_such_route)
            .method_not_allowed_fallback(cloud::error::no_such_method)
            .layer(axum::extract::DefaultBodyLimit::max(request::MOST_BYTES))
            .layer(axum::middleware::from_fn_with_state(self.clone(), limit::count))
            .layer(axum::middleware::from_fn_with_state(self.clone(), access::find_out_who))
            .layer(axum::middleware::from_fn_with_state(self.clone(), request::number));
        passed.with_state(self.clone())
    }
}

/// Serves until `stop`; what is in flight then has `grace` to end.
pub async fn serve(api: &Api, listener: TcpListener, stop: impl Future<Output = ()> + Send + 'static, grace: Duration) -> io::Result<()> {
    let service = api.router().into_make_service_with_connect_info::<SocketAddr>();
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let told = async {
        stop.await;
        drop(stopping);
    };
    let late = async {
        drop(stopped.await);
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        served = axum::serve(listener, service).with_graceful_shutdown(told).into_future() => served,
        () = late => Ok(()),
    }
}
