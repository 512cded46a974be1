//! The books of one account, and what is to be done about them: renewals, failed charges, warnings, suspension,
//! reactivation, the end.
//!
//! [`Books::decide`] looks at the wallet and all leases of an account and says what is due; [`Books::apply`] makes it so in
//! memory. Both are pure: `store` loads the books under the account's lock, asks, applies, and writes the difference.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    LeaseId, Money, Timestamp,
    dunning::{self, Enforcement, Notice, Outlook, Why},
    lease::{Lease, LeaseLine, LeaseState},
    ledger::{Refused, Wallet},
    money::MoneyError,
    names,
    notice::NoticeKind,
    period::BadPeriod,
    policy::{Policy, Reactivation},
    price::{Line, Price, price},
};

/// What one span of a lease costs. Its identity is the lease and its number, so nothing is charged twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The number of the period, from 1.
    pub no: i64,
    /// Start of what is paid for.
    pub from: Timestamp,
    /// End of it (exclusive).
    pub until: Timestamp,
    /// How much, by its lines; may be zero.
    pub price: Price,
    /// When it was made: of an open one, when the payment failed.
    pub at: Timestamp,
}

/// A lease, what it costs, and how its dunning stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The lease.
    pub lease: Lease,
    /// What it costs, all periods.
    pub lines: Vec<LeaseLine>,
    /// What applies to it.
    pub policy: Arc<Policy>,
    /// What it owes; at most one charge.
    pub open: Option<Charge>,
    /// What was told about that charge.
    pub notices: Vec<Notice>,
}

/// The wallet and all leases of an account that run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Books {
    /// The wallet.
    pub wallet: Wallet,
    /// Tax on what this account buys, basis points.
    pub tax: u16,
    /// Its leases that are active, past due or suspended.
    pub leases: Vec<Standing>,
}

/// What may be taken away in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permits {
    /// Nothing: whatever is due is proposed, and counted before it is done.
    None,
    /// Everything, for a preview.
    All,
    /// This step, from these leases.
    Only(Enforcement, HashSet<LeaseId>),
}

impl Permits {
    fn allow(&self, step: Enforcement, lease: &LeaseId) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(allowed, leases) => *allowed == step && leases.contains(lease),
        }
    }
}

/// What is to be done. `lease` is an index into the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The next period is paid.
    Renew {
        /// Whose.
        lease: usize,
        /// What is paid.
        charge: Charge,
    },
    /// The next period cannot be paid.
    Fail {
        /// Whose.
        lease: usize,
        /// What is owed from now on.
        charge: Charge,
    },
    /// What is owed is paid; the server was not taken away.
    Pay {
        /// Whose.
        lease: usize,
    },
    /// What is owed is paid, and the server comes back.
    Reactivate {
        /// Whose.
        lease: usize,
        /// What is paid; the first takes the place of the open charge.
        charges: Vec<Charge>,
        /// The end of what is paid then.
        paid_until: Timestamp,
        /// Where periods are counted from then, and the number of the one that begins there; none: as before.
        anchor: Option<(Timestamp, i64)>,
    },
    /// The wallet will not do for what falls due soon.
    LowBalance {
        /// What will not be paid: whose, when, how much.
        due: Vec<(usize, Timestamp, Money)>,
        /// How much is missing for all of it.
        missing: Money,
    },
    /// The owner is reminded of what is owed.
    Remind {
        /// Whose.
        lease: usize,
        /// How long before the suspension.
        before: Duration,
        /// When it comes, at the earliest.
        at: Timestamp,
    },
    /// The owner is warned of the end.
    Warn {
        /// Whose.
        lease: usize,
        /// How long before it.
        before: Duration,
        /// When it comes, at the earliest.
        at: Timestamp,
    },
    /// Something is due to be taken away; it waits for the count of all that is.
    Propose {
        /// Whose.
        lease: usize,
        /// What.
        step: Enforcement,
    },
    /// The server is held.
    Suspend {
        /// Whose.
        lease: usize,
    },
    /// The server is ended, unpaid.
    Terminate {
        /// Whose.
        lease: usize,
    },
    /// The server is ended as its owner wished: what is paid is over.
    End {
        /// Whose.
        lease: usize,
    },
    /// Nothing now.
    Wait {
        /// Whose.
        lease: usize,
        /// When to look again.
        until: Timestamp,
        /// What for.
        why: Why,
    },
}

