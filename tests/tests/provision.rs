//! Stories from a paid order to a running server, and everything that can come between.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{collections::BTreeSet, time::Duration};

use leasehold_commands::{catalog::How, operate, order, servers, snapshots, stats, user_data::UserData};
use leasehold_domain::{
    ServerId,
    policy::{Key, Level},
    server::{Goal, HoldKind, Means, Status, Step},
    usage::Counters,
};
use leasehold_store::{
    Queue, StoreError,
    nodes::{Node, NodeState},
    samples::NewSample,
    sealed::Place,
};
use leasehold_tests::{App, on_both};
use secrecy::ExposeSecret;

on_both!(an_order_runs_and_the_customer_is_told(app) {
    let server = app.order("web").await;
    assert_eq!((server.status, app.balance().await.as_str()), (Status::Pending, "91.00"));
    app.until_quiet().await;
    let server = app.server(&server.id).await;
    assert_eq!((server.status, server.goal), (Status::Running, Goal::Running));
    assert_eq!(app.machines(), [format!("{}:1", server.id)]);
    assert_eq!(app.delivered(), ["Receipt 2026-000001: 9.00 EUR", "Server Ready: web", "We received your order: web"]);
    let mut tx = app.store.read().await.unwrap();
    let addresses: Vec<String> = tx.addresses(&server.id).await.unwrap().into_iter().map(|a| a.address).collect();
    assert_eq!(addresses, ["203.0.113.2", "2001:db8::100"], "the gateway is not given away");
    let steps: Vec<String> = tx.steps(&server.id).await.unwrap().iter().map(|s| format!("{} {}", s.step, s.outcome.clone().unwrap_or_default())).collect();
    assert_eq!(steps, ["place done", "create_disk done", "define done", "configure done", "resize_disk done", "boot done", "await_agent done", "set_credentials done", "verify done"]);
    drop(tx);
    let (sign_in, password) = servers::credentials(&app.store, &App::operator(), "web").await.unwrap();
    assert_eq!((sign_in.username.as_str(), sign_in.host.as_str(), sign_in.port, password.is_some()), ("root", "203.0.113.2", 22, true));
    app.machines_match().await;
});

on_both!(a_failed_build_gives_the_money_back_and_is_retried(app) {
    app.import("faults = { refused = 1.0 }").await;
    let server = app.order("web").await;
    app.until_quiet().await;
    let failed = app.server(&server.id).await;
    assert_eq!((failed.status, app.balance().await.as_str()), (Status::Failed, "100.00"));
    assert_eq!(failed.status_reason.as_deref(), Some("create_disk: the node refuses this disk (simulated)"));
    assert_eq!(app.attention().await, [format!("build_failed server:{}", server.id)]);
    assert!(app.machines().is_empty());

    app.import("").await;
    servers::retry(&app.store, &App::operator(), "web").await.unwrap();
    assert_eq!(app.balance().await, "91.00");
    app.until_quiet().await;
    assert_eq!(app.server(&server.id).await.status, Status::Running);
    assert_eq!(app.machines(), [format!("{}:2", server.id)]);
    assert_eq!(app.delivered(), ["Receipt 2026-000001: 9.00 EUR", "Server Ready: web", "We received your order: web", "Your server web could not be built"]);
    assert!(app.attention().await.is_empty());
    app.machines_match().await;
});

on_both!(a_retry_needs_the_money_again(app) {
    app.import("faults = { refused = 1.0 }").await;
    let server = app.order("web").await;
    app.until_quiet().await;
    let debit = leasehold_commands::accounts::Movement { account: &app.account, amount: "95.00", reason: "test", reference: None };
    leasehold_commands::accounts::debit(&app.store, &App::operator(), &debit).await.unwrap();
    let refused = servers::retry(&app.store, &App::operator(), "web").await.unwrap_err();
    assert!(refused.to_string().starts_with("the wallet holds 5.00 EUR to spend, 9.00 EUR is needed"), "{refused}");
    assert_eq!(app.server(&server.id).await.status, Status::Failed);
});

on_both!(a_lost_answer_is_looked_up_before_it_is_asked_again(app) {
    app.import("faults = { reply_lost = 0.4 }").await;
    for n in 0..6 {
        app.order(&format!("web-{n}")).await;
    }
    app.until_quiet().await;
    let mut tx = app.store.read().await.unwrap();
    let servers = tx.servers(None, None, 100).await.unwrap();
    assert!(servers.iter().all(|s| s.status == Status::Running), "{:?}", servers.iter().map(|s| (s.status, s.last_error.clone(), s.status_reason.clone())).collect::<Vec<_>>());
    let mut found = 0;
    for server in &servers {
        found += tx.steps(&server.id).await.unwrap().iter().filter(|s| s.outcome.as_deref() == Some("found done")).count();
    }
    assert!(found > 0, "no lost answer was looked up");
    drop(tx);
    app.machines_match().await;
});

on_both!(a_node_without_room_sends_the_build_elsewhere(app) {
    app.import("faults = { capacity = 0.5 }").await;
    for n in 0..5 {
        app.order(&format!("web-{n}")).await;
    }
    app.until_quiet().await;
    let all = app.store.read().await.unwrap().servers(None, None, 100).await.unwrap();
    assert!(all.iter().any(|s| s.status == Status::Running && s.excluded != "[]"), "no build went elsewhere");
    app.machines_match().await;
});

