//! Books that are older than the world: a backup that was restored, a standby that had not heard everything.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use leasehold_commands::{
    restore::{self, Numbered},
    servers,
};
use leasehold_domain::server::Status;
use leasehold_store::{Queue, args};
use leasehold_tests::{
    app::App,
    on_both,
    program::{Program, eventually},
};

fn last(invoice: &str) -> Numbered {
    Numbered::Last { invoice: Some(invoice.into()), credit_note: None }
}

on_both!(records_that_are_older_than_the_machines_stand_still_until_they_are_released(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    servers::stop(&app.store, &App::operator(), "web").await.unwrap();
    app.until_quiet().await;
    // A standby takes over that has heard nothing since the order.
    let mut tx = app.store.begin().await.unwrap();
    tx.exec("update servers set epoch = 0, status = 'running', power = 'on', goal = 'running' where id = $1", args![&server.id]).await.unwrap();
    tx.exec("update nodes set next_vmid = 100", &[]).await.unwrap();
    tx.commit().await.unwrap();
    servers::reboot(&app.store, &App::operator(), "web").await.unwrap();
    app.drain_all_of(&[Queue::Servers]).await;
    assert!(app.attention().await.contains(&"restored house".into()), "{:?}", app.attention().await);
    let waiting = app.order("waiting").await;
    app.live(Duration::from_hours(48)).await;
    let s = app.server(&server.id).await;
    assert_eq!((app.server(&waiting.id).await.status, s.reboot_done), (Status::Pending, 0), "nothing is placed, and nobody's machine is touched");
    let release = async |numbered, without: &[String]| restore::release(&app.store, &App::operator(), numbered, without, false).await;
    let bad = release(last("2026-000000"), &[]).await.unwrap_err().to_string();
    assert!(bad.contains("is no number"), "{bad}");
    let standing = restore::standing(&app.store).await.unwrap().unwrap();
    assert!(standing.unseen.is_empty(), "its nodes were looked at meanwhile: {standing:?}");
    release(last("2026-000500"), &[]).await.unwrap();
    app.until_quiet().await;
    let (s, new) = (app.server(&server.id).await, app.server(&waiting.id).await);
    assert_eq!((s.reboot_done, new.status), (1, Status::Running));
    let mut tx = app.store.read().await.unwrap();
    let next: (i64,) = tx.one("select next_vmid from nodes where id = $1", args![s.node_id.clone()]).await.unwrap();
    drop(tx);
    assert!(next.0 > s.vmid.unwrap(), "a number that the node has seen is not given out again");
    app.live(Duration::from_hours(40 * 24)).await;
    app.audit().await;
    app.machines_match().await;
    assert!(!app.attention().await.contains(&"restored house".into()));
});

