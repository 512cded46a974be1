//! Books that are older than the world: a backup that was restored, a standby that had not heard everything.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use leasehold_commands::{
    restore::{self, Numbered, Release},
    servers,
};
use leasehold_domain::{Mark, ServerId, server::Status};
use leasehold_hypervisor::{Call, Source};
use leasehold_store::{Queue, args, restoration::Issued};
use leasehold_tests::{
    app::App,
    cluster::Cluster,
    on_both,
    program::{Program, Signal, eventually},
};

fn last(invoice: &str) -> Numbered {
    Numbered::Last { invoice: Some(invoice.into()), credit_note: None }
}

fn with(numbered: Numbered) -> Release {
    Release { numbered, without: vec![], keep_orphans: false, sure: false }
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
    let release = async |numbered| restore::release(&app.store, &App::operator(), with(numbered)).await;
    let refused = async |invoice: &str| release(last(invoice)).await.unwrap_err().to_string();
    for bad in ["2026-000000", "2026-1000000000", "2026-99999999999999999999", "2025-000001"] {
        let said = refused(bad).await;
        assert!(said.contains("is no number"), "{said}");
    }
    let far = refused("2026-010500").await;
    assert!(far.contains("would count as lost for good") && far.contains("--yes"), "{far}");
    let standing = restore::standing(&app.store).await.unwrap().unwrap();
    assert!(standing.unseen.is_empty(), "its nodes were looked at meanwhile: {standing:?}");
    release(last("2026-000500")).await.unwrap();
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

/// As in a backup that was made before a server was placed: its machine stands, and its row knows nothing of it.
async fn forget_place(app: &App, id: &ServerId) {
    let mut tx = app.store.begin().await.unwrap();
    let sql = "update servers set status = 'pending', cursor = null, node_id = null, vmid = null, mac = null, power = null, installed = null, booted = false, \
               epoch = 1, next_at = 0 where id = $1";
    tx.exec(sql, args![id]).await.unwrap();
    tx.exec("delete from reservations where server_id = $1", args![id]).await.unwrap();
    tx.release_addresses(id, app.now()).await.unwrap();
    tx.begin_restoration("a backup was restored").await.unwrap();
    tx.commit().await.unwrap();
}

on_both!(what_a_machine_was_before_the_restoration_is_for_a_person_to_judge(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    // One backup, restored twice: what was built between is unknown, too.
    for letters in ["B", "C"] {
        forget_place(app, &server.id).await;
        app.live(Duration::from_mins(30)).await;
        let keep = Release { keep_orphans: true, ..with(Numbered::NewSeries(letters.into())) };
        restore::release(&app.store, &App::operator(), keep).await.unwrap();
        app.until_quiet().await;
        assert_eq!(app.server(&server.id).await.status, Status::Running, "it was built once more");
    }
    assert_eq!(app.machines().len(), 3);
    app.terminate(&server.id).await;
    app.live(Duration::from_hours(2)).await;
    assert_eq!(app.server(&server.id).await.status, Status::Terminated);
    assert_eq!(app.machines().len(), 2, "those that stood before stand, and only they");
    assert!(app.attention().await.iter().any(|a| a.starts_with("orphan node:")), "{:?}", app.attention().await);
});

/// A machine that the records know nothing of, under a number that they never gave out.
async fn unknown_machine(app: &App, server: &ServerId, number: i64) {
    let node = app.node_of(&app.server(server).await).await;
    let other = ServerId(format!("019cd80c-2300-7014-884b-{number:012}"));
    let call = Call { mark: Mark { server: other, generation: 1 }, epoch: 1, now: app.now() };
    node.ensure_disk(&call, number, &Source::Image("debian-12".into())).await.unwrap();
}

on_both!(a_number_that_was_never_given_out_proves_that_the_records_are_old(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    unknown_machine(app, &server.id, 4711).await;
    app.look().await;
    let next = app.order("next").await;
    app.until_quiet().await;
    assert_eq!(app.server(&next.id).await.status, Status::Pending);
    assert!(app.attention().await.contains(&"restored house".into()), "{:?}", app.attention().await);
});

on_both!(a_number_that_turns_out_to_be_anothers_proves_it_too(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    // Of the next number to be given out: between two looks.
    let mut tx = app.store.begin().await.unwrap();
    tx.exec("update nodes set next_vmid = 4711", &[]).await.unwrap();
    tx.commit().await.unwrap();
    unknown_machine(app, &server.id, 4711).await;
    let next = app.order("next").await;
    for _ in 0..3 {
        app.order("more").await;
    }
    app.until_quiet().await;
    assert!(app.attention().await.contains(&"restored house".into()), "{:?}", app.attention().await);
    app.advance(Duration::from_mins(1));
    app.look().await;
    restore::release(&app.store, &App::operator(), Release { keep_orphans: true, ..with(Numbered::NewSeries("B".into())) }).await.unwrap();
    app.until_quiet().await;
    assert_eq!(app.server(&next.id).await.status, Status::Running, "with another number");
    assert!(restore::standing(&app.store).await.unwrap().is_none(), "and it stands once only");
});

on_both!(a_number_beyond_all_bounds_hides_no_other(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    unknown_machine(app, &server.id, 4711).await;
    unknown_machine(app, &server.id, 2_000_000_000).await;
    app.look().await;
    app.advance(Duration::from_mins(1));
    app.look().await;
    restore::release(&app.store, &App::operator(), Release { keep_orphans: true, ..with(Numbered::NewSeries("B".into())) }).await.unwrap();
    let node = app.server(&server.id).await.node_id.unwrap();
    let free = app.store.read().await.unwrap().first_free_number(&node.into()).await.unwrap();
    assert_eq!(free, 4712);
    app.live(Duration::from_mins(20)).await;
    assert!(restore::standing(&app.store).await.unwrap().is_none(), "it stands once only");
});

on_both!(a_number_that_these_books_gave_out_twice_is_no_proof(app) {
    app.order("web").await;
    app.until_quiet().await;
    let mut tx = app.store.begin().await.unwrap();
    tx.exec("update nodes set next_vmid = (select min(vmid) from servers where node_id = nodes.id) where id in (select node_id from servers)", &[]).await.unwrap();
    tx.commit().await.unwrap();
    for _ in 0..4 {
        app.order("more").await;
    }
    app.until_quiet().await;
    assert!(restore::standing(&app.store).await.unwrap().is_none(), "{:?}", app.attention().await);
});

on_both!(a_node_that_was_released_unseen_is_seen_for_the_first_time(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    app.nodes_go().await;
    restore::declare(&app.store, &App::operator(), "a backup was restored", &Issued::default()).await.unwrap();
    let without = vec!["node-a".to_owned(), "node-b".to_owned()];
    restore::release(&app.store, &App::operator(), Release { without, ..with(Numbered::NewSeries("B".into())) }).await.unwrap();
    app.nodes_come().await;
    unknown_machine(app, &server.id, 4711).await;
    app.live(Duration::from_mins(30)).await;
    assert!(restore::standing(&app.store).await.unwrap().is_none(), "{:?}", app.attention().await);
    assert_eq!(app.order("next").await.status, Status::Pending);
    app.until_quiet().await;
});

on_both!(a_node_that_nobody_looked_at_takes_nothing_and_is_no_proof(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    unknown_machine(app, &server.id, 4711).await;
    let mut tx = app.store.begin().await.unwrap();
    tx.exec("update nodes set seen_at = null, look_at = null", &[]).await.unwrap();
    tx.commit().await.unwrap();
    let next = app.order("next").await;
    app.drain_all_of(&[Queue::Servers]).await;
    let waiting = app.server(&next.id).await;
    assert_eq!(waiting.status, Status::Pending);
    assert!(waiting.last_error.as_ref().is_some_and(|e| e.contains("was not looked at yet")), "{:?}", waiting.last_error);
    app.look().await;
    assert_eq!(app.store.next_due(Queue::Servers).await.unwrap(), Some(app.now()), "it is looked at now that there is a node");
    app.until_quiet().await;
    assert_eq!(app.server(&next.id).await.status, Status::Running, "{:?}", app.attention().await);
    assert!(!app.attention().await.contains(&"restored house".into()));
});

on_both!(the_operator_is_told_while_the_books_stand_still(app) {
    app.order("web").await;
    app.until_quiet().await;
    let before = app.delivered();
    let mut tx = app.store.begin().await.unwrap();
    tx.begin_restoration("a backup was restored").await.unwrap();
    tx.commit().await.unwrap();
    app.order("waits").await;
    app.advance(Duration::from_hours(2));
    app.scheduler.run_due().await.unwrap();
    app.drain().await;
    let mut after = app.delivered();
    after.retain(|subject| !before.contains(subject));
    assert_eq!(after, ["1 matter needs a person"], "and no mail that may have been sent");
});

on_both!(every_restoration_raises_what_the_world_may_have_seen(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    app.scheduler.run_due().await.unwrap();
    let first = app.server(&server.id).await;
    let mut number = 0;
    for round in 1..=3 {
        let mut tx = app.store.begin().await.unwrap();
        tx.exec("update ticks set started_at = $1", args![app.now()]).await.unwrap();
        tx.commit().await.unwrap();
        app.advance(Duration::from_hours(4));
        restore::declare(&app.store, &App::operator(), "a backup of books that stood still, too", &Issued::default()).await.unwrap();
        let account = app.new_account(&format!("customer-{round}@example.org"), "1.00").await.parse::<i64>().unwrap();
        assert!(account > number + 4 * 3_600, "one for every second that the books were not at work: {number}, {account}");
        number = account;
        assert_eq!(app.server(&server.id).await.epoch, first.epoch + (round << 32));
    }
    // As long as it had when the books were last at work.
    let mut tx = app.store.begin().await.unwrap();
    let deadline = app.now() - Duration::from_mins(210);
    tx.exec("update servers set deadline_at = $1", args![deadline]).await.unwrap();
    tx.commit().await.unwrap();
    app.advance(Duration::from_millis(1));
    app.drain().await;
    restore::release(&app.store, &App::operator(), with(Numbered::NewSeries("B".into()))).await.unwrap();
    assert_eq!(app.server(&server.id).await.deadline_at.map(|at| at.0), Some(app.now() + Duration::from_mins(30)));
});

on_both!(what_spoke_last_is_spoken_above(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    let heard = app.server(&server.id).await.epoch;
    // One backup, restored twice: what the first restoration did is not known to the second.
    for _ in 0..2 {
        let mut tx = app.store.begin().await.unwrap();
        tx.exec("update servers set epoch = $2, generation = 1, installed = 1 where id = $1", args![&server.id, heard]).await.unwrap();
        tx.exec("delete from restoration", &[]).await.unwrap();
        tx.begin_restoration("a backup was restored").await.unwrap();
        tx.commit().await.unwrap();
        app.advance(Duration::from_millis(1));
        app.drain().await;
        restore::release(&app.store, &App::operator(), with(Numbered::NewSeries("B".into()))).await.unwrap();
        servers::reinstall(&app.store, &App::operator(), "web", None, false).await.unwrap();
        app.live(Duration::from_mins(30)).await;
        assert!(restore::standing(&app.store).await.unwrap().is_none(), "it stands once only");
        assert_eq!(app.server(&server.id).await.status, Status::Running);
    }
    let known = app.attention().await;
    assert!(!known.contains(&format!("later_system server:{}", server.id)), "the reinstallation put an end to the doubt: {known:?}");
});

on_both!(a_system_that_is_later_stays_known_as_such(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    servers::reinstall(&app.store, &App::operator(), "web", None, false).await.unwrap();
    app.until_quiet().await;
    let mut tx = app.store.begin().await.unwrap();
    tx.exec("update servers set generation = 1, installed = 1, epoch = 3 where id = $1", args![&server.id]).await.unwrap();
    tx.commit().await.unwrap();
    app.look().await;
    for _ in 0..3 {
        app.live(Duration::from_mins(20)).await;
        let drift = restore::standing(&app.store).await.unwrap().unwrap().drift;
        assert!(drift.iter().any(|d| d.kind == "later system" && d.subject == server.id.to_string()), "{drift:?}");
    }
    assert!(app.attention().await.contains(&format!("later_system server:{}", server.id)));
    assert_eq!(app.server(&server.id).await.generation, 2);
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

/// The number of a new account.
fn newcomer(p: &Program, name: &str) -> i64 {
    let email = format!("{name}@example.org");
    p.json(&["account", "create", "--email", &email, "--first-name", "New", "--last-name", "Comer"])["number"].as_i64().unwrap()
}

#[test]
fn one_backup_restored_twice_gives_nothing_out_twice() {
    let p = Program::new(None);
    let account = p.set_up("200.00");
    let order = |label: &str| p.ok(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", label]);
    let is = |label: &str| p.run(&["server", "show", label, "--json"]).out.contains("\"status\": \"running\"");
    let daemon = p.daemon(&["serve"]);
    order("first");
    eventually("it runs", || is("first"));
    p.ok(&["backup", "before.db"]);
    order("second");
    eventually("it runs", || is("second"));
    assert_eq!(daemon.stop(), Some(0));
    let next = |p: &Program| p.json(&["restore"])["nextNumbers"][0].as_str().unwrap().to_owned();
    let release = |letters: &str| p.ok(&["restore", "--release", "--new-series", letters, "--without", "node-1"]);

    p.ok(&["restore", "before.db"]);
    assert!(next(&p).ends_with("-000003"), "the database that was knows the second invoice: {}", next(&p));
    release("B");
    let one = newcomer(&p, "one");
    p.ok(&["restore", "before.db"]);
    p.refuses(4, &["'B' was begun at an earlier restoration"], &["restore", "--release", "--new-series", "B", "--without", "node-1"]);
    release("C");
    let two = newcomer(&p, "two");
    assert!(one > 2_000 && two > one, "{one}, {two}");

    // By hand, and the daemon is started: it looks before it does anything.
    let daemon = p.daemon(&["serve"]);
    eventually("the node was looked at", || is("first") && !p.json(&["drift"]).as_array().unwrap().is_empty());
    assert_eq!(daemon.stop(), Some(0));
    std::fs::remove_file(p.path("leasehold.db")).unwrap();
    std::fs::copy(p.path("before.db"), p.path("leasehold.db")).unwrap();
    order("third");
    let daemon = p.daemon(&["serve"]);
    eventually("it is known", || !p.json(&["restore"]).is_null());
    std::thread::sleep(Duration::from_secs(2));
    assert!(!is("third") && p.json(&["invoice", "list"]).as_array().unwrap().len() == 1, "nothing was placed, nothing numbered");
    let doctor = p.run(&["doctor"]);
    assert!(doctor.code != 0 && doctor.out.contains("restored"), "{}", doctor.out);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_restoration_that_was_cut_off_is_run_once_more() {
    let p = Program::new(None);
    let account = p.set_up("100.00");
    p.ok(&["backup", "before.db"]);
    let daemon = p.daemon(&["serve"]);
    eventually("it runs", || std::fs::read_to_string(p.path("daemon.log")).unwrap().contains("started"));
    let mark = newcomer(&p, "last");
    daemon.signal(Signal::KILL);
    daemon.wait();
    let (file, aside) = (p.path("leasehold.db"), p.path("leasehold.db.before-1"));
    let log = |of: &std::path::Path| std::path::PathBuf::from(format!("{}-wal", of.display()));
    assert!(log(&file).exists(), "what was written last stands in the log only");
    // Cut off when the database had its other name, and its log had not.
    std::fs::rename(&file, &aside).unwrap();
    std::fs::write(p.path("leasehold.db.set-aside"), "leasehold.db.before-1").unwrap();
    std::fs::write(p.path("leasehold.db.restoring"), "half a cop").unwrap();
    std::fs::write(p.path("leasehold.db.restoring-wal"), "half a log").unwrap();
    for command in [&["serve"][..], &["migrate"], &["account", "show", &account], &["catalog", "import", "catalog.toml"]] {
        let ended = p.run(command);
        assert!(ended.code != 0 && ended.err.contains("restoration was cut off") && !file.exists(), "{command:?}: {ended:?}");
    }
    // A file that is no backup changes nothing of that.
    std::fs::write(p.path("bad.db"), "not a database").unwrap();
    p.refuses(4, &["bad.db is no backup that can be used"], &["restore", "bad.db"]);
    p.refuses(1, &["restoration was cut off"], &["account", "show", &account]);
    assert_eq!(p.json(&["restore", "before.db"])["before"].as_str(), aside.to_str());
    assert!(!log(&file).exists(), "the log went to its database");
    p.refuses(3, &[&mark.to_string()], &["account", "show", &mark.to_string()]);
    // It was the wrong one: the way back, log and all.
    p.ok(&["restore", aside.to_str().unwrap()]);
    assert_eq!(p.json(&["restore"])["nextNumbers"][0].as_str().map(|n| n.ends_with("-000001")), Some(true));
    assert!(p.ok(&["account", "show", &mark.to_string()]).contains("last@example.org"));
    let left: Vec<_> = std::fs::read_dir(p.path(""))
        .unwrap()
        .flatten()
        .map(|f| f.file_name())
        .filter(|f| ["restoring", "set-aside"].iter().any(|end| f.to_string_lossy().contains(end)))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn every_name_of_a_database_leads_to_its_one_lock() {
    let mut p = Program::new(None);
    p.set_up("1.00");
    p.ok(&["backup", "before.db"]);
    std::fs::create_dir(p.path("links")).unwrap();
    std::os::unix::fs::symlink("../leasehold.db", p.path("links/house.db")).unwrap();
    let (file, link) = (p.database().to_owned(), format!("sqlite:{}", p.path("links/house.db").display()));
    for (runs, restores) in [(&file, &link), (&link, &file)] {
        p.set("DATABASE__URL", runs);
        let daemon = p.daemon(&["serve"]);
        eventually("it runs", || std::fs::read_to_string(p.path("daemon.log")).unwrap().contains("started"));
        p.set("DATABASE__URL", restores);
        p.refuses(4, &["another leasehold daemon is running"], &["restore", "before.db"]);
        assert_eq!(daemon.stop(), Some(0));
    }
    p.set("DATABASE__URL", &link);
    p.ok(&["restore", "before.db"]);
    assert!(p.path("links/house.db").is_symlink() && p.path("leasehold.db.before-1").exists(), "the file changed, not the link");
}

/// The standby had not heard the last: an order, its invoice, its machine, its address.
#[test]
fn a_standby_that_lacks_the_last_takes_over_under_a_running_daemon() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let cluster = Cluster::start(dir.path());
    let p = Program::new(Some(&format!("postgres://leasehold@127.0.0.1:{}/postgres", cluster.port)));
    let account = p.set_up("200.00");
    let order = |label: &str| p.run(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", label]).code == 0;
    let is = |label: &str, status: &str| p.run(&["server", "show", label, "--json"]).out.contains(&format!("\"status\": \"{status}\""));
    let daemon = p.daemon(&["serve"]);
    assert!(order("first"));
    eventually("it runs", || is("first", "running"));
    cluster.keep();
    eventually("it is taken", || order("lost"));
    eventually("it runs", || is("lost", "running"));
    cluster.go_back();
    eventually("it is taken", || order("next"));
    eventually("it is known", || p.run(&["restore", "--json"]).out.contains("unseenNodes"));
    assert!(is("next", "pending") && p.json(&["invoice", "list"]).as_array().unwrap().len() == 1, "nothing was placed, nothing numbered");
    assert_eq!(daemon.stop(), Some(0));
    // Nor by a command while no daemon runs.
    p.refuses(75, &["documents get no numbers before a daemon has looked"], &["server", "addon", "first", "add", "backup"]);
}

/// The standby had not heard of a credit note: no node knows of that.
#[test]
fn a_standby_that_lacks_a_document_only_is_seen_by_who_saw_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let cluster = Cluster::start(dir.path());
    let p = Program::new(Some(&format!("postgres://leasehold@127.0.0.1:{}/postgres", cluster.port)));
    let account = p.set_up("200.00");
    let daemon = p.daemon(&["serve"]);
    let order = || p.run(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", "first"]).code == 0;
    eventually("it is taken", order);
    eventually("it runs", || p.run(&["server", "show", "first", "--json"]).out.contains("\"status\": \"running\""));
    cluster.keep();
    let invoice = p.json(&["invoice", "list"])[0]["number"].as_str().unwrap().to_owned();
    eventually("it is given back", || p.run(&["invoice", "refund", &invoice, "--amount", "1.00", "--reason", "late", "--reference", "a"]).code == 0);
    let seen = || p.json(&["queue", "status"])["processes"][0]["seen_at"].as_str().unwrap().to_owned();
    let before = seen();
    eventually("the daemon has seen it", || seen() > before);
    cluster.go_back();
    let why = || p.run(&["restore", "--json"]).out;
    eventually("it is known", || why().contains("a process has seen the document CN2026-000001 issued"));
    let again = p.run(&["invoice", "refund", &invoice, "--amount", "1.00", "--reason", "late", "--reference", "b"]);
    assert!(again.code != 0 && p.json(&["invoice", "list"]).as_array().unwrap().len() == 1, "{again:?}");
    assert_eq!(daemon.stop(), Some(0));
}

on_both!(a_process_vouches_for_the_server_it_has_looked_at_and_no_other(app) {
    app.order("web").await;
    app.until_quiet().await;
    // Another process, as a command is one, which goes by the word of those that run.
    let store = leasehold_store::Store::open(leasehold_store::Options::new(&app.options.url)).await.unwrap();
    store.trust().go_by(leasehold_store::Word::Others);
    let daemon = app.store.lock_daemon().unwrap();
    let trusts = async |server: &str, vouches: bool| {
        let mut tx = store.begin().await.unwrap();
        tx.exec("delete from processes", args![]).await.unwrap();
        let sql = "insert into processes (name, role, host, version, queues, started_at, seen_at, server, vouches) values ('a', 'serve', 'a', '1', 'nodes', $1, $1, $2, $3)";
        tx.exec(sql, args![tx.now, server, vouches]).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = store.read().await.unwrap();
        (!tx.is_in_doubt().await.unwrap(), tx.processes_were_heard().await.unwrap())
    };
    let mut tx = app.store.read().await.unwrap();
    let here: (String,) = if app.store.is_sqlite() {
        let file = std::fs::metadata(app.path("leasehold.db")).unwrap();
        (format!("{}:{}", std::os::unix::fs::MetadataExt::dev(&file), std::os::unix::fs::MetadataExt::ino(&file)),)
    } else {
        tx.one("select inet_server_port() || ' since ' || extract(epoch from pg_postmaster_start_time())", args![]).await.unwrap()
    };
    drop(tx);
    assert_eq!(trusts(&here.0, true).await, (true, true));
    assert_eq!(trusts(&here.0, false).await, (false, true), "it looks still");
    assert_eq!(trusts("5432 since 1700000000", true).await, (false, false), "its row was replicated before it looked");
    drop(daemon);
    assert_eq!(trusts(&here.0, true).await.0, !app.store.is_sqlite(), "a row in a file that nobody holds is one of a backup");
    // What a process saw committed.
    store.trust().go_by(leasehold_store::Word::Own);
    let process: leasehold_store::processes::Process = store.read().await.unwrap().processes().await.unwrap().remove(0);
    let beat = async || {
        let mut tx = store.begin().await.unwrap();
        let proof = tx.compare_with_memory().await.unwrap();
        tx.heartbeat(&process).await.unwrap();
        tx.commit().await.unwrap();
        proof
    };
    assert_eq!((beat().await, beat().await), (None, None));
    let mut tx = app.store.begin().await.unwrap();
    tx.exec("update processes set beats = 1", args![]).await.unwrap();
    tx.commit().await.unwrap();
    assert!(beat().await.is_some_and(|proof| proof.contains("the process a knows")));
    store.trust().forget();
    let mut tx = app.store.begin().await.unwrap();
    tx.exec("delete from restoration", args![]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((beat().await, beat().await), (None, None));
    // Its number is given out again: another document.
    let mut tx = store.begin().await.unwrap();
    tx.exec("delete from invoice_lines", args![]).await.unwrap();
    tx.exec("delete from invoices", args![]).await.unwrap();
    let proof = tx.compare_with_memory().await.unwrap();
    tx.rollback().await.unwrap();
    assert!(proof.is_some_and(|proof| proof.contains("has seen the document 2026-000001")));
});

#[test]
fn what_an_earlier_restoration_left_misleads_no_later_one() {
    let p = Program::new(None);
    let account = p.set_up("100.00");
    p.ok(&["backup", "before.db"]);
    let (file, note) = (p.path("leasehold.db"), p.path("leasehold.db.set-aside"));
    let log = |of: &std::path::Path| std::path::PathBuf::from(format!("{}-wal", of.display()));
    p.ok(&["restore", "before.db"]);
    // Killed before the note was removed; then it worked on for a while.
    std::fs::write(&note, "leasehold.db.before-1").unwrap();
    p.ok(&["account", "show", &account]);
    assert!(!note.exists(), "a database that is in its place needs no note");
    // An empty file under a name that a log would have.
    std::fs::write(p.path("leasehold.db.before-2-wal"), "").unwrap();
    p.ok(&["account", "edit", &account, "--last-name", "Late"]);
    assert_eq!(p.json(&["restore", "before.db"])["before"].as_str(), p.path("leasehold.db.before-3").to_str());
    // Cut off, and then two logs that could be the one.
    std::fs::rename(&file, p.path("leasehold.db.before-4")).unwrap();
    std::fs::write(&note, "leasehold.db.before-4").unwrap();
    for of in [&file, &p.path("leasehold.db.before-4")] {
        std::fs::write(log(of), "a log").unwrap();
    }
    p.refuses(4, &["both hold something"], &["restore", "before.db"]);
    std::fs::remove_file(log(&file)).unwrap();
    std::fs::remove_file(log(&p.path("leasehold.db.before-4"))).unwrap();
    // Moved back by hand, without its log.
    let moved = p.path("leasehold.db.before-4");
    std::fs::rename(&moved, &file).unwrap();
    std::fs::write(log(&moved), "a log").unwrap();
    for command in [&["account", "show", &account][..], &["serve"], &["restore", "before.db"]] {
        let ended = p.run(command);
        assert!(ended.code != 0 && ended.err.contains("has lost its database") && note.exists(), "{command:?}: {ended:?}");
    }
    std::fs::remove_file(log(&moved)).unwrap();
    std::fs::rename(&file, &moved).unwrap();
    // A note that says nothing, or is none: nothing is made anew.
    for said in ["", "elsewhere.db", "leasehold.db.before-9"] {
        std::fs::write(&note, said).unwrap();
        p.refuses(1, &["its restoration was cut off"], &["serve"]);
        p.refuses(4, &["only this note says which database was set aside"], &["restore", "before.db"]);
    }
    std::fs::remove_file(&note).unwrap();
    std::fs::create_dir(&note).unwrap();
    p.refuses(1, &["its restoration was cut off"], &["serve"]);
    p.refuses(4, &["only this note says"], &["restore", "before.db"]);
    std::fs::remove_dir(&note).unwrap();
    std::fs::write(p.path("leasehold.db.restoring"), "half a cop").unwrap();
    p.refuses(1, &["its restoration was cut off"], &["serve"]);
    p.ok(&["restore", "before.db"]);
    assert!(p.ok(&["account", "show", &account]).contains(&account));
}