on_both!(an_order_waits_while_no_node_answers_as_long_as_the_policy_says(app) {
    app.import("faults = { down_file = true }").await;
    app.until_quiet().await;
    let nodes: Vec<_> = app.store.read().await.unwrap().nodes().await.unwrap().into_iter().map(|n| serde_json::from_str::<serde_json::Value>(&n.settings).unwrap()["endpoint"].as_str().unwrap().to_owned()).collect();
    let down = |down: bool| nodes.iter().for_each(|dir| {
        std::fs::create_dir_all(dir).unwrap();
        let file = std::path::Path::new(dir).join("down");
        if down { std::fs::write(file, "").unwrap() } else { std::fs::remove_file(file).unwrap() }
    });
    down(true);
    operate::look_at_nodes(&app.store).await.unwrap();
    app.drain().await;
    let web = app.order("web").await;
    let most = app.order("most").await;
    // Eight tries in seven minutes would have failed both.
    for _ in 0..60 {
        app.advance(Duration::from_mins(1));
        app.drain().await;
    }
    for node in app.store.read().await.unwrap().nodes().await.unwrap() {
        assert!(node.look_at.unwrap().0 <= app.now() + Duration::from_secs(30), "{} is looked at again soon", node.id);
    }
    let waits = app.server(&web.id).await;
    assert_eq!((waits.status, waits.attempt), (Status::Pending, 0));
    assert!(waits.last_error.as_deref().unwrap().contains("does not answer since"), "{:?}", waits.last_error);
    // One of them is not to wait for longer than an hour.
    let lease = app.lease("most").await.id;
    app.set_rule(Level::Lease, lease.as_str(), Key::StartWithin, "1h").await;
    app.advance(Duration::from_mins(1));
    app.drain().await;
    let given_up = app.server(&most.id).await;
    assert!(given_up.status == Status::Failed && given_up.status_reason.as_deref().unwrap().starts_with("not begun within 1h: no node"), "{given_up:?}");
    assert_eq!(app.balance().await, "91.00", "and its money is back");
    down(false);
    app.until_quiet().await;
    assert_eq!(app.status("web").await, Status::Running);
});

on_both!(terminated_while_building_ends_clean_and_pays_what_was_used(app) {
    app.import("boot_time = \"60s\"").await;
    let server = app.order("web").await;
    app.drain().await;
    assert_eq!(app.server(&server.id).await.status, Status::Building);
    app.terminate(&server.id).await;
    assert_eq!(app.balance().await, "99.99");
    app.until_quiet().await;
    let gone = app.server(&server.id).await;
    assert_eq!((gone.status, gone.node_id), (Status::Terminated, None));
    assert!(app.machines().is_empty());
    assert!(!app.delivered().iter().any(|s| s.starts_with("Server Ready")));
});

on_both!(addresses_rest_before_they_are_given_to_others(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    app.terminate(&server.id).await;
    app.drain().await;
    assert_eq!(app.server(&server.id).await.status, Status::Terminated);
    assert!(app.server(&server.id).await.node_id.is_some(), "absence was seen only once");
    app.until_quiet().await;
    assert!(app.server(&server.id).await.node_id.is_none());
    let mut tx = app.store.read().await.unwrap();
    let free = tx.free_addresses(&server.region_id, 4).await.unwrap();
    assert_eq!(free, Some(248), "one of 249 rests");
    drop(tx);
    app.advance(Duration::from_hours(24));
    assert_eq!(app.store.read().await.unwrap().free_addresses(&server.region_id, 4).await.unwrap(), Some(249));
});

on_both!(a_hold_stops_a_build_before_boot_and_its_end_goes_on(app) {
    let server = app.order("web").await;
    servers::suspend(&app.store, &App::operator(), "web", HoldKind::Abuse, Means::PowerOff, "spam").await.unwrap();
    app.until_quiet().await;
    let held = app.server(&server.id).await;
    assert_eq!((held.status, held.booted), (Status::Building, false));
    app.advance(Duration::from_hours(5));
    servers::unsuspend(&app.store, &App::operator(), "web", HoldKind::Abuse, None).await.unwrap();
    app.until_quiet().await;
    assert_eq!(app.server(&server.id).await.status, Status::Running, "the deadline stood still");
});

on_both!(a_hold_after_the_first_boot_switches_the_machine_off_again(app) {
    app.import("boot_time = \"60s\"").await;
    let server = app.order("web").await;
    app.drain().await;
    assert!(app.server(&server.id).await.booted);
    held_is_off_and_goes_on(app, &server.id).await;
});

on_both!(a_hold_during_a_reinstall_still_switches_the_old_system_off(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    servers::reinstall(&app.store, &App::operator(), "web", None, false).await.unwrap();
    held_is_off_and_goes_on(app, &server.id).await;
});

