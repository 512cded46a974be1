//! The HTTP APIs as a client sees them, without a socket.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request},
};
use leasehold_api::{Api, Settings};
use leasehold_commands::{
    keys::{self, Wanted},
    machines, ssh_keys,
};
use leasehold_domain::role::Role;
use leasehold_store::{args, keys::KeyKind, machines::Registration};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{App, signed::Signer};

/// What came back.
#[derive(Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; null where it is none or no JSON.
    pub body: Value,
    /// The same as it came.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {:?}", self.status, self.body, self.headers)
    }
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    /// A header, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The longest answer that a test reads.
const MOST: usize = 16 << 20;

/// Sends one request.
pub async fn send(api: &Api, method: &str, path: &str, key: &str, body: impl Into<Body>) -> Answer {
    send_with(api, method, path, key, &[], body).await
}

/// Sends one request with further headers.
pub async fn send_with(api: &Api, method: &str, path: &str, key: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !key.is_empty() {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let response = api.router().oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    if headers.get("content-type").is_some_and(|kind| kind == "text/event-stream") {
        // It would not end for a while.
        return Answer { status, headers, body: Value::Null, bytes: vec![] };
    }
    let bytes = to_bytes(response.into_body(), MOST).await.unwrap();
    Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null), bytes: bytes.into() }
}

/// Waits for an answer while the workers work.
pub async fn while_working<T>(app: &App, answer: impl Future<Output = T>) -> T {
    let work = async {
        loop {
            app.drain().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        answer = answer => answer,
        () = work => unreachable!("work never ends"),
    }
}

/// The body of an order of a small server called `web`.
pub async fn order_body(app: &App) -> String {
    let product = app.store.read().await.unwrap().offered_product("small").await.unwrap().id;
    json!({ "productId": product, "os": "debian-12", "osTemplate": "debian-12", "label": "web", "hostname": "web" }).to_string()
}

/// A key of this kind and no other particulars.
pub fn wanted(kind: KeyKind, scopes: &str) -> Wanted<'static> {
    Wanted { kind, scopes: scopes.to_owned(), service: None, description: None, lasts: None, member: None }
}

impl App {
    /// The id of an add-on of the catalogue, by its kind.
    pub async fn addon_id(&self, kind: &str) -> String {
        self.store.read().await.unwrap().addons().await.unwrap().into_iter().find(|a| a.kind.as_str() == kind).unwrap().id
    }

    /// An operator's token.
    pub async fn token(&self) -> String {
        let (_, text) = keys::create(&self.store, &Self::operator(), None, "lsh_", &wanted(KeyKind::Operator, "*")).await.unwrap();
        text.expose_secret().to_owned()
    }

    /// The id of an account's first webhook, if it has one.
    pub async fn first_webhook(&self, account: &str) -> String {
        let mut tx = self.store.read().await.unwrap();
        let account = tx.find_account(account).await.unwrap().id;
        tx.webhooks(&account).await.unwrap().first().map_or("none".to_owned(), |w| w.id.clone())
    }

    /// Takes all addresses of a pool away, as if servers had them.
    pub async fn use_up_addresses(&self, pool: &str) {
        let mut tx = self.store.begin().await.unwrap();
        let late = self.now() + Duration::from_hours(24 * 365);
        tx.exec("update addresses set free_at = $1 where pool_id = $2 and server_id is null", args![late, pool]).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// A pair of an account's owner that signs requests.
    pub async fn signer(&self, account: &str) -> Signer {
        self.signer_with(account, &wanted(KeyKind::E24, "account:read")).await
    }

    /// A pair of a member that signs requests.
    pub async fn signer_of(&self, account: &str, member: &str) -> Signer {
        self.signer_with(account, &Wanted { member: Some(member), ..wanted(KeyKind::E24, "account:read") }).await
    }

    async fn signer_with(&self, account: &str, wanted: &Wanted<'_>) -> Signer {
        let (key, secret) = keys::create(&self.store, &Self::operator(), Some(account), "", wanted).await.unwrap();
        Signer { key: key.public_id, secret: secret.expose_secret().to_owned() }
    }

    /// The ids of an account's keys.
    pub async fn key_ids(&self, account: &str) -> Vec<String> {
        let account = self.account_id(account).await;
        self.store.read().await.unwrap().keys(Some(&account)).await.unwrap().into_iter().map(|k| k.id).collect()
    }

    /// The id of an account's first SSH key.
    pub async fn ssh_key_id(&self, account: &str) -> String {
        let account = self.account_id(account).await;
        self.store.read().await.unwrap().ssh_keys(&account).await.unwrap().first().map_or("none".to_owned(), |k| k.id.clone())
    }

    /// Adds an SSH key.
    pub async fn add_ssh_key(&self, account: &str, name: &str, line: &str) {
        ssh_keys::add_to(&self.store, &Self::operator(), account, name, line).await.unwrap();
    }

    /// The HTTP APIs over this store, with a limit that nothing reaches.
    pub fn api(&self) -> Api {
        Api::new(self.store.clone(), Settings { per_minute: 1_000_000, private_webhooks: true, ..Settings::default() })
    }

    /// Lets somebody act for an account, without an invitation; their id.
    pub async fn member(&self, account: &str, email: &str, role: Role) -> String {
        let account = self.account_id(account).await;
        let mut tx = self.store.begin().await.unwrap();
        let user = tx.add_person(email, "Grace", "Hopper", None).await.unwrap();
        assert!(tx.add_member(&account, &user, role).await.unwrap());
        tx.commit().await.unwrap();
        user
    }

    /// Has a machine elsewhere tell of itself; its id.
    pub async fn machine(&self, account: &str, name: &str) -> String {
        let account = self.account_id(account).await;
        let token = self.store.read().await.unwrap().registration_token(&account).await.unwrap();
        let new = Registration { machine: name, name, vendor: "QEMU", addresses: "192.0.2.7" };
        machines::register(&self.store, "test", &token, &new).await.unwrap();
        let mut tx = self.store.read().await.unwrap();
        tx.machines(&account).await.unwrap().into_iter().find(|m| m.name == name).unwrap().id
    }

    /// A key of a member of an account.
    pub async fn key_of(&self, account: &str, member: &str, scopes: &str) -> String {
        let wanted = Wanted { member: Some(member), ..wanted(KeyKind::Api, scopes) };
        let (_, text) = keys::create(&self.store, &Self::operator(), Some(account), "lsh_", &wanted).await.unwrap();
        text.expose_secret().to_owned()
    }

    /// A key of an account.
    pub async fn key(&self, account: &str, scopes: &str) -> String {
        let (_, text) = keys::create(&self.store, &Self::operator(), Some(account), "lsh_", &wanted(KeyKind::Api, scopes)).await.unwrap();
        text.expose_secret().to_owned()
    }
}
