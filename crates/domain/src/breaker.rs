//! The breaker: how many servers may be taken away within a day before a person is asked.

use crate::{dunning::Enforcement, policy::Policy};

/// The larger of a number and a part of all leases that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// So many in any case.
    pub count: i64,
    /// This part of all, hundredths of a per cent.
    pub basis_points: i64,
}

impl Limits {
    /// What a policy says of a step.
    pub const fn of(policy: &Policy, step: Enforcement) -> Self {
        match step {
            Enforcement::Suspension => policy.suspensions,
            Enforcement::Termination => policy.terminations,
        }
    }

    /// How many may be taken away within a day while so many leases run.
    pub fn limit(self, running: i64) -> i64 {
        self.count.max(running.saturating_mul(self.basis_points) / 10_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_house_is_bound_by_the_number_a_large_one_by_the_part() {
        let suspensions = Limits::of(&Policy::default(), Enforcement::Suspension);
        assert_eq!([10, 2_500, 100_000].map(|running| suspensions.limit(running)), [50, 50, 2_000]);
        let terminations = Limits::of(&Policy::default(), Enforcement::Termination);
        assert_eq!([10, 100_000].map(|running| terminations.limit(running)), [10, 500]);
    }
}
