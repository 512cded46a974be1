//! Stories of leases: renewed, warned, suspended, healed, ended.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use leasehold_commands::{accounts, billing, catalog, operate, order, refunds, servers};
use leasehold_cron::settle::Settler;
use leasehold_domain::{
    Timestamp,
    breaker::Kind,
    decision::Verb,
    dunning::{Enforcement, Why},
    lease::{Cycle, LeaseState},
    policy::{Key, Level},
    server::{HoldKind, Means, Power, Status},
};
use leasehold_store::{Page, accounts::AccountState, invoices::Invoice, servers::HoldTerms, settle::Settled};
use leasehold_tests::{
    App,
    fleet::{self, Fleet},
    on_both,
    program::free_port,
    smtp::mail_server,
};

const DAY: Duration = Duration::from_hours(24);
const HOUR: Duration = Duration::from_hours(1);

/// The lease as one line: state, last period, end of what is paid.
async fn lease(app: &App, label: &str) -> String {
    let l = app.lease(label).await;
    format!("{} {} {}", l.state, l.period_no, l.paid_until.map_or_else(|| "-".into(), Timestamp::day))
}

on_both!(a_month_is_renewed_and_invoiced(app) {
    app.order("web").await;
    app.until_quiet().await;
    assert_eq!(lease(app, "web").await, "active 1 2026-04-10");
    app.live(31 * DAY).await;
    assert_eq!(lease(app, "web").await, "active 2 2026-05-10");
    assert_eq!(app.balance().await, "82.00");
    assert_eq!(app.charges("web").await, ["1 2026-03-10 2026-04-10 900 paid", "2 2026-04-10 2026-05-10 900 paid"]);
    assert_eq!(app.invoices().await, ["2026-000001 900", "2026-000002 900"]);
    assert!(app.delivered().contains(&"Receipt 2026-000002: 9.00 EUR".to_owned()));
});

on_both!(an_empty_wallet_is_told_at_every_step_and_the_end_frees_everything(app) {
    app.debit("82.00").await;
    app.order("web").await;
    app.until_quiet().await;
    app.live(50 * DAY).await;
    // The second month is paid, the third is not.
    assert_eq!((lease(app, "web").await.as_str(), app.balance().await.as_str()), ("active 2 2026-05-10", "0.00"));
    app.live(11 * DAY).await;
    assert_eq!(lease(app, "web").await, "past_due 3 2026-05-10");
    assert_eq!(app.status("web").await, Status::Running, "three days of grace");
    app.live(3 * DAY).await;
    assert_eq!((lease(app, "web").await.as_str(), app.status("web").await), ("suspended 3 2026-05-10", Status::Suspended));
    app.machines_match().await;
    app.live(13 * DAY).await;
    assert_eq!(app.status("web").await, Status::Suspended);
    app.live(2 * DAY).await;
    assert_eq!(lease(app, "web").await, "ended 3 2026-05-10");
    app.until_quiet().await;
    assert!(app.machines().is_empty());
    assert_eq!(app.charges("web").await[2], "3 2026-05-10 2026-06-10 900 void");
    let told: Vec<String> = app.delivered().into_iter().filter(|s| !s.starts_with("Receipt") && !s.contains("order") && !s.contains("Ready")).collect();
    let warned = told.iter().filter(|s| s.starts_with("Your server web will be deleted on 2026-05-27")).count();
    assert_eq!((warned, told.len()), (3, 10), "{told:#?}");
    assert_eq!(told.iter().filter(|s| s.starts_with("Your balance")).count(), 3);
    assert_eq!(app.enforced(Enforcement::Termination).await, 1);
});

on_both!(a_top_up_brings_a_suspended_server_back_from_that_day_on(app) {
    app.debit("91.00").await;
    app.order("web").await;
    app.until_quiet().await;
    app.live(40 * DAY).await;
    assert_eq!(app.status("web").await, Status::Suspended);
    let account = app.account.clone();
    app.top_up(&account, "50.00").await;
    assert_eq!(lease(app, "web").await, "active 3 2026-05-19", "paid in the same call");
    // Three days of the unpaid period were used: 9.00 x 3 / 30.
    assert_eq!(app.charges("web").await[1..], ["2 2026-04-10 2026-04-13 90 paid", "3 2026-04-19 2026-05-19 900 paid"]);
    assert_eq!(app.balance().await, "40.10");
    app.until_quiet().await;
    assert_eq!(app.status("web").await, Status::Running);
    assert!(app.delivered().contains(&"Your server web is back".to_owned()));
    app.machines_match().await;
});

on_both!(a_payment_that_does_not_do_says_at_once_what_is_missing(app) {
    app.debit("91.00").await;
    app.set_rule(Level::System, "", Key::Reactivation, "accrue").await;
    app.order("web").await;
    app.until_quiet().await;
    app.live(40 * DAY).await;
    assert_eq!(app.status("web").await, Status::Suspended);
    let account = app.account.clone();
    app.top_up(&account, "5.00").await;
    app.drain().await;
    assert_eq!(app.mails_with("4.00 EUR is missing for web").len(), 1, "{:?}", app.delivered());
    // Each payment that does not do says so once, and the one that does says something else.
    app.top_up(&account, "3.99").await;
    app.drain().await;
    assert_eq!(app.mails_with("0.01 EUR is missing for web").len(), 1);
    app.top_up(&account, "0.01").await;
    app.until_quiet().await;
    assert_eq!(app.status("web").await, Status::Running);
    assert_eq!(app.delivered().iter().filter(|s| s.contains("is missing for web")).count(), 2);
    assert!(app.delivered().contains(&"Your server web is back".to_owned()));
});

