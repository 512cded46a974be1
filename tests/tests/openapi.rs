//! The daemon keeps to its own description: schemathesis makes requests from it, valid and not, alone and in chains, and checks every
//! answer.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

use std::process::Command;

use leasehold_tests::program::{Program, eventually, free_port};

/// Requests of an operation that are made up.
const EXAMPLES: &str = "10";

fn keeps_to_its_description(mut p: Program) {
    let st = std::env::var("LEASEHOLD_SCHEMATHESIS").expect("LEASEHOLD_SCHEMATHESIS is not set; run scripts/test");
    let port = free_port();
    p.set("API__LISTEN", &format!("127.0.0.1:{port}"));
    p.set("API__RATE_LIMIT_PER_MINUTE", "1000000");
    let account = p.set_up("500.00");
    let key = |args: &[&str]| p.json(&[&["key", "create", "--scopes", "*"], args].concat())["key"].as_str().unwrap().to_owned();
    let (key, token) = (key(&["--account", &account]), key(&["--kind", "operator"]));
    p.ok(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12"]);
    let daemon = p.daemon(&["serve"]);
    let url = format!("http://127.0.0.1:{port}");
    eventually("it serves", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/schemathesis.toml");
    let run = Command::new(st)
        .args(["--config-file", config, "run", "--max-examples", EXAMPLES, "--warnings", "off", "--no-color", &format!("{url}/openapi.json")])
        .current_dir(p.path(""))
        .envs([("LEASEHOLD_KEY", &key), ("LEASEHOLD_TOKEN", &token)])
        .output()
        .unwrap();
    let (said, log) = (String::from_utf8_lossy(&run.stdout), std::fs::read_to_string(p.path("daemon.log")).unwrap());
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    assert!(!log.contains("a request failed") && !log.contains("panicked"), "{log}");
    assert!(!log.contains(&key) && !log.contains(&token), "no key in the log");
    assert_eq!(daemon.stop(), Some(0));
    p.ok(&["billing", "audit"]);
}

#[test]
fn sqlite() {
    keeps_to_its_description(Program::new(None));
}

#[test]
fn postgres() {
    keeps_to_its_description(Program::over_postgres("openapi"));
}
