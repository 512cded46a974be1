//! The real thing: `leasehold worker` processes over PostgreSQL, and a real SMTP server that stores what it is given.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

use std::{
    process::Command,
    time::{Duration, Instant},
};

use leasehold_domain::Timestamp;
use leasehold_tests::{
    program::{Daemon, Program, Signal, eventually, free_port, within},
    signed::{Signer, read},
    smtp::mail_server,
    ssh,
};
use serde_json::json;

fn stored(p: &Program) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(p.path("mailbox").join("new")) else { return vec![] };
    files.flatten().map(|f| std::fs::read_to_string(f.path()).unwrap()).collect()
}

fn subjects(p: &Program) -> Vec<String> {
    let mut subjects: Vec<String> = stored(p).iter().filter_map(|m| m.lines().find_map(|l| l.strip_prefix("Subject: ")).map(str::to_owned)).collect();
    subjects.sort();
    subjects
}

/// Subjects without the numbers of invoices, which carry the year.
fn told(p: &Program) -> Vec<String> {
    subjects(p).into_iter().map(|s| if s.starts_with("Receipt") { "Receipt".into() } else { s }).collect()
}

fn order(p: &Program, account: &str, label: &str) -> serde_json::Value {
    p.json(&["server", "order", "--account", account, "--product", "small", "--template", "debian-12", "--label", label, "--wait"])
}

/// Servers of the account whose lock is held: those that the stopped process had taken (a node takes 8 builds at once), and all.
const CLAIMED: usize = 4;
const ALL: usize = 29;

/// A process that is stopped between two statements of a transaction holds its account's lock and would hold everybody up who needs it.
#[test]
fn a_process_that_stands_still_in_a_transaction_stops_nobody_for_long() {
    let mut p = Program::over_postgres("frozen");
    p.set("WORKER__CLAIM", "30s");
    p.set("PROVISION__BUILDS_PER_ACCOUNT", "100");
    let account = p.set_up("500.00");
    // Whoever orders is told to try again while the account is not free.
    let order = |n: usize| {
        let label = format!("web-{n:02}");
        let args = ["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", &label, "--key", &label];
        within(Duration::from_mins(2), "the order is taken", || p.run(&args).code == 0);
    };
    (0..CLAIMED).for_each(order);
    let scheduler = p.daemon(&["scheduler"]);
    let frozen = Daemon::start(p.command(&["worker"]).env("LEASEHOLD_FREEZE_AT", "step.before_commit:12").stderr(std::process::Stdio::null()));
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", frozen.pid())).unwrap();
    eventually("it stands still", || state().rsplit_once(')').unwrap().1.starts_with(" T"));
    let began = Instant::now();
    let other = p.daemon(&["worker"]);
    std::thread::scope(|scope| {
        scope.spawn(|| eventually("somebody waits for the one that is stopped", || p.run(&["doctor"]).out.contains("others wait for it")));
        (CLAIMED..ALL).for_each(order);
    });
    let running = || p.json(&["server", "list", "--status", "running"]).as_array().unwrap().len();
    // A minute: four times what it takes, and less than what it took when the lock was held until somebody looked.
    within(Duration::from_mins(1), "those run that it had not taken", || running() >= ALL - CLAIMED);
    let others = began.elapsed();
    within(Duration::from_mins(2), "all run", || running() == ALL);
    println!(
        "one of two workers stopped in a transaction: {} of {ALL} servers of its account run after {others:.0?}, the last after {:.0?}",
        ALL - CLAIMED,
        began.elapsed()
    );
    assert_eq!(p.json(&["queue", "list", "--state", "parked"]).as_array().map(Vec::len), Some(0));
    let open = p.json(&["attention", "list"]);
    assert!(open.as_array().unwrap().is_empty(), "{open}");
    // It wakes up, finds its transaction ended and its claims taken, and goes on.
    assert!(frozen.signal(Signal::CONT));
    assert_eq!((frozen.stop(), other.stop(), scheduler.stop()), (Some(0), Some(0), Some(0)));
    p.ok(&["billing", "audit"]);
}

