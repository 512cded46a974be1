//! Stories of what is ordered: coupons, partners, add-ons, cycles, new prices.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use leasehold_commands::{
    addons, catalog,
    coupons::{self, NewCoupon},
    cycle, order, partners,
    servers::{self, Unfinished},
};
use leasehold_domain::{
    Percent,
    addon::AddonState,
    lease::{Cycle, LeaseState},
    policy::{Key, Level},
    server::{HoldKind, Means, Status},
};
use leasehold_store::servers::HoldTerms;
use leasehold_tests::{App, on_both};

const DAY: Duration = Duration::from_hours(24);
const HOUR: Duration = Duration::from_hours(1);

const SPRING: NewCoupon<'_> = NewCoupon {
    code: "spring",
    percent: Some(Percent::whole(20)),
    amount: None,
    currency: None,
    periods: Some(1),
    uses: None,
    uses_per_account: Some(1),
    from: None,
    until: None,
    products: &[],
};

async fn coupon(app: &App, new: NewCoupon<'_>) {
    coupons::create(&app.store, &App::operator(), &new).await.unwrap();
}

/// Orders with a coupon; what was said when it was refused.
async fn with_coupon(app: &App, label: &str, code: &str) -> Result<(), String> {
    let wanted = order::Order { coupon: Some(code.into()), ..app.an_order(label) };
    order::order(&app.store, &App::operator(), &wanted).await.map(drop).map_err(|e| e.to_string())
}

async fn coupon_uses(app: &App, code: &str) -> i64 {
    app.store.read().await.unwrap().coupon(code).await.unwrap().used
}

on_both!(a_year_with_a_coupon_for_three_periods(app) {
    coupon(app, NewCoupon { periods: Some(3), ..SPRING }).await;
    app.top_up(&app.account, "400.00").await;
    let wanted = order::Order { coupon: Some("Spring".into()), cycle: Cycle::Year, ..app.an_order("web") };
    order::order(&app.store, &App::operator(), &wanted).await.unwrap();
    app.until_quiet().await;
    app.live(4 * 366 * DAY).await;
    let paid: Vec<String> = app.charges("web").await.iter().map(|c| c.split(' ').nth(3).unwrap().to_owned()).collect();
    assert_eq!(paid, ["7200", "7200", "7200", "9000", "9000"]);
});

on_both!(a_coupon_with_seven_uses_is_used_seven_times_by_a_hundred_orders(app) {
    coupon(app, NewCoupon { uses: Some(7), ..SPRING }).await;
    let mut accounts = Vec::new();
    for n in 0..100 {
        accounts.push(app.new_account(&format!("a{n}@example.org"), "20.00").await);
    }
    let orders = accounts.iter().enumerate().map(|(n, account)| {
        let (store, wanted) = (app.store.clone(), order::Order { account: account.clone(), coupon: Some("SPRING".into()), ..app.an_order(&format!("w{n}")) });
        tokio::spawn(async move { order::order(&store, &App::operator(), &wanted).await.map(drop).map_err(|e| e.to_string()) })
    });
    let answers: Vec<Result<(), String>> = futures::future::join_all(orders).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 7);
    assert!(answers.iter().filter_map(|a| a.as_ref().err()).all(|e| e == "coupon 'SPRING' is used up"), "{answers:?}");
    assert_eq!(coupon_uses(app, "SPRING").await, 7);
    let servers = app.store.read().await.unwrap().servers(None, None, 1000).await.unwrap();
    assert_eq!(servers.len(), 7, "a refused order changes nothing");
    app.until_quiet().await;
});

on_both!(an_order_that_never_ran_gives_its_coupon_back_and_keeps_its_price_when_retried(app) {
    coupon(app, NewCoupon { uses: Some(1), ..SPRING }).await;
    app.import("faults = { refused = 1.0 }").await;
    with_coupon(app, "web", "SPRING").await.unwrap();
    app.until_quiet().await;
    assert_eq!((app.status("web").await, app.balance().await.as_str(), coupon_uses(app, "SPRING").await), (Status::Failed, "100.00", 0));
    app.import("").await;
    with_coupon(app, "other", "SPRING").await.unwrap();
    let web = app.lease("web").await.server;
    servers::retry(&app.store, &App::operator(), web.as_str()).await.unwrap();
    app.until_quiet().await;
    assert_eq!((app.status("web").await, coupon_uses(app, "SPRING").await), (Status::Running, 2), "as it was agreed");
    assert_eq!(app.balance().await, "85.60");
});