on_both!(what_a_payment_does_not_do_for_is_no_reason_to_refuse_it(app) {
    app.debit("82.00").await;
    app.set_rule(Level::System, "", Key::Reactivation, "accrue").await;
    app.order("web").await;
    app.order("other").await;
    app.until_quiet().await;
    app.live(40 * DAY).await;
    assert_eq!([app.status("web").await, app.status("other").await], [Status::Suspended; 2]);
    // One of them would not come back for money.
    servers::suspend(&app.store, &App::operator(), "other", HoldKind::Abuse, Means::PowerOff, "spam").await.unwrap();
    let account = app.account.clone();
    app.top_up(&account, "8.00").await;
    app.drain().await;
    assert_eq!(app.delivered().iter().filter(|s| s.contains("is missing for")).count(), 1, "{:?}", app.delivered());
    assert_eq!(app.mails_with("1.00 EUR is missing for web").len(), 1, "{:?}", app.delivered());
    // The first one is back, and what is left does not do for the other: nothing is promised.
    app.top_up(&account, "1.00").await;
    app.until_quiet().await;
    assert_eq!(app.status("web").await, Status::Running);
    assert_eq!(app.delivered().iter().filter(|s| s.contains("is missing for")).count(), 1, "{:?}", app.delivered());
    // Books that cannot be read are settled later; the payment is taken.
    let mut tx = app.store.begin().await.unwrap();
    tx.exec("update policies set value = 'nonsense' where key = 'reactivation'", &[]).await.unwrap();
    tx.commit().await.unwrap();
    app.top_up(&account, "0.50").await;
});

on_both!(a_lease_is_never_charged_while_suspended_before_it_ran_or_after_its_end(app) {
    app.debit("82.00").await;
    app.import("faults = { agent_never = 1.0 }\nboot_time = \"20h\"").await;
    app.order("web").await;
    app.drain().await;
    app.advance(5 * HOUR);
    app.settle().await;
    assert!(app.charges("web").await.is_empty(), "it has not run");
    app.import("").await;
    app.until_quiet().await;
    let began = app.lease("web").await.anchor_at.unwrap();
    assert_eq!(app.charges("web").await.len(), 1);
    // One more month is paid; then the wallet is empty.
    app.live(31 * DAY + 30 * DAY + 12 * DAY).await;
    assert_eq!(app.status("web").await, Status::Suspended);
    let (suspended, account) = (app.lease("web").await.suspended_at.unwrap(), app.account.clone());
    app.top_up(&account, "30.00").await;
    let back = app.now();
    app.until_quiet().await;
    let spans = app.charge_spans("web").await;
    assert!(spans.iter().all(|(from, until)| *from >= began && (*until <= suspended || *from >= back)), "{spans:?} and away from {suspended} to {back}");
    let web = app.lease("web").await.server;
    app.terminate(&web).await;
    let (ended, charges) = (app.now(), app.charges("web").await);
    app.live(100 * DAY).await;
    assert_eq!(app.charges("web").await, charges, "over since {ended}");
    assert!(app.charge_spans("web").await.iter().all(|(from, _)| *from <= ended));
});

on_both!(a_stopped_server_stays_stopped_after_its_suspension(app) {
    app.debit("91.00").await;
    app.order("web").await;
    app.until_quiet().await;
    servers::stop(&app.store, &App::operator(), "web").await.unwrap();
    app.live(40 * DAY).await;
    assert_eq!(app.status("web").await, Status::Suspended);
    let account = app.account.clone();
    app.top_up(&account, "50.00").await;
    app.until_quiet().await;
    assert_eq!(app.status("web").await, Status::Stopped);
    app.machines_match().await;
});

on_both!(paid_while_the_suspension_is_carried_out_ends_running(app) {
    app.debit("91.00").await;
    app.order("web").await;
    app.until_quiet().await;
    app.live(31 * DAY + HOUR).await;
    app.advance(3 * DAY);
    app.settle().await;
    assert_eq!(app.lease("web").await.state, LeaseState::Suspended);
    assert_eq!(app.status("web").await, Status::Running, "no worker has begun");
    let account = app.account.clone();
    app.top_up(&account, "50.00").await;
    app.until_quiet().await;
    assert_eq!((app.status("web").await, app.lease("web").await.state), (Status::Running, LeaseState::Active));
    assert!(!app.delivered().iter().any(|s| s.contains("suspended") || s.contains("back")), "nothing happened that is worth a mail");
    app.machines_match().await;
});

on_both!(a_top_up_between_warning_and_end_keeps_the_server(app) {
    app.debit("91.00").await;
    app.order("web").await;
    app.until_quiet().await;
    app.live(31 * DAY + 3 * DAY + 13 * DAY + 12 * HOUR).await;
    assert!(app.delivered().iter().any(|s| s.starts_with("Your server web will be deleted")));
    let account = app.account.clone();
    app.top_up(&account, "50.00").await;
    app.live(10 * DAY).await;
    assert_eq!((app.status("web").await, app.lease("web").await.state), (Status::Running, LeaseState::Active));
    app.machines_match().await;
});

on_both!(a_mail_server_that_is_down_for_twenty_days_costs_nobody_a_server(app) {
    app.debit("91.00").await;
    app.order("web").await;
    app.until_quiet().await;
    app.mail_server(false);
    app.live_through(31 * DAY + 20 * DAY).await;
    assert_eq!((app.status("web").await, app.lease("web").await.state), (Status::Running, LeaseState::PastDue));
    app.mail_server(true);
    app.live(HOUR).await;
    assert!(app.delivered().contains(&"Payment for web failed".to_owned()), "notices first");
    app.live(22 * HOUR).await;
    assert_eq!(app.status("web").await, Status::Running);
    app.live(2 * HOUR).await;
    assert_eq!(app.status("web").await, Status::Suspended);
});

on_both!(an_address_that_bounces_is_suspended_late_and_never_ended_without_an_operator(app) {
    app.debit("91.00").await;
    app.order("web").await;
    app.until_quiet().await;
    app.set_email("ada@example@org").await;
    app.live(31 * DAY + 6 * DAY).await;
    assert_eq!(app.status("web").await, Status::Running);
    app.live(2 * DAY).await;
    assert_eq!(app.status("web").await, Status::Suspended);
    app.live(60 * DAY).await;
    assert_eq!(app.status("web").await, Status::Suspended);
    let server = app.lease("web").await.server;
    assert!(app.attention().await.contains(&format!("undelivered server:{server}")));
    servers::resolve(&app.store, &App::operator(), "web", "told by telephone", DAY).await.unwrap();
    app.live(6 * DAY).await;
    assert_eq!(app.status("web").await, Status::Suspended, "the time of the warnings begins with the operator's word");
    app.live(4 * DAY).await;
    assert_eq!(app.lease("web").await.state, LeaseState::Ended);
    app.until_quiet().await;
});

