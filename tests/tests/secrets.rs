//! No secret is kept in clear, logged, mailed, or said twice: each that there is is made, and then looked for in the database's files or
//! tables, its copy, the log, the mails and later answers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{fs, path::Path};

use leasehold_tests::{
    program::{Program, eventually, free_port},
    raw::request,
    signed::Signer,
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// What is no secret, and must therefore be found: where it is not, nothing would be.
const PLAIN: &str = "canary-plain";

/// Secrets, each with what it is.
#[derive(Default)]
struct Canaries(Vec<(&'static str, String)>);

impl Canaries {
    /// Notes a secret that was shown, and hands it on.
    fn note(&mut self, what: &'static str, secret: impl Into<String>) -> String {
        let secret = secret.into();
        assert!(secret.len() >= 12, "{what} is too short to be looked for: '{secret}'");
        self.0.push((what, secret.clone()));
        secret
    }

    /// Those that stand in a text, beside what may; of a key or a token, what is secret of it.
    fn found_in(&self, bytes: &[u8], but: &[&str]) -> Vec<&'static str> {
        let text = String::from_utf8_lossy(bytes);
        let secret = |whole: &str| whole.rsplit(['_', '.', '-']).next().filter(|last| last.len() >= 24).map_or(whole, |last| &last[..24]).to_owned();
        let holds = |whole: &str| text.contains(&secret(whole));
        self.0.iter().filter(|(what, secret)| !but.contains(what) && holds(secret)).map(|(what, _)| *what).collect()
    }
}

/// All files below a folder whose names begin so, as one.
fn files(dir: &Path, begins: &str) -> Vec<u8> {
    let mut all: Vec<_> = fs::read_dir(dir).unwrap().flatten().filter(|f| f.file_name().to_string_lossy().starts_with(begins)).map(|f| f.path()).collect();
    all.sort();
    all.iter().filter(|path| path.is_file()).flat_map(|path| fs::read(path).unwrap()).collect()
}

/// All rows of all tables of a PostgreSQL database.
fn tables(url: &str) -> Vec<u8> {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut db = PgConnection::connect(url).await.unwrap();
        let names: Vec<String> = sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'public'").fetch_all(&mut db).await.unwrap();
        let mut all = Vec::new();
        for name in names {
            let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("select t::text from \"{name}\" t"))).fetch_all(&mut db).await.unwrap();
            all.extend(rows.join("\n").into_bytes());
        }
        all
    })
}

fn text(value: &Value, at: &str) -> String {
    value.pointer(at).and_then(Value::as_str).unwrap_or_else(|| panic!("{at} is not in {value}")).to_owned()
}

/// The last part of a path or an address.
fn end(url: &str) -> &str {
    url.trim_end_matches(" | sh").rsplit('/').next().unwrap()
}

