//! The examples of the three providers' documents, sent by curl to the real program: every field that a document lists is there, of its
//! type, and no other.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{collections::BTreeMap, process::Command};

use leasehold_tests::{
    program::{Daemon, Program, eventually, free_port},
    signed::{Signer, read},
};
use serde::Deserialize;
use serde_json::Value;

/// A request of a document, and what its answer is made of: `string`, `integer|null`, …; `name?` need not be there.
#[derive(Deserialize)]
struct Example {
    request: String,
    #[serde(default)]
    body: Value,
    #[serde(default = "ok")]
    status: u16,
    answer: Value,
    /// What later requests name by these words, and where it stands in the answer.
    #[serde(default)]
    keep: BTreeMap<String, String>,
}

const fn ok() -> u16 {
    200
}

/// What does not fit, if anything.
fn misfit(at: &str, value: &Value, shape: &Value) -> Option<String> {
    match shape {
        Value::String(kinds) => {
            let kind = match value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(n) if n.is_i64() => "integer",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            (!kinds.split('|').any(|one| one == kind)).then(|| format!("{at} is {kind}, not {kinds}"))
        }
        Value::Array(one) => match value.as_array() {
            Some(all) if !all.is_empty() => all.iter().find_map(|v| misfit(&format!("{at}[]"), v, &one[0])),
            _ => Some(format!("{at} is no list with something in it")),
        },
        Value::Object(fields) => {
            let Some(has) = value.as_object() else { return Some(format!("{at} is no object")) };
            let listed = |name: &str| fields.contains_key(name) || fields.contains_key(&format!("{name}?"));
            let unlisted = has.keys().find(|name| !listed(name)).map(|name| format!("{at}.{name} is not in the document"));
            unlisted.or_else(|| {
                fields.iter().find_map(|(name, shape)| match (name.strip_suffix('?'), has.get(name.trim_end_matches('?'))) {
                    (_, Some(value)) => misfit(&format!("{at}.{name}"), value, shape),
                    (Some(_), None) => None,
                    (None, None) => Some(format!("{at}.{name} is missing")),
                })
            })
        }
        other => Some(format!("{at}: what is {other}?")),
    }
}

struct Host {
    p: Program,
    at: String,
    /// Of the account that the examples ask about.
    key: String,
    pair: Signer,
}

