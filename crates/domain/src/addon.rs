//! Add-ons: what is bought beside a server. Held at the request, paid when attached, in full with every renewal, ended with a period.

use std::time::Duration;

use crate::{Money, money::MoneyError, names};

names! {
    /// What an add-on is; a server has one of a kind at most.
    AddonKind {
        /// A nightly snapshot, kept for some days.
        Backup = "backup",
        /// Further addresses.
        ExtraIp = "extra-ip",
        /// Blocks of addresses.
        IpClass = "ip-class",
    }
}

impl AddonKind {
    /// Whether it brings addresses, which a worker gives to the machine.
    pub const fn has_addresses(self) -> bool {
        matches!(self, Self::ExtraIp | Self::IpClass)
    }
}

names! {
    /// Where an add-on of a server stands.
    AddonState {
        /// Part of an order whose server has not run yet.
        Ordered = "ordered",
        /// Its price is set aside until a worker has attached it.
        Held = "held",
        /// Attached and paid.
        Active = "active",
        /// Attached until the end of what is paid.
        Ending = "ending",
        /// Over.
        Ended = "ended",
        /// Could not be attached; the money is back.
        Failed = "failed",
    }
}

impl AddonState {
    /// Whether it stands in the way of another of its kind.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Ordered | Self::Held | Self::Active | Self::Ending)
    }
}

/// What is left of what is paid costs so much of the price of a period: exact milliseconds, rounded half up. More than a period may be
/// left, where the cycle is about to become shorter.
pub fn prorated(price: Money, period: Duration, left: Duration) -> Result<Money, MoneyError> {
    price.part(left.as_millis() as i64, period.as_millis().max(1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_part_of_a_period_costs_no_more_than_the_whole_and_less_the_later(full in 0i64..10_000_000, length in 1u64..40_000_000_000, a in 0u64..=100, b in 0u64..=100) {
            let full = Money::new(full, "EUR".parse().unwrap());
            let price = |left: u64| prorated(full, Duration::from_millis(length), Duration::from_millis(left)).unwrap().minor;
            let (more, less) = (length * a.max(b) / 100, length * a.min(b) / 100);
            prop_assert_eq!(price(length), full.minor);
            prop_assert!(price(less) <= price(more) && price(less) >= 0);
            prop_assert_eq!(price(0), 0);
            prop_assert_eq!(price(length * 12), full.minor * 12, "a year by the price of a month");
        }
    }
}
