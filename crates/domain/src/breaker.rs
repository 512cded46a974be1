//! The breakers: how much may be done at once before a person is asked.

use crate::{Percent, dunning::Enforcement, names, policy::Policy};

names! {
    /// What a breaker stops.
    Kind {
        /// Servers that are held for an unpaid charge.
        Suspension = "suspension",
        /// Servers that are ended.
        Termination = "termination",
        /// Periods that are charged.
        Renewal = "renewal",
    }
}

impl From<Enforcement> for Kind {
    fn from(step: Enforcement) -> Self {
        match step {
            Enforcement::Suspension => Self::Suspension,
            Enforcement::Termination => Self::Termination,
        }
    }
}

/// So many times what was forecast for a day may be due without asking.
const FORECAST: i64 = 2;

/// How many of what is due on a day are more than could be expected.
pub fn unexpected(due: i64, forecast: i64) -> i64 {
    (due - forecast.saturating_mul(FORECAST)).max(0)
}

/// The larger of a number and a part of all leases that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// So many in any case.
    pub count: i64,
    /// This part of all, hundredths of a per cent.
    pub percent: Percent,
}

impl Limits {
    /// What a policy says.
    pub const fn of(policy: &Policy, kind: Kind) -> Self {
        match kind {
            Kind::Suspension => policy.suspensions,
            Kind::Termination => policy.terminations,
            Kind::Renewal => policy.renewals,
        }
    }

    /// How many may go while so many leases run.
    pub fn limit(self, running: i64) -> i64 {
        self.count.max(self.percent.of_count(running))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_house_is_bound_by_the_number_a_large_one_by_the_part() {
        let suspensions = Limits::of(&Policy::default(), Kind::Suspension);
        assert_eq!([10, 2_500, 100_000].map(|running| suspensions.limit(running)), [50, 50, 2_000]);
        let terminations = Limits::of(&Policy::default(), Kind::Termination);
        assert_eq!([10, 100_000].map(|running| terminations.limit(running)), [10, 500]);
    }

    #[test]
    fn twice_the_forecast_is_expected() {
        assert_eq!([(0, 0), (20, 10), (21, 10), (5, 0)].map(|(due, forecast)| unexpected(due, forecast)), [0, 0, 1, 5]);
    }
}
