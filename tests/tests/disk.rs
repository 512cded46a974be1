//! A small volume that is full for a while, and a database file that goes away: nothing that was acknowledged is lost, and nobody restarts anything.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{path::Path, process::Command};

use leasehold_tests::{
    cluster::Cluster,
    netns,
    program::{Daemon, Ended, Program, eventually},
};

#[test]
fn a_full_disk_is_waited_out() {
    netns::alone("on_a_volume_of_its_own");
}

#[test]
fn a_full_disk_of_postgresql_is_waited_out() {
    netns::alone("on_a_cluster_of_its_own");
}

fn order(p: &Program, account: &str, label: &str) -> Ended {
    p.run(&["server", "order", "--account", account, "--product", "small", "--template", "debian-12", "--label", label])
}

fn labels(p: &Program) -> Vec<String> {
    let all = p.json(&["server", "list"]);
    let mut labels: Vec<String> = all.as_array().unwrap().iter().map(|s| s["label"].as_str().unwrap().to_owned()).collect();
    labels.sort();
    labels
}

/// Fills a volume to the last block.
fn fill(file: &Path) {
    // It ends when there is no more room, and says so.
    let filled = Command::new("dd").args(["if=/dev/zero", "bs=4096", &format!("of={}", file.display())]).output().unwrap();
    assert!(!filled.status.success(), "the volume is full");
}

fn readyz(at: &str) -> String {
    String::from_utf8(Command::new("curl").args(["-s", &format!("http://{at}/readyz")]).output().unwrap().stdout).unwrap()
}

fn is_ready(at: &str) -> bool {
    readyz(at) == "ready\n"
}

/// A small volume under `small`, in the namespace that this process is in.
fn mount_small(p: &Program, size: &str) {
    netns::loopback();
    std::fs::create_dir(p.path("small")).unwrap();
    let options = format!("size={size},mode=777");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(p.path("small")).status().unwrap();
    assert!(mounted.success());
}

/// A house at work whose database's volume is full for a while; what is looked at in between is said by the caller.
fn full_for_a_while(p: &mut Program, meanwhile: impl FnOnce(&Program), after: impl FnOnce(&Program), at_last: impl FnOnce(&Program)) {
    let at = format!("127.0.0.1:{}", leasehold_tests::program::free_port());
    p.set("API__LISTEN", &at);
    let account = p.set_up("1000.00");
    let daemon: Daemon = p.daemon(&["serve"]);
    eventually("it is ready", || is_ready(&at));
    assert_eq!(order(p, &account, "before").code, 0);

    fill(&p.path("small/filler"));
    // What the log had room for before is still taken.
    let mut taken = 0;
    let refused = loop {
        let ended = order(p, &account, &format!("full-{taken:03}"));
        if ended.code != 0 {
            break ended;
        }
        taken += 1;
        assert!(taken < 100, "the volume is full");
    };
    assert!(refused.code == 75 && refused.err.lines().count() == 1, "{refused:?}");
    eventually("the daemon says that something is in its way", || !is_ready(&at));
    meanwhile(p);

    // Room again: the same process goes on by itself.
    std::fs::remove_file(p.path("small/filler")).unwrap();
    after(p);
    eventually("it is ready again", || is_ready(&at));
    for n in 0..20 {
        let label = format!("after-{n:02}");
        // The builds that waited take their account's lock by turns with the orders.
        eventually("it is taken", || order(p, &account, &label).code == 0);
    }
    eventually("all are built", || p.json(&["server", "list", "--status", "running"]).as_array().unwrap().len() == 21 + taken);
    at_last(p);
    assert_eq!(daemon.stop(), Some(0));
    p.ok(&["billing", "audit"]);
    assert!(!labels(p).contains(&format!("full-{taken:03}")));
}

#[test]
#[ignore = "started by a test above, where it may mount"]
fn on_a_volume_of_its_own() {
    let mut p = Program::new(None);
    mount_small(&p, "12m");
    p.set("DATABASE__URL", &format!("sqlite:{}", p.path("small/leasehold.db").display()));
    let told = |p: &Program| assert!(p.run(&["doctor"]).out.contains("of 12 MiB are free on the volume of the database"));
    let log_is_small = |p: &Program| {
        let wal = std::fs::metadata(p.path("small/leasehold.db-wal")).unwrap().len();
        assert!(wal < 4 << 20, "the log of {wal} bytes leaves room on a volume of 12 MiB");
    };
    full_for_a_while(&mut p, told, |_| {}, log_is_small);
}

#[test]
#[ignore = "started by a test above, where it may mount"]
fn on_a_cluster_of_its_own() {
    let mut p = Program::new(None);
    mount_small(&p, "80m");
    std::fs::set_permissions(p.path(""), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let cluster = Cluster::start_small(&p.path("small"));
    p.set("DATABASE__URL", &format!("postgres://leasehold@127.0.0.1:{}/postgres", cluster.port));
    full_for_a_while(&mut p, |_| {}, |_| cluster.up_again(), |_| {});
}

#[test]
fn a_database_file_that_went_away_is_noticed_at_the_next_write() {
    let mut p = Program::new(None);
    let at = format!("127.0.0.1:{}", leasehold_tests::program::free_port());
    p.set("API__LISTEN", &at);
    let account = p.set_up("20.00");
    let daemon = p.daemon(&["serve"]);
    eventually("it is ready", || is_ready(&at));
    p.ok(&["account", "credit", &account, "7.00", "--reason", "last before"]);
    let (file, aside) = (p.path("leasehold.db"), p.path("aside.db"));
    std::fs::rename(&file, &aside).unwrap();
    eventually("the daemon is not ready any more", || !is_ready(&at));
    // Many who ask at once make no empty file of that name, which would cost the old one its log.
    std::thread::scope(|scope| (0..16).for_each(|_| drop(scope.spawn(|| is_ready(&at)))));
    assert!(!file.exists());
    assert!(readyz(&at).contains("was deleted or replaced") && readyz(&at).contains("-wal"), "{}", readyz(&at));
    // Nor does a command, whose new file would be taken for that of the log.
    for args in [&["migrate"][..], &["billing", "audit"], &["catalog", "import", "catalog.toml"], &["serve"]] {
        let refused = p.run(args);
        assert!(refused.code != 0 && refused.err.contains("move exactly that file back"), "{args:?}: {refused:?}");
    }
    assert!(p.run(&["doctor"]).out.contains("move exactly that file back") && !file.exists());
    // Back under its name: as if nothing had been.
    std::fs::rename(&aside, &file).unwrap();
    eventually("it is ready again", || is_ready(&at));
    assert_eq!(p.json(&["account", "show", &account])["balance"], "27.00");
    assert_eq!(daemon.stop(), Some(0));
    p.ok(&["billing", "audit"]);
}
