//! The HTTP APIs as a client sees them, without a socket.

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request},
};
use leasehold_api::Api;
use leasehold_commands::keys;
use leasehold_store::keys::KeyKind;
use secrecy::ExposeSecret;
use serde_json::Value;
use tower::ServiceExt;

use crate::App;

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; null where it is none or no JSON.
    pub body: Value,
}

impl Answer {
    /// A header, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The longest answer that a test reads.
const MOST: usize = 16 << 20;

/// Sends one request.
pub async fn send(api: &Api, method: &str, path: &str, key: &str, body: impl Into<Body>) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if !key.is_empty() {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let response = api.router().oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = to_bytes(response.into_body(), MOST).await.unwrap();
    Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
}

impl App {
    /// The HTTP APIs over this store, with a limit that nothing reaches.
    pub fn api(&self) -> Api {
        Api::new(self.store.clone(), 1_000_000)
    }

    /// A key of an account.
    pub async fn key(&self, account: &str, scopes: &str) -> String {
        let (_, text) = keys::create(&self.store, &Self::operator(), Some(account), KeyKind::Api, "lsh_", scopes, None).await.unwrap();
        text.expose_secret().to_owned()
    }
}
