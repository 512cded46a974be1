//! The HTTP APIs of the real program: a customer with curl, a crowd, a crash in between, several processes, and those who mean harm.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{io::Write, process::Command, thread, time::Duration};

use leasehold_tests::{
    program::{Daemon, Program, eventually, free_port},
    raw::{self, Raw, request},
};
use serde_json::{Value, json};

/// A host that serves HTTP, with an account and its key.
struct Host {
    p: Program,
    port: u16,
    key: String,
}

impl Host {
    fn new(mut p: Program, settings: &[(&str, &str)]) -> Self {
        let port = free_port();
        p.set("API__LISTEN", &format!("127.0.0.1:{port}"));
        settings.iter().for_each(|(key, value)| p.set(key, value));
        let account = p.set_up("100.00");
        let key = p.json(&["key", "create", "--account", &account, "--scopes", "*"])["key"].as_str().unwrap().to_owned();
        Self { p, port, key }
    }

    fn serve(&self) -> Daemon {
        self.serve_with(&[])
    }

    fn serve_with(&self, env: &[(&str, &str)]) -> Daemon {
        let log = std::fs::File::create(self.p.path("daemon.log")).unwrap();
        let daemon = Daemon::start(self.p.command(&["serve"]).envs(env.iter().copied()).stderr(log));
        eventually("it is ready", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() && self.get("/readyz").status == 200);
        daemon
    }

    fn get(&self, path: &str) -> Raw {
        request(self.port, "GET", path, &self.key, &[], "")
    }

    fn order(&self) -> String {
        let products: Value = serde_json::from_str(&self.get("/api/v1/products").body).unwrap();
        let small = products.as_array().unwrap().iter().find(|p| p["name"] == "Small").unwrap();
        json!({ "productId": small["id"], "os": "debian", "osTemplate": "debian-12", "region": "fra", "label": "web" }).to_string()
    }

    fn servers(&self) -> usize {
        self.p.json(&["server", "list"]).as_array().unwrap().len()
    }
}

/// A receiver that checks signatures as the scheme's own library does, and writes down what it was told.
const RECEIVER: &str = r#"
import http.server, json, os, sys
from standardwebhooks import Webhook

class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        try:
            told = Webhook(open("secret").read()).verify(body, dict(self.headers))["type"]
        except Exception as error:
            told = f"refused: {error!r}"
        with open("told", "a") as file:
            file.write(told + "\n")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
"#;