on_both!(an_address_that_is_put_off_for_ever_counts_as_bounced_once_others_are_served(app) {
    let port = free_port();
    let _server = mail_server(&app.path(""), port);
    app.mail_through(port);
    app.debit("91.00").await;
    app.order("web").await;
    app.until_quiet().await;
    app.set_email("later@example.org").await;
    app.live_through(31 * DAY + 5 * DAY).await;
    assert_eq!((app.status("web").await, app.outlook("web").await.why), (Status::Running, Why::Unsent), "it may be the mail server");
    let other = app.new_account("grace@example.org", "50.00").await;
    order::order(&app.store, &App::operator(), &order::Order::new(&other, "small", "debian-12")).await.unwrap();
    app.live_through(12 * HOUR).await;
    assert_eq!(app.outlook("web").await.why, Why::Notice, "others are served");
    app.live_through(2 * DAY).await;
    assert_eq!(app.status("web").await, Status::Suspended, "as one that bounced: seven days after it was written");
    app.live_through(25 * DAY).await;
    assert_eq!(app.status("web").await, Status::Suspended, "never ended without an operator");
});

on_both!(a_machine_that_could_not_be_suspended_is_not_ended(app) {
    app.debit("91.00").await;
    app.order("web").await;
    app.until_quiet().await;
    app.import("faults = { down_file = true }").await;
    for node in ["node-a", "node-b"] {
        std::fs::create_dir_all(app.path(node)).unwrap();
        std::fs::write(app.path(node).join("down"), "").unwrap();
    }
    app.live_through(55 * DAY).await;
    assert_eq!((app.status("web").await, app.lease("web").await.state), (Status::Running, LeaseState::Suspended));
    assert_eq!(app.outlook("web").await.why, Why::NotOff);
    assert!(!app.delivered().iter().any(|s| s.contains("deleted")));
    for node in ["node-a", "node-b"] {
        std::fs::remove_file(app.path(node).join("down")).unwrap();
    }
    app.live(DAY).await;
    assert_eq!(app.status("web").await, Status::Suspended);
    app.live(10 * DAY).await;
    assert_eq!(app.status("web").await, Status::Suspended, "the grace begins when it was found off");
});

on_both!(an_abuse_hold_survives_a_payment(app) {
    app.debit("91.00").await;
    app.order("web").await;
    app.until_quiet().await;
    servers::suspend(&app.store, &App::operator(), "web", HoldKind::Abuse, Means::PowerOff, "spam").await.unwrap();
    app.live(40 * DAY).await;
    let outlook = app.outlook("web").await;
    assert!(outlook.terminates_at.is_some(), "found suspended already, for another reason: {outlook:?}");
    assert!(app.delivered().contains(&"Your server web is suspended".to_owned()));
    let account = app.account.clone();
    app.top_up(&account, "50.00").await;
    app.until_quiet().await;
    assert_eq!((app.status("web").await, app.lease("web").await.state), (Status::Suspended, LeaseState::Active));
    servers::unsuspend(&app.store, &App::operator(), "web", HoldKind::Abuse, None).await.unwrap();
    app.until_quiet().await;
    assert_eq!(app.status("web").await, Status::Running);
});

on_both!(a_suspension_that_cuts_the_network_leaves_the_machine_on(app) {
    app.set_rule(Level::System, "", Key::SuspendBy, "cut_network").await;
    app.debit("91.00").await;
    app.order("web").await;
    app.until_quiet().await;
    app.live(31 * DAY + 4 * DAY).await;
    assert_eq!((app.status("web").await, app.lease("web").await.state), (Status::Suspended, LeaseState::Suspended));
    assert!(app.lease("web").await.off_at.is_some(), "its grace has begun");
    assert_eq!(app.found("web").await, (Power::On, false));
    // Abuse is switched off; what remains of the bill keeps the network cut, and the payment brings everything back.
    servers::suspend(&app.store, &App::operator(), "web", HoldKind::Abuse, Means::PowerOff, "spam").await.unwrap();
    app.until_quiet().await;
    assert_eq!(app.found("web").await, (Power::Off, false));
    servers::unsuspend(&app.store, &App::operator(), "web", HoldKind::Abuse, None).await.unwrap();
    app.until_quiet().await;
    assert_eq!(app.status("web").await, Status::Suspended);
    let account = app.account.clone();
    app.top_up(&account, "50.00").await;
    app.until_quiet().await;
    assert_eq!((app.status("web").await, app.found("web").await), (Status::Running, (Power::On, true)));
    assert!(app.delivered().contains(&"Your server web is back".to_owned()), "{:?}", app.delivered());
});

on_both!(a_free_hold_is_not_charged_and_another_is(app) {
    for label in ["free", "paid"] {
        app.order(label).await;
    }
    app.until_quiet().await;
    let me = App::operator();
    let terms = HoldTerms { means: Means::PowerOff, free: true };
    servers::suspend(&app.store, &me, "free", HoldKind::Admin, terms, "a fault of ours").await.unwrap();
    servers::suspend(&app.store, &me, "paid", HoldKind::Abuse, Means::PowerOff, "spam").await.unwrap();
    app.live(40 * DAY).await;
    assert_eq!((app.charges("free").await.len(), app.charges("paid").await.len()), (1, 2));
    servers::unsuspend(&app.store, &me, "free", HoldKind::Admin, None).await.unwrap();
    let back = app.now();
    app.live(HOUR).await;
    assert_eq!(app.charges("free").await.len(), 2, "a new period begins when it is back");
    assert_eq!(app.lease("free").await.anchor_at, Some(back));
    // Whoever makes a hold that stands free, or takes that back, changes what is charged from then on.
    servers::suspend(&app.store, &me, "paid", HoldKind::Abuse, terms, "spam, as we thought").await.unwrap();
    assert!(app.lease("paid").await.rests());
    servers::suspend(&app.store, &me, "paid", HoldKind::Abuse, Means::PowerOff, "spam").await.unwrap();
    assert!(!app.lease("paid").await.rests());
});