names! {
    /// What a decision is called in logs and lists.
    Verb {
        /// See [`Decision::Renew`].
        Renew = "renew",
        /// See [`Decision::Fail`].
        Fail = "fail",
        /// See [`Decision::Pay`].
        Pay = "pay",
        /// See [`Decision::Reactivate`].
        Reactivate = "reactivate",
        /// See [`Decision::LowBalance`].
        LowBalance = "low_balance",
        /// See [`Decision::Remind`].
        Remind = "remind",
        /// See [`Decision::Warn`].
        Warn = "warn",
        /// See [`Decision::Propose`].
        Propose = "propose",
        /// See [`Decision::Suspend`].
        Suspend = "suspend",
        /// See [`Decision::Terminate`].
        Terminate = "terminate",
        /// See [`Decision::End`].
        End = "end",
        /// See [`Decision::Wait`].
        Wait = "wait",
    }
}

impl Decision {
    /// Its name.
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Renew { .. } => Verb::Renew,
            Self::Fail { .. } => Verb::Fail,
            Self::Pay { .. } => Verb::Pay,
            Self::Reactivate { .. } => Verb::Reactivate,
            Self::LowBalance { .. } => Verb::LowBalance,
            Self::Remind { .. } => Verb::Remind,
            Self::Warn { .. } => Verb::Warn,
            Self::Propose { .. } => Verb::Propose,
            Self::Suspend { .. } => Verb::Suspend,
            Self::Terminate { .. } => Verb::Terminate,
            Self::End { .. } => Verb::End,
            Self::Wait { .. } => Verb::Wait,
        }
    }
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

/// How often a lease is looked at whose server is down.
const DOWN_LOOK: Duration = Duration::from_hours(1);
/// Periods of one lease that are paid in one go.
pub const MAX_CATCH_UP: usize = 36;

impl Standing {
    fn lacks(&self, what: &'static str) -> BadBooks {
        BadBooks::Lease(self.lease.id.clone(), self.lease.state, what)
    }

    /// The end of what is paid.
    fn paid_until(&self) -> Result<Timestamp, BadBooks> {
        self.lease.paid_until.ok_or_else(|| self.lacks("an end of what is paid"))
    }

    /// The price of period `no`, or of so much of it (numerator, denominator).
    fn price_of(&self, no: i64, part: Option<(i64, i64)>, tax: u16) -> Result<Price, BadBooks> {
        let lines = self.lines.iter().filter(|l| l.covers(no)).map(|l| &l.line);
        let scaled = |l: &Line| Ok(Line { amount: part.map_or(Ok(l.amount), |(n, d)| l.amount.part(n, d))?, ..l.clone() });
        let lines: Vec<Line> = lines.map(scaled).collect::<Result<_, MoneyError>>()?;
        if lines.is_empty() {
            return Err(self.lacks("a price for its next period"));
        }
        Ok(price(lines, tax)?)
    }

    /// The charge for period `no`, which begins at `from`.
    fn charge(&self, no: i64, from: Timestamp, tax: u16, now: Timestamp) -> Result<Charge, BadBooks> {
        let anchor = self.lease.anchor().ok_or_else(|| self.lacks("an anchor"))?;
        Ok(Charge { no, from, until: anchor.end_of(no)?, price: self.price_of(no, None, tax)?, at: now })
    }

