//! Add-ons: what is bought beside a server. Held at the request, paid when attached, in full with every renewal, ended with a period.

use crate::{Money, Timestamp, money::MoneyError, names};

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

/// What is left of a paid span costs so much of the full price: exact milliseconds, rounded half up.
pub fn prorated(full: Money, (from, until): (Timestamp, Timestamp), now: Timestamp) -> Result<Money, MoneyError> {
    let length = until.since(from).as_millis().max(1) as i64;
    let left = (until.since(now).as_millis() as i64).min(length);
    full.part(left, length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_part_of_a_span_costs_no_more_than_the_whole_and_less_the_later(full in 0i64..10_000_000, length in 1i64..40_000_000_000, a in 0i64..40_000_000_000, b in 0i64..40_000_000_000) {
            let at = Timestamp::from_millis;
            let full = Money::new(full, "EUR".parse().unwrap());
            let price = |now: i64| prorated(full, (at(0), at(length)), at(now)).unwrap().minor;
            let (early, late) = (a.min(b), a.max(b));
            prop_assert_eq!(price(0), full.minor);
            prop_assert!(price(late) <= price(early) && price(late) >= 0);
            prop_assert_eq!(price(length), 0);
            // What was attached early and what was attached late together pay for no more than the span.
            prop_assert!(price(early) - price(late) <= full.minor);
        }
    }
}
