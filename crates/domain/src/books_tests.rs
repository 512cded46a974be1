use proptest::prelude::*;

use std::sync::Arc;

use super::*;
use crate::{
    decision::Verb,
    dunning::Word,
    lease::{Cycle, Lease, LeaseLine},
    policy::{Policy, Reactivation},
    price::{Line, LineKind},
};

const DAY: Duration = Duration::from_hours(24);

fn eur(minor: i64) -> Money {
    Money::new(minor, "EUR".parse().unwrap())
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn line(minor: i64) -> LeaseLine {
    LeaseLine { line: Line { kind: LineKind::Plan, description: "Small".into(), amount: eur(minor) }, from_period: 1, until_period: None, addon: None }
}

/// A lease at this price whose first period began then and is paid.
fn standing(name: &str, price: i64, began: Timestamp, cycle: Cycle) -> Standing {
    let mut lease = Lease::for_tests(name, cycle);
    lease.activate(began).unwrap();
    Standing { lease, lines: vec![line(price)], policy: Arc::new(Policy::default()), open: None, notices: Vec::new() }
}

fn books(funds: i64, leases: Vec<Standing>) -> Books {
    let mut wallet = crate::movements::new_wallet("a".into(), "EUR".parse().unwrap());
    wallet.posted = eur(funds);
    Books { wallet, tax: crate::Percent::ZERO, leases }
}

/// Decides and applies; what was decided but to wait, as words.
fn settle(books: &mut Books, now: Timestamp, permits: &Permits) -> Vec<Verb> {
    let decisions = books.decide(now, permits).unwrap();
    decisions.iter().for_each(|d| books.apply(d, now).unwrap());
    decisions.iter().map(Decision::verb).filter(|v| *v != Verb::Wait).collect()
}

/// The mail server takes everything.
fn send_all(books: &mut Books, now: Timestamp) {
    for notice in books.leases.iter_mut().flat_map(|s| &mut s.notices).filter(|n| n.word == Word::Queued) {
        notice.word = Word::Sent(now);
    }
}

/// The worker finds suspended machines off.
fn power_off(books: &mut Books, now: Timestamp) {
    for s in books.leases.iter_mut().filter(|s| s.lease.state == LeaseState::Suspended && s.lease.off_at.is_none()) {
        (s.lease.off_at, s.lease.decide_at) = (Some(now), Some(now));
    }
}

/// Runs from look to look until `end`, with a mail server and a worker that do their part at once; answers what happened when.
fn live(books: &mut Books, mut now: Timestamp, end: Timestamp) -> Vec<String> {
    let mut diary = Vec::new();
    while now <= end {
        diary.extend(settle(books, now, &Permits::All).into_iter().map(|verb| format!("{} {verb}", now.day())));
        send_all(books, now);
        power_off(books, now);
        let Some(next) = books.settle_at() else { break };
        now = next.max(now + Duration::from_secs(1));
    }
    diary
}

#[test]
fn a_wallet_that_runs_dry_is_told_at_every_step_and_nothing_comes_early() {
    let mut b = books(900, vec![standing("s", 900, at("2026-01-31"), Cycle::Month)]);
    let diary = live(&mut b, at("2026-01-31"), at("2026-12-31"));
    let expected = [
        "2026-02-28 renew",
        "2026-03-24 low_balance",
        "2026-03-28 low_balance",
        "2026-03-30 low_balance",
        "2026-03-31 fail",
        "2026-04-02 remind",
        "2026-04-03 suspend",
        "2026-04-10 warn",
        "2026-04-14 warn",
        "2026-04-16 warn",
        "2026-04-17 terminate",
    ];
    assert_eq!(diary, expected);
    assert_eq!((b.wallet.available(), b.leases[0].lease.state), (eur(0), LeaseState::Ended));
}

#[test]
fn a_top_up_pays_the_oldest_first_and_brings_the_server_back_from_now_on() {
    let mut b = books(0, vec![standing("s", 3000, at("2026-01-31"), Cycle::Month)]);
    live(&mut b, at("2026-02-28"), at("2026-03-08"));
    assert_eq!(b.leases[0].lease.state, LeaseState::Suspended);
    b.wallet.credit(eur(3400)).unwrap();
    let decisions = b.decide(at("2026-03-10"), &Permits::None).unwrap();
    let Decision::Reactivate { charges, .. } = &decisions[0] else { panic!("{decisions:?}") };
    // Three of the 31 days of March were used: 30.00 x 3 / 31.
    let spans: Vec<_> = charges.iter().map(|c| (c.no, c.from.day(), c.until.day(), c.price.total.minor)).collect();
    assert_eq!(spans, [(2, "2026-02-28".into(), "2026-03-03".into(), 290), (3, "2026-03-10".into(), "2026-04-10".into(), 3000)]);
    assert_eq!(settle(&mut b, at("2026-03-10"), &Permits::None), [Verb::Reactivate]);
    assert_eq!((b.wallet.available(), b.leases[0].lease.state, b.leases[0].lease.period_no), (eur(110), LeaseState::Active, 3));
    assert_eq!(b.leases[0].lease.anchor().unwrap().end_of(4).unwrap().day(), "2026-05-10");
}

#[test]
fn what_was_asked_for_first_is_enough_also_after_the_suspension() {
    let mut b = books(0, vec![standing("s", 3000, at("2026-01-31"), Cycle::Month)]);
    live(&mut b, at("2026-02-28"), at("2026-03-08"));
    b.wallet.credit(eur(2999)).unwrap();
    assert_eq!(settle(&mut b, at("2026-03-10"), &Permits::None), [Verb::Warn], "a cent less than any notice asked for");
    // The used three days and a new period would be 32.90; 30.00 pay for one period, without the days off.
    b.wallet.credit(eur(1)).unwrap();
    assert_eq!(settle(&mut b, at("2026-03-10"), &Permits::None), [Verb::Reactivate]);
    let s = &b.leases[0];
    assert_eq!((b.wallet.available(), s.lease.state, s.lease.paid_until.unwrap().day().as_str()), (eur(0), LeaseState::Active, "2026-04-07"));
    assert_eq!(s.lease.anchor().unwrap().end_of(3).unwrap().day(), "2026-05-07");
}

#[test]
fn what_was_asked_for_several_is_enough_for_each_of_them() {
    let nineteen = crate::Percent::whole(19);
    // A and B fall due together, C a day later: 3 x 1.21 were announced. 19 % of two are 0.39, a cent more than twice 0.19.
    let mut b = books(363, ["a", "b"].map(|s| standing(s, 102, at("2026-01-10"), Cycle::Month)).into());
    b.leases.push(standing("c", 102, at("2026-01-11"), Cycle::Month));
    b.tax = nineteen;
    assert_eq!(settle(&mut b, at("2026-02-10"), &Permits::None)[..2], [Verb::Renew, Verb::Renew]);
    assert_eq!(b.wallet.available(), eur(121), "not a cent more than announced");
    assert_eq!(settle(&mut b, at("2026-02-11"), &Permits::None)[0], Verb::Renew);
    // Two that are suspended, and what the first notices asked for both: neither gets a new period at the other's cost.
    let mut b = books(0, ["a", "b"].map(|s| standing(s, 1000, at("2026-01-31"), Cycle::Month)).into());
    live(&mut b, at("2026-02-28"), at("2026-03-08"));
    b.wallet.credit(eur(2000)).unwrap();
    settle(&mut b, at("2026-03-10"), &Permits::None);
    assert_eq!(b.leases.iter().map(|s| s.lease.state).collect::<Vec<_>>(), [LeaseState::Active; 2]);
    // The announced price of a reactivation buys that reactivation, however its two charges would be rounded together.
    for price in 100..400 {
        let mut b = books(0, vec![standing("s", price, at("2026-01-31"), Cycle::Month)]);
        b.tax = nineteen;
        live(&mut b, at("2026-02-28"), at("2026-03-08"));
        let asked = b.leases[0].price_to_go_on(nineteen, at("2026-03-10")).unwrap();
        b.wallet.credit(asked).unwrap();
        assert_eq!(settle(&mut b, at("2026-03-10"), &Permits::None), [Verb::Reactivate]);
        assert_eq!(b.leases[0].lease.paid_until.unwrap().day(), "2026-04-10", "{price}: a new period from the payment on");
    }
}

#[test]
fn a_policy_says_how_a_suspended_lease_goes_on() {
    for (how, total, paid_until) in [(Reactivation::Resume, 3000, "2026-04-07"), (Reactivation::Accrue, 3000, "2026-03-31")] {
        let mut s = standing("s", 3000, at("2026-01-31"), Cycle::Month);
        s.policy = Arc::new(Policy { reactivation: how, ..Policy::default() });
        let mut b = books(0, vec![s]);
        live(&mut b, at("2026-02-28"), at("2026-03-08"));
        b.wallet.credit(eur(9000)).unwrap();
        assert_eq!(settle(&mut b, at("2026-03-10"), &Permits::None), [Verb::Reactivate], "{how}");
        assert_eq!((9000 - b.wallet.available().minor, b.leases[0].lease.paid_until.unwrap().day().as_str()), (total, paid_until), "{how}");
    }
}

#[test]
fn downtime_is_caught_up_period_by_period_and_takes_nothing_away() {
    let mut paying = books(100_000, vec![standing("s", 900, at("2026-01-31"), Cycle::Month)]);
    assert_eq!(settle(&mut paying, at("2026-05-01"), &Permits::All), [Verb::Renew; 3]);
    assert_eq!(paying.leases[0].lease.paid_until.unwrap().day(), "2026-05-31");
    let mut poor = books(1000, vec![standing("s", 900, at("2026-01-31"), Cycle::Month)]);
    assert_eq!(settle(&mut poor, at("2026-05-01"), &Permits::All), [Verb::Renew, Verb::Fail], "one open charge, and no other step");
    assert_eq!(live(&mut poor, at("2026-05-01"), at("2026-05-30"))[..2], ["2026-05-03 remind", "2026-05-04 suspend"]);
}

#[test]
fn a_suspension_waits_for_a_notice_that_was_sent() {
    let mut b = books(0, vec![standing("s", 900, at("2026-01-31"), Cycle::Month)]);
    let failed = at("2026-02-28");
    settle(&mut b, failed, &Permits::All);
    assert_eq!(settle(&mut b, failed + DAY * 20, &Permits::All), [], "the mail server is down");
    send_all(&mut b, failed + DAY * 20);
    assert_eq!(settle(&mut b, failed + DAY * 20 + Duration::from_hours(1), &Permits::All), [Verb::Remind]);
    assert_eq!(settle(&mut b, failed + DAY * 21, &Permits::All), [Verb::Suspend]);
    // Bounced: told after seven days for a suspension, and never for the end.
    let mut b = books(0, vec![standing("s", 900, at("2026-01-31"), Cycle::Month)]);
    settle(&mut b, failed, &Permits::All);
    b.leases[0].notices[0].word = Word::Dead(failed);
    assert_eq!(settle(&mut b, failed + DAY * 6 - Duration::from_secs(1), &Permits::All), []);
    assert_eq!(settle(&mut b, failed + DAY * 7, &Permits::All), [Verb::Suspend]);
    let off = failed + DAY * 7;
    power_off(&mut b, off);
    assert_eq!(settle(&mut b, off + DAY * 7, &Permits::All), [Verb::Warn]);
    b.leases[0].notices[1].word = Word::Dead(off + DAY * 7);
    assert_eq!(settle(&mut b, off + DAY * 400, &Permits::All), []);
    assert_eq!(b.leases[0].outlook(b.tax, off + DAY * 400).why, Why::Undelivered);
    b.leases[0].lease.waived_at = Some(off + DAY * 400);
    assert_eq!(settle(&mut b, off + DAY * 407, &Permits::All), [Verb::Warn], "the last warning, to be waived, too, if it bounces");
}

#[test]
fn a_machine_that_is_not_off_is_not_ended_and_a_late_warning_moves_the_end() {
    let mut b = books(0, vec![standing("s", 900, at("2026-01-31"), Cycle::Month)]);
    let failed = at("2026-02-28");
    settle(&mut b, failed, &Permits::All);
    send_all(&mut b, failed);
    settle(&mut b, failed + DAY * 3, &Permits::All);
    assert_eq!(settle(&mut b, failed + DAY * 90, &Permits::All), [], "nobody found it off");
    power_off(&mut b, failed + DAY * 4);
    // Seen again long after its end was due: the warnings begin anew.
    let late = failed + DAY * 90;
    assert_eq!(settle(&mut b, late, &Permits::All), [Verb::Warn]);
    assert_eq!(live(&mut b, late, late + DAY * 9), ["2026-06-02 warn", "2026-06-04 warn", "2026-06-05 terminate"]);
}

#[test]
fn what_may_not_be_taken_away_is_not() {
    let failed = at("2026-02-28");
    let owing = |change: &dyn Fn(&mut Standing)| {
        let mut s = standing("s", 900, at("2026-01-31"), Cycle::Month);
        change(&mut s);
        let mut b = books(0, vec![s]);
        let diary = live(&mut b, failed, failed + DAY * 60);
        diary.into_iter().filter(|line| line.ends_with("suspend") || line.ends_with("terminate")).collect::<Vec<_>>()
    };
    let with = |policy: Policy| move |s: &mut Standing| s.policy = Arc::new(policy.clone());
    assert!(owing(&with(Policy { never_suspend: true, ..Policy::default() })).is_empty());
    assert_eq!(owing(&with(Policy { never_terminate: true, ..Policy::default() })), ["2026-03-03 suspend"]);
    assert_eq!(owing(&|s| s.lease.protect_until = Some(failed + DAY * 10)), ["2026-03-10 suspend", "2026-03-24 terminate"]);
    // The 3rd of March is a Tuesday, the 20th a Friday.
    let mondays = Policy { window: "mon 09:00-10:00".parse().unwrap(), ..Policy::default() };
    assert_eq!(owing(&with(mondays)), ["2026-03-09 suspend", "2026-03-23 terminate"]);
}

#[test]
fn what_is_due_to_be_taken_away_waits_for_a_permit_and_payment_comes_first() {
    let mut b = books(0, vec![standing("s", 900, at("2026-01-31"), Cycle::Month)]);
    let failed = at("2026-02-28");
    settle(&mut b, failed, &Permits::None);
    send_all(&mut b, failed);
    assert_eq!(settle(&mut b, failed + DAY * 3, &Permits::None), [Verb::Propose]);
    assert_eq!(b.leases[0].lease.state, LeaseState::PastDue);
    b.wallet.credit(eur(900)).unwrap();
    assert_eq!(settle(&mut b, failed + DAY * 3, &Permits::All), [Verb::Pay]);
}

#[test]
fn a_lease_without_renewal_ends_with_what_is_paid() {
    let mut s = standing("s", 900, at("2026-01-31"), Cycle::Month);
    s.lease.auto_renew = false;
    let mut b = books(9000, vec![s]);
    assert_eq!(live(&mut b, at("2026-01-31"), at("2026-12-31")), ["2026-02-28 end"]);
    assert_eq!(b.wallet.available(), eur(9000));
}

#[test]
fn what_is_down_by_our_fault_is_not_charged() {
    let mut b = books(9000, vec![standing("s", 900, at("2026-01-31"), Cycle::Month)]);
    b.leases[0].lease.down_at = Some(at("2026-01-31"));
    assert!(live(&mut b, at("2026-01-31"), at("2026-04-30")).is_empty());
    assert_eq!(b.wallet.available(), eur(9000));
}

#[test]
fn broken_books_are_refused() {
    let mut lost = standing("s", 900, at("2026-01-31"), Cycle::Month);
    lost.lease.paid_until = None;
    let mut unpriced = standing("s", 900, at("2026-01-31"), Cycle::Month);
    unpriced.lines.clear();
    let behind = standing("s", 1, at("2016-01-31"), Cycle::Month);
    for s in [lost, unpriced, behind] {
        let error = books(9000, vec![s]).decide(at("2026-02-28"), &Permits::All).unwrap_err();
        assert!(error.to_string().starts_with("lease lease-s "), "{error}");
    }
}

#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    TopUp(i64),
    MailSent,
    MailDead,
    MachineOff,
    Protect(u64),
    Cancel,
    Resume,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0u64..24 * 20).prop_map(Event::Pass),
        2 => (1i64..4000).prop_map(Event::TopUp),
        4 => Just(Event::MailSent),
        1 => Just(Event::MailDead),
        3 => Just(Event::MachineOff),
        1 => (0u64..40).prop_map(Event::Protect),
        1 => Just(Event::Cancel),
        1 => Just(Event::Resume),
    ]
}

