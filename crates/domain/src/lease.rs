//! The lease: the contract behind a server, and the arithmetic of its periods.
//!
//! A period's end is always counted from the anchor, never from the period before, so that
//! 31 January is followed by 28 February and then by 31 March again.

use jiff::{Span, tz::TimeZone};

use crate::{AccountId, LeaseId, Money, ServerId, Timestamp, names};

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
    /// The price of one period as ordered.
    pub price: Money,
    /// The zone whose calendar counts; an IANA name.
    pub zone: String,
    /// The instant that periods are counted from; none before activation.
    pub anchor_at: Option<Timestamp>,
    /// The number of the period that begins at the anchor.
    pub anchor_no: i64,
    /// The number of the last period charged; 0 before the first.
    pub period_no: i64,
    /// The end of what is paid.
    pub paid_until: Option<Timestamp>,
}

/// Why a period cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPeriod {
    /// The zone's name is not in the time zone database.
    #[error("unknown time zone '{0}'")]
    Zone(String),
    /// Beyond what a calendar holds.
    #[error("period {0} lies beyond the calendar")]
    Calendar(i64),
}

/// The end of period `no` (exclusive): the anchor plus `no - anchor_no + 1` cycles in `zone`, clamped to the month's end.
pub fn period_end(anchor: Timestamp, anchor_no: i64, cycle: Cycle, zone: &str, no: i64) -> Result<Timestamp, BadPeriod> {
    let tz = TimeZone::get(zone).map_err(|_| BadPeriod::Zone(zone.to_owned()))?;
    let months = (no - anchor_no + 1).checked_mul(cycle.months()).ok_or(BadPeriod::Calendar(no))?;
    let end = Span::new().try_months(months).and_then(|span| anchor.jiff().to_zoned(tz).checked_add(span));
    end.map(|z| Timestamp::from_millis(z.timestamp().as_millisecond())).map_err(|_| BadPeriod::Calendar(no))
}

impl Lease {
    /// The first run: the anchor is set, period 1 is charged and paid.
    pub fn activate(&mut self, now: Timestamp) -> Result<(), BadPeriod> {
        let end = period_end(now, 1, self.cycle, &self.zone, 1)?;
        (self.state, self.anchor_at, self.anchor_no, self.period_no, self.paid_until) = (LeaseState::Active, Some(now), 1, 1, Some(end));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_end_of_january_is_not_forgotten_in_february() {
        let anchor = at("2026-01-31T10:00:00Z");
        let ends: Vec<String> = (1..=4).map(|k| period_end(anchor, 1, Cycle::Month, "UTC", k).unwrap().day()).collect();
        assert_eq!(ends, ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]);
    }

    #[test]
    fn a_zone_keeps_its_wall_clock_over_summer_time() {
        let anchor = at("2026-03-10T08:00:00Z");
        let end = period_end(anchor, 1, Cycle::Month, "Europe/Berlin", 1).unwrap();
        assert_eq!(end.to_string(), "2026-04-10T07:00:00.000Z");
        assert!(matches!(period_end(anchor, 1, Cycle::Month, "Mars/Base", 1), Err(BadPeriod::Zone(_))));
    }

    #[test]
    fn twelve_months_are_a_year_and_ends_only_grow() {
        for day in 1..=31 {
            let anchor = at(&format!("2024-01-{day:02}"));
            let mut last = anchor;
            for k in 1..=60 {
                let end = period_end(anchor, 1, Cycle::Month, "America/New_York", k).unwrap();
                assert!(end > last);
                last = end;
            }
            let year = period_end(anchor, 1, Cycle::Year, "America/New_York", 1).unwrap();
            assert_eq!(year, period_end(anchor, 1, Cycle::Month, "America/New_York", 12).unwrap());
        }
    }
}
