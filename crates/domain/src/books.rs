//! The books of one account, and what is to be done about them: renewals, failed charges, warnings, suspension,
//! reactivation, the end.
//!
//! [`Books::decide`] looks at the wallet and all leases of an account and says what is due; [`Books::apply`] makes it so in
//! memory. Both are pure: `store` loads the books under the account's lock, asks, applies, and writes the difference.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use crate::{
    LeaseId, Money, Percent, Timestamp,
    bill::Bill,
    decision::{Decision, Permits},
    dunning::{self, Enforcement, Notice, Why},
    lease::LeaseState,
    ledger::{Refused, Wallet},
    money::MoneyError,
    notice::NoticeKind,
    period::BadPeriod,
    standing::Standing,
};

/// The wallet and all leases of an account that run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Books {
    /// The wallet.
    pub wallet: Wallet,
    /// Tax on what this account buys.
    pub tax: Percent,
    /// Its leases that are active, past due or suspended.
    pub leases: Vec<Standing>,
}

/// Books that make no sense: the account is put aside and a person looks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBooks {
    /// A lease that runs lacks what every such lease has.
    #[error("lease {0} is {1} without {2}")]
    Lease(LeaseId, LeaseState, &'static str),
    /// So much to catch up with that it is rather a mistake.
    #[error("lease {0} is more than {MAX_CATCH_UP} periods behind; look at its paid_until, then: leasehold account resume")]
    Behind(LeaseId),
    /// A lease in another currency than its wallet, or an amount beyond all bounds.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// A period beyond all calendars, or in an unknown zone.
    #[error(transparent)]
    Period(#[from] BadPeriod),
    /// A decision that the wallet does not cover.
    #[error(transparent)]
    Wallet(#[from] Refused),
}

/// How often a lease is looked at that rests.
const REST_LOOK: Duration = Duration::from_hours(1);
/// Periods of one lease that are paid in one go.
pub const MAX_CATCH_UP: usize = 36;

/// What was found to be paid, and the books after it.
struct Payments {
    books: Books,
    decisions: Vec<Decision>,
    /// How often each lease was decided about.
    touched: Vec<usize>,
    /// How many of its decisions were paid.
    paid: Vec<usize>,
    /// What the wallet did not cover.
    unpaid: usize,
    /// Leases that go on otherwise than the policy wants first.
    second_best: usize,
}

impl Payments {
    /// Whether it leaves less unpaid; or, where it pays the same periods, is nearer to the policy or cheaper.
    fn beats(&self, other: &Self) -> bool {
        let rank = |p: &Self| (p.second_best, Reverse(p.books.wallet.posted.minor));
        self.unpaid < other.unpaid || (self.unpaid == other.unpaid && self.paid == other.paid && rank(self) < rank(other))
    }
}

/// What is paid, of everything that could be: the oldest first.
type Queue = BinaryHeap<Reverse<(Timestamp, usize)>>;

impl Books {
    /// What is due. Renewals come first, oldest first over the whole account, then at most one step of dunning a lease,
    /// then what will be short; a lease with nothing to do waits.
    pub fn decide(&self, now: Timestamp, permits: &Permits) -> Result<Vec<Decision>, BadBooks> {
        let Payments { mut books, mut decisions, touched, .. } = self.payments(now)?;
        for (lease, touched) in touched.into_iter().enumerate() {
            // One step a lease and call: what failed just now is not warned of, too.
            let state = books.leases[lease].lease.state;
            if (touched == 0 || state == LeaseState::Active)
                && let Some(step) = books.step(lease, now, permits)?
            {
                books.apply(&step, now)?;
                decisions.push(step);
            }
        }
        decisions.extend(self.shortage(&books, now)?);
        for lease in 0..books.leases.len() {
            decisions.extend(books.wait(lease, now)?);
        }
        Ok(decisions)
    }

    /// When the first payment of a lease is due that could be made now.
    fn payable(&self, lease: usize, now: Timestamp) -> Result<Option<Timestamp>, BadBooks> {
        let s = &self.leases[lease];
        Ok(match s.lease.state {
            _ if s.lease.rests() => None,
            LeaseState::Active => Some(s.paid_until()?).filter(|at| *at <= now && s.lease.auto_renew),
            LeaseState::PastDue | LeaseState::Suspended => Some(s.open.as_ref().ok_or_else(|| s.lacks("an open charge"))?.from),
            LeaseState::Pending | LeaseState::Ended => None,
        })
    }

    /// What is paid: of the ways to do so, that which leaves the least unpaid; of those, the one that the policy wants for most leases; then
    /// the cheapest. On one bill, with tax rounded once, unless that costs more than what each was said to cost: nobody is short of a cent for it,
    /// today or when the next one falls due.
    fn payments(&self, now: Timestamp) -> Result<Payments, BadBooks> {
        let mut best = self.pay_what_is_due(now, Some(Bill::default()), false)?;
        if best.unpaid == 0 && best.second_best == 0 && best.decisions.len() <= 1 {
            return Ok(best);
        }
        let suspended = self.leases.iter().any(|s| s.lease.state == LeaseState::Suspended);
        let others = [(None, false), (Some(Bill::default()), true), (None, true)];
        for (bill, second_best) in others.into_iter().take(if suspended { 3 } else { 1 }) {
            let other = self.pay_what_is_due(now, bill, second_best)?;
            if other.beats(&best) {
                best = other;
            }
        }
        Ok(best)
    }

    /// Pays the oldest first, on this bill or each on its own; by the best way that the wallet covers, or of each lease by its last.
    fn pay_what_is_due(&self, now: Timestamp, mut bill: Option<Bill>, second_best: bool) -> Result<Payments, BadBooks> {
        let mut books = self.clone();
        let mut paid = Payments {
            decisions: Vec::new(),
            touched: vec![0; books.leases.len()],
            paid: vec![0; books.leases.len()],
            unpaid: 0,
            second_best: 0,
            books: self.clone(),
        };
        let mut queue = Queue::new();
        for lease in 0..books.leases.len() {
            queue.extend(books.payable(lease, now)?.map(|at| Reverse((at, lease))));
        }
        while let Some(Reverse((_, lease))) = queue.pop() {
            let mut payment = None;
            let ways = books.ways_to_pay(lease, now)?;
            let first = if second_best { ways.len() - 1 } else { 0 };
            for (nth, way) in ways.into_iter().enumerate().skip(first) {
                let (decision, on_bill) = way.billed(bill.clone())?;
                if payment.is_none() && books.covers(decision.cost()?)? {
                    payment = Some((decision, on_bill));
                    paid.second_best += nth;
                }
            }
            let covered = payment.is_some();
            paid.unpaid += usize::from(!covered);
            let (decision, on_bill) = match payment {
                Some(payment) => payment,
                // What is owed from now on is what it costs alone.
                None if books.leases[lease].lease.state == LeaseState::Active => {
                    (Decision::Fail { lease, charge: books.leases[lease].next_charge(books.tax, now)? }, None)
                }
                None => continue,
            };
            books.apply(&decision, now)?;
            paid.touched[lease] += 1;
            paid.decisions.push(decision);
            if paid.touched[lease] > MAX_CATCH_UP {
                return Err(BadBooks::Behind(books.leases[lease].lease.id.clone()));
            }
            if covered {
                paid.paid[lease] += 1;
                bill = on_bill;
                queue.extend(books.payable(lease, now)?.map(|at| Reverse((at, lease))));
            }
        }
        Ok(Payments { books, ..paid })
    }

    /// The payments that would do for a lease, the best first; each charge as if alone.
    fn ways_to_pay(&self, lease: usize, now: Timestamp) -> Result<Vec<Decision>, BadBooks> {
        let s = &self.leases[lease];
        Ok(match s.lease.state {
            LeaseState::Active => vec![Decision::Renew { lease, charge: s.next_charge(self.tax, now)? }],
            LeaseState::PastDue => vec![Decision::Pay { lease, charge: s.open.clone().ok_or_else(|| s.lacks("an open charge"))? }],
            _ => s.reactivations(lease, self.tax, now)?,
        })
    }

    fn covers(&self, amount: Money) -> Result<bool, BadBooks> {
        Ok(self.wallet.available().minus(amount)?.minor >= 0)
    }

    /// The one step that is due now, if any.
    fn step(&self, lease: usize, now: Timestamp, permits: &Permits) -> Result<Option<Decision>, BadBooks> {
        let s = &self.leases[lease];
        Ok(match s.lease.state {
            LeaseState::Active if !s.lease.auto_renew => {
                let end = s.paid_until()?.max(s.lease.protect_until.unwrap_or_default());
                (end <= now).then_some(Decision::End { lease })
            }
            LeaseState::PastDue | LeaseState::Suspended if !s.lease.rests() => dunning::step(s, now).map(|step| match step {
                dunning::Step::Remind { before, at } => Decision::Remind { lease, before, at },
                dunning::Step::Warn { before, at } => Decision::Warn { lease, before, at },
                dunning::Step::Enforce(step) if !permits.allow(step, &s.lease.id) => Decision::Propose { lease, step },
                dunning::Step::Enforce(Enforcement::Suspension) => Decision::Suspend { lease },
                dunning::Step::Enforce(Enforcement::Termination) => Decision::Terminate { lease },
            }),
            _ => None,
        })
    }

    /// One notice for all that falls due soon and will not be paid, on the days when one of them is looked at for that.
    fn shortage(&self, after: &Self, now: Timestamp) -> Result<Option<Decision>, BadBooks> {
        let horizon = |s: &Standing| s.policy.low_balance_before.first().copied().unwrap_or_default();
        let mut soon = Vec::new();
        for (lease, s) in after.leases.iter().enumerate() {
            if s.lease.state == LeaseState::Active && s.lease.auto_renew && !s.lease.rests() {
                let due = s.paid_until()?;
                if due > now && due - horizon(s) <= now {
                    soon.push((due, lease, s.next_charge(after.tax, now)?.price.total));
                }
            }
        }
        soon.sort_by_key(|(due, lease, _)| (*due, *lease));
        let (mut left, mut missing) = (after.wallet.available(), Money::zero(after.wallet.posted.currency));
        let mut due = Vec::new();
        for (at, lease, amount) in soon {
            if left.minus(amount)?.minor >= 0 {
                left = left.minus(amount)?;
            } else {
                missing = missing.plus(amount)?;
                due.push((lease, at, amount));
            }
        }
        if !due.is_empty() {
            missing = missing.minus(left)?;
        }
        // The row says when it is to be looked at; whoever is looked at for another reason told this before or will.
        let looked_at = |lease: usize| self.leases[lease].lease.decide_at.is_some_and(|at| at <= now);
        let today = due.iter().any(|(lease, ..)| looked_at(*lease) && self.leases[*lease].lease.state == LeaseState::Active);
        Ok(today.then_some(Decision::LowBalance { due, missing }))
    }

    /// When to look at a lease again, where that changes.
    fn wait(&self, lease: usize, now: Timestamp) -> Result<Option<Decision>, BadBooks> {
        let s = &self.leases[lease];
        let (until, why) = match s.lease.state {
            LeaseState::Active if s.lease.rests() && s.lease.auto_renew => (s.paid_until()?.max(now + REST_LOOK), Why::Rests),
            LeaseState::PastDue | LeaseState::Suspended if s.lease.rests() => (now + REST_LOOK, Why::Rests),
            LeaseState::Active if s.lease.auto_renew => (s.next_look(s.paid_until()?, now), Why::Paid),
            LeaseState::Active => (s.paid_until()?.max(s.lease.protect_until.unwrap_or_default()), Why::Paid),
            LeaseState::PastDue | LeaseState::Suspended => dunning::next_look(s, now),
            LeaseState::Pending | LeaseState::Ended => return Ok(None),
        };
        Ok((s.lease.decide_at != Some(until)).then_some(Decision::Wait { lease, until, why }))
    }

    /// Makes a decision so.
    pub fn apply(&mut self, decision: &Decision, now: Timestamp) -> Result<(), BadBooks> {
        match decision {
            Decision::Renew { lease, charge } => {
                self.take(charge.price.total)?;
                let lease = &mut self.leases[*lease].lease;
                (lease.period_no, lease.paid_until) = (charge.no, Some(charge.until));
            }
            Decision::Fail { lease, charge } => {
                let s = &mut self.leases[*lease];
                (s.lease.state, s.lease.period_no, s.lease.waived_at) = (LeaseState::PastDue, charge.no, None);
                s.open = Some(charge.clone());
                s.notices = vec![Notice::queued(NoticeKind::PaymentFailed, None)];
            }
            Decision::Pay { lease, charge } => {
                self.take(charge.price.total)?;
                let s = &mut self.leases[*lease];
                (s.lease.state, s.lease.paid_until, s.open) = (LeaseState::Active, Some(charge.until), None);
                s.notices.clear();
            }
            Decision::Reactivate { lease, charges, paid_until, anchor } => {
                self.take(decision.cost()?)?;
                let s = &mut self.leases[*lease];
                (s.lease.state, s.lease.paid_until, s.lease.suspended_at) = (LeaseState::Active, Some(*paid_until), None);
                s.lease.period_no = charges.iter().map(|c| c.no).fold(s.lease.period_no, i64::max);
                if let Some((at, no)) = anchor {
                    (s.lease.anchor_at, s.lease.anchor_no) = (Some(*at), *no);
                }
                s.open = None;
                s.notices.clear();
            }
            Decision::Remind { lease, before, .. } => self.leases[*lease].notices.push(Notice::queued(NoticeKind::PaymentReminder, Some(*before))),
            Decision::Warn { lease, before, .. } => self.leases[*lease].notices.push(Notice::queued(NoticeKind::TerminationWarning, Some(*before))),
            Decision::Suspend { lease } => {
                let lease = &mut self.leases[*lease].lease;
                (lease.state, lease.suspended_at, lease.off_at) = (LeaseState::Suspended, Some(now), None);
            }
            Decision::Terminate { lease } | Decision::End { lease } => {
                let s = &mut self.leases[*lease];
                (s.lease.state, s.lease.decide_at) = (LeaseState::Ended, None);
                s.open = None;
            }
            Decision::Wait { lease, until, .. } => self.leases[*lease].lease.decide_at = Some(*until),
            Decision::LowBalance { .. } | Decision::Propose { .. } => {}
        }
        Ok(())
    }

    fn take(&mut self, amount: Money) -> Result<(), BadBooks> {
        if amount.minor > 0 {
            self.wallet.debit(amount)?;
        }
        Ok(())
    }

    /// When to look at this account again.
    pub fn settle_at(&self) -> Option<Timestamp> {
        self.leases.iter().filter(|s| s.lease.state != LeaseState::Ended).filter_map(|s| s.lease.decide_at).min()
    }
}

#[cfg(test)]
#[path = "books_tests.rs"]
mod tests;