on_both!(an_operator_gives_time_and_the_days_off_are_not_paid_for(app) {
    app.debit("91.00").await;
    app.order("web").await;
    app.until_quiet().await;
    app.live(40 * DAY).await;
    let (me, until) = (App::operator(), app.now() + 5 * DAY);
    assert!(servers::unsuspend(&app.store, &me, "web", HoldKind::Billing, None).await.unwrap_err().to_string().contains("say --until"));
    // Off from the 13th to the 19th of April.
    servers::unsuspend(&app.store, &me, "web", HoldKind::Billing, Some(until)).await.unwrap();
    app.live(4 * DAY).await;
    assert_eq!((app.status("web").await, app.lease("web").await.state), (Status::Running, LeaseState::PastDue));
    app.live(DAY + HOUR).await;
    assert_eq!(app.status("web").await, Status::Suspended, "it was not paid by then");
    assert_eq!(app.delivered().iter().filter(|s| s.contains("is suspended")).count(), 2, "told anew");
    let refused = servers::set_auto_renew(&app.store, &me, "web", false).await.unwrap_err();
    assert!(refused.to_string().contains("is not paid"), "{refused}");
    let account = app.account.clone();
    app.top_up(&account, "50.00").await;
    // Three days before, five days after: 9.00 x 8 / 30.
    assert_eq!(app.charges("web").await[1..], ["2 2026-04-16 2026-04-24 240 paid", "3 2026-04-24 2026-05-24 900 paid"]);
    app.until_quiet().await;
});

on_both!(whoever_can_pay_has_the_same_ledger_after_downtime(app) {
    for (days, label) in [(41, "ten-days"), (122, "three-months")] {
        let began = app.now();
        let daily = app.new_account("daily@example.org", "500.00").await;
        let late = app.new_account("late@example.org", "500.00").await;
        for (account, name) in [(&daily, "daily"), (&late, "late")] {
            let order = order::Order { account: account.clone(), ..app.an_order(&format!("{label}-{name}")) };
            order::order(&app.store, &App::operator(), &order).await.unwrap();
        }
        app.until_quiet().await;
        let late_id = app.account_id(&late).await;
        for _ in 0..days {
            app.live(DAY).await;
            app.look_at_account_at(&late_id, began + DAY * 10_000).await;
        }
        app.look_at_account_at(&late_id, app.now()).await;
        app.live(HOUR).await;
        assert_eq!(app.charges(&format!("{label}-daily")).await, app.charges(&format!("{label}-late")).await);
    }
});

on_both!(whoever_could_not_pay_has_one_open_charge_after_downtime_and_every_step_of_grace(app) {
    app.debit("91.00").await;
    app.order("web").await;
    app.until_quiet().await;
    app.advance(122 * DAY);
    app.settle().await;
    app.settle().await;
    assert_eq!(lease(app, "web").await, "past_due 2 2026-04-10");
    assert_eq!(app.charges("web").await.len(), 2);
    app.drain().await;
    assert_eq!(app.status("web").await, Status::Running, "the first tick suspends nobody");
    app.live(2 * DAY).await;
    assert_eq!(app.status("web").await, Status::Running);
    app.live(DAY + 2 * HOUR).await;
    assert_eq!(app.status("web").await, Status::Suspended);
});

on_both!(the_end_of_january_for_fourteen_months(app) {
    let account = app.account.clone();
    app.top_up(&account, "500.00").await;
    app.advance("2027-01-31T10:00:00Z".parse::<Timestamp>().unwrap().since(app.now()));
    app.order("web").await;
    app.until_quiet().await;
    app.live(DAY * 425).await;
    let ends: Vec<String> = app.charges("web").await.iter().map(|c| c.split(' ').nth(2).unwrap().to_owned()).collect();
    let expected = "2027-02-28 2027-03-31 2027-04-30 2027-05-31 2027-06-30 2027-07-31 2027-08-31 2027-09-30 2027-10-31 2027-11-30 2027-12-31 \
                    2028-01-31 2028-02-29 2028-03-31";
    assert_eq!(ends[..14].join(" "), expected);
});

on_both!(a_leap_day_yearly_for_eight_years(app) {
    let account = app.account.clone();
    app.top_up(&account, "2000.00").await;
    app.advance("2028-02-29T10:00:00Z".parse::<Timestamp>().unwrap().since(app.now()));
    order::order(&app.store, &App::operator(), &order::Order { cycle: Cycle::Year, ..app.an_order("web") }).await.unwrap();
    app.until_quiet().await;
    app.live(DAY * 365 * 7 + 3 * DAY).await;
    let ends: Vec<String> = app.charges("web").await.iter().map(|c| c.split(' ').nth(2).unwrap().to_owned()).collect();
    assert_eq!(ends.join(" "), "2029-02-28 2030-02-28 2031-02-28 2032-02-29 2033-02-28 2034-02-28 2035-02-28 2036-02-29");
});

on_both!(a_zone_keeps_its_wall_clock(app) {
    app.set_rule(Level::System, "", Key::Zone, "Europe/Berlin").await;
    app.order("web").await;
    app.until_quiet().await;
    app.live(62 * DAY).await;
    let ends: Vec<String> = app.charge_ends("web").await.into_iter().map(|at| at.to_string()[..16].to_owned()).collect();
    // Ordered at 15:00 in Berlin, winter time.
    assert_eq!(ends, ["2026-04-10T13:00", "2026-05-10T13:00", "2026-06-10T13:00"]);
});

