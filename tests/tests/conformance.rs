//! What the store promises, on both databases; the races are real: many tasks, released at once by a barrier.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use leasehold_commands::{CommandError, accounts, operate, order, servers};
use leasehold_cron::settle::Settler;
use leasehold_domain::{Money, server::Status};
use leasehold_store::{Queue, StoreError, args, crash::Plan, sealed::Place, work::LOST_LIMIT};
use leasehold_tests::{App, Kind, on_both};
use leasehold_worker::{Handler, Ran, Roles, run_queues_with};
use secrecy::ExposeSecret;
use tokio::{sync::Barrier, task::JoinSet};

const CLAIM: Duration = Duration::from_secs(30);

/// Mails are the cheapest work rows.
async fn thousand_rows(app: &App) {
    let mut tx = app.store.begin().await.unwrap();
    for n in 0..1000 {
        let sql = "insert into mails (id, kind, dedup_key, recipient, locale, data, message_id, state, created_at, next_at) \
                   values ($1, 'order_confirmation', $1, 'a@example.org', 'en', '{}', $1, 'queued', $2, $2)";
        tx.exec_one(sql, args![format!("m{n:04}"), app.now()]).await.unwrap();
    }
    tx.commit().await.unwrap();
}

on_both!(eight_claimers_take_a_thousand_rows_and_none_twice(app) {
    thousand_rows(app).await;
    let barrier = Arc::new(Barrier::new(8));
    let mut claimers = JoinSet::new();
    for n in 0..8 {
        let (store, barrier) = (app.store.clone(), Arc::clone(&barrier));
        claimers.spawn(async move {
            barrier.wait().await;
            let mut mine = Vec::new();
            loop {
                let claims = store.claim(Queue::Mails, &format!("w{n}"), 7, CLAIM).await.unwrap();
                if claims.is_empty() {
                    return mine;
                }
                mine.extend(claims.into_iter().map(|c| c.id));
            }
        });
    }
    let all: Vec<String> = claimers.join_all().await.into_iter().flatten().collect();
    assert_eq!(all.len(), 1000, "each row is claimed");
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 1000, "and none twice");
    // They are left claimed: give them to nobody, so that the audit sees no open mail at rest.
    let mut tx = app.store.begin().await.unwrap();
    tx.exec("delete from mails", &[]).await.unwrap();
    tx.commit().await.unwrap();
});

on_both!(a_burst_after_a_quiet_day_is_claimed_at_once(app) {
    let mut tx = app.store.begin().await.unwrap();
    let fill = "insert into mails (id, kind, dedup_key, recipient, locale, data, message_id, state, created_at, next_at) \
                with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) \
                select $1 || i, 'order_confirmation', $1 || i, 'a@example.org', 'en', '{}', $1 || i, 'sent', 1, case when $1 = 'due' then 1 end from n";
    // Statistics of a day when nothing was due.
    tx.exec(fill, args!["rest"]).await.unwrap();
    tx.exec("analyze mails", &[]).await.unwrap();
    tx.exec("delete from mails", &[]).await.unwrap();
    tx.exec(fill, args!["due"]).await.unwrap();
    tx.commit().await.unwrap();
    // A choice that is made anew for every row ends at the statement's time limit.
    assert_eq!(app.store.claim(Queue::Mails, "w", 100, CLAIM).await.unwrap().len(), 100);
});

on_both!(a_lost_claim_settles_nothing_and_counts_as_lost(app) {
    let server = app.order("web").await;
    let first = app.store.claim(Queue::Servers, "a", 1, CLAIM).await.unwrap().remove(0);
    assert!(app.store.claim(Queue::Servers, "b", 1, CLAIM).await.unwrap().is_empty(), "claimed is not due");
    app.advance(CLAIM);
    let second = app.store.claim(Queue::Servers, "b", 1, CLAIM).await.unwrap().remove(0);
    assert_eq!((second.epoch, second.lost), (first.epoch + 1, 1));
    assert!(app.store.settle(Queue::Servers, "a", &[first.at_rest(app.now())]).await.unwrap().is_empty(), "the older epoch changes nothing");
    assert!(app.store.keep(Queue::Servers, &[(first.id.clone(), first.epoch)], CLAIM).await.unwrap().is_empty());
    assert_eq!(app.store.keep(Queue::Servers, &[(second.id.clone(), second.epoch)], CLAIM).await.unwrap(), std::slice::from_ref(&second.id));
    let mut tx = app.store.begin().await.unwrap();
    let stale = tx.claimed_server(&server.id, first.epoch).await;
    assert!(matches!(stale, Err(StoreError::Lost { .. })));
    drop(tx);
    app.advance(CLAIM);
    app.until_quiet().await;
});