/// A hold on a build whose machine is on switches it off; without the hold the build ends as it should.
async fn held_is_off_and_goes_on(app: &App, server: &ServerId) {
    servers::suspend(&app.store, &App::operator(), "web", HoldKind::Abuse, Means::PowerOff, "spam").await.unwrap();
    app.until_quiet().await;
    let held = app.server(server).await;
    assert_eq!((held.status, held.power.map(|p| p.0)), (Status::Building, Some(leasehold_domain::server::Power::Off)));
    servers::unsuspend(&app.store, &App::operator(), "web", HoldKind::Abuse, None).await.unwrap();
    app.until_quiet().await;
    assert_eq!(app.server(server).await.status, Status::Running);
}

on_both!(no_room_is_understood_also_when_the_clean_up_went_unanswered(app) {
    app.import("faults = { capacity = 0.5, reply_lost = 0.5 }").await;
    for n in 0..6 {
        app.order(&format!("web-{n}")).await;
    }
    app.until_quiet().await;
    let all = app.store.read().await.unwrap().servers(None, None, 100).await.unwrap();
    assert!(all.iter().all(|s| matches!(s.status, Status::Running | Status::Failed)));
    app.machines_match().await;
});

on_both!(many_orders_of_one_account_wait_for_their_turn_without_failing(app) {
    app.import("faults = { agent_never = 1.0 }").await;
    app.top_up(&app.account, "300.00").await;
    for n in 0..35 {
        app.order(&format!("web-{n}")).await;
    }
    app.until_quiet().await;
    let all = app.store.read().await.unwrap().servers(None, None, 100).await.unwrap();
    assert!(all.iter().all(|s| s.status == Status::Running), "waiting for a turn is not building");
});

on_both!(a_build_that_ends_calls_the_next_in_line(app) {
    app.import("boot_time = \"47s\"").await;
    app.top_up(&app.account, "100.00").await;
    for n in 0..10 {
        app.order(&format!("web-{n}")).await;
    }
    app.until_quiet().await;
    let mut tx = app.store.read().await.unwrap();
    let servers = tx.servers(None, None, 100).await.unwrap();
    let first_running = servers.iter().filter_map(|s| s.running_at).map(|at| at.0).min().unwrap();
    let mut placed = Vec::new();
    for server in &servers {
        placed.push(tx.steps(&server.id).await.unwrap()[0].ended_at.unwrap().0);
    }
    placed.sort();
    assert!(placed[4] < first_running && placed[5..] == [first_running; 5], "five at once, the others when those run: {placed:?} {first_running}");
});

on_both!(resolving_a_failed_reinstall_keeps_the_paid_machine(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    app.import("boot_time = \"60s\"").await;
    servers::reinstall(&app.store, &App::operator(), "web", None, false).await.unwrap();
    app.drain().await;
    app.nodes_go().await;
    app.advance(Duration::from_hours(1));
    app.until_quiet().await;
    assert_eq!(app.server(&server.id).await.status, Status::Failed);
    servers::resolve(&app.store, &App::operator(), "web", "seen", Duration::ZERO).await.unwrap();
    assert!(app.server(&server.id).await.node_id.is_some());
    app.nodes_come().await;
    servers::retry(&app.store, &App::operator(), "web").await.unwrap();
    app.until_quiet().await;
    assert_eq!(app.server(&server.id).await.status, Status::Running);
    app.machines_match().await;
});

async fn one_is_full_and_one_silent(app: &App) {
    app.import("faults = { capacity = 1.0, down_file = true }").await;
    std::fs::create_dir_all(app.path("node-b")).unwrap();
    std::fs::write(app.path("node-b").join("down"), "").unwrap();
    app.look().await;
}

on_both!(an_order_that_one_node_sent_on_waits_for_the_other_as_long_as_its_policy_says(app) {
    one_is_full_and_one_silent(app).await;
    let server = app.order("web").await;
    app.live(Duration::from_hours(1)).await;
    let s = app.server(&server.id).await;
    assert!(!matches!(s.status, Status::Failed | Status::Running), "{} {:?}", s.status, s.last_error);
    assert!(s.last_error.is_some_and(|e| e.contains("node-b does not answer")));
    app.nodes_come().await;
    app.live(Duration::from_mins(15)).await;
    assert_eq!(app.server(&server.id).await.status, Status::Running);
});

on_both!(an_order_that_one_node_sent_on_comes_back_to_it_when_it_has_room(app) {
    one_is_full_and_one_silent(app).await;
    let server = app.order("web").await;
    app.live(Duration::from_mins(2)).await;
    assert!(app.server(&server.id).await.excluded.contains("node-a"));
    app.import("faults = { down_file = true }").await;
    app.live(Duration::from_mins(40)).await;
    let s = app.server(&server.id).await;
    assert_eq!((s.status, s.node_id.as_deref()), (Status::Running, Some("node-a")), "{:?}", s.last_error);
});

on_both!(orders_that_were_sent_on_take_no_turns_of_others(app) {
    one_is_full_and_one_silent(app).await;
    let limit = app.worker.limits.builds_per_account;
    for n in 0..limit {
        app.order(if n == 0 { "first" } else { "more" }).await;
    }
    app.live(Duration::from_mins(2)).await;
    app.import("faults = { down_file = true }").await;
    let next = app.order("next").await;
    app.live(Duration::from_mins(2)).await;
    assert_eq!(app.server(&next.id).await.status, Status::Running, "they wait for a node that is away, and nothing is built of them");
});

