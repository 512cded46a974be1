//! Dunning: what follows when a charge failed, and when. Reminders, suspension, warnings, the end; each step waits for the
//! notices before it to be really sent, so that nobody loses a server by a fault of ours.

use std::time::Duration;

use crate::{Money, Timestamp, lease::LeaseState, names, notice::NoticeKind, standing::Standing};

names! {
    /// What is taken away from a customer.
    Enforcement {
        /// The server is held.
        Suspension = "suspension",
        /// The server is ended.
        Termination = "termination",
    }
}

names! {
    /// What a lease waits for.
    Why {
        /// The end of what is paid, or a look at the wallet before it.
        Paid = "paid",
        /// The server, which is not charged: down by a fault of ours, or held for free.
        Rests = "rests",
        /// The time that the policy gives.
        Grace = "grace",
        /// The time after a notice that was sent.
        Notice = "notice",
        /// A notice that is not sent yet.
        Unsent = "unsent",
        /// A notice that could not be delivered: an operator must say that the owner knows.
        Undelivered = "undelivered",
        /// An operator's protection.
        Protected = "protected",
        /// The operator's window.
        Window = "window",
        /// The machine, which was not found suspended yet.
        NotOff = "not_off",
        /// Nothing: the policy forbids the step.
        Never = "never",
    }
}

/// What became of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// The mail server took it, then.
    Sent(Timestamp),
    /// Not handed over yet.
    Queued,
    /// It could not be delivered, or nobody knows; it was written then.
    Dead(Timestamp),
}

/// A notice about an open charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which.
    pub kind: NoticeKind,
    /// How long before what it tells of, for those of which there are several.
    pub before: Option<Duration>,
    /// What became of it.
    pub word: Word,
}

impl Notice {
    /// One that was just written.
    pub const fn queued(kind: NoticeKind, before: Option<Duration>) -> Self {
        Self { kind, before, word: Word::Queued }
    }
}

/// The step that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Remind { before: Duration, at: Timestamp },
    Warn { before: Duration, at: Timestamp },
    Enforce(Enforcement),
}

/// What comes next for a lease, when, and what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// When its server is suspended, at the earliest; none where that cannot be said or will not be.
    pub suspends_at: Option<Timestamp>,
    /// When its server is ended, at the earliest.
    pub terminates_at: Option<Timestamp>,
    /// What the next step waits for.
    pub why: Why,
    /// What the next period costs, tax included; none where that cannot be said.
    pub next_price: Option<Money>,
}

/// How often a lease is looked at that waits for something without a date.
const LOOK: Duration = Duration::from_hours(1);
/// And one that waits for an operator.
const RARE_LOOK: Duration = Duration::from_hours(24);

impl Standing {
    /// The best word of a notice: a repetition that was sent makes good for one that was not.
    fn word(&self, kind: NoticeKind, before: Option<Duration>) -> Option<Word> {
        self.notices.iter().filter(|n| n.kind == kind && n.before == before).map(|n| n.word).min()
    }
}

/// The latest of several bounds, and what it is.
#[derive(Clone, Copy)]
struct Bound(Timestamp, Why);

impl Bound {
    fn and(self, at: Timestamp, why: Why) -> Self {
        if at > self.0 { Self(at, why) } else { self }
    }

    /// Protection and the window, which bound every step.
    fn enforceable(self, s: &Standing, now: Timestamp) -> Self {
        let bound = self.and(s.lease.protect_until.unwrap_or_default(), Why::Protected);
        bound.and(s.policy.opens(bound.0.max(now)), Why::Window)
    }
}

/// When the server is suspended for its open charge; without a date where only the reason is known.
fn suspension(s: &Standing, now: Timestamp) -> Result<Bound, Why> {
    let open = s.open.as_ref().ok_or(Why::Paid)?;
    if s.policy.never_suspend {
        return Err(Why::Never);
    }
    let told = match s.word(NoticeKind::PaymentFailed, None) {
        Some(Word::Sent(at)) => at + s.policy.min_notice,
        Some(Word::Dead(at)) => at + s.policy.undeliverable_after,
        Some(Word::Queued) | None => return Err(Why::Unsent),
    };
    Ok(Bound(open.at + s.policy.suspend_after, Why::Grace).and(told, Why::Notice).enforceable(s, now))
}