on_both!(a_dead_workers_row_is_taken_over_after_thirty_seconds(app) {
    app.order("web").await;
    let plan = Plan::default();
    plan.arm("work.claimed", 1);
    assert!(plan.run(app.worker.run_one(Queue::Servers)).await.is_err(), "the worker dies with its claim");
    let next = app.another_worker("worker-2");
    app.advance(Duration::from_millis(29_999));
    assert_eq!(next.run_one(Queue::Servers).await.unwrap(), Ran::Idle);
    app.advance(Duration::from_millis(1));
    assert_eq!(next.run_one(Queue::Servers).await.unwrap(), Ran::One);
    app.until_quiet().await;
});

on_both!(a_row_that_kills_its_workers_is_parked(app) {
    let server = app.order("web").await;
    for _ in 0..=LOST_LIMIT {
        app.store.claim(Queue::Servers, "dies", 1, CLAIM).await.unwrap();
        app.advance(CLAIM);
    }
    app.drain().await;
    assert!(app.server(&server.id).await.parked_at.is_some());
    assert_eq!(app.attention().await, [format!("parked server:{}", server.id)]);
    servers::resolve(&app.store, &App::operator(), "web", "mended", Duration::ZERO).await.unwrap();
    servers::suspend(&app.store, &App::operator(), "web", leasehold_domain::server::HoldKind::Admin, leasehold_domain::server::Means::PowerOff, "look").await.unwrap();
    servers::unsuspend(&app.store, &App::operator(), "web", leasehold_domain::server::HoldKind::Admin, None).await.unwrap();
    app.until_quiet().await;
    assert_eq!(app.server(&server.id).await.status, Status::Running);
});