#[test]
fn a_worker_process_builds_and_a_real_mail_server_stores_its_mails() {
    let mut p = Program::over_postgres("mail");
    let port = free_port();
    p.set("MAIL__TRANSPORT", &format!("smtp://127.0.0.1:{port}?tls=none"));
    let account = p.set_up("20.00");
    let worker = p.daemon(&["worker"]);
    // The mail server comes late: what could not be sent is sent when it is there.
    assert_eq!(order(&p, &account, "web")["status"], "running");
    let _smtp = mail_server(&p.path(""), port);
    eventually("all mails are stored", || told(&p) == ["Receipt", "Server Ready: web", "We received your order: web"]);
    let ready = stored(&p).into_iter().find(|m| m.contains("Subject: Server Ready")).unwrap();
    assert!(ready.contains("From: \"Test Host\" <hello@example.org>") || ready.contains("From: Test Host <hello@example.org>"), "{ready}");
    assert!(ready.contains("To: ada@example.org") && ready.contains("Auto-Submitted: auto-generated") && ready.contains("203.0.113.10"), "{ready}");
    let password = p.json(&["server", "credentials", "web"])["password"].as_str().unwrap().to_owned();
    assert!(stored(&p).iter().all(|m| !m.contains(&password)), "no password in a mail");
    eventually("all mails are known as sent", || p.json(&["mail", "list", "--state", "sent"]).as_array().unwrap().len() == 3);
    assert_eq!(worker.stop(), Some(0));
    p.ok(&["billing", "audit"]);
}

#[test]
fn a_worker_that_dies_in_the_middle_is_followed_by_another() {
    let mut p = Program::over_postgres("crash");
    let port = free_port();
    p.set("MAIL__TRANSPORT", &format!("smtp://127.0.0.1:{port}?tls=none"));
    let _smtp = mail_server(&p.path(""), port);
    let account = p.set_up("20.00");
    for point in ["step.before_ask:3", "step.asked:4", "step.outcome_committed:6", "mail.answered:1"] {
        let worker = Daemon::start(p.command(&["worker"]).env("LEASEHOLD_CRASH_AT", point).stderr(std::process::Stdio::null()));
        let label = point.replace([':', '.', '_'], "-");
        let args = ["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", &label];
        p.ok(&args);
        assert_eq!(worker.wait(), None, "{point}: the worker aborts");
    }
    let worker = p.daemon(&["worker"]);
    eventually("all servers run", || p.json(&["server", "list", "--status", "running"]).as_array().unwrap().len() == 4);
    eventually("no mail is queued", || p.json(&["mail", "list", "--state", "queued"]).as_array().unwrap().is_empty());
    // Others may have been on their way when it died, too.
    let count = |state: &str| p.json(&["mail", "list", "--state", state]).as_array().unwrap().len();
    let (sent, ambiguous) = (count("sent"), count("ambiguous"));
    assert!(ambiguous > 0 && sent + ambiguous == 12, "the mail whose answer was lost is counted: {sent} sent, {ambiguous} ambiguous");
    let mut ids: Vec<String> = stored(&p).iter().filter_map(|m| m.lines().find_map(|l| l.strip_prefix("Message-ID: ")).map(str::to_owned)).collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert!(all == ids.len() && all >= sent, "no mail is sent twice: {all} stored");
    assert_eq!(worker.stop(), Some(0));
    assert_eq!(p.json(&["account", "show", "1001"])["balance"], "0.00");
    p.ok(&["billing", "audit"]);
}