/// The machines on the node, by number.
fn machines(p: &Program) -> Vec<i64> {
    let files = std::fs::read_dir(p.path("simulated/node-1")).unwrap().flatten();
    let mut numbers: Vec<i64> = files.filter_map(|f| f.file_name().to_str()?.strip_suffix(".json")?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_backup_is_restored_by_the_drill() {
    let p = Program::new(None);
    let account = p.set_up("200.00");
    let order = |label: &str| {
        let ordered = p.json(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", label]);
        ordered["id"].as_str().unwrap().to_owned()
    };
    let is = |label: &str, status: &str| p.run(&["server", "show", label, "--json"]).out.contains(&format!("\"status\": \"{status}\""));
    let daemon = p.daemon(&["serve"]);
    let (kept_id, ended_id) = (order("kept"), order("ended"));
    order("renewed");
    eventually("they run", || ["kept", "ended", "renewed"].iter().all(|l| is(l, "running")));
    // Under load.
    let loaded: Vec<String> = (0..6).map(|n| order(&format!("load-{n}"))).collect();
    p.ok(&["backup", "before.db"]);
    eventually("the load is over", || loaded.iter().all(|id| is(id, "running")));
    // A day of work that the backup knows nothing of.
    p.ok(&["server", "terminate", "ended", "--yes"]);
    p.ok(&["server", "reinstall", "renewed", "--yes"]);
    order("lost");
    eventually("it was worked on", || is("lost", "running") && is("renewed", "running") && is(&ended_id, "terminated"));
    let issued = p.json(&["invoice", "list"]);
    let last = issued.as_array().unwrap().iter().map(|i| i["number"].as_str().unwrap().to_owned()).max().unwrap();
    let was = machines(&p);

    p.refuses(4, &["another leasehold daemon is running"], &["restore", "before.db"]);
    assert_eq!(daemon.stop(), Some(0));
    std::fs::write(p.path("bad.db"), "not a database").unwrap();
    p.refuses(4, &["bad.db is no backup that can be used"], &["restore", "bad.db"]);
    p.refuses(3, &["gone.db"], &["restore", "gone.db"]);
    assert!(is("lost", "running"), "nothing was changed");
    let kept = p.json(&["restore", "before.db"])["before"].as_str().unwrap().to_owned();
    assert!(std::path::Path::new(&kept).exists());

    // Before any daemon: who cannot know is told to look.
    p.refuses(4, &["not looked at since", "node-1"], &["restore", "--release", "--new-series", "B"]);
    let daemon = p.daemon(&["serve"]);
    eventually("the node was looked at", || p.json(&["restore"])["unseenNodes"].as_array().unwrap().is_empty());
    let found = p.json(&["drift"]);
    let kinds: Vec<String> = found.as_array().unwrap().iter().map(|d| d["kind"].as_str().unwrap().to_owned()).collect();
    for kind in ["orphan", "gone", "later system"] {
        assert!(kinds.iter().any(|k| k == kind), "{kind} is not in {found}");
    }
    order("waiting");
    p.ok(&["server", "terminate", "kept", "--yes"]);
    std::thread::sleep(Duration::from_secs(3));
    assert!(is("waiting", "pending") && !is(&kept_id, "terminated") && machines(&p) == was, "nothing is placed, nothing is destroyed");

    p.refuses(4, &["no row knows of machine", "--keep-orphans"], &["restore", "--release", "--new-series", "B"]);
    p.refuses(2, &["--last-invoice and --last-credit-note", "--new-series"], &["restore", "--release"]);
    // The machines of the lost order, and of those that had no place yet, are taken away by hand.
    for orphan in found.as_array().unwrap().iter().filter(|d| d["kind"] == "orphan") {
        let number = orphan["subject"].as_str().unwrap().replace("machine ", "");
        std::fs::remove_file(p.path(&format!("simulated/node-1/{number}.json"))).unwrap();
    }
    p.ok(&["node", "look", "node-1"]);
    p.refuses(4, &["the books themselves have"], &["restore", "--release", "--last-invoice", "none", "--last-credit-note", "none"]);
    p.ok(&["restore", "--release", "--last-invoice", &last, "--last-credit-note", "none"]);
    p.refuses(4, &["nothing waits for a release"], &["restore", "--release", "--new-series", "B"]);
    eventually("it goes on", || is("waiting", "running") && is(&kept_id, "terminated") && loaded.iter().all(|id| is(id, "running")));
    let issued = p.json(&["invoice", "list"]);
    let numbers: Vec<&str> = issued.as_array().unwrap().iter().map(|i| i["number"].as_str().unwrap()).collect();
    assert!(numbers.iter().any(|n| *n > last.as_str()), "{numbers:?} go on after {last}");
    assert!(machines(&p).iter().max() > was.iter().max(), "numbers that the node has seen are not given out again: {was:?}, {:?}", machines(&p));
    assert_eq!(p.run(&["billing", "audit"]).code, 0, "{}", p.run(&["billing", "audit"]).out);
    assert_eq!(daemon.stop(), Some(0));
}