on_both!(a_row_whose_run_panics_is_put_aside_and_told(app) {
    app.order("web").await;
    let handler: Handler = Arc::new(|_, _, _| Box::pin(async { panic!("as the test wants it") }));
    let roles = Roles { queues: vec![Queue::Mails], concurrency: 1, poll: Duration::from_millis(50), grace: Duration::from_secs(5) };
    let told = async {
        while app.attention().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    Box::pin(run_queues_with(&app.worker, &roles, &handler, told)).await.unwrap();
    let mut tx = app.store.begin().await.unwrap();
    let (id, error) = tx.one::<(String, String)>("select id, last_error from mails where parked_at is not null and next_at is null", &[]).await.unwrap();
    assert!(error.contains("as the test wants it"), "{error}");
    tx.want(Queue::Mails, &id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(app.attention().await, [format!("parked mail:{id}")]);
    app.until_quiet().await;
});

on_both!(a_want_during_every_finish_is_never_lost(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    for round in 0..50 {
        let mut tx = app.store.begin().await.unwrap();
        tx.want(Queue::Servers, server.id.as_str()).await.unwrap();
        tx.commit().await.unwrap();
        let claim = app.store.claim(Queue::Servers, "w", 1, CLAIM).await.unwrap().remove(0);
        let barrier = Arc::new(Barrier::new(2));
        let (store, id, gate) = (app.store.clone(), server.id.clone(), Arc::clone(&barrier));
        let wants = tokio::spawn(async move {
            gate.wait().await;
            let mut tx = store.begin().await.unwrap();
            tx.want(Queue::Servers, id.as_str()).await.unwrap();
            tx.commit().await.unwrap();
        });
        barrier.wait().await;
        let settled = app.store.settle(Queue::Servers, "w", &[claim.at_rest(app.now())]).await.unwrap();
        wants.await.unwrap();
        assert_eq!(settled.len(), 1);
        assert!(app.store.next_due(Queue::Servers).await.unwrap().is_some(), "round {round}: the want was lost");
        app.drain().await;
    }
});

on_both!(orders_payments_and_deliveries_of_one_account_neither_deadlock_nor_overspend(app) {
    // 100.00 EUR and 16 payments of 1.00 against orders of 9.00.
    let barrier = Arc::new(Barrier::new(64));
    let mut tasks = JoinSet::new();
    for n in 0..64 {
        let (store, worker, barrier) = (app.store.clone(), app.another_worker(&format!("w{n}")), Arc::clone(&barrier));
        let (account, wanted) = (app.account.clone(), order::Order { label: None, hostname: None, ..app.an_order("x") });
        tasks.spawn(async move {
            barrier.wait().await;
            match n % 4 {
                0 => {
                    let reference = format!("pay-{n}");
                    let movement = accounts::Movement { account: &account, amount: "1.00", reason: "race", reference: Some(&reference.parse().unwrap()) };
                    accounts::credit(&store, &App::operator(), &movement).await.unwrap();
                    0
                }
                1 | 2 => i64::from(order::order(&store, &App::operator(), &wanted).await.is_ok()),
                _ => {
                    for _ in 0..10 {
                        worker.run_one(Queue::Servers).await.unwrap();
                    }
                    0
                }
            }
        });
    }
    let accepted: i64 = tasks.join_all().await.iter().sum();
    assert!(accepted * 900 <= 10_000 + 1_600, "{accepted} orders were accepted");
    assert!(accepted >= 11, "only {accepted} orders were accepted: 100.00 EUR pay for eleven");
    app.audit().await;
    app.until_quiet().await;
    let running = app.store.read().await.unwrap().servers(Some(Status::Running), None, 100).await.unwrap().len();
    assert_eq!(running as i64, accepted);
    let spent = Money::parse(&app.balance().await, "EUR".parse().unwrap()).unwrap();
    assert_eq!(spent.minor, 11_600 - accepted * 900);
});

on_both!(one_payment_reference_is_one_payment(app) {
    let pay_1 = " pi_1 ".parse().unwrap();
    let movement = |amount| accounts::Movement { account: &app.account, amount, reason: "card", reference: Some(&pay_1) };
    accounts::credit(&app.store, &App::operator(), &movement("5.00")).await.unwrap();
    accounts::credit(&app.store, &App::operator(), &movement("5.00")).await.unwrap();
    assert_eq!(app.balance().await, "105.00");
    let other = accounts::credit(&app.store, &App::operator(), &movement("6.00")).await.unwrap_err();
    assert!(matches!(other, CommandError::Refused(_)), "{other:?}");
    assert!(other.to_string().contains("the reference 'pi_1' was used on 2026-03-10 for 5.00 EUR"), "{other}");
    assert_eq!(app.balance().await, "105.00");
});

on_both!(a_secret_opens_in_its_own_row_only(app) {
    let place = |id| Place { table: "servers", column: "password", id };
    let mut tx = app.store.begin().await.unwrap();
    tx.put_secret(place("a"), &"s3cret".to_owned().into()).await.unwrap();
    assert_eq!(tx.secret(place("a")).await.unwrap().unwrap().expose_secret(), "s3cret");
    tx.exec("insert into sealed select owner_table, owner_column, 'b', key_id, box from sealed where owner_id = 'a'", &[]).await.unwrap();
    assert!(tx.secret(place("b")).await.is_err(), "a copy in another row does not open");
    let stored: (String,) = tx.one("select box from sealed where owner_id = 'a'", &[]).await.unwrap();
    assert!(!stored.0.contains("s3cret"));
});

on_both!(numbers_beyond_doubles_and_odd_texts_survive_row_lists(app) {
    let big = 9_007_199_254_740_993_i64;
    let odd = "quote \" backslash \\ newline \n emoji 🦀 null-ish \\u0000x";
    let mut tx = app.store.begin().await.unwrap();
    let mut rows = leasehold_store::Rows::new("v_name:t v_value:i");
    rows.push(&[odd.into(), big.into()]);
    tx.exec_rows("with v(v_name, v_value) as ({rows}) insert into counters (name, value) select v_name, v_value from v", rows, &[]).await.unwrap();
    let back: (String, i64) = tx.one("select name, value from counters where value = $1", args![big]).await.unwrap();
    assert_eq!(back, (odd.to_owned(), big));
});

on_both!(a_tick_that_rings_twice_runs_once(app) {
    let first = app.scheduler.run_due().await.unwrap();
    assert_eq!(first.len(), leasehold_cron::TICKS.len());
    assert!(app.scheduler.run_due().await.unwrap().is_empty());
    app.advance(Duration::from_secs(10));
    let (a, b) = tokio::join!(app.scheduler.run_due(), app.scheduler.run_due());
    let mut ran = [a.unwrap(), b.unwrap()].concat();
    ran.sort_unstable();
    assert_eq!(ran, ["heartbeat", "seal"]);
});

on_both!(ticks_that_a_clock_far_ahead_put_off_ring_when_it_is_right_again(app) {
    app.scheduler.run_due().await.unwrap();
    let mut tx = app.store.begin().await.unwrap();
    // As a scheduler of next year left them.
    tx.exec("update ticks set next_at = next_at + 31536000000", &[]).await.unwrap();
    tx.commit().await.unwrap();
    let rang = app.scheduler.run_due().await.unwrap();
    assert_eq!(rang.len(), leasehold_cron::TICKS.len(), "{rang:?}");
    assert!(app.scheduler.run_due().await.unwrap().is_empty(), "and each once");
});

on_both!(a_clock_that_is_not_believed_removes_nothing(app) {
    app.store.bind_clock("system").await.unwrap();
    let mut scheduler = app.scheduler.clone();
    scheduler.settler = Settler::new(app.store.clone()).trusting(|| false);
    let mut tx = app.store.begin().await.unwrap();
    let process = "insert into processes (name, role, host, version, queues, started_at, seen_at) values ('w', 'worker', 'h', '1', 'servers', $1, $1)";
    tx.exec_one(process, args![app.now()]).await.unwrap();
    tx.commit().await.unwrap();
    let known = async |app: &App| app.store.read().await.unwrap().processes().await.unwrap().len();
    scheduler.run_due().await.unwrap();
    app.advance(Duration::from_hours(40 * 24));
    scheduler.run_due().await.unwrap();
    assert_eq!(known(app).await, 1, "forty days ahead, and nobody keeps the clock right");
    scheduler.settler = Settler::new(app.store.clone()).trusting(|| true);
    app.advance(Duration::from_secs(10));
    scheduler.run_due().await.unwrap();
    assert_eq!(known(app).await, 0);
});

on_both!(a_clock_that_is_not_believed_gives_nothing_away(app) {
    let wanted = order::Order { addons: vec!["backup".into()], ..app.an_order("web") };
    order::order(&app.store, &App::operator(), &wanted).await.unwrap();
    let gone = app.order("gone").await;
    app.until_quiet().await;
    app.live(Duration::from_hours(26)).await;
    app.store.bind_clock("system").await.unwrap();
    app.terminate(&gone.id).await;
    app.until_quiet().await;
    let counted = async |app: &App| {
        let mut tx = app.store.read().await.unwrap();
        let kept = tx.int("select count(*) from snapshots where keep_until is not null and asked is null", &[]).await.unwrap();
        (kept, tx.free_addresses(&"fra".into(), 4).await.unwrap().unwrap())
    };
    let before = counted(app).await;
    assert!(before.0 > 0);
    app.advance(Duration::from_hours(40 * 24));
    // A build that began before the jump is not late by it.
    app.order("late").await;
    app.drain().await;
    let after = counted(app).await;
    assert!(after.0 >= before.0, "no snapshot is dropped: {before:?}, {after:?}");
    assert_eq!(after.1, before.1 - 1, "no address has rested long enough");
    assert!(app.attention().await.iter().all(|a| !a.starts_with("build_failed")), "{:?}", app.attention().await);
    // Believed, it ends both.
    operate::confirm_clock(&app.store, &App::operator()).await.unwrap();
    app.advance(Duration::from_hours(1));
    app.drain().await;
    let believed = counted(app).await;
    assert!(believed.0 < after.0 && believed.1 > after.1, "{after:?}, {believed:?}");
});

on_both!(what_a_clock_far_ahead_put_off_in_the_queues_goes_on_when_it_is_right_again(app) {
    app.order("web").await;
    app.until_quiet().await;
    let node = async |app: &App| app.store.read().await.unwrap().nodes().await.unwrap().remove(0);
    let mut tx = app.store.begin().await.unwrap();
    // As a worker of next year left it.
    tx.exec("update nodes set next_at = next_at + 31536000000, look_at = look_at + 31536000000", &[]).await.unwrap();
    tx.commit().await.unwrap();
    app.drain().await;
    assert!(node(app).await.look_at.unwrap().0 > app.now() + Duration::from_hours(24));
    app.scheduler.run_due().await.unwrap();
    app.drain().await;
    assert!(node(app).await.look_at.unwrap().0 < app.now() + Duration::from_hours(1));
});

#[tokio::test]
async fn who_stands_still_in_a_transaction_holds_nobody_up_for_long_on_postgres() {
    leasehold_tests::app::tell(Kind::Postgres, async |app: &mut App| {
        let id = app.store.read().await.unwrap().find_account(&app.account).await.unwrap().id;
        let mut frozen = app.store.begin().await.unwrap();
        // The wallet's lock, and then nothing more: a stopped process, a paused host.
        frozen.books(&id).await.unwrap();
        let began = Instant::now();
        while let Err(error) = order::order(&app.store, &App::operator(), &app.an_order("web")).await {
            assert!(matches!(error, CommandError::TryAgain(_)), "{error:?}");
            assert!(began.elapsed() < CLAIM, "longer than a claim");
        }
        // What it comes back with is the database's trouble, and not that of the row that it was about.
        let late = frozen.books(&id).await.err().unwrap();
        assert!(late.is_outage(), "{late}");
        drop(frozen);
        app.until_quiet().await;
    })
    .await;
}

on_both!(the_activity_chain_shows_what_was_changed_later(app) {
    app.order("web").await;
    app.scheduler.run_due().await.unwrap();
    assert_eq!(leasehold_cron::verify_chain(&app.store).await.unwrap(), None);
    let mut tx = app.store.begin().await.unwrap();
    tx.exec("update activity set detail = 'nothing to see' where action = 'server.order'", &[]).await.unwrap();
    tx.commit().await.unwrap();
    assert!(leasehold_cron::verify_chain(&app.store).await.unwrap().is_some());
});

on_both!(the_digest_tells_at_once_and_then_hourly(app) {
    app.import("faults = { refused = 1.0 }").await;
    app.order("one").await;
    app.until_quiet().await;
    app.advance(Duration::from_mins(1));
    app.scheduler.run_due().await.unwrap();
    app.order("two").await;
    app.until_quiet().await;
    app.advance(Duration::from_mins(2));
    app.scheduler.run_due().await.unwrap();
    app.drain().await;
    let digests = |subjects: Vec<String>| subjects.into_iter().filter(|s| s.contains("a person")).collect::<Vec<_>>();
    assert_eq!(digests(app.delivered()), ["1 matter needs a person"]);
    app.advance(Duration::from_hours(1));
    app.scheduler.run_due().await.unwrap();
    app.drain().await;
    assert_eq!(digests(app.delivered()), ["1 matter needs a person", "2 matters need a person"]);
});

on_both!(the_audit_finds_what_is_broken(app) {
    let server = app.order("web").await;
    app.until_quiet().await;
    for (sql, undo, rule) in [
        ("update wallets set posted = posted + 1", "update wallets set posted = posted - 1", "wallet posted"),
        ("update transfers set credit = 'nowhere' where code = 'order'", "update transfers set credit = 'revenue:EUR' where code = 'order'", "two ledger accounts"),
        ("update transfers set amount = amount + 1 where code = 'order'", "update transfers set amount = amount - 1 where code = 'order'", "posted transfer of the same amount"),
        ("update charges set transfer = 'x'", "update charges set transfer = (select reference from transfers where code = 'order')", "paid one charge"),
        ("update leases set state = 'ended'", "update leases set state = 'active'", "a lease fits its server"),
        ("update servers set goal = 'stopped'", "update servers set goal = 'running'", "at rest with work left"),
        ("update reservations set vmid = vmid + 1", "update reservations set vmid = vmid - 1", "its reservation"),
        ("update mails set dedup_key = 'x' where kind = 'order_confirmation'", "update mails set dedup_key = 'order_confirmation:' || server_id where kind = 'order_confirmation'", "order confirmation"),
    ] {
        let mut tx = app.store.begin().await.unwrap();
        tx.exec(sql, &[]).await.unwrap();
        tx.commit().await.unwrap();
        let findings = app.store.audit().await.unwrap();
        assert!(findings.iter().any(|f| f.rule.contains(rule)), "{sql}: {findings:?}");
        let mut tx = app.store.begin().await.unwrap();
        tx.exec(undo, &[]).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(app.server(&server.id).await.status, Status::Running);
});
