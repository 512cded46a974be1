//! The lease: the contract behind a server.

use std::time::Duration;

use crate::{
    AccountId, LeaseId, Money, ServerId, Timestamp, names,
    period::{Anchor, BadPeriod},
    price::Line,
};

names! {
    /// Where a lease stands.
    LeaseState {
        /// Ordered; the server has not run yet, the price is held.
        Pending = "pending",
        /// Paid.
        Active = "active",
        /// A charge failed.
        PastDue = "past_due",
        /// The server is held for an unpaid charge.
        Suspended = "suspended",
        /// Over; it is never charged again.
        Ended = "ended",
    }
}

names! {
    /// How much is paid at once.
    Cycle {
        /// A month.
        Month = "1m",
        /// A quarter.
        Quarter = "3m",
        /// Half a year.
        HalfYear = "6m",
        /// A year.
        Year = "12m",
    }
}

impl Cycle {
    /// The length in months.
    pub const fn months(self) -> i64 {
        match self {
            Self::Month => 1,
            Self::Quarter => 3,
            Self::HalfYear => 6,
            Self::Year => 12,
        }
    }
}

/// The contract behind one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its id.
    pub id: LeaseId,
    /// Who pays.
    pub account: AccountId,
    /// For what.
    pub server: ServerId,
    /// Where it stands.
    pub state: LeaseState,
    /// How much is paid at once.
    pub cycle: Cycle,
    /// The price of the first period as ordered, tax included.
    pub price: Money,
    /// The zone whose calendar counts; an IANA name.
    pub zone: String,
    /// The instant that periods are counted from; none before activation.
    pub anchor_at: Option<Timestamp>,
    /// The number of the period that begins at the anchor.
    pub anchor_no: i64,
    /// The number of the last period charged, paid or not; 0 before the first. It never goes back.
    pub period_no: i64,
    /// The end of what is paid.
    pub paid_until: Option<Timestamp>,
    /// When to look at it again.
    pub decide_at: Option<Timestamp>,
    /// Whether it goes on after what is paid; else it ends then.
    pub auto_renew: bool,
    /// Nothing is taken away before.
    pub protect_until: Option<Timestamp>,
    /// When the server was held for an unpaid charge.
    pub suspended_at: Option<Timestamp>,
    /// When its machine was found suspended for that; kept until it is found to be back.
    pub off_at: Option<Timestamp>,
    /// Since when an operator answers for notices that could not be delivered.
    pub waived_at: Option<Timestamp>,
    /// Since when its server is down by a fault of ours.
    pub down_at: Option<Timestamp>,
    /// Since when its server is held for free.
    pub free_at: Option<Timestamp>,
}

/// What a lease costs from one period on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseLine {
    /// What for, and how much a period.
    pub line: Line,
    /// The first period that it is charged for.
    pub from_period: i64,
    /// The last one; none: for ever.
    pub until_period: Option<i64>,
    /// The add-on that it is for, by the id that it has at this server.
    pub addon: Option<String>,
}

impl LeaseLine {
    /// Whether period `no` is charged for it.
    pub fn covers(&self, no: i64) -> bool {
        self.from_period <= no && self.until_period.is_none_or(|last| no <= last)
    }
}

impl Lease {
    /// From where its periods are counted; none before activation.
    pub fn anchor(&self) -> Option<Anchor> {
        self.anchor_at.map(|at| Anchor { at, no: self.anchor_no, cycle: self.cycle, zone: self.zone.clone() })
    }

    /// How long a period of its cycle is: the one that runs or, where periods are counted anew from its end, the next.
    pub fn period(&self) -> Result<Option<Duration>, BadPeriod> {
        let Some(anchor) = self.anchor() else { return Ok(None) };
        let no = self.period_no.max(self.anchor_no);
        Ok(Some(anchor.end_of(no)?.since(anchor.end_of(no - 1)?)))
    }

    /// Whether it stands still: down by a fault of ours, or held for free. Nothing is charged, and nothing taken away, meanwhile.
    pub fn rests(&self) -> bool {
        self.down_at.or(self.free_at).is_some()
    }

    /// The first run: the anchor is set, period 1 is charged and paid.
    pub fn activate(&mut self, now: Timestamp) -> Result<(), BadPeriod> {
        let end = Anchor { at: now, no: 1, cycle: self.cycle, zone: self.zone.clone() }.end_of(1)?;
        (self.state, self.anchor_at, self.anchor_no, self.period_no) = (LeaseState::Active, Some(now), 1, 1);
        (self.paid_until, self.decide_at) = (Some(end), Some(now));
        Ok(())
    }
}

#[cfg(test)]
impl Lease {
    /// A pending lease on server `s`.
    pub(crate) fn for_tests(server: &str, cycle: Cycle) -> Self {
        Self {
            id: format!("lease-{server}").into(),
            account: "a".into(),
            server: server.into(),
            state: LeaseState::Pending,
            cycle,
            price: Money::zero("EUR".parse().unwrap()),
            zone: "UTC".into(),
            anchor_at: None,
            anchor_no: 1,
            period_no: 0,
            paid_until: None,
            decide_at: None,
            auto_renew: true,
            protect_until: None,
            suspended_at: None,
            off_at: None,
            waived_at: None,
            down_at: None,
            free_at: None,
        }
    }
}
