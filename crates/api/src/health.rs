//! What a load balancer asks: whether the process is up, and whether it can work.

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use leasehold_store::Health;

use crate::Api;

/// The process is up.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "the process is up", body = String)))]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// The process can work: its database answers and its loops turn.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "it can work", body = String),
    (status = 503, description = "why it cannot", body = String),
))]
pub(crate) async fn readyz(State(api): State<Api>) -> impl IntoResponse {
    let why = match api.store.pulse().health() {
        Health::Well => api.store.check_schema().await.err().map(|e| e.to_string()),
        Health::Troubled(why) | Health::Stuck(why) => Some(why),
    };
    match why {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}