on_both!(a_coupon_that_does_not_count_is_refused_in_one_line_and_changes_nothing(app) {
    let (now, small) = (app.now(), ["small".to_owned()]);
    coupon(app, NewCoupon { code: "PAST", until: Some(now + HOUR), ..SPRING }).await;
    coupon(app, NewCoupon { code: "SOON", from: Some(now + 30 * DAY), ..SPRING }).await;
    coupon(app, NewCoupon { code: "SMALL", products: &small, ..SPRING }).await;
    coupon(app, NewCoupon { code: "DOLLARS", percent: None, amount: Some("5.00"), currency: Some("USD"), ..SPRING }).await;
    coupon(app, NewCoupon { code: "ONCE", ..SPRING }).await;
    coupon(app, NewCoupon { code: "GONE", ..SPRING }).await;
    coupons::disable(&app.store, &App::operator(), "gone").await.unwrap();
    with_coupon(app, "first", "ONCE").await.unwrap();
    app.advance(2 * HOUR);
    let tiny = order::Order { product: "tiny-disk".into(), coupon: Some("SMALL".into()), template: "ubuntu-24.04".into(), ..app.an_order("x") };
    let mut said = vec![order::order(&app.store, &App::operator(), &tiny).await.unwrap_err().to_string()];
    for code in ["PAST", "SOON", "DOLLARS", "ONCE", "GONE", "NEVER"] {
        said.push(with_coupon(app, "web", code).await.unwrap_err());
    }
    insta::assert_snapshot!("coupon_refusals", said.join("\n"));
    assert_eq!(app.store.read().await.unwrap().servers(None, None, 10).await.unwrap().len(), 1);
    app.until_quiet().await;
});

on_both!(a_wallet_for_seven_orders_takes_seven_of_fifty(app) {
    app.debit("37.00").await;
    let orders = (0..50).map(|n| {
        let (store, wanted) = (app.store.clone(), app.an_order(&format!("w{n}")));
        tokio::spawn(async move { order::order(&store, &App::operator(), &wanted).await.map(drop).map_err(|e| e.to_string()) })
    });
    let answers: Vec<Result<(), String>> = futures::future::join_all(orders).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 7);
    assert!(answers.iter().filter_map(|a| a.as_ref().err()).all(|e| e.starts_with("the wallet holds 0.00 EUR to spend, 9.00 EUR is needed")), "{answers:?}");
    app.until_quiet().await;
    assert_eq!((app.balance().await.as_str(), app.machines().len()), ("0.00", 7));
});

on_both!(what_an_add_on_is_quoted_is_what_is_charged_and_renewals_carry_the_full_price(app) {
    app.set_tax("19").await;
    app.order("web").await;
    app.until_quiet().await;
    app.advance(10 * DAY + HOUR * 5);
    let offers = addons::offers(&app.store, "web").await.unwrap();
    let quoted = offers.iter().find(|o| o.name == "One more address").unwrap().price_now.clone().unwrap();
    let before = app.cents().await;
    let a = addons::attach(&app.store, &App::operator(), "web", "ip", Some("click-1")).await.unwrap();
    let again = addons::attach(&app.store, &App::operator(), "web", "ip", Some("click-1")).await.unwrap();
    assert_eq!((a.state, &a.id), (AddonState::Held, &again.id), "one click more is the same request");
    assert_eq!(before - app.cents().await, 159, "2.00 x 499 h / 744 h = 1.34, and 19 % tax");
    assert_eq!(quoted, "1.59");
    app.until_quiet().await;
    let web = app.lease("web").await.server;
    let had = app.store.read().await.unwrap().addresses(&web).await.unwrap();
    assert_eq!((had.len(), had.last().unwrap().addon.as_deref()), (3, Some(a.id.as_str())));
    assert_eq!(app.guest_addresses(&web), had[1..].iter().map(|a| a.address.clone()).collect::<Vec<_>>(), "the guest has all but its first");
    assert_eq!(app.addon_charges("web").await, ["2026-03-20 2026-04-10 159 paid"]);
    app.live(31 * DAY).await;
    assert_eq!(app.charges("web").await[1], "2 2026-04-10 2026-05-10 1309 paid", "9.00 + 2.00, and tax");
    assert_eq!(app.addon_state("web", "extra-ip").await, AddonState::Active);
});