on_both!(an_order_that_one_node_sent_on_is_given_up_when_its_time_is_over(app) {
    one_is_full_and_one_silent(app).await;
    app.set_rule(Level::System, "", Key::StartWithin, "1h").await;
    let server = app.order("web").await;
    app.live(Duration::from_hours(2)).await;
    let s = app.server(&server.id).await;
    assert_eq!(s.status, Status::Failed);
    assert!(s.status_reason.as_ref().is_some_and(|why| why.contains("node-b does not answer")), "{:?} {:?}", s.status_reason, s.last_error);
    assert_eq!(app.balance().await, "100.00", "its price is back");
});

on_both!(a_host_that_restarted_gets_its_machines_started(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    let s = app.server(&server.id).await;
    let node: leasehold_domain::NodeId = s.node_id.clone().unwrap().into();
    let mut tx = app.store.begin().await.unwrap();
    let row = tx.node(&node).await.unwrap();
    tx.exec("update nodes set boot_id = 'before' where id = $1", leasehold_store::args![&node]).await.unwrap();
    tx.want_look(&node).await.unwrap();
    tx.commit().await.unwrap();
    let hypervisor = leasehold_hypervisor::connect(&row.backend, &row.settings).unwrap();
    let call = leasehold_hypervisor::Call { mark: leasehold_domain::Mark { server: s.id.clone(), generation: 1 }, epoch: s.epoch, now: app.now() };
    hypervisor.ensure_power(&call, s.vmid.unwrap(), leasehold_domain::server::Power::Off).await.unwrap();
    app.drain().await;
    let leasehold_hypervisor::Observed::Present(machine) = hypervisor.observe(s.vmid.unwrap()).await.unwrap() else { panic!("gone") };
    assert_eq!(machine.power, leasehold_domain::server::Power::On);
});

