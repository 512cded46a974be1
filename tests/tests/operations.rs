//! What an operator and a service manager rely on: doctor, metrics, sd_notify, the units.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use leasehold_tests::program::{Program, eventually, free_port};

/// What the doctor says of one thing: `state says`.
fn findings(p: &Program, check: &str) -> Vec<String> {
    let ended = p.run(&["doctor", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&ended.out).unwrap_or_else(|e| panic!("{e}: {ended:?}"));
    let text = |f: &serde_json::Value, key: &str| f[key].as_str().unwrap_or_default().to_owned();
    value["findings"].as_array().unwrap().iter().filter(|f| f["check"] == check).map(|f| format!("{} {}", text(f, "state"), text(f, "says"))).collect()
}

#[test]
fn the_doctor_finds_what_is_missing_and_changes_nothing() {
    let mut p = Program::new(None);
    assert!(findings(&p, "secrets")[0].starts_with("broken the key file"));
    assert!(!p.path("leasehold.db").exists() && !p.path("leasehold.key").exists(), "it only looks");
    p.set_up("20.00");
    assert!(findings(&p, "daemons")[0].starts_with("broken no daemon is running"));
    assert_eq!(p.run(&["doctor"]).code, 1);

    p.set("MAIL__OPERATOR", "ops@example.org");
    let daemon = p.daemon(&["serve"]);
    eventually("all is well", || p.run(&["doctor"]).code == 0);
    p.set("MAIL__TRANSPORT", &format!("smtp://127.0.0.1:{}?tls=none", free_port()));
    assert!(findings(&p, "mail")[0].starts_with("broken 127.0.0.1:"), "a mail server that is not there");
    p.import("faults = { down_file = true }");
    let node = p.path("simulated/node-1");
    std::fs::create_dir_all(&node).unwrap();
    std::fs::write(node.join("down"), "").unwrap();
    assert!(findings(&p, "nodes")[0].starts_with("broken node-1: the node does not answer"));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn the_doctor_knows_postgres() {
    let url = tokio::runtime::Runtime::new().unwrap().block_on(leasehold_tests::database::bare_postgres(&format!("doctor_{}", std::process::id())));
    let p = Program::new(Some(&url));
    assert!(findings(&p, "database")[0].starts_with("ok PostgreSQL "));
    assert!(findings(&p, "schema")[0].starts_with("broken the database needs"));
}

fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

#[test]
fn metrics_follow_the_rules_and_count_what_happened() {
    let promtool = std::env::var("LEASEHOLD_PROMTOOL").expect("LEASEHOLD_PROMTOOL is not set; the rules are never skipped: run scripts/test");
    let mut p = Program::new(None);
    let port = free_port();
    p.set("API__METRICS_LISTEN", &format!("127.0.0.1:{port}"));
    let account = p.set_up("20.00");
    let daemon = p.daemon(&["serve"]);
    p.ok(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", "web", "--wait"]);
    let counted = || get(port, "/metrics").unwrap_or_default();
    eventually("the steps and mails are counted", || {
        let text = counted();
        text.contains("leasehold_steps_total{step=\"verify\",outcome=\"done\"} 1") && text.contains("leasehold_mails_total{outcome=\"sent\"} 3")
    });
    let mut check = Command::new(promtool).args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    check.stdin.take().unwrap().write_all(counted().as_bytes()).unwrap();
    let checked = check.wait_with_output().unwrap();
    assert!(checked.status.success() && checked.stderr.is_empty(), "{}", String::from_utf8_lossy(&checked.stderr));
    let used = p.ok(&["server", "stats", "web"]);
    // A fifth by the node's counters over the node's time, however busy this machine is.
    let processor = used.lines().find_map(|l| l.trim().strip_prefix("processor")).and_then(|l| l.trim().trim_end_matches(" %").parse::<f64>().ok());
    assert!(processor.is_some_and(|p| (19.9..=20.1).contains(&p)) && used.contains("RECEIVED MiB"), "{used}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_service_manager_is_told_how_the_daemon_is() {
    let p = Program::new(None);
    p.set_up("20.00");
    let socket = UnixDatagram::bind(p.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut command = p.command(&["serve"]);
    let daemon = leasehold_tests::program::Daemon::start(command.env("NOTIFY_SOCKET", p.path("notify")).env("WATCHDOG_USEC", "600000").stderr(Stdio::null()));
    let heard = |wanted: &str| {
        let mut buffer = [0; 512];
        (0..20).any(|_| socket.recv(&mut buffer).is_ok_and(|len| String::from_utf8_lossy(&buffer[..len]).contains(wanted)))
    };
    for wanted in ["READY=1", "STATUS=working", "WATCHDOG=1", "WATCHDOG=1"] {
        assert!(heard(wanted), "{wanted} was not heard");
    }
    assert_eq!(daemon.stop(), Some(0));
    assert!(heard("STOPPING=1"));
}

/// Exposure as `systemd-analyze security` counts it, times ten.
const EXPOSURE: &str = "--threshold=20";

#[test]
fn the_units_are_clean_and_closed() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let root = tempfile::tempdir().unwrap();
    let units = root.path().join("etc/systemd/system");
    std::fs::create_dir_all(&units).unwrap();
    for unit in ["leasehold.service", "leasehold-api.service", "leasehold-worker@.service"] {
        // Verified where the program is: the package puts it into /usr/bin.
        let text = std::fs::read_to_string(deploy.join(unit)).unwrap().replace("/usr/bin/leasehold", &leasehold_tests::program::binary().display().to_string());
        std::fs::write(units.join(unit), text).unwrap();
    }
    for unit in ["leasehold.service", "leasehold-api.service", "leasehold-worker@servers.service"] {
        let verified = Command::new("systemd-analyze").args(["verify", "--man=no", "--recursive-errors=no"]).arg(units.join(unit)).output().unwrap();
        assert!(verified.status.success() && verified.stderr.is_empty(), "{unit}: {}", String::from_utf8_lossy(&verified.stderr));
        let security = Command::new("systemd-analyze").args(["security", "--offline=true", EXPOSURE, "--no-pager"]).arg(units.join(unit)).output().unwrap();
        assert!(security.status.success(), "{unit}: {}", String::from_utf8_lossy(&security.stdout));
    }
}