on_both!(an_add_on_ends_with_the_period_and_its_addresses_rest(app) {
    app.order("web").await;
    app.until_quiet().await;
    addons::attach(&app.store, &App::operator(), "web", "block", None).await.unwrap();
    app.until_quiet().await;
    let web = app.lease("web").await.server;
    let block = app.store.read().await.unwrap().addresses(&web).await.unwrap().pop().unwrap();
    assert_eq!(block.address, "198.51.100.0/25");
    app.live(5 * DAY).await;
    let ending = addons::detach(&app.store, &App::operator(), "web", "ip-class").await.unwrap();
    assert_eq!(ending.until_at.unwrap().0.day(), "2026-04-10");
    let refused = addons::attach(&app.store, &App::operator(), "web", "block", None).await.unwrap_err().to_string();
    assert_eq!(refused, "server web has an add-on of the kind ip-class already: A block of addresses; it ends with the period");
    app.live(27 * DAY).await;
    app.scheduler.run_due().await.unwrap();
    app.until_quiet().await;
    assert_eq!(app.addon_state("web", "ip-class").await, AddonState::Ended);
    assert_eq!(app.charges("web").await[1], "2 2026-04-10 2026-05-10 900 paid");
    assert_eq!(app.store.read().await.unwrap().addresses(&web).await.unwrap().len(), 2);
    // The other block first: this one rests.
    addons::attach(&app.store, &App::operator(), "web", "block", None).await.unwrap();
    app.until_quiet().await;
    assert_eq!(app.store.read().await.unwrap().addresses(&web).await.unwrap().pop().unwrap().address, "198.51.100.128/25");
});

on_both!(an_add_on_that_cannot_be_attached_is_given_back(app) {
    app.order("web").await;
    app.until_quiet().await;
    app.import("faults = { busy = 1.0 }").await;
    addons::attach(&app.store, &App::operator(), "web", "ip", None).await.unwrap();
    assert_eq!(app.balance().await, "89.00");
    app.until_quiet().await;
    assert_eq!((app.addon_state("web", "extra-ip").await, app.balance().await.as_str()), (AddonState::Failed, "91.00"));
    assert!(app.attention().await.iter().any(|a| a.starts_with("addon_failed")), "{:?}", app.attention().await);
    app.import("").await;
    addons::attach(&app.store, &App::operator(), "web", "ip", None).await.unwrap();
    app.until_quiet().await;
    assert_eq!((app.addon_state("web", "extra-ip").await, app.balance().await.as_str()), (AddonState::Active, "89.00"));
});

on_both!(a_server_that_ends_gives_back_what_was_not_attached_yet(app) {
    app.order("web").await;
    app.until_quiet().await;
    addons::attach(&app.store, &App::operator(), "web", "ip", None).await.unwrap();
    let web = app.lease("web").await.server;
    app.terminate(&web).await;
    app.until_quiet().await;
    assert_eq!((app.addon_state("web", "extra-ip").await, app.balance().await.as_str()), (AddonState::Failed, "91.00"));
});