on_both!(a_statement_says_what_each_movement_paid(app) {
    app.order("web").await;
    let other = app.order("second").await;
    app.until_quiet().await;
    leasehold_commands::addons::attach(&app.store, &App::operator(), "web", "ip", None).await.unwrap();
    app.until_quiet().await;
    app.live(31 * DAY).await;
    let id = app.account_id(&app.account).await;
    let mut tx = app.store.read().await.unwrap();
    let statement = tx.statement(&id, Timestamp::default(), Timestamp::from_millis(i64::MAX), 100).await.unwrap();
    let said: Vec<String> = statement.movements.iter().map(|m| format!("{} {}", m.amount.decimal(), m.description().unwrap_or_default())).collect();
    assert!(said.contains(&"-9.00 web, 2026-03-10 to 2026-04-10, invoice 2026-000001".to_owned()), "{said:#?}");
    assert!(said.contains(&"-2.00 web, 2026-03-10 to 2026-04-10, invoice 2026-000003".to_owned()), "{said:#?}");
    assert!(said.iter().any(|s| s.starts_with("-11.00 web, 2026-04-10 to 2026-05-10, invoice 2026-00000")), "{said:#?}");
    assert_eq!(said.iter().filter(|s| s.contains("second,")).count(), 2);
    let paged: Vec<_> = tx.movements(&id, Page::default()).await.unwrap().into_iter().rev().map(|(_, m)| m.description()).collect();
    assert_eq!(paged, statement.movements.iter().map(leasehold_store::statement::Movement::description).collect::<Vec<_>>());
    // From a line of it to its server, by what a customer writes in a ticket.
    let address = tx.addresses(&other.id).await.unwrap().remove(0).address;
    for called in ["second", address.as_str(), &other.id.as_str()[..35]] {
        assert_eq!(tx.find_server(called).await.unwrap().id, other.id, "{called}");
    }
    // What somebody calls theirs hides nobody's: all are named, and nothing is done to either.
    drop(tx);
    let decoy = order::Order { label: Some(other.id.as_str()[..18].to_owned()), hostname: Some("Decoy.example.org".into()), ..app.an_order("decoy") };
    let by_address = order::Order { hostname: Some(address.clone()), ..decoy.clone() };
    let refused = order::order(&app.store, &App::operator(), &by_address).await.unwrap_err().to_string();
    assert!(refused.contains("hostname"), "{refused}");
    let decoy = order::order(&app.store, &App::operator(), &decoy).await.unwrap();
    // One from before that was refused.
    let mut tx = app.store.begin().await.unwrap();
    tx.exec("update servers set hostname = $1 where id = $2", leasehold_store::args!["203.0.113.99", &decoy.id]).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = app.store.read().await.unwrap();
    assert!(tx.find_server("203.0.113.99").await.unwrap_err().to_string().contains("no server"), "an address is nobody's name");
    for called in [address.clone(), format!("::ffff:{address}"), "SECOND".into()] {
        assert_eq!(tx.find_server(&called).await.unwrap().id, other.id, "{called}");
    }
    let several = tx.find_server(&other.id.as_str()[..18]).await.unwrap_err().to_string();
    assert!(several.contains("several servers") && several.contains("second, running"), "{several}");
    let several = tx.find_server(&other.id.as_str()[..6]).await.unwrap_err().to_string();
    assert!(several.contains("web, running, account") && several.contains(other.id.as_str()), "{several}");
    let account = tx.find_account(&app.account).await.unwrap();
    assert_eq!(tx.find_account(&account.email.to_uppercase()).await.unwrap().id, account.id);
    drop(tx);
    // Two people whose addresses differ in capitals only: neither gets the other's money.
    let capitals = account.email.to_uppercase();
    app.new_account(&capitals, "1.00").await;
    let mut tx = app.store.read().await.unwrap();
    for called in [&account.email, &capitals] {
        assert!(tx.find_account(called).await.unwrap_err().to_string().contains("several accounts"), "{called}");
    }
});

on_both!(days_and_years_on_paper_are_those_of_the_zone(app) {
    app.set_rule(Level::System, "", Key::Zone, "Europe/Berlin").await;
    // 23:20 UTC on the last day of the year: there it is next year.
    let until = "2026-12-31T23:20:00Z".parse::<Timestamp>().unwrap();
    app.advance(until.since(app.now()));
    app.order("web").await;
    app.until_quiet().await;
    let mut tx = app.store.read().await.unwrap();
    let invoice = tx.invoices(None, 1).await.unwrap().remove(0);
    let document = tx.document(&invoice).await.unwrap();
    let line = &document.lines[0];
    let days = (document.issued_at.day_in(&document.zone), line.from.day_in(&line.zone), line.until.day_in(&line.zone));
    assert_eq!((invoice.name().as_str(), days), ("2027-000001", ("2027-01-01".into(), "2027-01-01".into(), "2027-02-01".into())));
    drop(tx);
    let ready = app.mails_with("Receipt").concat();
    assert!(ready.contains("2027-01-01") && ready.contains("2027-02-01") && !ready.contains("2026-12-31"), "{ready}");
    let note = refunds::Refund { invoice: "2027-000001", amount: None, payout: false, reason: "gone", reference: None };
    let note = refunds::refund(&app.store, &App::operator(), &note).await.unwrap();
    assert_eq!(note.name(), "CN2027-000001");
    // What was issued keeps its days, wherever the house moves.
    app.set_rule(Level::System, "", Key::Zone, "America/New_York").await;
    let mut tx = app.store.read().await.unwrap();
    assert_eq!(tx.document(&invoice).await.unwrap(), document);
});

