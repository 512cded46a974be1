//! The program as its users meet it: what it says, how it ends, and that a refusal changes nothing.

use std::os::unix::fs::PermissionsExt;

use leasehold_tests::program::{Program, eventually};
use serde_json::json;

#[test]
fn bad_input_is_one_clear_line_and_changes_nothing() {
    let p = Program::new(None);
    let account = p.set_up("20.00");
    p.ok(&["account", "create", "--email", "poor@example.org", "--first-name", "Poor", "--last-name", "Soul", "--currency", "JPY"]);
    let before = (p.json(&["server", "list"]), p.json(&["account", "list"]), p.json(&["mail", "list"]));
    let order = |more: &[&str]| [&["server", "order", "--account", account.as_str()], more].concat().iter().map(ToString::to_string).collect::<Vec<_>>();
    let refuses = |code, says: &[&str], args: Vec<String>| p.refuses(code, says, &args.iter().map(String::as_str).collect::<Vec<_>>());
    let small = ["--product", "small", "--template", "debian-12"];
    refuses(3, &["no product 'huge'"], order(&["--product", "huge", "--template", "debian-12"]));
    refuses(3, &["no template 'plan9'"], order(&["--product", "small", "--template", "plan9"]));
    refuses(2, &["region 'moon' does not offer product 'small'", "fra"], order(&[&small[..], &["--region", "moon"]].concat()));
    refuses(4, &["the wallet holds 20.00 EUR", "54.00 EUR is needed", "account credit"], order(&[&small[..], &["--cycle", "12m"]].concat()));
    refuses(2, &["label 'a/b' is not allowed"], order(&[&small[..], &["--label", "a/b"]].concat()));
    refuses(2, &["hostname '-x' is not allowed"], order(&[&small[..], &["--hostname=-x"]].concat()));
    p.refuses(2, &["has no price in JPY for 1m"], &["server", "order", "--account", "1002", "--product", "small", "--template", "debian-12"]);
    p.refuses(3, &["no account '4711'"], &["server", "order", "--account", "4711", "--product", "small", "--template", "debian-12"]);
    p.refuses(2, &["'1.999' has 3 decimals, EUR has 2"], &["account", "credit", &account, "1.999", "--reason", "x"]);
    p.refuses(2, &["'-5' is negative"], &["account", "credit", &account, "-5", "--reason", "x"]);
    p.refuses(2, &["above zero"], &["account", "credit", &account, "0", "--reason", "x"]);
    p.refuses(2, &["too large"], &["account", "credit", &account, "99999999999999999999", "--reason", "x"]);
    p.refuses(4, &["the wallet holds 20.00 EUR"], &["account", "debit", &account, "20.01", "--reason", "x"]);
    p.refuses(2, &["e-mail address 'nobody' is not allowed"], &["account", "create", "--email", "nobody", "--first-name", "A", "--last-name", "B"]);
    p.refuses(
        2,
        &["unknown currency 'EURO'"],
        &["account", "create", "--email", "a@example.org", "--first-name", "A", "--last-name", "B", "--currency", "EURO"],
    );
    p.refuses(3, &["no server 'nothing'"], &["server", "retry", "nothing"]);
    p.refuses(2, &["unknown scope 'root'"], &["key", "create", "--account", &account, "--scopes", "root"]);
    assert_eq!(before, (p.json(&["server", "list"]), p.json(&["account", "list"]), p.json(&["mail", "list"])));
    p.ok(&["billing", "audit"]);
}