    /// The charge for the period after the last one.
    fn next_charge(&self, tax: u16, now: Timestamp) -> Result<Charge, BadBooks> {
        self.charge(self.lease.period_no + 1, self.paid_until()?, tax, now)
    }

    /// Every period from the open one until `end`; the last is cut at it when `exactly`.
    fn unpaid_until(&self, open: &Charge, end: Timestamp, exactly: bool, tax: u16, now: Timestamp) -> Result<Vec<Charge>, BadBooks> {
        let mut charges = vec![open.clone()];
        while let Some(last) = charges.last_mut() {
            if last.until < end {
                let next = self.charge(last.no + 1, last.until, tax, now)?;
                charges.push(next);
            } else {
                if exactly && last.until > end {
                    let part = (end.as_millis() - last.from.as_millis(), last.until.as_millis() - last.from.as_millis());
                    (last.until, last.price) = (end, self.price_of(last.no, Some(part), tax)?);
                }
                return Ok(charges);
            }
            if charges.len() > MAX_CATCH_UP {
                break;
            }
        }
        Err(BadBooks::Behind(self.lease.id.clone()))
    }

    /// What it takes to bring a suspended server back now.
    fn reactivation(&self, index: usize, tax: u16, now: Timestamp) -> Result<Decision, BadBooks> {
        let open = self.open.as_ref().ok_or_else(|| self.lacks("an open charge"))?;
        let suspended = self.lease.suspended_at.ok_or_else(|| self.lacks("the time of its suspension"))?.max(open.from);
        let (charges, paid_until, anchor) = match self.policy.reactivation {
            Reactivation::Rebase => {
                let mut charges = self.unpaid_until(open, suspended, true, tax, now)?;
                let no = charges.last().map_or(open.no, |c| c.no) + 1;
                let mut moved = self.lease.clone();
                (moved.anchor_at, moved.anchor_no) = (Some(now), no);
                let until = moved.anchor().ok_or_else(|| self.lacks("an anchor"))?.end_of(no)?;
                charges.push(Charge { no, from: now, until, price: self.price_of(no, None, tax)?, at: now });
                (charges, until, Some((now, no)))
            }
            Reactivation::Resume => {
                let charges = self.unpaid_until(open, suspended, false, tax, now)?;
                let (until, no) = charges.last().map_or((open.until, open.no), |c| (c.until, c.no));
                let paid_until = now + until.since(suspended);
                (charges, paid_until, Some((paid_until, no + 1)))
            }
            Reactivation::Accrue => {
                let charges = self.unpaid_until(open, now + Duration::from_millis(1), false, tax, now)?;
                let until = charges.last().map_or(open.until, |c| c.until);
                (charges, until, None)
            }
        };
        Ok(Decision::Reactivate { lease: index, charges, paid_until, anchor })
    }

    /// What it takes for the lease to go on now; none where nothing is owed or it cannot be said.
    pub fn price_to_go_on(&self, tax: u16, now: Timestamp) -> Option<Money> {
        match self.lease.state {
            LeaseState::Suspended => self.reactivation(0, tax, now).ok().and_then(|d| price_of(&d).ok()),
            _ => self.open.as_ref().map(|c| c.price.total),
        }
    }

    /// When and why what comes next comes.
    pub fn outlook(&self, now: Timestamp) -> Outlook {
        dunning::outlook(self, now)
    }

    /// When an active lease is looked at next: at the next mark before the end of what is paid, or at that end.
    fn next_look(&self, paid_until: Timestamp, now: Timestamp) -> Timestamp {
        self.policy.low_balance_before.iter().map(|before| paid_until - *before).filter(|at| *at > now).min().unwrap_or(paid_until)
    }
}

/// What is paid, of everything that could be: the oldest first.
type Queue = BinaryHeap<Reverse<(Timestamp, usize)>>;