on_both!(protection_and_policy_hold_the_steps_back(app) {
    app.debit("73.00").await;
    for label in ["protected", "plan", "never"] {
        app.order(label).await;
    }
    app.until_quiet().await;
    app.live(30 * DAY).await;
    servers::protect(&app.store, &App::operator(), "protected", Some(app.now() + 60 * DAY)).await.unwrap();
    let never = app.lease("never").await;
    app.set_rule(Level::Lease, never.id.as_str(), Key::NeverSuspend, "true").await;
    app.live(10 * DAY).await;
    let states = [app.status("protected").await, app.status("plan").await, app.status("never").await];
    assert_eq!(states, [Status::Running, Status::Suspended, Status::Running]);
    assert_eq!((app.outlook("protected").await.why, app.outlook("never").await.why), (Why::Protected, Why::Never));
    servers::protect(&app.store, &App::operator(), "protected", None).await.unwrap();
    app.live(HOUR).await;
    assert_eq!(app.status("protected").await, Status::Suspended);
});

on_both!(a_cancelled_lease_ends_with_what_is_paid_and_may_be_taken_up_again(app) {
    app.order("web").await;
    app.order("kept").await;
    app.until_quiet().await;
    servers::set_auto_renew(&app.store, &App::operator(), "web", false).await.unwrap();
    servers::set_auto_renew(&app.store, &App::operator(), "kept", false).await.unwrap();
    app.live(30 * DAY).await;
    servers::set_auto_renew(&app.store, &App::operator(), "kept", true).await.unwrap();
    app.live(3 * DAY).await;
    assert_eq!(app.lease("web").await.state, LeaseState::Ended);
    assert_eq!(lease(app, "kept").await, "active 2 2026-05-10");
    app.until_quiet().await;
    assert_eq!(app.status("web").await, Status::Terminated);
    assert_eq!(app.charges("web").await.len(), 1);
});

on_both!(tax_is_part_of_every_price(app) {
    app.set_tax("19").await;
    app.order("web").await;
    app.until_quiet().await;
    assert_eq!(app.balance().await, "89.29");
    app.set_tax("7").await;
    app.live(31 * DAY).await;
    assert_eq!(app.charges("web").await, ["1 2026-03-10 2026-04-10 1071 paid", "2 2026-04-10 2026-05-10 963 paid"]);
    assert_eq!(app.ledger("tax:EUR").await, 171 + 63);
    assert_eq!(app.ledger("revenue:EUR").await, 1800);
});

/// Numbers of invoices with their sums and the tax by rate, oldest first.
async fn invoices(app: &App) -> Vec<String> {
    let mut tx = app.store.read().await.unwrap();
    let mut all = tx.invoices(None, 100).await.unwrap();
    all.reverse();
    let rates = |i: &Invoice| i.taxed().unwrap().iter().map(|t| format!(" {} {} {}", t.rate, t.net, t.tax)).collect::<String>();
    all.iter().map(|i| format!("{} {} {}:{}", i.net, i.tax, i.total, rates(i))).collect()
}

async fn three_servers_for(app: &App, price: &str) {
    app.import_with("EUR = { 1m = \"9.00\"", &format!("EUR = {{ 1m = \"{price}\""), catalog::How::default()).await;
    app.set_tax("19").await;
    for label in ["one", "two", "three"] {
        app.order(label).await;
    }
    app.until_quiet().await;
}

on_both!(what_is_renewed_together_is_taxed_once(app) {
    three_servers_for(app, "1.03").await;
    // Bought one by one: each its own invoice. Renewed together: 19 % of 3.09 are 0.59, not three times 0.20.
    app.live(31 * DAY).await;
    assert_eq!(invoices(app).await, ["103 20 123: 19 103 20"; 3].into_iter().chain(["309 59 368: 19 309 59"]).collect::<Vec<_>>());
    assert_eq!(app.ledger("tax:EUR").await, 3 * 20 + 59);
    // What failed is owed as it was announced, and paid together it is taxed together.
    app.debit(&app.balance().await).await;
    app.live(32 * DAY).await;
    app.top_up(&app.account, "50").await;
    app.until_quiet().await;
    assert_eq!(invoices(app).await[4..], ["309 59 368: 19 309 59"]);
});

on_both!(nobody_is_short_of_a_cent_for_what_rounding_adds(app) {
    three_servers_for(app, "1.02").await;
    // 19 % of 3.06 are 0.58, a cent more than three times 0.19, which is what mails announce: each is billed for itself.
    app.debit(&app.balance().await).await;
    app.top_up(&app.account, "3.63").await;
    app.live(31 * DAY).await;
    assert_eq!(invoices(app).await, ["102 19 121: 19 102 19"; 6]);
    assert_eq!((app.balance().await.as_str(), lease(app, "three").await), ("0.00", "active 2 2026-05-10".to_owned()));
});

on_both!(a_clock_forty_days_ahead_settles_nothing(app) {
    app.store.bind_clock("system").await.unwrap();
    app.order("web").await;
    app.until_quiet().await;
    app.live(20 * HOUR).await;
    app.advance(40 * DAY);
    let settler = Settler::new(app.store.clone()).trusting(|| false);
    assert_eq!(settler.run().await.unwrap().accounts, 0);
    assert_eq!((lease(app, "web").await.as_str(), app.attention().await), ("active 1 2026-04-10", vec!["clock clock".to_owned()]));
    // After as long a downtime, a clock that is kept right is believed.
    let kept_right = Settler::new(app.store.clone()).trusting(|| true);
    kept_right.run().await.unwrap();
    assert_eq!((lease(app, "web").await.as_str(), app.attention().await), ("active 2 2026-05-10", vec![]));
    app.advance(40 * DAY);
    assert_eq!(settler.run().await.unwrap().accounts, 0);
    operate::confirm_clock(&app.store, &App::operator()).await.unwrap();
    settler.run().await.unwrap();
    assert_eq!(lease(app, "web").await, "active 3 2026-06-10");
});

