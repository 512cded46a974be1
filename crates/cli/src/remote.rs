//! Commands against a daemon elsewhere: `leasehold --server URL server list` asks its Cloud API, as any other program of a customer
//! does. What only operators may do works beside the daemon's own database.

mod account;
mod invoice;
mod key;
mod member;
mod server;

use std::time::Duration;

use reqwest::{Client, Method, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::{Cli, Command, exit::Failure};

/// The longest wait for one answer; a new password takes the guest 10 s at most.
const ANSWER: Duration = Duration::from_secs(30);

/// A daemon elsewhere.
pub(crate) struct Remote {
    http: Client,
    url: String,
    key: SecretString,
    json: bool,
}

/// Runs a command against the daemon that the command line names.
pub(crate) async fn run(cli: &Cli, command: Command) -> Result<(), Failure> {
    let remote = Remote::new(cli)?;
    match command {
        Command::Account(command) => account::run(&remote, command).await,
        Command::Invoice(command) => invoice::run(&remote, command).await,
        Command::Key(command) => key::keys(&remote, command).await,
        Command::Machine(command) => member::machines(&remote, command).await,
        Command::Member(command) => member::members(&remote, command).await,
        Command::Server(command) => server::run(&remote, command).await,
        Command::SshKey(command) => key::ssh_keys(&remote, command).await,
        _ => Err(only_here("this command")),
    }
}

/// What a customer's key cannot do.
fn only_here(what: &str) -> Failure {
    Failure::Usage(format!("{what} is for the host: run it where the daemon's configuration is, without --server"))
}

impl Remote {
    fn new(cli: &Cli) -> Result<Self, Failure> {
        let url = cli.server.as_deref().unwrap_or_default().trim_end_matches('/').to_owned();
        if !(url.starts_with("https://") || url.starts_with("http://")) {
            return Err(Failure::Usage(format!("--server '{url}' is no URL, like https://cloud.example.org")));
        }
        let key = cli.key.clone().ok_or_else(|| Failure::Usage("no key for the daemon: set LEASEHOLD_KEY, or say --key".into()))?;
        let broken = |e: reqwest::Error| Failure::Failed(e.to_string());
        // There is one already where another part of the program was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().timeout(ANSWER).user_agent(concat!("leasehold/", env!("CARGO_PKG_VERSION"))).build().map_err(broken)?;
        Ok(Self { http, url, key: key.into(), json: cli.json })
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>, once: Option<&str>) -> Result<Response, Failure> {
        let mut request = self.http.request(method, format!("{}{}{path}", self.url, surface(path))).bearer_auth(self.key.expose_secret());
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(key) = once {
            request = request.header("Idempotency-Key", key);
        }
        let answer = request.send().await.map_err(|e| Failure::TryAgain(format!("{} does not answer: {}", self.url, cause(&e.without_url()))))?;
        if answer.status().is_success() { Ok(answer) } else { Err(refusal(answer).await) }
    }

    /// Asks, and reads the JSON of the answer; null where there is none.
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>, once: Option<&str>) -> Result<Value, Failure> {
        let bytes = self.send(method, path, body, once).await?.bytes().await.map_err(|e| Failure::TryAgain(e.to_string()))?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|e| Failure::Failed(format!("{} answers what cannot be read ({e}); is it the API?", self.url)))
    }

    async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, None, None).await
    }

    async fn post(&self, path: &str, body: &Value, once: Option<&str>) -> Result<Value, Failure> {
        self.ask(Method::POST, path, Some(body), once).await
    }

    /// One of the account's servers, by its id, its label or its hostname.
    async fn server(&self, text: &str) -> Result<Value, Failure> {
        let all = self.get("/servers").await?;
        let all = all.as_array().map_or(&[][..], Vec::as_slice);
        let by = |field: &str| all.iter().filter(|s| s[field] == text).collect::<Vec<_>>();
        let found = [by("id"), by("label"), by("hostname")].into_iter().find(|found| !found.is_empty()).unwrap_or_default();
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(Failure::NotFound(format!("no server '{text}'"))),
            _ => Err(Failure::Usage(format!("several servers are called '{text}'; use the id"))),
        }
    }

    /// The path of a server, by its id, its label or its hostname.
    async fn path(&self, text: &str) -> Result<String, Failure> {
        Ok(format!("/servers/{}", word(&self.server(text).await?, "id")))
    }
}

/// What a path of the Cloud API begins with; one of the account API says it itself.
fn surface(path: &str) -> &'static str {
    if path.starts_with("/v1/") { "" } else { "/api/v1" }
}

/// These fields of each of many, as a table has them.
fn rows<'a>(all: &'a Value, fields: &'a [&str]) -> impl Iterator<Item = Vec<String>> + 'a {
    all.as_array().into_iter().flatten().map(|one| fields.iter().map(|field| word(one, field)).collect())
}

/// A field as text, empty where it is null.
fn word(value: &Value, field: &str) -> String {
    match &value[field] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// A refusal, by what a script can do about it.
async fn refusal(answer: Response) -> Failure {
    let status = answer.status();
    let request = answer.headers().get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let body: Value = answer.json().await.unwrap_or_default();
    let said = body["message"].as_str().or(body["error"]["message"].as_str());
    let text = said.map_or_else(|| format!("the answer was {status}"), str::to_owned);
    match status {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::PAYLOAD_TOO_LARGE => Failure::Usage(text),
        StatusCode::NOT_FOUND => Failure::NotFound(text),
        StatusCode::UNAUTHORIZED | StatusCode::PAYMENT_REQUIRED | StatusCode::FORBIDDEN | StatusCode::CONFLICT => Failure::Refused(text),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => Failure::TryAgain(text),
        _ => Failure::Failed(format!("{text} ({})", request.unwrap_or_default())),
    }
}