/// When a suspended server is ended: after the grace that began when its machine was found suspended, with every warning sent
/// and had its time. A warning that came late moves the end, so that our downtime is never the customer's.
fn termination(s: &Standing, now: Timestamp) -> Result<Bound, Why> {
    let off_at = s.lease.off_at.ok_or(Why::NotOff)?;
    if s.policy.never_terminate {
        return Err(Why::Never);
    }
    let mut bound = Bound(off_at + s.policy.terminate_after, Why::Grace);
    let mut told: Vec<Duration> = s.notices.iter().filter(|n| n.kind == NoticeKind::TerminationWarning).filter_map(|n| n.before).collect();
    told.sort_by(|a, b| b.cmp(a));
    told.dedup();
    if let (true, Some(first)) = (told.is_empty(), s.policy.warn_before.first()) {
        bound = bound.and(now + *first, Why::Notice);
    }
    for (nth, before) in told.into_iter().enumerate() {
        // The first gives all of its time, the others at least a day.
        let time_for_it = if nth == 0 { before.max(s.policy.min_notice) } else { s.policy.min_notice };
        bound = match s.word(NoticeKind::TerminationWarning, Some(before)) {
            Some(Word::Sent(at)) => bound.and(at + time_for_it, Why::Notice),
            Some(Word::Dead(_)) => match s.lease.waived_at {
                Some(at) => bound.and(at + time_for_it, Why::Notice),
                None => return Err(Why::Undelivered),
            },
            Some(Word::Queued) => return Err(Why::Unsent),
            None => bound,
        };
    }
    Ok(bound.enforceable(s, now))
}

/// The smallest of these spans before `at` that has begun, unless it or a smaller one was told before.
fn due_mark(s: &Standing, kind: NoticeKind, marks: &[Duration], at: Timestamp, now: Timestamp) -> Option<Duration> {
    let mark = marks.iter().copied().filter(|m| at - *m <= now).min()?;
    let told = s.notices.iter().filter(|n| n.kind == kind).filter_map(|n| n.before).min();
    told.is_none_or(|told| mark < told).then_some(mark)
}

/// The first of these spans before `at` that is still to come.
fn next_mark(marks: &[Duration], at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    marks.iter().map(|m| at - *m).filter(|mark| *mark > now).min()
}

/// The step that is due now.
pub(crate) fn step(s: &Standing, now: Timestamp) -> Option<Step> {
    if s.lease.state == LeaseState::PastDue {
        let Bound(at, _) = suspension(s, now).ok()?;
        if at <= now {
            return Some(Step::Enforce(Enforcement::Suspension));
        }
        return due_mark(s, NoticeKind::PaymentReminder, &s.policy.remind_before, at, now).map(|before| Step::Remind { before, at });
    }
    let Bound(at, _) = termination(s, now).ok()?;
    let marks = &s.policy.warn_before;
    // The first warning comes first, however late it is.
    let untold = s.notices.iter().all(|n| n.kind != NoticeKind::TerminationWarning);
    let first = marks.first().copied().filter(|first| untold && at - *first <= now);
    match first.or_else(|| due_mark(s, NoticeKind::TerminationWarning, marks, at, now)) {
        Some(before) => Some(Step::Warn { before, at: at.max(now + before.min(s.policy.min_notice)) }),
        None => (at <= now).then_some(Step::Enforce(Enforcement::Termination)),
    }
}

/// When to look again, and what for; always later than `now`.
pub(crate) fn next_look(s: &Standing, now: Timestamp) -> (Timestamp, Why) {
    let (bound, marks) = match s.lease.state {
        LeaseState::PastDue => (suspension(s, now), &s.policy.remind_before),
        _ => (termination(s, now), &s.policy.warn_before),
    };
    match bound {
        // Due, and it waits for the count of all that is.
        Ok(Bound(at, why)) if at <= now => (now + LOOK, why),
        Ok(Bound(at, why)) => (next_mark(marks, at, now).unwrap_or(at), why),
        Err(why @ (Why::Unsent | Why::NotOff)) => (now + LOOK, why),
        Err(why) => (now + RARE_LOOK, why),
    }
}

/// See [`Standing::outlook`].
pub(crate) fn outlook(s: &Standing, tax: crate::Percent, now: Timestamp) -> Outlook {
    let (suspends, terminates) = match s.lease.state {
        LeaseState::PastDue => (Some(suspension(s, now)), None),
        LeaseState::Suspended => (None, Some(termination(s, now))),
        _ => (None, None),
    };
    let why = suspends.or(terminates).map_or(Why::Paid, |bound| bound.map_or_else(|why| why, |Bound(_, why)| why));
    let at = |bound: Option<Result<Bound, Why>>| bound.and_then(Result::ok).map(|Bound(at, _)| at);
    Outlook { suspends_at: at(suspends), terminates_at: at(terminates), why, next_price: s.next_price(tax) }
}