on_both!(a_failed_reinstall_is_not_charged_until_it_is_retried(app) {
    app.order("web").await;
    app.until_quiet().await;
    app.live(30 * DAY).await;
    app.import("boot_time = \"60s\"").await;
    servers::reinstall(&app.store, &App::operator(), "web", None, false).await.unwrap();
    app.drain().await;
    // Past the swap there is no way back.
    app.nodes_go().await;
    app.advance(HOUR);
    app.until_quiet().await;
    assert_eq!(app.status("web").await, Status::Failed);
    app.live(20 * DAY).await;
    assert_eq!(app.charges("web").await.len(), 1);
    app.nodes_come().await;
    servers::retry(&app.store, &App::operator(), "web").await.unwrap();
    // A hold that comes and goes meanwhile does not bring it back.
    let me = App::operator();
    servers::suspend(&app.store, &me, "web", HoldKind::Abuse, Means::PowerOff, "spam").await.unwrap();
    servers::unsuspend(&app.store, &me, "web", HoldKind::Abuse, None).await.unwrap();
    app.settle().await;
    assert_eq!(app.charges("web").await.len(), 1, "it is not delivered yet");
    app.until_quiet().await;
    app.live(HOUR).await;
    assert_eq!(app.status("web").await, Status::Running);
    assert_eq!(app.charges("web").await[1..], ["2 2026-04-29 2026-05-29 900 paid"]);
});

on_both!(a_free_hold_that_was_there_before_the_server_rests_no_longer_than_it_stands(app) {
    let me = App::operator();
    let free = HoldTerms { means: Means::PowerOff, free: true };
    app.order("lifted").await;
    servers::suspend(&app.store, &me, "lifted", HoldKind::Admin, free, "not yet").await.unwrap();
    servers::unsuspend(&app.store, &me, "lifted", HoldKind::Admin, None).await.unwrap();
    app.order("held").await;
    servers::suspend(&app.store, &me, "held", HoldKind::Admin, free, "not yet").await.unwrap();
    app.until_quiet().await;
    app.live(40 * DAY).await;
    assert_eq!((app.charges("lifted").await.len(), app.charges("held").await.len()), (2, 0), "what is held is not built");
    servers::unsuspend(&app.store, &me, "held", HoldKind::Admin, None).await.unwrap();
    app.live(40 * DAY).await;
    assert_eq!(app.charges("held").await.len(), 2);
});

/// The first account and many others, two leases each, that fell due.
async fn found(app: &App, accounts: i64, poor_every: i64) {
    fleet::found(&app.store, Fleet { accounts, leases: 2, poor_every, due: app.now() }).await;
}

async fn count(app: &App, sql: &'static str) -> i64 {
    app.store.read().await.unwrap().int(sql, &[]).await.unwrap()
}

async fn change(app: &App, sql: &'static str) {
    let mut tx = app.store.begin().await.unwrap();
    tx.exec(sql, &[]).await.unwrap();
    tx.commit().await.unwrap();
}

on_both!(four_schedulers_charge_each_of_ten_thousand_leases_once(app) {
    found(app, 5_000, 20).await;
    let run = || leasehold_cron::settle::run(&app.store);
    let (a, b, c, d) = futures::join!(run(), run(), run(), run());
    let all = [a, b, c, d].map(Result::unwrap).into_iter().fold(Settled::default(), Settled::and);
    assert_eq!((all.verbs[&Verb::Renew], all.verbs[&Verb::Fail]), (9_500, 500));
    assert_eq!(count(app, "select count(*) from charges where no = 2").await, 10_000);
    assert_eq!(count(app, "select count(*) from invoices where series <> 'FLEET'").await, 4_750);
    assert_eq!(app.settle().await.accounts, 0);
});

on_both!(a_lease_whose_data_is_broken_is_put_aside_and_the_others_are_billed(app) {
    found(app, 2_500, 0).await;
    app.spoil("update leases set zone = 'Mars/Base' where id = 'l100000777'").await;
    let settled = app.settle().await;
    assert_eq!(settled.verbs[&Verb::Renew], 4_998, "its account has two leases");
    assert_eq!(app.attention().await, ["account_parked account:a100000389"]);
    app.spoil("update leases set zone = 'UTC' where id = 'l100000777'").await;
    // A payment was taken back meanwhile: that is another matter.
    let resume = async || billing::resume(&app.store, &App::operator(), "a100000389").await.unwrap();
    accounts::set_state(&app.store, &App::operator(), "a100000389", AccountState::Frozen).await.unwrap();
    assert_eq!(resume().await, AccountState::Frozen);
    assert_eq!(resume().await, AccountState::Active);
    assert_eq!(count(app, "select count(*) from charges where no = 2").await, 5_000);
    assert!(app.attention().await.is_empty());
});

#[tokio::test]
async fn an_account_that_takes_too_long_is_put_off_and_the_others_are_billed() {
    leasehold_tests::app::tell(leasehold_tests::Kind::Postgres, async |app: &mut App| {
        found(app, 100, 0).await;
        // As a statement ends that took a minute.
        let slow = "create function slow() returns trigger language plpgsql as $$ begin \
                    if new.lease_id = 'l100000077' then raise exception 'too long' using errcode = '57014'; end if; return new; end $$";
        change(app, slow).await;
        change(app, "create trigger slow before insert on charges for each row execute function slow()").await;
        let settled = app.settle().await;
        assert_eq!(settled.verbs[&Verb::Renew], 198, "its account has two leases");
        assert_eq!(app.attention().await.len(), 1);
        assert!(app.attention().await[0].starts_with("account_slow account:"), "{:?}", app.attention().await);
        app.advance(HOUR / 2);
        app.audit().await;
        change(app, "drop trigger slow on charges").await;
        app.advance(HOUR / 2);
        app.settle().await;
        assert_eq!(app.attention().await, [""; 0], "it is settled, and nobody's matter");
        assert_eq!(count(app, "select count(*) from charges where no = 2").await, 200);
    })
    .await;
}