fn no_secret_is_found(mut p: Program, stored: impl Fn(&Program) -> Vec<u8>) {
    let mut c = Canaries::default();
    let port = free_port();
    p.set("API__LISTEN", &format!("127.0.0.1:{port}"));
    p.set("API__RATE_LIMIT_PER_MINUTE", "100000");
    p.set("WEBHOOKS__ALLOW_PRIVATE_TARGETS", "true");
    let account = p.set_up("100.00");
    let create = |more: &[&str]| p.json(&[&["key", "create"], more].concat());
    let key = c.note("a key", text(&create(&["--account", &account, "--scopes", "*"]), "/key"));
    let token = c.note("an operator's token", text(&create(&["--kind", "operator"]), "/key"));
    let pair = Signer::shown(&create(&["--account", &account, "--kind", "e24"]));
    c.note("a pair's secret", &pair.secret);
    let daemon = p.daemon(&["-vv", "serve"]);
    eventually("it serves", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let ask = |method: &str, path: &str, body: Value| -> Value {
        let (body, json) = (if body.is_null() { String::new() } else { body.to_string() }, ("Content-Type", "application/json"));
        let by = if path.starts_with("/admin/") { &token } else { &key };
        serde_json::from_str(&request(port, method, path, by, &[json, ("Idempotency-Key", path)], &body).body).unwrap_or_default()
    };
    let signed = |method: &str, path: &str, body: &str| pair.curl(&format!("127.0.0.1:{port}"), method, &format!("/v2/account{path}"), body).1;

    // Keys and pairs.
    let (pat, service) = (json!({ "scopes": ["servers:read"] }), json!({ "service": "storage" }));
    c.note("a token", text(&ask("POST", "/v1/account/api-keys/pat", pat.clone()), "/key"));
    ask("POST", "/v1/account/api-keys/pat", pat);
    c.note("a service's key", text(&ask("POST", "/v1/account/api-keys/service", service), "/key"));
    let made = signed("PUT", "/api", "");
    c.note("a second pair's secret", text(&made, "/api/secret_key"));
    let renewed = signed("POST", "/api-new-secret-key", &json!({ "api_key": made["api"]["api_key"] }).to_string());
    c.note("its next secret", text(&renewed, "/api/secret_key"));
    let s3 = json!({ "api_key": text(&signed("GET", "", ""), "/account/e24files/s3/api_id") }).to_string();
    c.note("the gateway's secret", text(&signed("POST", "/files-new-secret-key", &s3), "/e24files/s3/secret_key"));
    let ssh = text(&signed("PUT", "/sshkey", r#"{"name":"made here","method":"generate"}"#), "/sshkeys/private_key");
    c.note("the private half of an SSH key", ssh.lines().nth(3).unwrap());
    // Servers.
    p.ok(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", PLAIN, "--wait"]);
    let id = text(&ask("GET", "/api/v1/servers", Value::Null), "/0/id");
    let at = |what: &str| format!("/api/v1/servers/{id}{what}");
    c.note("a root password", text(&ask("GET", &at("/credentials"), Value::Null), "/password"));
    c.note("the next root password", text(&ask("POST", &at("/password-reset"), Value::Null), "/password"));
    c.note("a webhook's secret", text(&ask("POST", "/api/v1/webhooks", json!({ "url": "http://127.0.0.1:9/", "events": ["server.stopped"] })), "/secret"));
    ask("POST", &at("/power/stop"), Value::Null);
    // People.
    let password = c.note("a password", "canary password of the owner");
    let data = json!({ "first_name": "Ada", "last_name": "Lovelace", "phone": "", "password": password }).to_string();
    assert_eq!(signed("POST", "/data", &data)["success"], true);
    let wrong = c.note("a password that is wrong", "canary password that is wrong");
    for tried in [&wrong, &password] {
        ask("POST", "/api/v1/public/sign-in", json!({ "email": "ada@example.org", "password": tried }));
    }
    let link = text(&ask("POST", "/api/v1/public/sign-in", json!({ "email": "ada@example.org", "password": password })), "/url");
    c.note("a link of a password", end(&link));
    c.note("a link", end(&text(&ask("POST", "/api/v1/sso", Value::Null), "/url")));
    let otp = c.note("a one-time password", text(&ask("POST", "/api/3/accounts/otp", Value::Null), "/response/otp"));
    assert_eq!(request(port, "GET", &format!("/sso/otp/{otp}"), "", &[], "").status, 200);
    c.note("the secret of a second factor", text(&ask("POST", "/api/v1/two-factor", Value::Null), "/secret"));
    let line = text(&ask("GET", "/api/v1/machines/line", Value::Null), "/line");
    let registers = c.note("what machines register with", end(&line));
    assert_eq!(request(port, "POST", &format!("/register/{registers}"), "", &[], "id=1&hostname=db-1&vendor=x").status, 200);
    ask("POST", "/api/v1/invitations", json!({ "email": "grace@example.org", "role": "billing" }));
    let mails = || String::from_utf8_lossy(&files(&p.path("mails"), "")).replace("=\r\n", "").replace("=\n", "");
    eventually("the invitation is sent", || mails().contains("/invitations/"));
    let sent = mails();
    let invitation = sent.lines().find_map(|l| l.trim().split_once("/invitations/")).unwrap().1.to_owned();
    c.note("an invitation", &invitation);
    let newcomer = c.note("a newcomer's password", "canary+password+of+a+newcomer");
    let joined = request(port, "POST", &format!("/invitations/{invitation}"), "", &[], &format!("first_name=G&last_name=H&password={newcomer}"));
    assert_eq!(joined.status, 200, "{}", joined.body);
    c.note("the same as it is typed", newcomer.replace('+', " "));
    c.note("the key file's key", fs::read_to_string(p.path("leasehold.key")).unwrap().lines().find(|l| !l.starts_with('#')).unwrap());
    eventually("the server is off", || ask("GET", &at(""), Value::Null)["status"] == "stopped");
    eventually("its owner was told", || mails().contains(PLAIN));

    // What is said later.
    let mut said = String::new();
    let deliveries = "/admin/v1/webhook-deliveries";
    for path in ["/v1/account/api-keys", "/v1/account/ssh-keys", "/api/3/accounts", "/api/v1/webhooks", "/api/v1/members", "/api/v1/invitations"] {
        said += &ask("GET", path, Value::Null).to_string();
    }
    for path in ["/admin/v1/activity/export", "/admin/v1/mails", "/admin/v1/queue/runs", "/admin/v1/attention", "/admin/v1/servers", deliveries] {
        said += &request(port, "GET", path, &token, &[], "").body;
    }
    said += &request(port, "GET", &format!("/admin/v1/servers/{id}"), &token, &[], "").body;
    said += &(signed("GET", "", "").to_string() + &ask("GET", &at(""), Value::Null).to_string() + &ask("GET", &at("/activity"), Value::Null).to_string());
    for args in [&["config", "show"][..], &["activity"], &["key", "list", "--account", &account], &["mail", "list"], &["server", "show", PLAIN]] {
        said += &p.ok(args);
    }
    let log = || fs::read(p.path("daemon.log")).unwrap();
    let kept = stored(&p);
    assert_eq!(daemon.stop(), Some(0));
    let places = [("the database", kept, vec![]), ("the log", log(), vec![]), ("mails", mails().into_bytes(), vec!["an invitation"])];
    let places =
        places.into_iter().chain([("later answers", said.into_bytes(), vec!["what machines register with"]), ("the database at rest", stored(&p), vec![])]);
    for (place, bytes, but) in places {
        let control = if place == "the log" { "/api/v1/servers" } else { PLAIN };
        assert!(bytes.windows(control.len()).any(|w| w == control.as_bytes()), "nothing would be found in {place}");
        assert_eq!(c.found_in(&bytes, &but), [""; 0], "in {place}");
    }
    assert_eq!(c.0.len(), 23, "{:?}", c.0.iter().map(|(what, _)| what).collect::<Vec<_>>());
}

#[test]
fn on_sqlite() {
    no_secret_is_found(Program::new(None), |p| {
        p.ok(&["backup", &format!("copy-{}.db", free_port())]);
        [files(&p.path(""), "leasehold.db"), files(&p.path(""), "copy-")].concat()
    });
}

#[test]
fn on_postgres() {
    let p = Program::over_postgres("secrets");
    let url = p.database().to_owned();
    no_secret_is_found(p, move |_| tables(&url));
}