on_both!(an_add_on_that_was_never_attached_is_given_back_when_its_lease_ends_by_itself(app) {
    app.order("web").await;
    app.until_quiet().await;
    servers::set_auto_renew(&app.store, &App::operator(), "web", false).await.unwrap();
    app.advance(30 * DAY);
    servers::suspend(&app.store, &App::operator(), "web", HoldKind::Abuse, Means::PowerOff, "spam").await.unwrap();
    app.until_quiet().await;
    servers::unsuspend(&app.store, &App::operator(), "web", HoldKind::Abuse, None).await.unwrap();
    app.until_quiet().await;
    addons::attach(&app.store, &App::operator(), "web", "ip", None).await.unwrap();
    servers::suspend(&app.store, &App::operator(), "web", HoldKind::Abuse, Means::PowerOff, "spam").await.unwrap();
    app.live(2 * DAY).await;
    assert_eq!((app.addon_state("web", "extra-ip").await, app.balance().await.as_str()), (AddonState::Failed, "91.00"));
    app.until_quiet().await;
});

on_both!(an_add_on_whose_period_is_over_before_it_is_attached_is_given_back(app) {
    app.order("web").await;
    app.until_quiet().await;
    app.advance(30 * DAY);
    addons::attach(&app.store, &App::operator(), "web", "ip", None).await.unwrap();
    app.advance(2 * DAY);
    app.settle().await;
    app.until_quiet().await;
    assert_eq!((app.addon_state("web", "extra-ip").await, app.balance().await.as_str()), (AddonState::Failed, "82.00"), "nothing is free for a month");
    let web = app.lease("web").await.server;
    assert_eq!(app.guest_addresses(&web).len(), 1, "and the guest has it no more");
});

on_both!(an_add_on_after_a_change_of_cycle_is_priced_by_what_is_left_of_both(app) {
    app.top_up(&app.account, "2000.00").await;
    let yearly = order::Order { cycle: Cycle::Year, ..app.an_order("year") };
    order::order(&app.store, &App::operator(), &yearly).await.unwrap();
    app.order("month").await;
    app.until_quiet().await;
    cycle::change(&app.store, &App::operator(), "year", Cycle::Month).await.unwrap();
    cycle::change(&app.store, &App::operator(), "month", Cycle::Year).await.unwrap();
    let price = async |label: &str| addons::offers(&app.store, label).await.unwrap().into_iter().find(|o| o.name == "One more address").unwrap().price_now;
    assert_eq!(price("year").await.as_deref(), Some("23.55"), "365 days at 2.00 for the 31 that a month then has");
    assert_eq!(price("month").await.as_deref(), Some("1.70"), "31 days at 20.00 a year");
    for (label, kind) in [("year", "ip"), ("year", "backup"), ("month", "ip")] {
        addons::attach(&app.store, &App::operator(), label, kind, None).await.unwrap();
        app.until_quiet().await;
    }
    addons::detach(&app.store, &App::operator(), "year", "ip").await.unwrap();
    cycle::change(&app.store, &App::operator(), "year", Cycle::Year).await.unwrap();
    app.live(366 * DAY).await;
    leasehold_cron::addons::run(&app.store, DAY).await.unwrap();
    addons::attach(&app.store, &App::operator(), "year", "ip", None).await.unwrap();
    app.until_quiet().await;
    assert_eq!(app.addon_state("year", "extra-ip").await, AddonState::Active, "its charge has a number of its own");
});

on_both!(a_guest_that_was_restarted_is_given_its_addresses_again(app) {
    app.order("web").await;
    app.until_quiet().await;
    addons::attach(&app.store, &App::operator(), "web", "ip", None).await.unwrap();
    app.until_quiet().await;
    let (web, store, me) = (app.lease("web").await.server, app.store.clone(), App::operator());
    let given = app.guest_addresses(&web);
    servers::reboot(&store, &me, "web").await.unwrap();
    app.until_quiet().await;
    servers::stop(&store, &me, "web").await.unwrap();
    app.until_quiet().await;
    servers::start(&store, &me, "web").await.unwrap();
    app.until_quiet().await;
    let steps = app.store.read().await.unwrap().steps(&web).await.unwrap();
    assert_eq!(steps.iter().filter(|s| s.step.as_str() == "set_addresses").count(), 3);
    assert_eq!(app.guest_addresses(&web), given);
});