on_both!(a_payment_that_races_a_tick_renews_once(app) {
    app.debit("91.00").await;
    for n in 0..8 {
        let account = app.new_account(&format!("a{n}@example.org"), "9.00").await;
        let order = order::Order { account, ..app.an_order(&format!("web-{n}")) };
        order::order(&app.store, &App::operator(), &order).await.unwrap();
    }
    app.until_quiet().await;
    app.advance(31 * DAY + HOUR);
    let run = || leasehold_cron::settle::run(&app.store);
    let numbers: Vec<String> = (0..8).map(|n| (1002 + n).to_string()).collect();
    let payments = futures::future::join_all(numbers.iter().map(|number| app.top_up(number, "20.00")));
    let (a, b, _) = futures::join!(run(), run(), payments);
    let _ = (a.unwrap(), b.unwrap());
    app.settle().await;
    for n in 0..8 {
        assert_eq!(lease(app, &format!("web-{n}")).await, "active 2 2026-05-10");
    }
    assert_eq!(count(app, "select count(*) from charges where no = 2 and state = 'paid'").await, 8);
});

on_both!(the_breaker_opens_before_the_first_of_too_many(app) {
    found(app, 60, 1).await;
    // All fail at once; three days later all are due to be suspended.
    app.settle().await;
    app.live_through(2 * DAY + 23 * HOUR).await;
    app.advance(2 * HOUR);
    let run = || leasehold_cron::settle::run(&app.store);
    let (a, b, c) = futures::join!(run(), run(), run());
    let all = [a, b, c].map(Result::unwrap).into_iter().fold(Settled::default(), Settled::and);
    assert!(all.enforced.is_empty(), "none before the first of too many");
    app.settle().await;
    assert_eq!(app.attention().await, ["breaker_open breaker:suspension"]);
    let refused = billing::confirm_breaker(&app.store, &App::operator(), Kind::Suspension, 121).await.unwrap_err();
    assert!(refused.to_string().starts_with("120 suspensions are due"), "{refused}");
    billing::confirm_breaker(&app.store, &App::operator(), Kind::Suspension, 7).await.unwrap();
    let (a, b, c) = futures::join!(run(), run(), run());
    let all = [a, b, c].map(Result::unwrap).into_iter().fold(Settled::default(), Settled::and);
    assert_eq!(all.enforced.len(), 7, "exactly what was confirmed");
    assert_eq!(app.enforced(Enforcement::Suspension).await, 7);
    app.settle().await;
    assert_eq!(app.enforced(Enforcement::Suspension).await, 7);
    // Most are paid: what is left is no mass any more, and the breaker closes by itself.
    for n in 0..50 {
        let account = format!("a{}", 100_000_001 + n);
        app.top_up(&account, "100.00").await;
    }
    app.settle().await;
    assert!(app.attention().await.is_empty());
    assert_eq!(app.enforced(Enforcement::Suspension).await, 7 + 20);
});

on_both!(more_renewals_than_were_forecast_wait_for_an_operator(app) {
    found(app, 60, 0).await;
    app.settle().await;
    let renewed = "select count(*) from charges where no > 1";
    assert_eq!(count(app, renewed).await, 120);
    // Whoever comes back after months renews what was forecast, however much that is.
    app.advance(100 * DAY);
    app.settle().await;
    assert!(app.attention().await.is_empty(), "{:?}", app.attention().await);
    let before = count(app, renewed).await;
    assert_eq!(before, 480);
    // What nobody expected: leases that were changed past the books, one of them cancelled.
    change(app, "update leases set auto_renew = false where id = (select min(id) from leases)").await;
    change(app, "update leases set paid_until = paid_until - 2678400000, decide_at = 1").await;
    change(app, "update wallets set settle_at = 1 where account_id in (select account_id from leases)").await;
    let run = || leasehold_cron::settle::run(&app.store);
    let (a, b, c) = futures::join!(run(), run(), run());
    for settled in [a, b, c] {
        settled.unwrap();
    }
    assert_eq!(count(app, renewed).await, before, "none before the first of too many");
    assert_eq!(count(app, "select count(*) from leases where state = 'ended'").await, 0, "nor is one ended");
    assert_eq!(app.attention().await, ["breaker_open breaker:renewal"]);
    // One that looked at it already, and looks back only a little, is of the same mind.
    let settler = Settler::new(app.store.clone());
    settler.run().await.unwrap();
    settler.run().await.unwrap();
    assert_eq!(app.attention().await, ["breaker_open breaker:renewal"]);
    // A payment settles its account at once, and charges it no more than the tick does; others go on.
    app.top_up("a100000001", "10.00").await;
    app.order("web").await;
    app.until_quiet().await;
    assert_eq!((count(app, renewed).await, lease(app, "web").await), (before, "active 1 2026-07-18".to_owned()));
    // Set right, nobody needs to be asked.
    change(app, "update leases set auto_renew = true, paid_until = paid_until + case when server_id = (select id from servers where label = 'web') then 0 else 2678400000 end").await;
    app.settle().await;
    assert!(app.attention().await.is_empty(), "the breaker closes by itself");
});

on_both!(renewals_that_an_operator_confirms_go_all_together(app) {
    found(app, 60, 0).await;
    change(app, "delete from forecasts").await;
    app.settle().await;
    let renewed = "select count(*) from charges where no > 1";
    assert_eq!((count(app, renewed).await, app.attention().await), (0, vec!["breaker_open breaker:renewal".to_owned()]));
    let me = App::operator();
    for (n, why) in [(121, "120 renewals are due; 121 are more"), (119, "120 renewals are due, and are let through together")] {
        let refused = billing::confirm_breaker(&app.store, &me, Kind::Renewal, n).await.unwrap_err();
        assert!(refused.to_string().starts_with(why), "{refused}");
    }
    billing::confirm_breaker(&app.store, &me, Kind::Renewal, 120).await.unwrap();
    // Many more than were confirmed, and it is told anew.
    change(app, "update breakers set confirmed = 60 where kind = 'renewal'").await;
    app.settle().await;
    assert_eq!((count(app, renewed).await, app.attention().await), (0, vec!["breaker_open breaker:renewal".to_owned()]));
    // A few that fell due since are no reason to wait.
    billing::confirm_breaker(&app.store, &me, Kind::Renewal, 120).await.unwrap();
    change(app, "update breakers set confirmed = 119 where kind = 'renewal'").await;
    app.settle().await;
    assert_eq!(count(app, renewed).await, 120);
    app.settle().await;
    assert!(app.attention().await.is_empty());
});