#[test]
fn an_order_by_curl_runs_and_a_receiver_is_told() {
    let host = Host::new(Program::new(None), &[("WEBHOOKS__ALLOW_PRIVATE_TARGETS", "true")]);
    let daemon = host.serve();
    let (hook, with_key) = (free_port(), format!("Authorization: Bearer {}", host.key));
    let curl = |method: &str, path: &str, body: &str| -> Value {
        let url = format!("http://127.0.0.1:{}/api/v1{path}", host.port);
        let answer =
            Command::new("curl").args(["-s", "-X", method, "-H", &with_key, "-H", "Content-Type: application/json", "-d", body, &url]).output().unwrap();
        serde_json::from_slice(&answer.stdout).unwrap()
    };
    let made = curl("POST", "/webhooks", &json!({ "url": format!("http://127.0.0.1:{hook}/"), "events": ["server.created", "server.running"] }).to_string());
    std::fs::write(host.p.path("secret"), made["secret"].as_str().unwrap()).unwrap();
    let python = std::env::var("LEASEHOLD_PYTHON").expect("LEASEHOLD_PYTHON is not set; run scripts/test");
    std::fs::write(host.p.path("receiver.py"), RECEIVER).unwrap();
    let receiver = Daemon::start(Command::new(python).args(["receiver.py", &hook.to_string()]).current_dir(host.p.path("")));
    eventually("the receiver listens", || std::net::TcpStream::connect(("127.0.0.1", hook)).is_ok());
    let ordered = curl("POST", "/servers", &host.order());
    assert_eq!((&ordered["status"], &ordered["price"]), (&json!("pending"), &json!("5.00")), "{ordered}");
    let path = format!("/servers/{}", ordered["id"].as_str().unwrap());
    // What happens is told as it happens.
    let events = format!("http://127.0.0.1:{}/api/v1{path}/events", host.port);
    let mut heard = Command::new("curl")
        .args(["-sN", "--max-time", "20", "-H", &with_key, &events])
        .stdout(std::fs::File::create(host.p.path("heard")).unwrap())
        .spawn()
        .unwrap();
    let said = || std::fs::read_to_string(host.p.path("heard")).unwrap();
    eventually("it runs", || curl("GET", &path, "")["status"] == "running");
    let shown = curl("GET", &path, "");
    assert_eq!((&shown["progress"], shown["networking"]["primaryIp"].is_string()), (&Value::Null, true), "{shown}");
    eventually("the receiver was told", || std::fs::read_to_string(host.p.path("told")).is_ok_and(|told| told.lines().count() == 2));
    let mut told: Vec<String> = std::fs::read_to_string(host.p.path("told")).unwrap().lines().map(str::to_owned).collect();
    told.sort();
    assert_eq!(told, ["server.created", "server.running"]);
    let metrics = |headers: &[(&str, &str)]| request(host.port, "GET", "/metrics", "", headers, "");
    assert!(metrics(&[]).body.contains("leasehold_webhook_calls_total{outcome=\"delivered\"} 2"), "{}", metrics(&[]).body);
    assert_eq!(metrics(&[("X-Forwarded-For", "192.0.2.1")]).status, 404, "not through a proxy");
    // An answer that would go on for minutes ends with the daemon.
    eventually("it was heard to run", || said().contains("event: server") && said().contains(r#""status":"running""#));
    assert_eq!(daemon.stop(), Some(0));
    assert!(heard.wait().unwrap().success());
    drop(receiver);
}

fn one_order_whatever_happens(p: Program) {
    let host = Host::new(p, &[("API__RATE_LIMIT_PER_MINUTE", "100000")]);
    let order = {
        let daemon = host.serve();
        let order = host.order();
        assert_eq!(daemon.stop(), Some(0));
        order
    };
    let ask = |key: &str| request(host.port, "POST", "/api/v1/servers", &host.key, &[("Idempotency-Key", key)], &order);
    // It dies with the order written, and before anybody is told.
    let daemon = host.serve_with(&[("LEASEHOLD_CRASH_AT", "command.committed:1")]);
    assert_eq!(ask("cart-1").status, 0, "no answer");
    assert_eq!(daemon.wait(), None, "killed by a signal");
    assert_eq!(host.servers(), 1);
    // And before anything is written.
    let daemon = host.serve_with(&[("LEASEHOLD_CRASH_AT", "command.before_commit:1")]);
    assert_eq!(ask("cart-2").status, 0, "no answer");
    assert_eq!(daemon.wait(), None, "killed by a signal");
    assert_eq!(host.servers(), 1);
    let daemon = host.serve();
    let again = ask("cart-1");
    assert!(again.status == 201 && again.head.contains("idempotent-replayed: true"), "{again:?}");
    let first = ask("cart-2");
    assert!(first.status == 201 && !first.head.contains("idempotent-replayed"), "{first:?}");
    // Fifty at once, over real connections.
    let crowd: Vec<Raw> = thread::scope(|s| {
        let asked: Vec<_> = (0..50).map(|_| s.spawn(|| ask("cart-3"))).collect();
        asked.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let new = crowd.iter().filter(|a| a.status == 201 && !a.head.contains("idempotent-replayed")).count();
    let others = crowd.iter().filter(|a| a.head.contains("idempotent-replayed: true") || (a.status == 409 && a.head.contains("retry-after"))).count();
    assert_eq!((new, others), (1, 49), "{:?}", crowd.iter().map(|a| a.status).collect::<Vec<_>>());
    assert_eq!(host.servers(), 3);
    assert_eq!(daemon.stop(), Some(0));
    host.p.ok(&["billing", "audit"]);
}

#[test]
fn one_order_whatever_happens_on_sqlite() {
    one_order_whatever_happens(Program::new(None));
}

#[test]
fn one_order_whatever_happens_on_postgres() {
    one_order_whatever_happens(Program::over_postgres("once"));
}

#[test]
fn four_processes_let_a_hundred_of_eight_hundred_through() {
    let mut host = Host::new(Program::over_postgres("limit"), &[]);
    let mut processes = Vec::new();
    for _ in 0..4 {
        host.port = free_port();
        host.p.set("API__LISTEN", &format!("127.0.0.1:{}", host.port));
        processes.push((host.port, host.p.daemon(&["api"])));
        let port = host.port;
        eventually("it is ready", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    }
    // All within one minute of the database's clock, which is this machine's.
    #[expect(clippy::disallowed_methods, reason = "the limit counts by the wall clock")]
    let second = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() % 60;
    eventually("a minute has room left", || second() < 30);
    let answers: Vec<Raw> = thread::scope(|s| {
        let (host, processes) = (&host, &processes);
        let client = |n: usize| move || (0..50).map(|_| request(processes[n % 4].0, "GET", "/api/v1/regions", &host.key, &[], "")).collect::<Vec<_>>();
        let clients: Vec<_> = (0..16).map(|n| s.spawn(client(n))).collect();
        clients.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    let count = |status: u16| answers.iter().filter(|a| a.status == status).count();
    assert_eq!((count(200), count(429)), (100, 700));
    assert!(answers.iter().filter(|a| a.status == 429).all(|a| a.head.contains("retry-after: ") && a.head.contains("x-ratelimit-remaining: 0")));
    processes.into_iter().for_each(|(_, process)| assert_eq!(process.stop(), Some(0)));
}

/// What a process holds in memory, KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap().trim().trim_end_matches(" kB").parse().unwrap()
}

/// More than this is not needed for what is refused, KiB.
const MEMORY: u64 = 48 * 1024;

#[test]
fn who_means_harm_is_refused_and_nobody_else_notices() {
    let host = Host::new(Program::new(None), &[("API__RATE_LIMIT_PER_MINUTE", "100000")]);
    let daemon = host.serve();
    let (port, key, before) = (host.port, host.key.clone(), resident(daemon.pid()));
    let auth = format!("Host: x\r\nAuthorization: Bearer {key}\r\n");
    // Slow from the first byte, slow in the head, slow in the body: all at once, while the others are served.
    let slow: Vec<_> = (0..60)
        .map(|n| {
            let auth = auth.clone();
            thread::spawn(move || {
                let mut stream = raw::connect(port);
                let begin = match n % 3 {
                    0 => String::new(),
                    1 => format!("POST /api/v1/servers HTTP/1.1\r\n{auth}"),
                    _ => format!("POST /api/v1/servers HTTP/1.1\r\n{auth}Content-Length: 100\r\n\r\n{{"),
                };
                stream.write_all(begin.as_bytes()).unwrap();
                (n % 3, raw::answer(&mut stream).status)
            })
        })
        .collect();
    let say = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| request(port, method, path, &key, headers, body);
    let headers: String = (0..10_000).map(|n| format!("X-{n}: y\r\n")).collect();
    assert_eq!(raw::send(port, format!("GET /api/v1/account HTTP/1.1\r\n{auth}{headers}\r\n").as_bytes()).status, 431);
    assert_eq!(raw::send(port, format!("GET /{} HTTP/1.1\r\n{auth}\r\n", "x".repeat(100_000)).as_bytes()).status / 100, 4);
    let gib = format!("POST /api/v1/servers HTTP/1.1\r\n{auth}Connection: close\r\nContent-Length: 1073741824\r\n\r\n");
    let mut body = gib.into_bytes();
    body.resize(body.len() + (4 << 20), b'x');
    assert_eq!(raw::send(port, &body).status, 413);
    let chunked = format!("POST /api/v1/servers HTTP/1.1\r\n{auth}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    assert_eq!(raw::send(port, format!("{chunked}{}", chunk.repeat(16)).as_bytes()).status, 413);
    let long = "k".repeat(10 * 1024);
    for (status, answer) in [
        (400, say("POST", "/api/v1/servers", &[("Idempotency-Key", &long)], "{}")),
        (400, say("POST", "/api/v1/servers", &[("Idempotency-Key", "a b")], "{}")),
        (400, say("POST", "/api/v1/servers", &[], &format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)))),
        (400, say("POST", "/api/v1/servers", &[], r#"{"productId":"\u0000","os":"\u0007","osTemplate":"\ud800"}"#)),
        (400, say("POST", "/api/v1/servers", &[], "{\"productId\":\"a\0b\"}")),
        (400, say("POST", "/api/v1/servers", &[], r#"{"productId":"a\u0000b","os":"debian","osTemplate":"debian\u0000"}"#)),
        (404, say("GET", "/api/v1/servers/..%2f..%2fetc%2fpasswd", &[], "")),
        (404, say("GET", "/api/v1/../../etc/passwd", &[], "")),
        (404, say("GET", "/api/v1/servers/%00", &[], "")),
        (400, say("GET", "/api/v1/servers/%ff%fe", &[], "")),
        (404, say("GET", "/api/v1/servers/' or 1=1 --".replace(' ', "%20").as_str(), &[], "")),
        (400, say("GET", "/api/v1/servers?limit=99999999999999999999", &[], "")),
        (401, request(port, "GET", "/api/v1/account", &long, &[], "")),
        (405, say("TRACE", "/api/v1/account", &[], "")),
    ] {
        assert_eq!(answer.status, status, "{answer:?}");
        let told: Value = serde_json::from_str(&answer.body).unwrap();
        assert!(told["message"].as_str().is_some_and(|text| !text.is_empty()) && answer.head.contains("x-request-id"), "{answer:?}");
    }
    assert_eq!(raw::send(port, b"nonsense\r\n\r\n").status, 400);
    assert_eq!(host.get("/api/v1/account").status, 200, "the others are served");
    for (how, status) in slow.into_iter().map(|t| t.join().unwrap()) {
        // Who sends no whole head is cut off; a body that does not come is answered.
        assert!(if how == 2 { status == 408 } else { matches!(status, 0 | 408) }, "{how}: {status}");
    }
    let grown = resident(daemon.pid()).saturating_sub(before);
    assert!(grown < MEMORY, "memory grew by {grown} KiB");
    assert_eq!(host.servers(), 0);
    let log = std::fs::read_to_string(host.p.path("daemon.log")).unwrap();
    assert!(!log.contains("a request failed") && !log.contains(&key), "{log}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_daemon_that_is_asked_to_stop_ends_what_it_has_begun() {
    let host = Host::new(Program::new(None), &[("WORKER__SHUTDOWN_GRACE", "20s")]);
    let daemon = host.serve();
    let mut stream = raw::connect(host.port);
    stream
        .write_all(format!("PATCH /api/v1/servers/x/label HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 13\r\n\r\n", host.key).as_bytes())
        .unwrap();
    thread::sleep(Duration::from_millis(200));
    assert!(daemon.signal(leasehold_tests::program::Signal::TERM));
    eventually("it takes nothing new", || std::net::TcpStream::connect(("127.0.0.1", host.port)).is_err());
    stream.write_all(br#"{"label":"a"}"#).unwrap();
    assert_eq!(raw::answer(&mut stream).status, 404, "what had begun is answered");
    assert_eq!(daemon.wait(), Some(0));
}

/// Runs the program as a customer does who has no configuration and no database: exit code, output, errors.
fn from_elsewhere(host: &Host, key: &str, args: &[&str]) -> (i32, String, String) {
    let elsewhere = host.p.path("elsewhere");
    std::fs::create_dir_all(&elsewhere).unwrap();
    let mut command = Command::new(leasehold_tests::program::binary());
    command.args(args).current_dir(elsewhere).env("LEASEHOLD_SERVER", format!("http://127.0.0.1:{}", host.port)).env("LEASEHOLD_KEY", key);
    let ended = command.output().unwrap();
    (ended.status.code().unwrap(), String::from_utf8(ended.stdout).unwrap(), String::from_utf8(ended.stderr).unwrap())
}

#[test]
fn members_and_machines_are_run_from_here_and_from_elsewhere() {
    let host = Host::new(Program::new(None), &[]);
    let daemon = host.serve();
    let far = |args: &[&str]| -> Value {
        let (code, out, err) = from_elsewhere(&host, &host.key, &[args, &["--json"]].concat());
        assert_eq!(code, 0, "{args:?}: {out}{err}");
        serde_json::from_str(&out).unwrap()
    };
    let near = |args: &[&str]| host.p.json(&[args, &["--account", "1001"]].concat());
    let invited = near(&["member", "invite", "grace@example.org", "--role", "billing"]);
    assert_eq!((&invited["email"], &invited["role"]), (&json!("grace@example.org"), &json!("billing")));
    far(&["member", "invite", "alan@example.org", "--role", "read-only"]);
    let (both, same) = (near(&["member", "list"]), far(&["member", "list"]));
    assert_eq!((both["members"].as_array().unwrap().len(), both["invitations"].as_array().unwrap().len(), &both), (1, 2, &same));
    let shown = host.p.ok(&["member", "list", "--account", "1001"]);
    assert!(shown.contains("ada@example.org") && shown.contains("owner") && shown.contains("invited, until"), "{shown}");
    assert_eq!(near(&["member", "withdraw", "grace@example.org"])["withdrawn"], true);
    assert_eq!(far(&["member", "withdraw", "Alan@example.org"])["withdrawn"], true);
    // Somebody who is known from another account joins by the link alone.
    host.p.ok(&["account", "create", "--email", "grace@example.org", "--first-name", "Grace", "--last-name", "Hopper"]);
    near(&["member", "invite", "grace@example.org", "--role", "billing"]);
    let link = || {
        let mails = std::fs::read_dir(host.p.path("mails")).ok()?.flatten().map(|f| std::fs::read_to_string(f.path()).unwrap().replace("=\r\n", ""));
        let mails: Vec<String> = mails.filter(|m| m.contains("You are invited") && m.contains("grace@")).collect();
        let link = |mail: &String| mail.lines().find_map(|l| l.split_once("/invitations/")).map(|(_, token)| format!("/invitations/{}", token.trim()));
        mails.iter().filter_map(link).find(|link| host.get(link).status == 200)
    };
    eventually("the invitation came", || link().is_some());
    assert_eq!(request(host.port, "POST", &link().unwrap(), "", &[], "").status, 200);
    let key = near(&["key", "create", "--member", "grace@example.org", "--scopes", "*"])["key"].as_str().unwrap().to_owned();
    let (code, _, err) = from_elsewhere(&host, &key, &["member", "role", "ada@example.org", "admin"]);
    assert!(code == 4 && err.contains("'billing'"), "{code} {err}");
    assert_eq!(far(&["member", "role", "grace@example.org", "admin"])["role"], "admin");
    assert_eq!(near(&["member", "role", "grace@example.org", "read-only"])["role"], "read-only");
    host.p.refuses(4, &["only owner"], &["member", "remove", "--account", "1001", "ada@example.org"]);
    host.p.refuses(3, &["no member 'nobody@example.org'"], &["member", "role", "--account", "1001", "nobody@example.org", "admin"]);
    host.p.refuses(3, &["no second factor"], &["member", "reset-two-factor", "--account", "1001", "ada@example.org"]);
    host.p.refuses(2, &["whose? say --account"], &["member", "list"]);
    assert_eq!(from_elsewhere(&host, &host.key, &["member", "remove", "nobody@example.org"]).0, 3);
    assert_eq!(far(&["member", "remove", "grace@example.org"])["removed"], true);
    assert_eq!(from_elsewhere(&host, &key, &["member", "list"]).0, 4, "the key went along");

    let tell = |line: &str| host.p.shell("sh", &["-c", line]).output().unwrap().status.success();
    let line = far(&["machine", "script"])["script"].as_str().unwrap().to_owned();
    assert!(tell(&line) && near(&["machine", "script"])["script"] == line);
    let all = far(&["machine", "list"]);
    let name = all[0]["name"].as_str().unwrap();
    assert!(host.p.ok(&["machine", "list", "--account", "1001"]).contains(name), "{all}");
    let renewed = far(&["machine", "script", "--renew"])["script"].as_str().unwrap().to_owned();
    let script = |line: &str| host.get(line.split_whitespace().find_map(|word| word.split_once(&host.port.to_string())).unwrap().1).status;
    assert_eq!((script(&line), script(&renewed)), (404, 200), "the line before lists nothing any more");
    assert_ne!(near(&["machine", "script", "--renew"])["script"], renewed);
    assert_eq!(far(&["machine", "forget", name])["forgotten"], true);
    assert_eq!((far(&["machine", "list"]), from_elsewhere(&host, &host.key, &["machine", "forget", name]).0), (json!([]), 3));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn the_command_line_is_a_client_too() {
    let host = Host::new(Program::new(None), &[]);
    let daemon = host.serve();
    let run = |key: &str, args: &[&str]| from_elsewhere(&host, key, args);
    let ok = |args: &[&str]| {
        let (code, out, err) = run(&host.key, args);
        assert_eq!(code, 0, "{args:?}: {out}{err}");
        out
    };
    let json = |args: &[&str]| -> Value { serde_json::from_str(&ok(&[args, &["--json"]].concat())).unwrap() };
    let order = ["server", "order", "--account", "me", "--product", "small", "--template", "debian-12", "--label", "far", "--key", "cart-1"];
    let ordered = json(&[&order[..], &["--wait"]].concat());
    assert_eq!((&ordered["label"], &ordered["status"]), (&json!("far"), &json!("running")));
    assert_eq!(json(&order)["id"], ordered["id"], "the same key is the same order");
    assert_eq!(json(&["server", "show", "far"])["billing"]["price"], "5.00");
    assert_eq!(json(&["account", "show", "me"])["balance"], "95.00");
    assert!(ok(&["server", "list"]).contains("far"));
    assert!(ok(&["server", "credentials", "far"]).contains("ssh -p 22 root@"));
    ok(&["server", "snapshot", "far", "create", "first"]);
    eventually("it is taken", || ok(&["server", "snapshot", "far", "list"]).contains("ready"));
    ok(&["server", "snapshot", "far", "revert", "first", "--yes"]);
    ok(&["server", "addon", "far", "add", "backup"]);
    ok(&["server", "cancel", "far"]);
    eventually("it can be restarted", || run(&host.key, &["server", "reboot", "far"]).0 == 0);
    let number = json(&["invoice", "list"])[0]["invoiceNumber"].as_str().unwrap().to_owned();
    ok(&["invoice", "show", &number, "--pdf", "i.pdf"]);
    assert!(std::fs::read(host.p.path("elsewhere/i.pdf")).unwrap().starts_with(b"%PDF-"));
    for (code, says, args) in [
        (2, "is for the host", &["server", "suspend", "far", "--kind", "abuse", "--reason", "x"][..]),
        (2, "is for the host", &["queue", "status"]),
        (3, "no server 'near'", &["server", "show", "near"]),
        (3, "no product 'huge'", &["server", "order", "--account", "me", "--product", "huge", "--template", "debian-12"]),
        (4, "was not terminated; say --yes", &["server", "terminate", "far"]),
    ] {
        let (ended, _, err) = run(&host.key, args);
        assert!(ended == code && err.contains(says) && err.lines().count() == 1, "{args:?}: {ended} {err}");
    }
    let (code, _, err) = run("lsh_wrong", &["server", "list"]);
    assert!(code == 4 && err.contains("a valid API key is needed") && !err.contains("lsh_wrong"), "{err}");
    ok(&["server", "terminate", "far", "--yes"]);
    assert_eq!(daemon.stop(), Some(0));
    let (code, _, err) = run(&host.key, &["server", "list"]);
    assert!(code == 75 && err.contains("does not answer"), "{code} {err}");
}

/// The examples of the documentation, as they stand there.
fn examples() -> String {
    let pages = [include_str!("../../docs/api.md"), include_str!("../../docs/accounts.md")];
    pages.iter().flat_map(|page| page.split("```sh\n").skip(1)).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_examples_of_the_documentation_run() {
    let host = Host::new(Program::new(None), &[]);
    let daemon = host.serve();
    let bin = leasehold_tests::program::binary();
    let path = format!("{}:{}", bin.parent().unwrap().display(), std::env::var("PATH").unwrap());
    std::fs::write(host.p.path("examples.sh"), format!("set -euo pipefail\n{}", examples())).unwrap();
    let mut bash = host.p.shell("bash", &["-x", "examples.sh"]);
    let run = bash.env("PATH", path).env("URL", format!("http://127.0.0.1:{}", host.port)).output().unwrap();
    assert!(run.status.success(), "{}\n{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(std::fs::read(host.p.path("invoice.pdf")).unwrap().starts_with(b"%PDF-"));
    assert_eq!(daemon.stop(), Some(0));
}

/// An answer without its values: what is where, and of which kind.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("bool"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("string"),
        Value::Array(all) => all.first().map_or(json!([]), |first| json!([shape(first)])),
        Value::Object(fields) => fields.iter().map(|(name, field)| (name.clone(), shape(field))).collect::<serde_json::Map<_, _>>().into(),
    }
}

#[test]
fn each_row_of_the_cloud_api_answers_in_its_shape() {
    let host = Host::new(Program::new(None), &[("API__RATE_LIMIT_PER_MINUTE", "100000")]);
    let daemon = host.serve();
    let mut golden = String::new();
    let mut ask = |method: &str, path: &str, body: &str, name: &str| -> Value {
        let answer = request(host.port, method, &format!("/api/v1{path}"), &host.key, &[], body);
        let value: Value = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
        golden += &format!("{method} {name}\n{} {:#}\n\n", answer.status, shape(&value));
        value
    };
    for path in ["/account", "/reseller", "/products", "/regions", "/os-templates", "/iso-library", "/public/affiliates/rule", "/coupons/WELCOME", "/wallet"] {
        ask("GET", path, "", path);
    }
    ask("POST", "/sso", "", "/sso");
    let id = ask("POST", "/servers", &host.order(), "/servers")["id"].as_str().unwrap().to_owned();
    let is = |status: &str| eventually(status, || host.get(&format!("/api/v1/servers/{id}")).body.contains(&format!(r#""status":"{status}""#)));
    is("running");
    let s = |what: &str| (format!("/servers/{id}{what}"), format!("/servers/:id{what}"));
    for (method, what, body) in [
        ("GET", "", ""),
        ("PATCH", "/label", r#"{"label":"web 2"}"#),
        ("GET", "/credentials", ""),
        ("POST", "/password-reset", ""),
        ("POST", "/sso", ""),
        ("GET", "/addons", ""),
        ("GET", "/ips", ""),
        ("POST", "/snapshots", r#"{"name":"one"}"#),
        ("GET", "/activity", ""),
        ("PATCH", "/billing", r#"{"autoRenew":true}"#),
    ] {
        let (path, name) = s(what);
        ask(method, &path, body, &name);
    }
    let ips: Value = serde_json::from_str(&host.get(&format!("/api/v1{}", s("/ips").0)).body).unwrap();
    let ip = ips[0]["ip"].as_str().unwrap();
    ask("PUT", &s(&format!("/ips/{ip}/ptr")).0, r#"{"hostname":"web.example.org"}"#, "/servers/:id/ips/:ip/ptr");
    ask("DELETE", &s(&format!("/ips/{ip}/ptr")).0, "", "/servers/:id/ips/:ip/ptr");
    let addons: Value = serde_json::from_str(&host.get(&format!("/api/v1{}", s("/addons").0)).body).unwrap();
    let backup = addons.as_array().unwrap().iter().find(|a| a["type"] == "backup").unwrap()["id"].as_str().unwrap().to_owned();
    ask("POST", &s("/addons").0, &json!({ "addonId": backup }).to_string(), "/servers/:id/addons");
    ask("DELETE", &s(&format!("/addons/{backup}")).0, "", "/servers/:id/addons/:id");
    let snapshots = || serde_json::from_str::<Value>(&host.get(&format!("/api/v1{}", s("/snapshots").0)).body).unwrap();
    eventually("the snapshot is taken", || snapshots()[0]["state"] == "ready");
    ask("GET", &s("/snapshots").0, "", "/servers/:id/snapshots");
    let one = format!("/snapshots/{}", snapshots()[0]["id"].as_str().unwrap());
    ask("POST", &s(&format!("{one}/revert")).0, "", "/servers/:id/snapshots/:sid/revert");
    eventually("it is back", || snapshots()[0]["state"] == "ready");
    ask("DELETE", &s(&one).0, "", "/servers/:id/snapshots/:sid");
    eventually("it is gone", || snapshots() == json!([]));
    is("running");
    ask("POST", &s("/power/stop").0, "", "/servers/:id/power/stop");
    is("stopped");
    ask("POST", &s("/power/start").0, "", "/servers/:id/power/start");
    is("running");
    ask("POST", &s("/power/reboot").0, "", "/servers/:id/power/reboot");
    is("running");
    ask("POST", &s("/reinstall").0, r#"{"os":"ubuntu","osTemplate":"ubuntu-24.04"}"#, "/servers/:id/reinstall");
    is("running");
    ask("GET", "/servers", "", "/servers");
    let invoice = ask("GET", "/billing/invoices", "", "/billing/invoices")[0]["invoiceNumber"].as_str().unwrap().to_owned();
    ask("GET", &format!("/billing/invoices/{invoice}"), "", "/billing/invoices/:id");
    ask("GET", "/billing/transactions", "", "/billing/transactions");
    let hook = ask("POST", "/webhooks", r#"{"url":"https://example.org/","events":["ptr.changed"]}"#, "/webhooks")["id"].as_str().unwrap().to_owned();
    ask("GET", "/webhooks", "", "/webhooks");
    ask("DELETE", &format!("/webhooks/{hook}"), "", "/webhooks/:id");
    ask("DELETE", &format!("/servers/{id}"), "", "/servers/:id");
    ask("GET", "/servers/nobody", "", "/servers/nobody");
    insta::assert_snapshot!("cloud", golden);
    assert_eq!(daemon.stop(), Some(0));
}

/// The script in an environment that holds `sh` and `curl`, and nothing else that one could lean on.
#[test]
fn a_machine_elsewhere_tells_of_itself_with_sh_and_curl() {
    let host = Host::new(Program::new(None), &[]);
    let daemon = host.serve();
    let clean = tempfile::tempdir().unwrap();
    for program in ["sh", "curl"] {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap()).map(|dir| dir.join(program)).find(|path| path.exists()).unwrap();
        std::os::unix::fs::symlink(found, clean.path().join(program)).unwrap();
    }
    let line = host.p.json(&["machine", "script", "--account", "1001"])["script"].as_str().unwrap().to_owned();
    for word in ["is listed", "is up to date"] {
        let ran = Command::new(clean.path().join("sh")).args(["-c", &line]).env_clear().env("PATH", clean.path()).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success() && said.contains(word), "{said}");
    }
    let all = host.p.json(&["machine", "list", "--account", "1001"]);
    assert_eq!(all.as_array().unwrap().len(), 1, "{all}");
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(all[0]["name"], own.trim());
    host.p.ok(&["machine", "forget", "--account", "1001", own.trim()]);
    assert_eq!(host.p.json(&["machine", "list", "--account", "1001"]), json!([]));
    assert_eq!(daemon.stop(), Some(0));
}