impl Books {
    /// What is due. Renewals come first, oldest first over the whole account, then at most one step of dunning a lease,
    /// then what will be short; a lease with nothing to do waits.
    pub fn decide(&self, now: Timestamp, permits: &Permits) -> Result<Vec<Decision>, BadBooks> {
        let mut books = self.clone();
        let mut decisions = Vec::new();
        let mut touched = vec![0_usize; books.leases.len()];
        books.pay_what_is_due(now, &mut touched, &mut decisions)?;
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
            _ if s.lease.down_at.is_some() => None,
            LeaseState::Active => Some(s.paid_until()?).filter(|at| *at <= now && s.lease.auto_renew),
            LeaseState::PastDue | LeaseState::Suspended => Some(s.open.as_ref().ok_or_else(|| s.lacks("an open charge"))?.from),
            LeaseState::Pending | LeaseState::Ended => None,
        })
    }

    fn pay_what_is_due(&mut self, now: Timestamp, touched: &mut [usize], decisions: &mut Vec<Decision>) -> Result<(), BadBooks> {
        let mut queue = Queue::new();
        for lease in 0..self.leases.len() {
            queue.extend(self.payable(lease, now)?.map(|at| Reverse((at, lease))));
        }
        while let Some(Reverse((_, lease))) = queue.pop() {
            let s = &self.leases[lease];
            let decision = match s.lease.state {
                LeaseState::Active => {
                    let charge = s.next_charge(self.tax, now)?;
                    if self.covers(charge.price.total)? { Decision::Renew { lease, charge } } else { Decision::Fail { lease, charge } }
                }
                LeaseState::PastDue => {
                    let owed = s.open.as_ref().map_or(Money::zero(self.wallet.posted.currency), |c| c.price.total);
                    if !self.covers(owed)? {
                        continue;
                    }
                    Decision::Pay { lease }
                }
                _ => {
                    let decision = s.reactivation(lease, self.tax, now)?;
                    if !self.covers(price_of(&decision)?)? {
                        continue;
                    }
                    decision
                }
            };
            self.apply(&decision, now)?;
            touched[lease] += 1;
            let failed = matches!(decision, Decision::Fail { .. });
            decisions.push(decision);
            if touched[lease] > MAX_CATCH_UP {
                return Err(BadBooks::Behind(self.leases[lease].lease.id.clone()));
            }
            if !failed {
                queue.extend(self.payable(lease, now)?.map(|at| Reverse((at, lease))));
            }
        }
        Ok(())
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
            LeaseState::PastDue | LeaseState::Suspended if s.lease.down_at.is_none() => dunning::step(s, now).map(|step| match step {
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
            if s.lease.state == LeaseState::Active && s.lease.auto_renew && s.lease.down_at.is_none() {
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
            LeaseState::Active if s.lease.down_at.is_some() && s.lease.auto_renew => (s.paid_until()?.max(now + DOWN_LOOK), Why::Down),
            LeaseState::PastDue | LeaseState::Suspended if s.lease.down_at.is_some() => (now + DOWN_LOOK, Why::Down),
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
            Decision::Pay { lease } => {
                let open = self.leases[*lease].open.take();
                let open = open.ok_or_else(|| self.leases[*lease].lacks("an open charge"))?;
                self.take(open.price.total)?;
                let s = &mut self.leases[*lease];
                (s.lease.state, s.lease.paid_until) = (LeaseState::Active, Some(open.until));
                s.notices.clear();
            }
            Decision::Reactivate { lease, charges, paid_until, anchor } => {
                self.take(price_of(decision)?)?;
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

/// What a decision costs.
fn price_of(decision: &Decision) -> Result<Money, MoneyError> {
    let Decision::Reactivate { charges, .. } = decision else { return Err(MoneyError::Overflow) };
    let currency = charges.first().ok_or(MoneyError::Overflow)?.price.total.currency;
    charges.iter().try_fold(Money::zero(currency), |sum, c| sum.plus(c.price.total))
}

#[cfg(test)]
#[path = "books_tests.rs"]
mod tests;