/// A daemon that looks by itself only every hour: what is done before that was rung.
fn is_woken(mut p: Program, role: &str) {
    p.set("WORKER__POLL", "1h");
    let account = p.set_up("20.00");
    let daemon = p.daemon(&[role]);
    eventually("the daemon has nothing to do", || p.json(&["node", "list"])[0]["seenAt"].is_string());
    assert_eq!(order(&p, &account, "web")["status"], "running");
    eventually("the mails are sent", || p.json(&["mail", "list", "--state", "sent"]).as_array().unwrap().len() == 3);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_worker_is_woken_by_the_database() {
    is_woken(Program::over_postgres("woken"), "worker");
}

#[test]
fn a_daemon_on_a_file_is_woken_by_the_command() {
    is_woken(Program::new(None), "serve");
}

#[test]
fn a_daemon_on_a_file_survives_a_burst_of_orders() {
    let mut p = Program::new(None);
    p.set("PROVISION__BUILDS_PER_ACCOUNT", "40");
    let account = p.set_up("1000.00");
    let daemon = p.daemon(&["serve"]);
    let ordered = &|client: usize| {
        for n in 0..10 {
            let label = format!("b{client}-{n}");
            p.ok(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", &label]);
        }
    };
    std::thread::scope(|scope| {
        (0..4).for_each(|client| drop(scope.spawn(move || ordered(client))));
    });
    eventually("all servers run", || p.json(&["server", "list", "--status", "running"]).as_array().unwrap().len() == 40);
    assert_eq!(daemon.stop(), Some(0));
    p.ok(&["billing", "audit"]);
}

#[test]
fn a_worker_of_an_old_schema_asks_for_the_migration() {
    let url = std::env::var("LEASEHOLD_TEST_POSTGRES").unwrap();
    let name = format!("e2e_bare_{}", std::process::id());
    let created = tokio::runtime::Runtime::new().unwrap().block_on(leasehold_tests::database::bare_postgres(&name));
    assert!(created.starts_with(&url));
    let p = Program::new(Some(&created));
    p.ok(&["secrets", "generate"]);
    p.refuses(75, &["the database needs", "leasehold migrate"], &["worker"]);
    assert_eq!(p.run(&["migrate", "--check"]).code, 1);
    p.ok(&["migrate"]);
    p.ok(&["migrate"]);
    p.ok(&["migrate", "--check"]);
}

/// One QEMU node of this host, a plan that the small guest fits, and a simulated node in another region.
fn real_catalogue(p: &Program) -> String {
    let images = std::env::var("LEASEHOLD_GUEST").expect("LEASEHOLD_GUEST is not set; real machines are never skipped: run scripts/test");
    let real = include_str!("../../config/catalog-qemu.toml")
        .replace("\"target/guest\"", &format!("\"{images}\""))
        .replace("\"machines\"", &format!("\"{}\"", p.path("machines").display()))
        .replace("regions = [\"here\"]", "regions = [\"here\", \"lab\"]");
    format!(
        "{real}[[region]]\nid = \"lab\"\nname = \"Lab\"\n[[node]]\nid = \"lab-1\"\nregion = \"lab\"\nbackend = \"simulated\"\nendpoint = \"{}\"\n\
         capacity = {{ vcpu = 4, ram_mb = 4096, disk_gb = 50 }}\n[[pool]]\nid = \"lab-v4\"\nregion = \"lab\"\nfamily = 4\ncidr = \"10.67.0.0/24\"\n\
         gateway = \"10.67.0.1\"\nrange = \"10.67.0.10-10.67.0.20\"\n",
        p.path("lab").display()
    )
}

/// Runs a line in a server's guest, with the account's key.
fn ssh(p: &Program, server: &str, line: &str) -> String {
    ssh_with(p, "id", server, line)
}

/// The same, with the key in this file.
fn ssh_with(p: &Program, key: &str, server: &str, line: &str) -> String {
    let at = p.json(&["server", "credentials", server]);
    let target = format!("root@{}", at["ip"].as_str().unwrap());
    let options = ["-q", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"];
    let output = Command::new("ssh").args(options).arg("-i").arg(p.path(key)).args(["-p", &at["port"].to_string(), &target, line]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn processes(p: &Program) -> usize {
    let machines = p.path("machines").display().to_string();
    let commands = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| std::fs::read(e.path().join("cmdline")).ok());
    commands.filter(|c| c.starts_with(b"qemu-system") && String::from_utf8_lossy(c).contains(&machines)).count()
}

/// Gives an account SSH keys by its own routes, whose private halves are in the files `id` (uploaded) and `made` (generated), and takes
/// one away again (`gone`); what the account is told of them, by name and how many servers were built with each.
fn ssh_keys_of_the_account(p: &mut Program, account: &str) -> impl Fn() -> Vec<(String, i64)> + use<> {
    let at = format!("127.0.0.1:{}", free_port());
    p.set("API__LISTEN", &at);
    let key = p.json(&["key", "create", "--account", account, "--scopes", "ssh_keys:read,ssh_keys:write"])["key"].as_str().unwrap().to_owned();
    let pair = Signer::shown(&p.json(&["key", "create", "--account", account, "--kind", "e24"]));
    let api = p.daemon(&["api"]);
    eventually("the API answers", || std::net::TcpStream::connect(&at).is_ok());
    let url = format!("http://{at}/v1/account/ssh-keys");
    let ask = move |method: &str, more: &str, body: &str| {
        let headers = ["-H", &format!("X-API-Key: {key}"), "-H", "Content-Type: application/json"];
        read(Command::new("curl").args(["-s", "-w", "\n%{http_code}", "-X", method, "-d", body]).args(headers).arg(format!("{url}{more}"))).1
    };
    for (file, name) in [("id", "deploy"), ("gone", "gone")] {
        let line = ssh::key_pair(&p.path(file));
        let added = ask("POST", "", &json!({ "name": name, "public_key": line }).to_string());
        assert_eq!((&added["name"], &added["vm_count"]), (&json!(name), &json!(0)), "{added}");
        if file == "gone" {
            assert_eq!(ask("DELETE", &format!("/{}", added["id"].as_str().unwrap()), "")["success"], true);
        }
    }
    let (status, made) = pair.curl(&at, "PUT", "/v2/account/sshkey", r#"{"name":"made here","method":"generate"}"#);
    assert_eq!(status, 200, "{made}");
    std::fs::write(p.path("made"), made["sshkeys"]["private_key"].as_str().unwrap()).unwrap();
    std::fs::set_permissions(p.path("made"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    move || {
        let _serves = &api;
        let all = ask("GET", "", "");
        let mut all: Vec<_> = all.as_array().unwrap().iter().map(|k| (k["name"].as_str().unwrap().to_owned(), k["vm_count"].as_i64().unwrap())).collect();
        all.sort();
        all
    }
}

#[test]
fn a_real_machine_is_built_through_a_worker_that_dies_on_the_way() {
    let mut p = Program::over_postgres("qemu");
    let port = free_port();
    p.set("MAIL__TRANSPORT", &format!("smtp://127.0.0.1:{port}?tls=none"));
    let _smtp = mail_server(&p.path(""), port);
    let account = p.set_up("20.00");
    std::fs::write(p.path("real.toml"), real_catalogue(&p)).unwrap();
    p.ok(&["catalog", "import", "real.toml", "--yes"]);
    let keys = ssh_keys_of_the_account(&mut p, &account);

    // The first worker dies right after the machine was switched on, before it could write that down.
    let dies = Daemon::start(p.command(&["worker"]).env("LEASEHOLD_CRASH_AT", "step.asked:6").stderr(std::process::Stdio::null()));
    p.ok(&["server", "order", "--account", &account, "--product", "small", "--template", "tiny", "--region", "here", "--label", "real"]);
    assert_eq!(dies.wait(), None);
    assert_eq!(processes(&p), 1, "the machine outlives the worker");
    let worker = p.daemon(&["worker"]);
    eventually("the server runs", || p.json(&["server", "show", "real"])["status"] == "running");
    assert_eq!(processes(&p), 1, "and it is still the only one");
    let steps = p.json(&["server", "show", "real"])["steps"].clone();
    assert!(steps.as_array().unwrap().iter().any(|s| s["outcome"] == "interrupted"), "{steps}");

    assert_eq!(ssh(&p, "real", "hostname"), p.json(&["server", "show", "real"])["hostname"].as_str().unwrap());
    // Every key that the account has is on it, and no other; and that is what the account is told.
    assert_eq!((ssh_with(&p, "made", "real", "echo in"), ssh_with(&p, "gone", "real", "echo in")), ("in".into(), String::new()));
    assert_eq!(keys(), [("deploy".to_owned(), 1), ("made here".to_owned(), 1)]);
    let kib: u64 = ssh(&p, "real", "df -k / | tail -1").split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib > 2_700_000, "the disk of the plan is seen inside: {kib} KiB");
    eventually("all mails are stored", || told(&p) == ["Receipt", "Server Ready: real", "We received your order: real"]);

    // What it uses is counted by the host; nobody counts its user network.
    let used = p.json(&["server", "stats", "real"]);
    assert!(used["powerState"] == "POWERED_ON" && used["live"]["memoryUsedMb"].as_i64() > Some(50) && used["live"]["netRxKbps"].is_null(), "{used}");

    // The other node of the same catalogue is simulated.
    p.ok(&["server", "order", "--account", &account, "--product", "small", "--template", "tiny", "--region", "lab", "--label", "lab", "--wait"]);
    assert_eq!((p.json(&["server", "show", "lab"])["node"].as_str(), processes(&p)), (Some("lab-1"), 1));

    // A snapshot brings back what was there.
    let snapshot =
        |name: &str, state: &str| p.json(&["server", "snapshot", "real", "list"]).as_array().unwrap().iter().any(|s| s["name"] == name && s["state"] == state);
    ssh(&p, "real", "echo before > /root/word; sync");
    p.ok(&["server", "snapshot", "real", "create", "nightly"]);
    eventually("the snapshot is ready", || snapshot("nightly", "ready"));
    ssh(&p, "real", "echo after > /root/word; sync");
    p.ok(&["server", "snapshot", "real", "revert", "nightly", "--yes"]);
    eventually("the snapshot is back", || snapshot("nightly", "ready"));
    eventually("the old word is back", || ssh(&p, "real", "cat /root/word") == "before");

    // A new system on the same address; the snapshots would be lost with the old one.
    let addresses = p.json(&["server", "show", "real"])["addresses"].clone();
    p.refuses(4, &["1 snapshots that would be lost"], &["server", "reinstall", "real", "--yes"]);
    p.ok(&["server", "reinstall", "real", "--drop-snapshots", "--yes"]);
    eventually("it is reinstalled", || p.json(&["server", "show", "real"])["status"] == "running");
    assert_eq!(p.json(&["server", "show", "real"])["addresses"], addresses);
    assert_eq!(ssh(&p, "real", "ls /root | wc -l"), "0");
    assert_eq!(processes(&p), 1);

    p.ok(&["server", "terminate", "lab", "--yes"]);
    p.ok(&["server", "terminate", "real", "--yes"]);
    eventually("the machine is gone", || p.json(&["server", "list", "--status", "terminated"]).as_array().unwrap().len() == 2 && processes(&p) == 0);
    assert_eq!(worker.stop(), Some(0));
    p.ok(&["billing", "audit"]);
}

#[test]
fn simulated_months_pass_on_either_database() {
    for mut p in [Program::new(None), Program::over_postgres("months")] {
        p.set("CLOCK__MODE", "simulated");
        let account = p.set_up("100.00");
        p.ok(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", "web"]);
        let began: Timestamp = p.json(&["clock", "show"])["now"].as_str().unwrap().parse().unwrap();
        p.ok(&["clock", "advance", "100d"]);
        let now: Timestamp = p.json(&["clock", "show"])["now"].as_str().unwrap().parse().unwrap();
        assert!(now.since(began) >= Duration::from_hours(100 * 24));
        // No day is without its ticks, and no jump is taken for a clock that is wrong.
        assert_eq!(p.json(&["attention", "list"]), serde_json::json!([]));
        assert_eq!(p.json(&["invoice", "list"]).as_array().unwrap().len(), 4);
        assert_eq!(p.json(&["account", "show", &account])["balance"], "80.00");
    }
}
