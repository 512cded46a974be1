//! A lease as the books see it: what it costs, what it owes, and what it takes to go on.

use std::{sync::Arc, time::Duration};

use crate::{
    Money, Percent, Timestamp,
    books::{BadBooks, MAX_CATCH_UP},
    decision::Decision,
    dunning::{self, Notice, Outlook},
    lease::{Lease, LeaseLine, LeaseState},
    money::MoneyError,
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
    /// Where it is for a part of a period: the end of the whole.
    pub full_until: Option<Timestamp>,
    /// The zone whose days it counts.
    pub zone: String,
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

/// What these lines come to for a period, or for so much of it (numerator, denominator); none where no line covers it.
pub(crate) fn price_of(lines: &[LeaseLine], no: i64, part: Option<(i64, i64)>, tax: Percent) -> Result<Option<Price>, MoneyError> {
    let scaled = |l: &Line| Ok(Line { amount: part.map_or(Ok(l.amount), |(n, d)| l.amount.part(n, d))?, ..l.clone() });
    let lines: Vec<Line> = lines.iter().filter(|l| l.covers(no)).map(|l| scaled(&l.line)).collect::<Result<_, MoneyError>>()?;
    if lines.is_empty() { Ok(None) } else { price(lines, tax).map(Some) }
}

impl Standing {
    pub(crate) fn lacks(&self, what: &'static str) -> BadBooks {
        BadBooks::Lease(self.lease.id.clone(), self.lease.state, what)
    }

    /// The end of what is paid.
    pub(crate) fn paid_until(&self) -> Result<Timestamp, BadBooks> {
        self.lease.paid_until.ok_or_else(|| self.lacks("an end of what is paid"))
    }

    /// The price of period `no`, or of so much of it (numerator, denominator).
    fn price_of(&self, no: i64, part: Option<(i64, i64)>, tax: Percent) -> Result<Price, BadBooks> {
        price_of(&self.lines, no, part, tax)?.ok_or_else(|| self.lacks("a price for its next period"))
    }

    /// The charge for period `no`, which begins at `from`.
    fn charge(&self, no: i64, from: Timestamp, tax: Percent, now: Timestamp) -> Result<Charge, BadBooks> {
        let anchor = self.lease.anchor().ok_or_else(|| self.lacks("an anchor"))?;
        Ok(Charge { no, from, until: anchor.end_of(no)?, full_until: None, zone: self.lease.zone.clone(), price: self.price_of(no, None, tax)?, at: now })
    }

    /// The charge for the period after the last one.
    pub(crate) fn next_charge(&self, tax: Percent, now: Timestamp) -> Result<Charge, BadBooks> {
        self.charge(self.lease.period_no + 1, self.paid_until()?, tax, now)
    }

    /// Every period from the open one until `end`; the last is cut at it when `exactly`.
    fn unpaid_until(&self, open: &Charge, end: Timestamp, exactly: bool, tax: Percent, now: Timestamp) -> Result<Vec<Charge>, BadBooks> {
        let mut charges = vec![open.clone()];
        while let Some(last) = charges.last_mut() {
            if last.until < end {
                let next = self.charge(last.no + 1, last.until, tax, now)?;
                charges.push(next);
            } else {
                if exactly && last.until > end {
                    let part = (end.as_millis() - last.from.as_millis(), last.until.as_millis() - last.from.as_millis());
                    (last.full_until, last.until, last.price) = (Some(last.until), end, self.price_of(last.no, Some(part), tax)?);
                }
                return Ok(charges);
            }
            if charges.len() > MAX_CATCH_UP {
                break;
            }
        }
        Err(BadBooks::Behind(self.lease.id.clone()))
    }

    /// What brings a suspended server back now, the way of the policy first. Where a new period would begin, what was owed before the suspension
    /// does, too: it is what the first notices asked for, and pays for one period, of which the days since its begin count and those off do not.
    pub(crate) fn reactivations(&self, index: usize, tax: Percent, now: Timestamp) -> Result<Vec<Decision>, BadBooks> {
        let ways: &[Reactivation] = match self.policy.reactivation {
            Reactivation::Rebase => &[Reactivation::Rebase, Reactivation::Resume],
            Reactivation::Resume => &[Reactivation::Resume],
            Reactivation::Accrue => &[Reactivation::Accrue],
        };
        ways.iter().map(|way| self.reactivation(index, *way, tax, now)).collect()
    }

    fn reactivation(&self, index: usize, way: Reactivation, tax: Percent, now: Timestamp) -> Result<Decision, BadBooks> {
        let open = self.open.as_ref().ok_or_else(|| self.lacks("an open charge"))?;
        let suspended = self.lease.suspended_at.ok_or_else(|| self.lacks("the time of its suspension"))?.max(open.from);
        let (charges, paid_until, anchor) = match way {
            Reactivation::Rebase => {
                let mut charges = self.unpaid_until(open, suspended, true, tax, now)?;
                let no = charges.last().map_or(open.no, |c| c.no) + 1;
                let mut moved = self.lease.clone();
                (moved.anchor_at, moved.anchor_no) = (Some(now), no);
                let until = moved.anchor().ok_or_else(|| self.lacks("an anchor"))?.end_of(no)?;
                charges.push(Charge { no, from: now, until, full_until: None, zone: self.lease.zone.clone(), price: self.price_of(no, None, tax)?, at: now });
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
    pub fn price_to_go_on(&self, tax: Percent, now: Timestamp) -> Option<Money> {
        match self.lease.state {
            LeaseState::Suspended => self.reactivation(0, self.policy.reactivation, tax, now).ok().and_then(|d| d.cost().ok()),
            _ => self.open.as_ref().map(|c| c.price.total),
        }
    }

    /// The least that brings a suspended server back now; none where it is not suspended or that cannot be said.
    pub fn least_to_come_back(&self, tax: Percent, now: Timestamp) -> Option<Money> {
        if self.lease.state != LeaseState::Suspended {
            return None;
        }
        let ways = self.reactivations(0, tax, now).ok()?;
        ways.iter().filter_map(|way| way.cost().ok()).min_by_key(|cost| cost.minor)
    }

    /// What the period after the last one costs, tax included; none where that cannot be said.
    pub(crate) fn next_price(&self, tax: Percent) -> Option<Money> {
        self.price_of(self.lease.period_no + 1, None, tax).ok().map(|p| p.total)
    }

    /// When and why what comes next comes.
    pub fn outlook(&self, tax: Percent, now: Timestamp) -> Outlook {
        dunning::outlook(self, tax, now)
    }

    /// When an active lease is looked at next: at the next mark before the end of what is paid, or at that end.
    pub(crate) fn next_look(&self, paid_until: Timestamp, now: Timestamp) -> Timestamp {
        self.policy.low_balance_before.iter().map(|before| paid_until - *before).filter(|at| *at > now).min().unwrap_or(paid_until)
    }
}
