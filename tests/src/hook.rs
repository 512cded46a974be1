//! A receiver of webhooks: a real HTTP server on a port of the loopback.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use tokio::{net::TcpListener, task::JoinHandle};

/// What a receiver was told.
#[derive(Clone, Debug)]
pub struct Told {
    /// `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    pub headers: [String; 3],
    /// The body as it came.
    pub body: String,
}

struct Shared {
    told: Mutex<Vec<Told>>,
    answers: Mutex<u16>,
}

/// A receiver of webhooks.
pub struct Receiver {
    /// Where it is.
    pub url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> StatusCode {
    let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| headers[name].to_str().unwrap().to_owned());
    shared.told.lock().unwrap().push(Told { headers, body });
    StatusCode::from_u16(*shared.answers.lock().unwrap()).unwrap()
}

impl Receiver {
    /// One that answers with this status.
    pub async fn start(status: u16) -> Self {
        let shared = Arc::new(Shared { told: Mutex::default(), answers: Mutex::new(status) });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(take)).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, task }
    }

    /// What it was told so far.
    pub fn told(&self) -> Vec<Told> {
        self.shared.told.lock().unwrap().clone()
    }

    /// Answers with another status from now on.
    pub fn answer(&self, status: u16) {
        *self.shared.answers.lock().unwrap() = status;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}