on_both!(add_ons_of_an_order_come_with_the_server(app) {
    let wanted = order::Order { addons: vec!["ip".into(), "backup".into()], ..app.an_order("web") };
    order::order(&app.store, &App::operator(), &wanted).await.unwrap();
    assert_eq!(app.balance().await, "86.00", "9.00 + 2.00 + 3.00");
    app.until_quiet().await;
    let web = app.lease("web").await.server;
    let had = app.store.read().await.unwrap().addresses(&web).await.unwrap();
    assert_eq!((had.len(), app.guest_addresses(&web).len()), (3, 2));
    assert_eq!(app.addon_state("web", "backup").await, AddonState::Active);
    let twice = order::Order { addons: vec!["ip".into(), "ip".into()], ..app.an_order("x") };
    let refused = order::order(&app.store, &App::operator(), &twice).await.unwrap_err().to_string();
    assert_eq!(refused, "'One more address' and 'One more address' are both of the kind extra-ip; a server has one of each");
    let held = servers::suspend(&app.store, &App::operator(), "web", HoldKind::Abuse, Means::PowerOff, "spam").await.unwrap();
    assert!(addons::attach(&app.store, &App::operator(), held.id.as_str(), "block", None).await.is_err());
    servers::unsuspend(&app.store, &App::operator(), "web", HoldKind::Abuse, None).await.unwrap();
    app.until_quiet().await;
});

on_both!(a_backup_is_a_snapshot_every_night_kept_three_days(app) {
    let wanted = order::Order { addons: vec!["backup".into()], ..app.an_order("web") };
    order::order(&app.store, &App::operator(), &wanted).await.unwrap();
    app.until_quiet().await;
    for _ in 0..6 {
        app.advance(DAY);
        app.drain().await;
        app.until_quiet().await;
    }
    let names = async |app: &App| -> Vec<String> {
        let web = app.lease("web").await.server;
        app.store.read().await.unwrap().snapshots(&web).await.unwrap().into_iter().map(|n| n.name).collect()
    };
    assert_eq!(names(app).await, ["nightly-2026-03-14", "nightly-2026-03-15", "nightly-2026-03-16"]);
    addons::detach(&app.store, &App::operator(), "web", "backup").await.unwrap();
    app.live(30 * DAY).await;
    app.scheduler.run_due().await.unwrap();
    for _ in 0..4 {
        app.advance(DAY);
        app.drain().await;
        app.until_quiet().await;
    }
    assert_eq!(names(app).await, Vec::<String>::new(), "the last one went three days after it was taken");
});

on_both!(an_order_that_its_owner_ends_after_the_boot_is_paid_for_and_the_rest_comes_back(app) {
    app.import("boot_time = \"3600s\"").await;
    app.set_tax("19").await;
    let (store, me) = (app.store.clone(), App::operator());
    let half = NewCoupon { code: "HALF", percent: Some(Percent::whole(50)), ..NewCoupon::default() };
    coupons::create(&store, &me, &half).await.unwrap();
    // Before the boot nothing was used.
    let early = app.order("early").await;
    app.terminate(&early.id).await;
    app.until_quiet().await;
    assert_eq!((app.balance().await.as_str(), app.charges("early").await.len()), ("100.00", 0));
    let booted = async |app: &App, label: &'static str| {
        let wanted = order::Order { coupon: Some("half".into()), ..app.an_order(label) };
        let server = order::order(&app.store, &App::operator(), &wanted).await.unwrap();
        while !app.server(&server.id).await.booted {
            app.drain().await;
            app.advance(Duration::from_secs(1));
        }
        server
    };
    // An hour's share of 4.50 for March is 0.006, and nothing is had for nothing.
    let web = booted(app, "web").await;
    app.terminate(&web.id).await;
    app.until_quiet().await;
    assert_eq!((app.status("web").await, app.balance().await.as_str()), (Status::Terminated, "99.99"));
    assert_eq!(app.lease("web").await.state, LeaseState::Ended);
    let mut tx = app.store.read().await.unwrap();
    assert_eq!(tx.coupon("HALF").await.unwrap().used, 1, "it was used");
    let receipts = tx.invoices(None, 10).await.unwrap();
    assert_eq!((receipts.len(), receipts[0].total), (1, 1));
    drop(tx);
    // Twelve days are more than the least span.
    app.set_rule(Level::System, "", Key::MinCharge, "12d").await;
    let web = booted(app, "days").await;
    app.terminate(&web.id).await;
    app.until_quiet().await;
    // 9.00 - 4.50 for 12 of 31 days, each rounded: 3.48 - 1.74, and 19 %.
    assert_eq!(app.balance().await, "97.92");
    // An operator may let it go.
    let web = booted(app, "let-go").await;
    servers::terminate(&store, &me, web.id.as_str(), Unfinished::Free).await.unwrap();
    app.until_quiet().await;
    assert_eq!(app.balance().await, "97.92");
    for label in ["four", "five"] {
        let server = app.order(label).await;
        app.terminate(&server.id).await;
    }
    let said = app.attention().await;
    assert!(said.iter().any(|a| a.starts_with("unfinished_orders account:")), "{said:?}");
    // Days of a hold that is free are nobody's.
    app.set_rule(Level::System, "", Key::MinCharge, "1h").await;
    let web = booted(app, "held").await;
    servers::suspend(&store, &me, "held", HoldKind::Admin, HoldTerms { means: Means::PowerOff, free: true }, "our mistake").await.unwrap();
    app.advance(DAY * 10);
    app.terminate(&web.id).await;
    app.until_quiet().await;
    assert_eq!(app.balance().await, "97.91", "an hour's share");
});