on_both!(snapshots_are_taken_reverted_to_and_removed_on_a_server_that_runs_or_not(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    let (store, me) = (&app.store, App::operator());
    let states = async || snapshots::list(store, "web").await.unwrap().into_iter().map(|s| format!("{} {}", s.name, s.state)).collect::<BTreeSet<_>>();
    snapshots::take(store, &me, "web", "first").await.unwrap();
    assert!(snapshots::take(store, &me, "web", "first").await.unwrap_err().to_string().contains("has a snapshot 'first' already"));
    assert!(snapshots::revert(store, &me, "web", "first").await.unwrap_err().to_string().contains("is not ready"));
    let are = |states: &[&str]| states.iter().map(|s| (*s).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(states().await, are(&["first taking"]));
    app.drain().await;
    assert_eq!(states().await, are(&["first ready"]));

    servers::stop(store, &me, "web").await.unwrap();
    snapshots::take(store, &me, "web", "second").await.unwrap();
    snapshots::revert(store, &me, "web", "first").await.unwrap();
    app.drain().await;
    assert_eq!((states().await, app.server(&server.id).await.status), (are(&["first ready", "second ready"]), Status::Stopped));
    servers::start(store, &me, "web").await.unwrap();
    snapshots::revert(store, &me, "web", "second").await.unwrap();
    app.drain().await;
    assert_eq!(app.server(&server.id).await.status, Status::Running, "what was on is on again");

    let refused = servers::reinstall(store, &me, "web", None, false).await.unwrap_err();
    assert!(refused.to_string().contains("has 2 snapshots that would be lost"), "{refused}");
    snapshots::delete(store, &me, "web", "first").await.unwrap();
    app.drain().await;
    assert_eq!(states().await, are(&["second ready"]));
    servers::reinstall(store, &me, "web", None, true).await.unwrap();
    app.until_quiet().await;
    assert!(states().await.is_empty(), "they went with their disk");
    app.machines_match().await;
});

on_both!(a_snapshot_that_will_not_work_says_why(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    snapshots::take(&app.store, &App::operator(), "web", "first").await.unwrap();
    app.drain().await;
    // Somebody removed it at the node.
    let s = app.server(&server.id).await;
    let node = app.store.read().await.unwrap().node(&s.node_id.clone().unwrap().into()).await.unwrap();
    let hypervisor = leasehold_hypervisor::connect(&node.backend, &node.settings).unwrap();
    let call = leasehold_hypervisor::Call { mark: leasehold_domain::Mark { server: s.id.clone(), generation: 1 }, epoch: s.epoch, now: app.now() };
    for snapshot in hypervisor.snapshots(s.vmid.unwrap()).await.unwrap() {
        hypervisor.ensure_no_snapshot(&call, s.vmid.unwrap(), &snapshot.name).await.unwrap();
    }
    snapshots::revert(&app.store, &App::operator(), "web", "first").await.unwrap();
    app.drain().await;
    let found = snapshots::list(&app.store, "web").await.unwrap().remove(0);
    assert!(found.error.unwrap().contains("there is no snapshot"));
    assert_eq!(app.server(&server.id).await.status, Status::Running);
    app.machines_match().await;
});

on_both!(a_return_to_a_snapshot_that_fails_is_given_up_not_repeated_for_ever(app) {
    app.order("web").await;
    app.until_quiet().await;
    snapshots::take(&app.store, &App::operator(), "web", "first").await.unwrap();
    app.drain().await;
    app.import("faults = { busy = 1.0 }").await;
    snapshots::revert(&app.store, &App::operator(), "web", "first").await.unwrap();
    for _ in 0..20 {
        app.drain().await;
        app.advance(Duration::from_mins(15));
    }
    let found = snapshots::list(&app.store, "web").await.unwrap().remove(0);
    assert!((found.state, found.error.is_some()) == ("ready", true), "{found:?}");
    app.import("").await;
    app.until_quiet().await;
    app.machines_match().await;
});

on_both!(a_hold_that_comes_and_goes_during_a_build_leaves_a_machine_that_is_on(app) {
    app.import("boot_time = \"60s\"").await;
    let server = app.order("web").await;
    app.drain().await;
    // The hold switches it off, the answer is lost, and the hold is gone before anybody asks again.
    app.import("boot_time = \"60s\"\nfaults = { reply_lost = 1.0 }").await;
    servers::suspend(&app.store, &App::operator(), "web", HoldKind::Abuse, Means::PowerOff, "spam").await.unwrap();
    app.drain().await;
    servers::unsuspend(&app.store, &App::operator(), "web", HoldKind::Abuse, None).await.unwrap();
    app.import("boot_time = \"60s\"").await;
    app.until_quiet().await;
    assert_eq!(app.server(&server.id).await.status, Status::Running);
    assert!(app.attention().await.is_empty());
    app.machines_match().await;
});

on_both!(a_machine_that_was_switched_off_from_inside_stays_off(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    let s = app.server(&server.id).await;
    let node = app.store.read().await.unwrap().node(&s.node_id.clone().unwrap().into()).await.unwrap();
    let hypervisor = leasehold_hypervisor::connect(&node.backend, &node.settings).unwrap();
    let call = leasehold_hypervisor::Call { mark: leasehold_domain::Mark { server: s.id.clone(), generation: 1 }, epoch: s.epoch, now: app.now() };
    hypervisor.ensure_power(&call, s.vmid.unwrap(), leasehold_domain::server::Power::Off).await.unwrap();
    leasehold_commands::operate::look_at_nodes(&app.store).await.unwrap();
    app.drain().await;
    let s = app.server(&server.id).await;
    assert_eq!((s.status, s.goal), (Status::Stopped, Goal::Stopped));
    servers::start(&app.store, &App::operator(), "web").await.unwrap();
    app.drain().await;
    assert_eq!(app.server(&server.id).await.status, Status::Running);
    app.machines_match().await;
});

on_both!(power_reboot_suspend_and_password_follow_what_is_asked(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    let (store, me) = (&app.store, App::operator());
    servers::stop(store, &me, "web").await.unwrap();
    app.drain().await;
    assert_eq!(app.server(&server.id).await.status, Status::Stopped);
    servers::suspend(store, &me, "web", HoldKind::Admin, Means::PowerOff, "check").await.unwrap();
    app.drain().await;
    assert_eq!(app.server(&server.id).await.status, Status::Suspended);
    assert!(servers::start(store, &me, "web").await.unwrap_err().to_string().contains("is suspended"));
    servers::unsuspend(store, &me, "web", HoldKind::Admin, None).await.unwrap();
    app.drain().await;
    assert_eq!(app.server(&server.id).await.status, Status::Stopped, "it was stopped before");
    servers::start(store, &me, "web").await.unwrap();
    app.drain().await;
    servers::reboot(store, &me, "web").await.unwrap();
    let (s, number) = servers::password_reset(store, &me, "web").await.unwrap();
    app.drain().await;
    assert!(servers::password_reset_answer(store, &s, number).await.unwrap());
    let s = app.server(&server.id).await;
    assert_eq!((s.status, s.reboot_done), (Status::Running, 1));
    assert!(app.delivered().contains(&"The password of web was changed".to_owned()));
});

on_both!(a_password_that_was_asked_for_is_not_set_on_another_system(app) {
    app.import_more("[[iso]]\nid = \"rescue-12\"\nname = \"Rescue\"\ntype = \"rescue\"\nsize = 5\nimage = \"rescue-12\"").await;
    let server = app.order("web").await;
    app.until_quiet().await;
    let (store, me) = (&app.store, App::operator());
    let (s, number) = servers::password_reset(store, &me, "web").await.unwrap();
    servers::reinstall(store, &me, "web", Some("rescue-12"), false).await.unwrap();
    let answer = servers::password_reset_answer(store, &s, number).await.unwrap_err().to_string();
    assert!(answer.contains("the system was replaced"), "{answer}");
    app.until_quiet().await;
    assert_eq!((app.server(&server.id).await.status, app.attention().await.len()), (Status::Running, 0));
    let asked = store.read().await.unwrap().steps(&server.id).await.unwrap();
    assert!(!asked.iter().any(|step| step.step == Step::ResetPassword), "{asked:?}");
});

on_both!(a_reinstall_keeps_the_server_and_swaps_the_system(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    let before = app.store.read().await.unwrap().addresses(&server.id).await.unwrap();
    servers::reinstall(&app.store, &App::operator(), "web", Some("ubuntu-2404"), false).await.unwrap();
    app.until_quiet().await;
    let s = app.server(&server.id).await;
    assert_eq!((s.status, s.template_id.as_str(), s.generation), (Status::Running, "ubuntu-24.04", 2));
    assert_eq!(app.store.read().await.unwrap().addresses(&server.id).await.unwrap(), before);
    assert_eq!(app.machines(), [format!("{}:2", server.id)]);
    assert_eq!(app.balance().await, "91.00", "nothing is charged for it");
});

on_both!(a_reinstall_that_fails_before_the_swap_changes_nothing(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    app.import("faults = { refused = 1.0 }").await;
    servers::reinstall(&app.store, &App::operator(), "web", None, false).await.unwrap();
    app.until_quiet().await;
    let s = app.server(&server.id).await;
    assert_eq!((s.status, s.installed), (Status::Running, Some(1)));
    assert_eq!(app.attention().await, [format!("reinstall_failed server:{}", server.id)]);
    app.machines_match().await;
});

on_both!(a_reinstall_without_room_for_a_second_disk_leaves_the_machine_alone(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    app.import("faults = { capacity = 1.0 }").await;
    servers::reinstall(&app.store, &App::operator(), "web", None, false).await.unwrap();
    app.until_quiet().await;
    assert_eq!(app.server(&server.id).await.status, Status::Running);
    app.machines_match().await;
});

on_both!(a_swap_whose_answer_is_lost_is_looked_up_before_it_is_given_up(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    app.import("faults = { reply_lost = 1.0 }").await;
    servers::reinstall(&app.store, &App::operator(), "web", Some("ubuntu-24.04"), false).await.unwrap();
    app.advance(Duration::from_hours(2));
    app.until_quiet().await;
    let s = app.server(&server.id).await;
    assert_eq!(app.machines(), [format!("{}:{}", s.id, s.installed.unwrap())], "the records know which system is on the machine");
});

on_both!(a_silent_agent_does_not_keep_a_server_from_its_owner(app) {
    app.import("faults = { agent_never = 1.0 }").await;
    let server = app.order("web").await;
    app.until_quiet().await;
    assert_eq!(app.server(&server.id).await.status, Status::Running);
    assert_eq!(app.attention().await, [format!("agent_missing server:{}", server.id)]);
});

on_both!(a_guest_whose_first_boot_went_wrong_is_delivered_and_said(app) {
    app.import("faults = { guest_troubled = 1.0 }").await;
    let server = app.order("web").await;
    app.until_quiet().await;
    assert_eq!(app.server(&server.id).await.status, Status::Running);
    let password = Place { table: "servers", column: "password", id: server.id.as_str() };
    assert!(app.store.read().await.unwrap().secret(password).await.unwrap().is_some(), "it has its password all the same");
    assert_eq!(app.attention().await, [format!("guest_troubled server:{}", server.id)]);
    let steps = app.store.read().await.unwrap().steps(&server.id).await.unwrap();
    assert!(steps.iter().any(|s| s.detail.as_deref().is_some_and(|d| d.contains("could not set its locale"))));
    // A new system that starts well has nothing to complain of.
    app.import("").await;
    servers::reinstall(&app.store, &App::operator(), "web", None, false).await.unwrap();
    app.until_quiet().await;
    assert!(app.attention().await.is_empty());
});

on_both!(a_guest_that_refuses_its_password_is_delivered_without_one(app) {
    app.import("faults = { password_refused = 1.0 }").await;
    let server = app.order("web").await;
    app.until_quiet().await;
    assert_eq!((app.server(&server.id).await.status, app.balance().await.as_str()), (Status::Running, "91.00"));
    let password = Place { table: "servers", column: "password", id: server.id.as_str() };
    assert!(app.store.read().await.unwrap().secret(password).await.unwrap().is_none());
    assert_eq!(app.attention().await, [format!("agent_missing server:{}", server.id)]);
});

on_both!(what_the_owner_wants_at_the_first_boot_is_sealed_and_goes_with_the_server(app) {
    let user_data = Some(UserData::parse("#!/bin/sh\necho s3cret\n").unwrap());
    let wanted = order::Order { user_data, key: Some("once".into()), ..app.an_order("web") };
    let server = order::order(&app.store, &App::operator(), &wanted).await.unwrap();
    assert_eq!(order::order(&app.store, &App::operator(), &wanted).await.unwrap().id, server.id);
    let other = order::Order { user_data: Some(UserData::parse("#!/bin/sh\necho other\n").unwrap()), ..wanted };
    assert!(order::order(&app.store, &App::operator(), &other).await.is_err(), "another script is another order");
    let place = Place { table: "servers", column: "user_data", id: server.id.as_str() };
    let known = async |app: &App| app.store.read().await.unwrap().secret(place).await.unwrap().map(|s| s.expose_secret().to_owned());
    app.until_quiet().await;
    // A new system is given it, too.
    servers::reinstall(&app.store, &App::operator(), "web", None, false).await.unwrap();
    app.until_quiet().await;
    assert_eq!(known(app).await.as_deref(), Some("#!/bin/sh\necho s3cret\n"));
    servers::terminate(&app.store, &App::operator(), "web", servers::Unfinished::Paid).await.unwrap();
    app.until_quiet().await;
    assert_eq!(known(app).await, None);
});

on_both!(resolvers_are_those_of_the_pool_else_of_the_node_else_of_the_region(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    let server = app.server(&server.id).await;
    let asked = async |app: &App| {
        let found = app.store.read().await.unwrap().resolvers(&server).await.unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let silent = async |app: &App| app.store.read().await.unwrap().regions_without_resolvers().await.unwrap();
    assert_eq!((asked(app).await.as_str(), silent(app).await), ("", vec!["fra".to_owned()]));
    app.import_with("name = \"Frankfurt\"", "name = \"Frankfurt\"\nresolvers = [\"192.0.2.1\"]", How::default()).await;
    assert_eq!((asked(app).await.as_str(), silent(app).await), ("192.0.2.1", vec![]));
    app.import("resolvers = [\"192.0.2.2\"]").await;
    assert_eq!((asked(app).await.as_str(), silent(app).await), ("192.0.2.2", vec![]));
    app.import_with("id = \"fra-v6\"", "id = \"fra-v6\"\nresolvers = [\"2001:db8::53\", \"192.0.2.3\"]", How::default()).await;
    assert_eq!((asked(app).await.as_str(), silent(app).await), ("2001:db8::53 192.0.2.3", vec![]));
});

on_both!(an_order_that_nobody_begins_fails_after_a_day(app) {
    let server = app.order("web").await;
    app.advance(Duration::from_hours(24));
    app.until_quiet().await;
    assert_eq!((app.server(&server.id).await.status, app.balance().await.as_str()), (Status::Failed, "100.00"));
});

on_both!(a_build_past_its_deadline_is_given_up(app) {
    app.import("faults = { busy = 1.0 }").await;
    let server = app.order("web").await;
    for _ in 0..200 {
        app.drain().await;
        app.advance(Duration::from_secs(30));
    }
    let failed = app.server(&server.id).await;
    assert_eq!(failed.status, Status::Failed);
    assert!(app.attention().await.contains(&format!("step_stuck server:{}", server.id)), "what is half built cannot be removed, and somebody is told");
    app.import("").await;
    app.until_quiet().await;
    assert!(app.machines().is_empty());
    let reason = failed.status_reason.unwrap();
    assert!(reason.contains("past the build's deadline") || reason.contains("8 attempts"), "{reason}");
});

on_both!(the_same_key_is_the_same_order(app) {
    let ordered = order::Order { key: Some("cart-1".into()), ..app.an_order("web") };
    let first = order::order(&app.store, &App::operator(), &ordered).await.unwrap();
    let again = order::order(&app.store, &App::operator(), &ordered).await.unwrap();
    assert_eq!((first.id, app.balance().await.as_str()), (again.id, "91.00"));
    let other = order::Order { label: Some("other".into()), ..ordered };
    assert!(order::order(&app.store, &App::operator(), &other).await.unwrap_err().to_string().contains("used for another request"));
});

on_both!(a_late_call_of_a_lost_claim_is_refused_by_the_node(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    servers::stop(&app.store, &App::operator(), "web").await.unwrap();
    app.drain().await;
    // A worker of an older epoch wakes up and replays its start.
    let (s, now) = (app.server(&server.id).await, app.call_of(&server.id).await);
    let late = leasehold_hypervisor::Call { epoch: now.epoch - 1, ..now };
    let answer = app.node_of(&s).await.ensure_power(&late, s.vmid.unwrap(), leasehold_domain::server::Power::On).await;
    assert!(matches!(answer, Err(leasehold_hypervisor::Error::Stale(_))), "{answer:?}");
});

on_both!(what_a_look_found_done_is_not_undone_by_a_late_call(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    // No request arrives: neither the stop, which a frozen worker may still send, nor the start that follows it.
    app.import("faults = { request_lost = 1.0 }").await;
    servers::stop(&app.store, &App::operator(), "web").await.unwrap();
    app.drain().await;
    let late = app.call_of(&server.id).await;
    servers::start(&app.store, &App::operator(), "web").await.unwrap();
    app.until_quiet().await;
    let s = app.server(&server.id).await;
    assert_eq!((s.status, s.power.map(|p| p.0)), (Status::Running, Some(leasehold_domain::server::Power::On)));
    app.import("").await;
    let answer = app.node_of(&s).await.ensure_power(&late, s.vmid.unwrap(), leasehold_domain::server::Power::Off).await;
    assert!(matches!(answer, Err(leasehold_hypervisor::Error::Stale(_))), "{answer:?}");
});

on_both!(a_row_that_cannot_be_read_is_parked_and_stops_nobody(app) {
    let bad = app.order("bad").await;
    let good = app.order("good").await;
    let mut tx = app.store.begin().await.unwrap();
    tx.exec("update servers set cursor = 'dance' where id = $1", leasehold_store::args![&bad.id]).await.unwrap();
    tx.commit().await.unwrap();
    app.until_quiet().await;
    assert_eq!(app.server(&good.id).await.status, Status::Running);
    assert_eq!(app.attention().await, [format!("parked server:{}", bad.id)]);
    let mut tx = app.store.begin().await.unwrap();
    tx.exec("update servers set cursor = null where id = $1", leasehold_store::args![&bad.id]).await.unwrap();
    tx.want(Queue::Servers, bad.id.as_str()).await.unwrap();
    tx.commit().await.unwrap();
    app.until_quiet().await;
    assert_eq!(app.server(&bad.id).await.status, Status::Running);
});

on_both!(what_servers_use_is_sampled_while_somebody_watches_and_counted_by_month(app) {
    let seen = async || stats::stats(&app.store, "web").await.unwrap();
    let server = app.order("web").await;
    assert_eq!(seen().await.power_state, "POWERED_OFF");
    app.until_quiet().await;
    let rested = app.now();
    assert_eq!(seen().await.live, None, "the first question begins the watch");
    let mut samples = 0;
    for _ in 0..30 {
        app.advance(Duration::from_secs(1));
        app.drain().await;
        samples += usize::from(seen().await.live.is_some_and(|l| l.sampled_at == app.now()));
    }
    assert!((5..=7).contains(&samples), "every five seconds: {samples}");
    let live = seen().await.live.unwrap();
    assert_eq!((live.cpu_percent, live.disk_read_kbps, live.net_rx_kbps), (20.0, 8192, Some(32)));

    // Nobody asks any more: a minute later the node is left alone until its next look.
    app.advance(Duration::from_mins(2));
    app.drain().await;
    assert_eq!(seen().await.live, None, "old figures are not live");
    let next = app.store.next_due(Queue::Nodes).await.unwrap().unwrap();
    app.drain().await;
    let look = app.store.read().await.unwrap().nodes().await.unwrap()[0].look_at.unwrap().0;
    assert!(look.since(rested) <= Duration::from_mins(10) && next <= look, "looks keep their rhythm");

    // A restart begins the counters anew and loses nothing of the month.
    app.advance(Duration::from_mins(10));
    app.drain().await;
    let before = seen().await.traffic[0].received_bytes;
    servers::reboot(&app.store, &App::operator(), "web").await.unwrap();
    app.drain().await;
    app.advance(Duration::from_mins(10));
    app.drain().await;
    let after = seen().await.traffic[0].received_bytes;
    assert!((after - before - (600_000 << 2)).abs() <= 6_000 << 2, "{before} {after}");
    app.terminate(&server.id).await;
    assert_eq!(stats::stats(&app.store, server.id.as_str()).await.unwrap().traffic[0].received_bytes, after, "what was sent stays on record");
});

on_both!(a_late_sample_of_another_worker_counts_nothing(app) {
    app.order("web").await;
    app.until_quiet().await;
    let node = app.store.read().await.unwrap().nodes().await.unwrap().remove(0);
    let machines = app.store.read().await.unwrap().sampled_on(&node.id).await.unwrap();
    let counters = Counters { run: 9, cpu_ms: 1, memory_bytes: 1, disk_read_bytes: 1, disk_written_bytes: 1, net_received_bytes: Some(1), net_sent_bytes: Some(1) };
    let late = Node { epoch: node.epoch - 1, ..node };
    let mut tx = app.store.begin().await.unwrap();
    let refused = tx.record_samples(&late, app.now(), &[NewSample { before: &machines[0], counters }]).await;
    assert!(matches!(refused, Err(StoreError::Lost { .. })), "{refused:?}");
});

on_both!(an_order_that_finds_no_node_says_which_and_why(app) {
    let set = async |node: &str, state| operate::set_node_state(&app.store, &App::operator(), &node.into(), state).await.unwrap();
    let server = app.order("web").await;
    set("node-a", NodeState::Drain).await;
    set("node-b", NodeState::Offline).await;
    let late = order::order(&app.store, &App::operator(), &app.an_order("late")).await.unwrap_err();
    assert!(late.to_string().contains("region 'fra' has no room"), "{late}");
    app.drain().await;
    let why = app.server(&server.id).await.last_error.unwrap();
    assert_eq!(why, "no node in the region is open; node-a takes nothing new (drain); node-b takes nothing new (offline)");
    set("node-a", NodeState::Active).await;
    app.until_quiet().await;
    assert_eq!(app.server(&server.id).await.node_id.as_deref(), Some("node-a"), "what waited goes on, on the node that is open");
});

on_both!(what_a_guest_does_to_its_own_boot_is_no_reason_to_give_the_price_back(app) {
    for (label, faults) in [("off", "guest_off = 1.0"), ("mute", "agent_hangs = 1.0"), ("both", "guest_off = 1.0, agent_never = 1.0")] {
        app.import(&format!("faults = {{ {faults} }}")).await;
        let before = app.balance().await;
        let server = app.order(label).await;
        app.until_quiet().await;
        let s = app.server(&server.id).await;
        assert!(s.running_at.is_some(), "{label} is {}: {:?}", s.status, s.status_reason);
        assert_ne!(app.balance().await, before, "{label} is paid for");
        assert!(app.attention().await.contains(&format!("agent_missing server:{}", server.id)), "somebody is told of {label}: {:?}", app.attention().await);
    }
});