fn reactivation() -> impl Strategy<Value = Reactivation> {
    prop::sample::select(Reactivation::ALL.to_vec())
}

proptest! {
    /// Whatever happens in whatever order: no money from nowhere, no span charged twice, nothing taken away without notice,
    /// and the same question at the same time is answered by silence.
    #[test]
    fn the_books_hold_in_every_history(
        prices in prop::collection::vec(0i64..3000, 1..4), funds in 0i64..5000, tax in 0i64..25_000, how in reactivation(),
        events in prop::collection::vec(event(), 1..80),
    ) {
        let mut now = at("2026-01-31T22:30:00Z");
        let leases = prices.iter().enumerate().map(|(n, price)| {
            let mut s = standing(&format!("s{n}"), *price, now + Duration::from_hours(n as u64), Cycle::Month);
            s.policy = Arc::new(Policy { reactivation: how, ..Policy::default() });
            s
        });
        let mut b = books(funds, leases.collect());
        b.tax = crate::Percent::from_thousandths(tax).unwrap();
        let (mut paid_in, mut spent) = (funds, 0);
        let mut spans: Vec<Vec<(Timestamp, Timestamp)>> = b.leases.iter().map(|s| vec![(s.lease.anchor_at.unwrap(), s.lease.paid_until.unwrap())]).collect();
        for event in events {
            match event {
                Event::Pass(hours) => now = now + Duration::from_hours(hours),
                Event::TopUp(minor) => { b.wallet.credit(eur(minor)).unwrap(); paid_in += minor; }
                Event::MailSent => send_all(&mut b, now),
                Event::MailDead => if let Some(n) = b.leases.iter_mut().flat_map(|s| &mut s.notices).find(|n| n.word == Word::Queued) { n.word = Word::Dead(now) },
                Event::MachineOff => power_off(&mut b, now),
                Event::Protect(days) => b.leases[0].lease.protect_until = Some(now + DAY * days as u32),
                Event::Cancel => b.leases[0].lease.auto_renew = false,
                Event::Resume => b.leases[0].lease.auto_renew = true,
            }
            let before = b.clone();
            let decisions = b.decide(now, &Permits::All).unwrap();
            let mut steps = vec![0; b.leases.len()];
            for decision in &decisions {
                b.apply(decision, now).unwrap();
                match decision {
                    Decision::Renew { lease, charge } => { spans[*lease].push((charge.from, charge.until)); spent += charge.price.total.minor; }
                    Decision::Pay { lease, charge } => {
                        let open = before.leases[*lease].open.clone().unwrap();
                        prop_assert_eq!((open.no, open.from, open.until, open.price.net), (charge.no, charge.from, charge.until, charge.price.net));
                        spans[*lease].push((charge.from, charge.until));
                        spent += charge.price.total.minor;
                    }
                    Decision::Reactivate { lease, charges, .. } => for c in charges { spans[*lease].push((c.from, c.until)); spent += c.price.total.minor; },
                    Decision::Suspend { lease } => {
                        let s = &before.leases[*lease];
                        prop_assert_eq!(s.lease.state, LeaseState::PastDue);
                        prop_assert!(s.open.as_ref().unwrap().at + DAY * 3 <= now && s.lease.protect_until.unwrap_or_default() <= now);
                        let told = |w: &Word| match w { Word::Sent(at) => *at + DAY <= now, Word::Dead(at) => *at + DAY * 7 <= now, Word::Queued => false };
                        prop_assert!(s.notices.iter().any(|n| n.kind == NoticeKind::PaymentFailed && told(&n.word)));
                        steps[*lease] += 1;
                    }
                    Decision::Terminate { lease } => {
                        let s = &before.leases[*lease];
                        prop_assert_eq!(s.lease.state, LeaseState::Suspended, "never what was not suspended");
                        prop_assert!(s.lease.off_at.unwrap() + DAY * 14 <= now && s.lease.protect_until.unwrap_or_default() <= now);
                        let warnings: Vec<&Notice> = s.notices.iter().filter(|n| n.kind == NoticeKind::TerminationWarning).collect();
                        prop_assert!(!warnings.is_empty() && warnings.iter().all(|n| matches!(n.word, Word::Sent(at) if at + DAY <= now)), "never what was not warned");
                        steps[*lease] += 1;
                    }
                    Decision::Remind { lease, .. } | Decision::Warn { lease, .. } | Decision::Fail { lease, .. } => steps[*lease] += 1,
                    _ => {}
                }
            }
            prop_assert!(steps.iter().all(|n| *n <= 1), "one step a lease and call: {:?}", decisions);
            prop_assert!(b.wallet.posted.minor >= 0);
            prop_assert_eq!(b.wallet.posted.minor, paid_in - spent);
            for (s, spans) in b.leases.iter().zip(&spans) {
                prop_assert!(spans.windows(2).all(|w| w[0].1 <= w[1].0), "spans overlap: {:?}", spans);
                prop_assert!(s.lease.state == LeaseState::Ended || s.lease.decide_at.is_some_and(|at| at > now), "{:?}", s);
                prop_assert_eq!(s.open.is_some(), matches!(s.lease.state, LeaseState::PastDue | LeaseState::Suspended));
            }
            prop_assert_eq!(b.decide(now, &Permits::All).unwrap(), Vec::new(), "asked again at once");
        }
    }

    /// However long the scheduler was away, whoever can pay has the same books as day by day.
    #[test]
    fn downtime_makes_no_difference_to_who_can_pay(prices in prop::collection::vec(0i64..3000, 1..5), days in 1u32..400) {
        let began = at("2026-01-31T22:30:00Z");
        let leases: Vec<Standing> = prices.iter().enumerate().map(|(n, p)| standing(&format!("s{n}"), *p, began + DAY * n as u32, Cycle::Month)).collect();
        let (mut daily, mut late) = (books(10_000_000, leases.clone()), books(10_000_000, leases));
        let end = began + DAY * (4 + days);
        (5..=4 + days).for_each(|day| drop(settle(&mut daily, began + DAY * day, &Permits::All)));
        settle(&mut late, end, &Permits::All);
        prop_assert_eq!(daily.wallet, late.wallet);
        prop_assert!(daily.leases.iter().zip(&late.leases).all(|(a, b)| a.lease == b.lease));
    }
}