on_both!(a_price_change_leaves_old_leases_alone_unless_it_is_asked_for(app) {
    app.order("old").await;
    app.until_quiet().await;
    app.import_with("9.00", "12.00", catalog::How::default()).await;
    app.order("new").await;
    app.until_quiet().await;
    app.live(31 * DAY).await;
    assert_eq!(app.charges("old").await[1], "2 2026-04-10 2026-05-10 900 paid");
    assert_eq!(app.charges("new").await[1], "2 2026-04-10 2026-05-10 1200 paid");
    app.import_with("9.00", "15.00", catalog::How { reprice: true, ..catalog::How::default() }).await;
    app.live(30 * DAY).await;
    assert_eq!(app.charges("old").await[2], "3 2026-05-10 2026-06-10 1500 paid");
    assert_eq!(app.charges("new").await[2], "3 2026-05-10 2026-06-10 1500 paid");
});

on_both!(imports_go_one_after_the_other_and_each_says_what_it_changed(app) {
    for _ in 0..5 {
        app.import("").await;
        let (less, more) = futures::join!(app.import_says("9.00", "6.00"), app.import_says("9.00", "13.00"));
        let said = [less, more];
        assert_eq!(said.iter().filter(|text| text.contains("1m EUR 9.00 → ")).count(), 1, "{said:?}");
        assert!(said.iter().any(|text| text.contains("6.00 → 13.00, +116.7 %") || text.contains("13.00 → 6.00, −53.8 %")), "who came second was asked: {said:?}");
    }
});

on_both!(pools_that_an_earlier_version_did_not_keep_apart_go_on(app) {
    let last = "range = \"2001:db8::100-2001:db8::2ff\"";
    let pool = |cidr: &str, range: &str| {
        format!("{last}\n[[pool]]\nid = \"late\"\nregion = \"fra\"\nfamily = 4\ncidr = \"{cidr}.0/24\"\ngateway = \"192.0.2.1\"\nrange = \"{cidr}.{range}\"\nblocks = 29")
    };
    assert_eq!(app.import_says(last, &pool("192.0.2", "8-192.0.2.15")).await, "+ pool late");
    let refused = app.import_says(last, &pool("203.0.113", "8-203.0.113.15")).await;
    assert!(refused.contains("203.0.113.8/29 of the pool 'late'") || refused.contains("and 203.0.113.8/29 of 'late' hold the same addresses"), "{refused}");
    let mut tx = app.store.begin().await.unwrap();
    tx.exec("update addresses set address = '203.0.113.8/29' where address = '192.0.2.8/29'", &[]).await.unwrap();
    tx.commit().await.unwrap();
    let said = app.import_says(last, &pool("203.0.113", "8-203.0.113.15")).await;
    assert!(said.starts_with("~ pool late"), "as it is, it goes on: {said}");
    let said = app.import_says(last, &pool("203.0.113", "8-203.0.113.23")).await;
    assert!(said.contains("hold the same addresses"), "and no further: {said}");
});