#[test]
fn bad_input_about_leases_is_one_clear_line_and_changes_nothing() {
    let p = Program::new(None);
    let account = p.set_up("20.00");
    let daemon = p.daemon(&["serve"]);
    p.ok(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", "web", "--wait"]);
    daemon.stop();
    let before = (p.json(&["account", "policy", &account, "--server", "web"]), p.json(&["server", "show", "web"])["lease"].clone());
    p.refuses(2, &["unknown Key 'suspend_afer'", "suspend_after"], &["account", "policy", &account, "suspend_afer", "3d"]);
    p.refuses(2, &["policy suspend_after = \"3\"", "is no duration"], &["account", "policy", &account, "suspend_after", "3"]);
    p.refuses(2, &["policy zone = \"Mars/Base\"", "unknown time zone"], &["account", "policy", &account, "zone", "Mars/Base"]);
    p.refuses(2, &["is a rule of the whole house"], &["account", "policy", &account, "breaker.suspensions.count", "3"]);
    p.refuses(3, &["no account '4711'"], &["account", "policy", "4711", "suspend_after", "3d"]);
    p.refuses(2, &["is in the past"], &["server", "protect", "web", "--until", "2020-01-01"]);
    p.refuses(2, &["is in the past"], &["billing", "preview", "--until", "2020-01-01"]);
    p.refuses(4, &["the breaker for suspensions is not open"], &["breaker", "confirm", "suspension", "--count", "1"]);
    p.refuses(3, &["no invoice '2020-1'"], &["invoice", "show", "2020-1"]);
    assert_eq!(before, (p.json(&["account", "policy", &account, "--server", "web"]), p.json(&["server", "show", "web"])["lease"].clone()));
    p.ok(&["billing", "audit"]);
}

#[test]
fn a_preview_says_what_policy_and_protection_make_of_it() {
    let p = Program::new(None);
    let account = p.set_up("12.00");
    let daemon = p.daemon(&["serve"]);
    p.ok(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", "web", "--wait"]);
    daemon.stop();
    // 5.00 a month: one more is paid, the third is not.
    let ahead = |p: &Program| -> Vec<String> {
        let until = jiff_day(150);
        let rows = p.json(&["billing", "preview", "--until", &until]);
        rows.as_array().unwrap().iter().map(|row| row["what"].as_str().unwrap().to_owned()).collect()
    };
    let all = ["renew", "low_balance", "low_balance", "low_balance", "fail", "remind", "suspend", "warn", "warn", "warn", "terminate"];
    assert_eq!(ahead(&p), all);
    p.ok(&["account", "policy", &account, "never_terminate", "true", "--server", "web"]);
    assert_eq!(ahead(&p), all[..7]);
    p.ok(&["server", "protect", "web", "--until", &jiff_day(300)]);
    assert_eq!(ahead(&p), all[..5]);
    p.ok(&["account", "policy", &account, "never_terminate", "--clear", "--server", "web"]);
    p.ok(&["server", "protect", "web", "--off"]);
    assert_eq!(ahead(&p), all);
    p.ok(&["server", "cancel", "web"]);
    assert_eq!(ahead(&p), ["end"]);
    let invoices = p.json(&["invoice", "list"]);
    let invoice = p.json(&["invoice", "show", invoices[0]["number"].as_str().unwrap()]);
    assert_eq!((&invoice["total"], &invoice["lines"][0]["description"]), (&"5.00".into(), &"Small, web".into()));
}

/// The day so many days from now, as the program reads it.
fn jiff_day(days: u64) -> String {
    (leasehold_store::Clock::system().now() + std::time::Duration::from_hours(24 * days)).day()
}

#[test]
fn configuration_keys_and_files_are_checked() {
    let mut p = Program::new(None);
    p.refuses(1, &["key file", "No such file", "leasehold secrets generate"], &["serve"]);
    p.ok(&["secrets", "generate"]);
    p.refuses(4, &["never overwritten"], &["secrets", "generate"]);
    std::fs::set_permissions(p.path("leasehold.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    p.refuses(1, &["can be read by others (mode 644)", "chmod 600"], &["serve"]);
    std::fs::set_permissions(p.path("leasehold.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(p.path("bad.toml"), "[provision]\natempts = 3\n").unwrap();
    std::fs::write(p.path("late.toml"), "[provision]\nagent_wait = \"30m\"\n").unwrap();
    p.refuses(2, &["provision.agent_wait", "provision.deadline"], &["--config", "late.toml", "queue", "status"]);
    p.refuses(2, &["unknown key 'provision.atempts'", "bad.toml", "did you mean 'provision.attempts'?"], &["--config", "bad.toml", "queue", "status"]);
    p.refuses(2, &["worker needs PostgreSQL", "leasehold serve"], &["worker"]);
    p.set("DATABASE__URL", "postgres://u:secret@127.0.0.1:1/x");
    let ended = p.run(&["queue", "status"]);
    assert_eq!(ended.code, 75);
    assert!(ended.err.contains("postgres://u@127.0.0.1:1/x cannot be reached") && !ended.err.contains("secret"), "{}", ended.err);
    let shown = p.ok(&["config", "show"]);
    assert!(shown.contains("u:***@127.0.0.1") && !shown.contains("secret@"), "{shown}");
}

#[test]
fn one_daemon_at_a_time_holds_a_sqlite_file_and_the_cli_works_beside_it() {
    let p = Program::new(None);
    let account = p.set_up("20.00");
    let daemon = p.daemon(&["serve"]);
    eventually("the daemon is alive", || !p.json(&["queue", "status"])["processes"].as_array().unwrap().is_empty());
    p.refuses(4, &["another leasehold daemon is running"], &["serve"]);
    let server = p.json(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", "web", "--wait"]);
    assert_eq!(server["status"], "running");
    let shown = p.json(&["server", "show", "web"]);
    assert_eq!((&shown["lease"]["state"], shown["steps"].as_array().unwrap().len() >= 9), (&"active".into(), true));
    let credentials = p.json(&["server", "credentials", "web"]);
    assert!(credentials["password"].as_str().unwrap().len() >= 20);
    let log = p.ok(&["activity", "--server", "web"]);
    assert!(log.contains("server.credentials") && log.contains("operator:tester"), "{log}");
    p.refuses(4, &["say --yes"], &["server", "terminate", "web"]);
    p.ok(&["server", "password-reset", "web"]);
    assert_ne!(p.json(&["server", "credentials", "web"])["password"], credentials["password"]);
    p.ok(&["backup", "copy.db"]);
    p.refuses(4, &["copy.db exists"], &["backup", "copy.db"]);
    assert_eq!(daemon.stop(), Some(0), "SIGTERM is a clean end");
    p.ok(&["billing", "audit"]);
    let daemon_log = std::fs::read_to_string(p.path("daemon.log")).unwrap();
    assert!(!daemon_log.contains(credentials["password"].as_str().unwrap()) && !daemon_log.contains("ada@example.org"), "logs hold no secret and no person");
}

#[test]
fn a_catalogue_that_would_orphan_servers_is_refused() {
    let p = Program::new(None);
    let account = p.set_up("20.00");
    let _daemon = p.daemon(&["serve"]);
    p.ok(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--wait"]);
    let whole = std::fs::read_to_string(p.path("catalog.toml")).unwrap();
    let small = &whole[whole.find("[[product]]\nkey = \"small\"").unwrap()..whole.find("[[product]]\nkey = \"medium\"").unwrap()];
    assert_eq!(p.json(&["catalog", "import", "catalog.toml"])["changes"].as_array().unwrap().len(), 0, "importing twice changes nothing");
    for (name, text, says) in [
        ("node", whole.replace("id = \"node-1\"", "id = \"node-2\""), "node 'node-1' cannot go: 1 live server(s)"),
        ("endpoint", whole.replace("simulated/node-1", "elsewhere"), "endpoint or region of node 'node-1' cannot go"),
        ("range", whole.replace("203.0.113.10-", "203.0.113.11-"), "addresses of pool 'fra-v4' cannot go"),
        ("typo", whole.replace("bandwidth_gb = 2000", "bandwith_gb = 2000"), "unknown field `bandwith_gb`"),
        ("backend", whole.replace("backend = \"simulated\"", "backend = \"cloud\""), "backend 'cloud'"),
        ("amount", whole.replace("\"5.00\"", "\"5.001\""), "'5.001' has 3 decimals"),
        ("twice", format!("{whole}\n{small}"), "product 'small' stands twice in the file"),
        ("nothing", whole.replacen("ram_mb = 2048", "ram_mb = -2048", 1), "product 'small': ram_mb is -2048; it is 1 to"),
        ("no node", whole.replacen("capacity = { vcpu = ", "capacity = { vcpu = -", 1), "node 'node-1': capacity.vcpu is -"),
        ("two lines", whole.replacen("name = \"Small\"", "name = \"Small\\nsecond\"", 1), "product 'small': name 'Small\\nsecond' is not allowed"),
        ("long", whole.replacen("name = \"Small\"", &format!("name = \"{}\"", "x".repeat(81)), 1), "use 1 to 80 characters"),
        ("id", whole.replacen("id = \"fra-v6\"", "id = \"fra v6\"", 1), "pool: id 'fra v6' is not allowed"),
    ] {
        std::fs::write(p.path("other.toml"), text).unwrap();
        let ended = p.run(&["catalog", "import", "other.toml"]);
        assert!(matches!(ended.code, 2 | 4) && ended.err.contains(says), "{name}: {ended:?}");
    }
    assert_eq!(p.json(&["catalog", "import", "catalog.toml"])["changes"].as_array().unwrap().len(), 0, "the refused imports changed nothing");
}

#[test]
fn a_command_in_the_wrong_folder_makes_no_database_and_says_where_it_looked() {
    let p = Program::new(None);
    p.ok(&["secrets", "generate"]);
    let file = p.path("leasehold.db");
    for args in [&["billing", "audit"][..], &["backup", "copy.db"], &["account", "list"], &["migrate", "--check"], &["server", "credentials", "x"]] {
        p.refuses(3, &["there is no database", &file.display().to_string(), "no configuration file was found", "--config"], args);
        assert!(!file.exists(), "{args:?}");
    }
    assert!(p.run(&["doctor"]).out.contains("there is no database"));
    // A file in the working folder is found, and its relative paths are its own.
    std::fs::create_dir(p.path("etc")).unwrap();
    std::fs::write(p.path("leasehold.toml"), "[worker]\nconcurrency = 7\n").unwrap();
    let found = p.json(&["config", "show"]);
    assert!(found.as_array().unwrap().iter().any(|o| o["key"] == "worker.concurrency" && o["from"] == "leasehold.toml"), "{found}");
    p.refuses(3, &["configured by leasehold.toml"], &["billing", "audit"]);
    p.ok(&["migrate"]);
    p.ok(&["billing", "audit"]);
}

#[test]
fn what_is_written_is_nobody_elses_to_read() {
    let p = Program::new(None);
    let account = p.set_up("20.00");
    let daemon = p.daemon(&["serve"]);
    p.ok(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--wait"]);
    p.ok(&["backup", "copy.db"]);
    leasehold_tests::program::eventually("a mail is written", || std::fs::read_dir(p.path("mails")).is_ok_and(|mut mails| mails.next().is_some()));
    let mode = |path: &std::path::Path| std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o077;
    let mails = std::fs::read_dir(p.path("mails")).unwrap().flatten().map(|f| f.path());
    for file in ["leasehold.db", "leasehold.db-wal", "copy.db", "leasehold.key"].map(|name| p.path(name)).into_iter().chain(mails) {
        assert_eq!(mode(&file), 0, "{}", file.display());
    }
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_pool_whose_gateway_no_guest_could_reach_is_refused() {
    let p = Program::new(None);
    p.ok(&["secrets", "generate"]);
    let sample = include_str!("../../config/catalog.toml");
    for (gateway, says) in [("192.0.2.1", "lies outside of 203.0.113.0/24"), ("2001:db8:1::1", "is not of family 4")] {
        std::fs::write(p.path("bad.toml"), sample.replacen("gateway = \"203.0.113.1\"", &format!("gateway = \"{gateway}\""), 1)).unwrap();
        p.refuses(2, &["pool 'fra-v4'", gateway, says], &["catalog", "import", "bad.toml"]);
    }
    // A link-local one is on every guest's link.
    std::fs::write(p.path("good.toml"), sample.replacen("gateway = \"2001:db8:1::1\"", "gateway = \"fe80::1\"", 1)).unwrap();
    assert_eq!(p.json(&["catalog", "import", "good.toml"])["notes"], serde_json::json!([]));
    std::fs::write(p.path("silent.toml"), sample.replacen("resolvers = [", "# resolvers = [", 1)).unwrap();
    let notes = p.json(&["catalog", "import", "silent.toml"])["notes"].clone();
    assert!(notes[0].as_str().unwrap().contains("region fra has no resolvers"), "{notes}");
    assert!(p.run(&["doctor"]).out.contains("region fra has no resolvers"));
}

#[test]
fn keys_are_rotated_beside_a_running_house_and_nobody_is_locked_out() {
    let mut p = Program::new(None);
    let at = format!("127.0.0.1:{}", leasehold_tests::program::free_port());
    p.set("API__LISTEN", &at);
    let account = p.set_up("40.00");
    // A file of an older version: a key, and no pepper.
    let file = p.path("leasehold.key");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.lines().filter(|l| !l.starts_with("pepper:")).collect::<Vec<_>>().join("\n")).unwrap();
    let key = p.json(&["key", "create", "--account", &account, "--scopes", "*"])["key"].as_str().unwrap().to_owned();
    let daemon = p.daemon(&["serve"]);
    let order = |label: &str| p.ok(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", label, "--wait"]);
    let lists = || p.run(&["--server", &format!("http://{at}"), "--key", &key, "server", "list"]);
    order("web");
    assert_eq!(lists().code, 0);
    let before = p.json(&["server", "credentials", "web"]);
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&file).unwrap());
    // The file may be elsewhere, behind a link.
    std::fs::rename(&file, p.path("real.key")).unwrap();
    std::os::unix::fs::symlink(p.path("real.key"), &file).unwrap();
    std::fs::copy(p.path("real.key"), p.path("copy.key")).unwrap();
    // What a rotation that was cut off left is in nobody's way.
    std::fs::write(p.path("leasehold.key.next"), "half").unwrap();
    for round in 0..2 {
        let rotated = p.json(&["secrets", "rotate"]);
        assert!(rotated["resealed"].as_i64().unwrap() >= 1, "{rotated}");
        // The daemon that runs opens what the new key sealed, and seals with it.
        order(&format!("after-{round}"));
        assert_eq!((lists().code, &p.json(&["server", "credentials", "web"])), (0, &before), "round {round}");
        let removed = p.json(&["secrets", "rotate", "--step", "remove"]);
        assert_eq!(removed["removed"].as_array().unwrap().len(), 1, "{removed}");
        assert_eq!(p.json(&["secrets", "list"]).as_array().unwrap().len(), 1);
        assert_eq!((lists().code, &p.json(&["server", "credentials", "web"])), (0, &before), "the customer's key is what it was");
    }
    assert!(p.run(&["doctor"]).out.contains("opens a secret of each kind"));
    assert!(std::fs::symlink_metadata(&file).unwrap().is_symlink());
    // Whoever has a copy from before seals nothing with a key that is gone.
    std::fs::write(p.path("user-data"), "#cloud-config\n").unwrap();
    let mut sealing = p.command(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--user-data", "user-data"]);
    let ended = sealing.env("LEASEHOLD__SECRETS__KEY_FILE", p.path("copy.key")).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains("was removed; give this process the file of now"), "{said}");
    // One command at a time changes the file.
    let held = std::fs::File::open(p.path("")).unwrap();
    held.lock().unwrap();
    p.refuses(4, &["another command is changing"], &["secrets", "rotate"]);
    drop(held);
    assert_eq!(daemon.stop(), Some(0));
    let is = std::fs::metadata(&file).unwrap();
    assert_eq!((std::os::unix::fs::MetadataExt::mode(&is) & 0o777, std::os::unix::fs::MetadataExt::uid(&is)), (0o600, owner));
    // Without the file nobody is told to make a new one, and doing so is refused.
    std::fs::rename(&file, p.path("aside.key")).unwrap();
    assert!(p.run(&["doctor"]).out.contains("put it back from your copy"));
    p.refuses(4, &["put that file back from your copy"], &["secrets", "generate"]);
    // A file with another key: the doctor names the one that is missing.
    let other = Program::new(None);
    other.ok(&["secrets", "generate"]);
    std::fs::copy(other.path("leasehold.key"), &file).unwrap();
    let said = p.run(&["doctor"]).out;
    assert!(said.contains("the key file has no key '") && said.contains("servers.password"), "{said}");
}

#[test]
fn every_list_prints_json_and_the_helpers_speak() {
    let p = Program::new(None);
    p.set_up("1.00");
    for args in [
        &["account", "list"][..],
        &["account", "show", "1001"],
        &["account", "statement", "1001"],
        &["activity"],
        &["attention", "list"],
        &["catalog", "show"],
        &["clock", "show"],
        &["config", "show"],
        &["drift"],
        &["key", "list"],
        &["mail", "list"],
        &["node", "list"],
        &["queue", "list"],
        &["queue", "runs"],
        &["queue", "status"],
        &["server", "list"],
        &["tick", "list"],
        &["migrate", "--check"],
        &["billing", "audit"],
        &["billing", "preview"],
        &["billing", "run"],
        &["billing", "run", "--dry-run"],
        &["breaker", "show"],
        &["invoice", "list"],
        &["coupon", "list"],
        &["account", "partner", "1001"],
        &["account", "policy", "1001"],
        &["mail", "preview", "server_ready"],
    ] {
        p.json(args);
        assert!(!p.ok(args).is_empty());
    }
    assert!(p.ok(&["completions", "bash"]).contains("_leasehold"));
    assert!(p.ok(&["man"]).contains(".TH leasehold"));
    assert!(p.ok(&["config", "default"]).contains("[provision]"));
    let key = p.json(&["key", "create", "--account", "1001"]);
    assert!(key["key"].as_str().unwrap().starts_with("lsh_"));
    assert!(!p.ok(&["key", "list", "--account", "1001"]).contains(key["key"].as_str().unwrap()));
    p.refuses(4, &["only a simulated clock is moved by hand"], &["clock", "advance", "1d"]);
}

#[test]
fn bad_input_about_money_is_one_clear_line_and_changes_nothing() {
    let p = Program::new(None);
    p.set_up("20.00");
    let everything =
        |p: &Program| [&["account", "statement", "1001"][..], &["account", "show", "1001"], &["coupon", "list"], &["server", "list"]].map(|args| p.json(args));
    let before = everything(&p);
    for (code, says, args) in [
        (2, "'1.234' has 3 decimals, EUR has 2", &["account", "credit", "1001", "1.234", "--reason", "x"][..]),
        (2, "'-5' is negative", &["account", "credit", "1001", "-5", "--reason", "x"]),
        (2, "too large", &["account", "credit", "1001", "99999999999999999999", "--reason", "x"]),
        (4, "the wallet holds 20.00 EUR", &["account", "debit", "1001", "20.01", "--reason", "x"]),
        (2, "needs --reference", &["account", "chargeback", "1001", "5.00", "--reason", "x"]),
        (2, "no such rule", &["account", "policy", "1001", "suspend_afterr", "3d"]),
        (2, "'3 days' is no duration", &["account", "policy", "1001", "suspend_after", "3 days"]),
        (2, "country 'GERMANY'", &["account", "billing", "1001", "--country", "Germany"]),
        (2, "'19.9999' is no percentage", &["account", "billing", "1001", "--rate", "19.9999", "--evidence", "x"]),
        (3, "no coupon 'NEVER'", &["server", "order", "--account", "1001", "--product", "small", "--template", "debian-12", "--coupon", "never"]),
        (3, "has no add-on 'gold'", &["server", "order", "--account", "1001", "--product", "small", "--template", "debian-12", "--addon", "gold"]),
        (2, "a code is 3 to 32", &["coupon", "create", "a b", "--percent", "5"]),
        (2, "is no percentage", &["coupon", "create", "HALF", "--percent", "101"]),
        (2, "'5.001' has 3 decimals", &["coupon", "create", "HALF", "--amount", "5.001", "--currency", "EUR"]),
        (2, "would have expired", &["coupon", "create", "HALF", "--percent", "50", "--until", "2020-01-01"]),
        (3, "product 'huge'", &["coupon", "create", "HALF", "--percent", "50", "--product", "huge"]),
        (3, "2020-000001", &["invoice", "refund", "2020-000001", "--reason", "x"]),
        (2, "needs --reference", &["invoice", "refund", "2020-000001", "--amount", "1.00", "--reason", "x"]),
        (4, "only a simulated clock", &["clock", "advance", "1d"]),
    ] {
        p.refuses(code, &[says], args);
    }
    assert_eq!(everything(&p), before);
}

#[test]
fn what_is_bought_is_invoiced_and_can_be_given_back() {
    let p = Program::new(None);
    let account = p.set_up("30.00");
    p.ok(&["account", "billing", &account, "--country", "DE", "--address", "1 Example Street; Berlin"]);
    p.ok(&["coupon", "create", "half", "--percent", "50", "--uses", "1"]);
    let daemon = p.daemon(&["serve"]);
    let order = ["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", "web"];
    p.ok(&[&order[..], &["--coupon", "HALF", "--addon", "backup", "--wait"]].concat());
    p.refuses(4, &["coupon 'HALF' is used up"], &[&order[..8], &["--coupon", "HALF"]].concat());
    p.ok(&["server", "addon", "web", "add", "extra-ip"]);
    eventually("the address is attached", || p.ok(&["server", "addon", "web", "list"]).matches("active").count() == 2);
    assert!(p.ok(&["server", "cycle", "web", "12m"]).contains("from its next period on"));
    let invoices = p.json(&["invoice", "list"]);
    let number = invoices.as_array().unwrap().last().unwrap()["number"].as_str().unwrap().to_owned();
    p.ok(&["invoice", "show", &number, "--pdf", "invoice.pdf", "--html", "invoice.html"]);
    assert!(std::fs::read(p.path("invoice.pdf")).unwrap().starts_with(b"%PDF-"));
    let page = std::fs::read_to_string(p.path("invoice.html")).unwrap();
    assert!(page.contains("Berlin") && page.contains("VAT 19 %") && page.contains("5.36 EUR"), "{page}");
    p.ok(&["invoice", "refund", &number, "--reason", "two days away"]);
    p.refuses(4, &["0.00 EUR of invoice"], &["invoice", "refund", &number, "--reason", "again"]);
    p.ok(&["account", "chargeback", &account, "100.00", "--reference", "cb", "--reason", "bank"]);
    assert_eq!(p.json(&["account", "show", &account])["account"]["state"], "frozen");
    assert_eq!(daemon.stop(), Some(0));
    p.ok(&["billing", "audit"]);
}

#[test]
fn the_demo_keeps_its_promises() {
    let p = Program::new(None);
    let out = p.ok(&["demo", "--fast"]);
    assert!(out.contains("ok: the books balance, every record fits"), "{out}");
}

#[test]
fn a_reader_that_goes_ends_a_command_quietly() {
    let p = Program::new(None);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = p.command(&["config", "default"]).stdout(writer).output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn a_statement_leads_from_one_balance_to_the_next() {
    let p = Program::new(None);
    p.set_up("20.00");
    p.ok(&["account", "credit", "1001", "5.00", "--reason", "sorry"]);
    p.ok(&["account", "debit", "1001", "7.50", "--reason", "traffic"]);
    // An order is held and moves nothing yet.
    p.ok(&["server", "order", "--account", "1001", "--product", "small", "--template", "debian-12"]);
    let all = p.json(&["account", "statement", "1001"]);
    let balances: Vec<&str> = all["movements"].as_array().unwrap().iter().map(|m| m["balance"].as_str().unwrap()).collect();
    assert_eq!((&all["opening"], balances, &all["closing"]), (&json!("0.00"), vec!["20.00", "25.00", "17.50"], &json!("17.50")));
    let last = p.json(&["account", "statement", "1001", "--limit", "1"]);
    assert_eq!((&last["opening"], &last["movements"][0]["amount"], &last["closing"]), (&json!("25.00"), &json!("-7.50"), &json!("17.50")));
    let later = p.json(&["account", "statement", "1001", "--from", "2100-01-01"]);
    assert_eq!((&later["opening"], &later["movements"], &later["closing"]), (&json!("17.50"), &json!([]), &json!("17.50")));
    let earlier = p.json(&["account", "statement", "1001", "--until", "2020-01-01"]);
    assert_eq!((&earlier["opening"], &earlier["closing"]), (&json!("0.00"), &json!("0.00")));
    assert!(p.ok(&["account", "statement", "1001"]).contains("closing balance"));
}

#[test]
fn what_makes_no_sense_is_not_imported() {
    let p = Program::new(None);
    p.set_up("1.00");
    let good = std::fs::read_to_string(p.path("catalog.toml")).unwrap();
    let refused = [
        (
            "[[template]]",
            "[[pool]]\nid = \"more\"\nregion = \"fra\"\nfamily = 4\ncidr = \"203.0.113.0/24\"\ngateway = \"203.0.113.1\"\nrange = \"203.0.113.250-203.0.113.254\"\n\n[[template]]",
            "both hold 203.0.113.250",
        ),
        (
            "[[template]]",
            "[[pool]]\nid = \"blocks\"\nregion = \"fra\"\nfamily = 4\ncidr = \"203.0.113.0/24\"\ngateway = \"203.0.113.1\"\nrange = \"203.0.113.8-203.0.113.15\"\nblocks = 29\n\n[[template]]",
            "203.0.113.8/29 of the pool 'blocks' and 203.0.113.10 of 'fra-v4' hold the same addresses",
        ),
        (
            "[[template]]",
            "[[pool]]\nid = \"routed\"\nregion = \"fra\"\nfamily = 4\ncidr = \"203.0.113.0/24\"\ngateway = \"203.0.113.1\"\nrange = \"203.0.113.0-203.0.113.7\"\nblocks = 29\n\n[[template]]",
            "the pool 'routed' holds 203.0.113.1, the gateway of 'fra-v4'",
        ),
        (
            "[[template]]",
            "[[node]]\nid = \"twin\"\nregion = \"fra\"\nbackend = \"simulated\"\nendpoint = \"./simulated/node-1/\"\ncapacity = { vcpu = 1, ram_mb = 1024, disk_gb = 10 }\nbuilds = 1\n\n[[template]]",
            "have the same endpoint",
        ),
        ("203.0.113.10-203.0.113.250", "203.0.113.1-203.0.113.1", "nothing but the gateway"),
    ];
    for (from, to, why) in refused {
        std::fs::write(p.path("other.toml"), good.replacen(from, to, 1)).unwrap();
        p.refuses(2, &[why], &["catalog", "import", "other.toml", "--yes"]);
    }
}

#[test]
fn one_folder_is_one_host_whatever_its_spelling() {
    let p = Program::new(None);
    p.set_up("1.00");
    let good = std::fs::read_to_string(p.path("catalog.toml")).unwrap();
    let (node, twin) = (
        "\n[[template]]",
        "\n[[node]]\nid = \"twin\"\nregion = \"fra\"\nbackend = \"simulated\"\ncapacity = { vcpu = 1, ram_mb = 1024, disk_gb = 10 }\nbuilds = 1\n",
    );
    std::fs::create_dir_all(p.path("simulated/node-1")).unwrap();
    std::os::unix::fs::symlink("simulated", p.path("linked")).unwrap();
    for endpoint in ["simulated/../simulated/node-1", "nowhere/../simulated/node-1", "linked/node-1"] {
        std::fs::write(p.path("other.toml"), good.replacen(node, &format!("{twin}endpoint = \"{endpoint}\"\n{node}"), 1)).unwrap();
        p.refuses(2, &["have the same endpoint"], &["catalog", "import", "other.toml", "--yes"]);
    }
}

#[test]
fn an_import_tells_old_and_new_and_asks_before_it_changes_much_or_takes_away() {
    let p = Program::new(None);
    let account = p.set_up("50.00");
    let good = std::fs::read_to_string(p.path("catalog.toml")).unwrap();
    let import = |text: &str, more: &[&str]| {
        std::fs::write(p.path("other.toml"), text).unwrap();
        p.run(&[&["catalog", "import", "other.toml"], more].concat())
    };
    // What is exported is what is there.
    std::fs::write(p.path("exported.toml"), p.ok(&["catalog", "export"])).unwrap();
    assert_eq!(p.ok(&["catalog", "import", "exported.toml"]), "nothing to change\n");
    let first = Program::new(None);
    std::fs::write(first.path("catalog.toml"), &good).unwrap();
    let told = first.ok(&["catalog", "import", "catalog.toml"]);
    assert!(told.contains("+ product small: 12m EUR 54.00, ") && !told.contains("product small: policy"), "{told}");
    let cheap = good.replace("1m = \"5.00\"", "1m = \"0.50\"");
    let told = import(&cheap, &["--dry-run"]);
    assert!(told.out.contains("~ product small: 1m EUR 5.00 → 0.50, −90 %\n"), "{told:?}");
    let refused = import(&cheap, &[]);
    assert!(refused.code == 4 && refused.err.contains("5.00 → 0.50, −90 %") && refused.err.contains("--yes"), "{refused:?}");
    assert_eq!(p.ok(&["catalog", "import", "catalog.toml"]), "nothing to change\n", "a refused import changes nothing");
    let less = import(&good.replace("1m = \"5.00\"", "1m = \"4.50\"").replace("DE = \"19\"", "DE = \"21\""), &[]);
    assert!(less.code == 0 && less.out.contains("1m EUR 5.00 → 4.50, −10 %") && less.out.contains("~ tax DE: 19 → 21, +10.5 %"), "{less:?}");
    let gone = import(&good[..good.find("[[coupon]]").unwrap()], &[]);
    assert!(gone.code == 4 && gone.err.contains("- coupon WELCOME (hidden)") && gone.err.contains("- tax DE (hidden)"), "{gone:?}");
    // What a line cannot show of a change is a change all the same.
    let bank = good.replace("footer = [\"Sample data: put your own name here\"]", &format!("footer = [\"{} IBAN DE89\"]", "x".repeat(90)));
    assert_eq!(import(&bank, &[]).code, 0);
    for (from, to) in [
        ("IBAN DE89", "IBAN DE02"),
        ("\"1 Example Street\", \"60311 Frankfurt\"", "\"1 Example Street, 60311 Frankfurt\""),
        ("203.0.113.10-203.0.113.250", "203.0.113.11-203.0.113.251"),
    ] {
        let other = bank.replace(from, to);
        let told = import(&other, &[]);
        assert!(other != bank && told.code == 0 && told.out.starts_with("~ ") && told.out.ends_with("\ndone\n"), "{from}: {told:?}");
        assert_eq!(import(&other, &[]).out, "nothing to change\n");
        assert_eq!(import(&bank, &[]).code, 0);
    }
    // Servers end sooner, or a tax comes to customers who paid none.
    let abroad = import(&bank.replace("DE = \"19\"", "DE = \"19\"\nUS = \"9\""), &[]);
    assert!(abroad.code == 0 && abroad.out.contains("+ tax US: 9\n"), "{abroad:?}");
    assert_eq!(import(&bank, &["--yes"]).code, 0);
    p.ok(&["account", "create", "--email", "us@example.org", "--first-name", "Grace", "--last-name", "Hopper", "--country", "US"]);
    let harsh = [
        ("suspend_after = \"3d\"", "suspend_after = \"1h\"", "suspend_after 3d → 1h"),
        ("terminate_after = \"14d\"", "terminate_after = \"30d\"", ""),
        ("terminate_after = \"14d\"", "", ""),
        ("terminate_after = \"14d\"", "never_terminate = true", ""),
        ("DE = \"19\"", "DE = \"19\"\nUS = \"9\"", "~ tax US: 0 → 9"),
        ("[policy]\n", "[policy]\ndeposit_addresses = [\"btc:1BoatSLRHtKNngkdXEeobR76b53LETtpyT\"]\n", "deposit_addresses"),
    ];
    for (from, to, asked) in harsh {
        let told = import(&bank.replace(from, to), &[]);
        assert!(if asked.is_empty() { told.code == 0 } else { told.code == 4 && told.err.contains(asked) }, "{to}: {told:?}");
        assert_eq!(import(&bank, &["--yes"]).code, 0);
    }
    // A plan without a rule has the house's.
    let long = bank.replace("terminate_after = \"14d\"", "terminate_after = \"60d\"");
    assert_eq!(import(&long, &[]).code, 0);
    let told = import(&long.replacen("key = \"small\"", "key = \"small\"\npolicy = { terminate_after = \"20d\" }", 1), &[]);
    assert!(told.code == 4 && told.err.contains("terminate_after – → 20d"), "{told:?}");
    assert_eq!(import(&bank, &["--yes"]).code, 0);
    // Meant all the same, and sold by; the diff is kept.
    assert_eq!(import(&cheap, &["--yes"]).code, 0);
    let activity = p.ok(&["activity"]);
    assert!(activity.contains("1m EUR 5.00 → 0.50, −90 %"), "{activity}");
    p.ok(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", "bargain"]);
    assert_eq!(import(&good, &["--yes"]).code, 0);
    // No price changes any more: the lease is compared with the catalogue.
    let says = "~ product small: 1 lease(s) pay EUR 0.50 → 5.00, +900 % every 1m from their next period on";
    let would = p.ok(&["catalog", "reprice", "--dry-run"]);
    assert!(would.contains(says), "it waits for its delivery, and pays as agreed until its second period: {would}");
    let daemon = p.daemon(&["serve"]);
    eventually("it runs", || p.run(&["server", "show", "bargain", "--json"]).out.contains("\"status\": \"running\""));
    p.refuses(4, &["say --yes", says], &["catalog", "reprice"]);
    p.refuses(4, &["say --yes", says], &["catalog", "import", "catalog.toml", "--reprice"]);
    p.refuses(3, &["no product or add-on 'tiny'"], &["catalog", "reprice", "--only", "tiny"]);
    assert!(p.ok(&["catalog", "reprice", "--yes"]).contains(&format!("{says}\ndone")));
    assert_eq!(p.ok(&["catalog", "reprice"]), "nothing to change\n");
    assert_eq!(daemon.stop(), Some(0));
}