impl Host {
    fn new(mut p: Program) -> (Self, Daemon) {
        let at = format!("127.0.0.1:{}", free_port());
        p.set("API__LISTEN", &at);
        p.set("API__RATE_LIMIT_PER_MINUTE", "100000");
        p.set_up("1.00");
        let company = ["account", "create", "--email", "kristen@example.org", "--first-name", "Kristen", "--last-name", "Example", "--company", "Example AS"];
        let account = p.json(&company)["number"].to_string();
        p.ok(&["account", "credit", &account, "100.00", "--reason", "test"]);
        let create = ["key", "create", "--account", &account];
        let key = p.json(&[&create[..], &["--scopes", "*"]].concat())["key"].as_str().unwrap().to_owned();
        let pair = p.json(&[&create[..], &["--kind", "e24"]].concat());
        let pair = Signer::shown(&pair);
        let daemon = p.daemon(&["serve"]);
        eventually("it serves", || std::net::TcpStream::connect(&at).is_ok());
        p.ok(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", "web", "--wait"]);
        let line = p.json(&["machine", "script", "--account", &account])["script"].as_str().unwrap().to_owned();
        assert!(p.shell("sh", &["-c", &line]).output().unwrap().status.success(), "{line}");
        (Self { p, at, key, pair }, daemon)
    }

    fn curl(&self, header: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
        let url = format!("http://{}{path}", self.at);
        read(Command::new("curl").args(["-s", "-w", "\n%{http_code}", "-X", method, "-H", header, "-H", "Content-Type: application/json", "-d", body, &url]))
    }

    /// As the clients of each surface send it.
    fn send(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        if path.starts_with("/v2/") {
            return self.pair.curl(&self.at, method, path, body);
        }
        let name = if path.starts_with("/v1/") { "X-API-Key:" } else { "Authorization: Bearer" };
        self.curl(&format!("{name} {}", self.key), method, path, body)
    }
}

fn every_example_is_answered(p: Program) {
    let (host, daemon) = Host::new(p);
    for examples in [include_str!("dialects/wayscloud.json"), include_str!("dialects/e24cloud.json"), include_str!("dialects/cloud66.json")] {
        let mut kept = BTreeMap::new();
        for example in serde_json::from_str::<Vec<Example>>(examples).unwrap() {
            let named = |text: &str| kept.iter().fold(text.to_owned(), |text, (name, value): (&String, &String)| text.replace(&format!("{{{name}}}"), value));
            let request = named(&example.request);
            let (method, path) = request.split_once(' ').unwrap();
            let body = if example.body.is_null() { String::new() } else { named(&example.body.to_string()) };
            let (status, answer) = host.send(method, path, &body);
            assert_eq!(status, example.status, "{request}: {answer}");
            assert_eq!(misfit("answer", &answer, &example.answer), None, "{request}: {answer}");
            for (name, at) in example.keep {
                let value = answer.pointer(&at).unwrap();
                kept.insert(name, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
        }
    }
    assert_eq!(daemon.stop(), Some(0));
    host.p.ok(&["billing", "audit"]);
}

#[test]
fn every_example_is_answered_with_the_fields_of_its_document() {
    every_example_is_answered(Program::new(None));
    every_example_is_answered(Program::over_postgres("dialects"));
}

#[test]
fn every_status_that_the_documents_list_is_answered() {
    let (host, daemon) = Host::new(Program::new(None));
    let key = |scopes: &str| host.p.json(&["key", "create", "--account", "1002", "--scopes", scopes])["key"].as_str().unwrap().to_owned();
    let (none, other) = (String::new(), key("account:read,servers:read,servers:write"));
    let users = key("users");
    // Somebody else's account, and one of the same person that is frozen.
    let frozen = ["account", "create", "--email", "kristen@example.org", "--first-name", "Kristen", "--last-name", "Example"];
    assert_eq!(host.p.json(&frozen)["number"], 1003);
    host.p.ok(&["account", "freeze", "1003"]);
    for (status, key, method, path, body) in [
        (200, &users, "GET", "/accounts", ""),
        (400, &users, "GET", "/accounts?page=0", ""),
        (400, &users, "GET", "/accounts?per_page=many", ""),
        (401, &none, "GET", "/accounts", ""),
        (403, &other, "GET", "/accounts", ""),
        (200, &users, "GET", "/accounts/1002", ""),
        (400, &users, "GET", "/accounts/1002?include_servers=perhaps", ""),
        (400, &users, "GET", "/accounts/1003", ""),
        (401, &none, "GET", "/accounts/1002", ""),
        (403, &other, "GET", "/accounts/1002", ""),
        (404, &users, "GET", "/accounts/1001", ""),
        (404, &users, "GET", "/accounts/4711", ""),
        (200, &users, "POST", "/accounts/otp", ""),
        (200, &users, "POST", "/accounts/otp", "{}"),
        (400, &users, "POST", "/accounts/otp", "{"),
        (401, &none, "POST", "/accounts/otp", ""),
        (403, &other, "POST", "/accounts/otp", ""),
    ] {
        let (answered, answer) = host.curl(&format!("Authorization: Bearer {key}"), method, &format!("/api/3{path}"), body);
        assert_eq!(answered, status, "{method} {path}: {answer}");
        assert_eq!(answer["error"].is_string() && answer["error_description"].is_string(), status != 200, "{method} {path}: {answer}");
    }
    assert_eq!(daemon.stop(), Some(0));
}
