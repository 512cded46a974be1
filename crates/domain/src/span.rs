//! An address, or a block of them, as the numbers that it spans.

use std::{net::IpAddr, num::ParseIntError};

/// The first and the last of a run of addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    family: u8,
    first: u128,
    last: u128,
}

impl Span {
    /// `203.0.113.10`, `203.0.113.8/29`; none where that is no address.
    pub fn of(text: &str) -> Option<Self> {
        let (ip, length) = text.split_once('/').map_or((text, None), |(ip, length)| (ip, Some(length)));
        let (family, bits, number) = match ip.parse().ok()? {
            IpAddr::V4(ip) => (4, 32, u128::from(u32::from(ip))),
            IpAddr::V6(ip) => (6, 128, u128::from(ip)),
        };
        let length = length.map_or(Ok::<u32, ParseIntError>(bits), str::parse).ok().filter(|length| *length <= bits)?;
        let rest = u128::MAX.checked_shr(128 - (bits - length)).unwrap_or(0);
        Some(Self { family, first: number & !rest, last: number | rest })
    }

    /// Whether both hold an address.
    pub fn meets(self, other: Self) -> bool {
        self.family == other.family && self.first <= other.last && other.first <= self.last
    }

    /// The first two that meet, of any number of spans with what belongs to each.
    pub fn first_two_that_meet<T>(mut all: Vec<(Self, T)>) -> Option<(T, T)> {
        all.sort_by_key(|(span, _)| *span);
        // What begins before the next one and ends last reaches furthest.
        let mut all = all.into_iter();
        let mut furthest = all.next()?;
        for next in all {
            if furthest.0.meets(next.0) {
                return Some((furthest.1, next.1));
            }
            furthest = next;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_addresses_and_other_blocks() {
        let meet = |a: &str, b: &str| Span::of(a).unwrap().meets(Span::of(b).unwrap());
        assert!(meet("203.0.113.8/29", "203.0.113.8") && meet("203.0.113.15", "203.0.113.8/29") && meet("203.0.113.0/28", "203.0.113.8/29"));
        assert!(!meet("203.0.113.8/29", "203.0.113.16") && !meet("203.0.113.7", "203.0.113.8/29") && !meet("0.0.0.1", "::1"));
        assert!(meet("0.0.0.0/0", "203.0.113.8") && meet("::/0", "ffff::1") && meet("2001:db8::/64", "2001:db8::ffff"));
        assert!(["", "x", "1.2.3.4/33", "1.2.3.4/", "::1/129", "1.2.3.4/x"].iter().all(|text| Span::of(text).is_none()));
    }

    #[test]
    fn the_first_two_that_meet_are_found() {
        let two = |texts: &[&'static str]| Span::first_two_that_meet(texts.iter().map(|text| (Span::of(text).unwrap(), *text)).collect());
        assert_eq!(two(&["10.0.0.3", "10.0.0.1", "10.0.0.2"]), None);
        assert_eq!(two(&["10.0.0.3", "10.0.0.8/29", "10.0.0.9"]), Some(("10.0.0.8/29", "10.0.0.9")));
        assert_eq!(two(&["10.0.0.1", "10.0.0.1"]), Some(("10.0.0.1", "10.0.0.1")));
        assert_eq!(two(&[]), None);
    }
}