on_both!(what_is_not_meant_is_not_imported(app) {
    let asked = app.import_says("9.00", "1.00").await;
    assert!(asked.starts_with("nothing was changed, since this must be meant: ~ product small: 1m EUR 9.00 → 1.00"), "{asked}");
    assert_eq!(app.import_says("9.00", "9.00").await, "", "and nothing was");
});

on_both!(another_cycle_begins_with_the_next_period_and_takes_the_add_ons_along(app) {
    coupon(app, NewCoupon { periods: None, ..SPRING }).await;
    app.top_up(&app.account, "100.00").await;
    let wanted = order::Order { coupon: Some("SPRING".into()), addons: vec!["ip".into()], ..app.an_order("web") };
    order::order(&app.store, &App::operator(), &wanted).await.unwrap();
    app.until_quiet().await;
    let (_, price) = cycle::change(&app.store, &App::operator(), "web", Cycle::Year).await.unwrap();
    assert_eq!(price.decimal(), "110.00");
    let refused = cycle::change(&app.store, &App::operator(), "web", Cycle::Quarter).await.unwrap_err().to_string();
    assert_eq!(refused, "product 'small' has no price in EUR for 3m");
    app.live(40 * DAY).await;
    assert_eq!(app.charges("web").await, ["1 2026-03-10 2026-04-10 920 paid", "2 2026-04-10 2027-04-10 11000 paid"], "the coupon ends with its cycle");
    cycle::change(&app.store, &App::operator(), "web", Cycle::Month).await.unwrap();
    // An add-on that ends now leaves what was agreed for the months before alone.
    addons::detach(&app.store, &App::operator(), "web", "ip").await.unwrap();
    cycle::change(&app.store, &App::operator(), "web", Cycle::Month).await.unwrap();
    app.live(366 * DAY).await;
    assert_eq!(app.charges("web").await[2], "3 2027-04-10 2027-05-10 900 paid");
});

on_both!(a_partner_pays_what_its_tier_or_the_agreement_says(app) {
    let tiers = "[[tier]]\nname = \"Silver\"\npercent = 10\nfrom = { EUR = \"9.00\" }\n[[tier]]\nname = \"Gold\"\npercent = 25\nfrom = { EUR = \"1000.00\" }\n";
    app.import_more(tiers).await;
    let (store, me, account) = (app.store.clone(), App::operator(), app.account.clone());
    partners::set(&store, &me, &account, partners::Terms::ByTier).await.unwrap();
    app.order("a").await;
    app.until_quiet().await;
    assert_eq!(app.balance().await, "91.00", "nothing was bought before");
    let partner = partners::show(&store, &account).await.unwrap().unwrap();
    assert_eq!((partner.percent, partner.tier.unwrap().name, partner.next.unwrap().name), (Percent::whole(10), "Silver".into(), "Gold".into()));
    let wanted = order::Order { addons: vec!["ip".into()], ..app.an_order("b") };
    order::order(&store, &me, &wanted).await.unwrap();
    assert_eq!(app.balance().await, "81.10", "10 % off 9.00 and 2.00");
    partners::set(&store, &me, &account, partners::Terms::Agreed("50.5".parse().unwrap())).await.unwrap();
    addons::attach(&store, &me, "a", "backup", None).await.unwrap();
    assert_eq!(app.balance().await, "79.62");
    app.until_quiet().await;
    app.live(31 * DAY).await;
    assert_eq!(app.charges("a").await[1], "2 2026-04-10 2026-05-10 1048 paid", "9.00 as agreed then, and 49.5 % of 3.00");
    assert_eq!(app.charges("b").await[1], "2 2026-04-10 2026-05-10 990 paid");
    assert_eq!(app.lease("b").await.state, LeaseState::Active);
});
