//! Shares of a hundred: rates of tax, discounts, limits. Exact to a thousandth, which is what rates in force need (Quebec's 9.975 %).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::{Money, money::MoneyError};

/// 0 to 100 per cent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u32);

/// A text that is no share of a hundred.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is no percentage; write 0 to 100 with at most three decimals, like 19 or 8.875", .0.escape_debug())]
pub struct BadPercent(pub String);

/// Thousandths of one per cent.
const SCALE: u32 = 1000;
const DECIMALS: usize = 3;

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All of it.
    pub const WHOLE: Self = Self(100 * SCALE);

    /// So many whole per cent; more than all is all.
    pub const fn whole(percent: u32) -> Self {
        if percent > 100 { Self::WHOLE } else { Self(percent * SCALE) }
    }

    /// So many in a thousand; more than all is all.
    pub const fn permille(n: u32) -> Self {
        if n > 1000 { Self::WHOLE } else { Self(n * (SCALE / 10)) }
    }

    /// From whole per cent and the thousandths beyond; less than nothing is nothing, more than all is all.
    pub fn from_parts(whole: i64, thousandths: i64) -> Self {
        let all = whole.saturating_mul(i64::from(SCALE)).saturating_add(thousandths).max(0);
        Self::from_thousandths(all).unwrap_or(Self::WHOLE)
    }

    /// Whole per cent, and the thousandths beyond.
    pub const fn parts(self) -> (i64, i64) {
        ((self.0 / SCALE) as i64, (self.0 % SCALE) as i64)
    }

    /// From thousandths of one per cent, as they are stored.
    pub fn from_thousandths(thousandths: i64) -> Option<Self> {
        u32::try_from(thousandths).ok().map(Self).filter(|p| *p <= Self::WHOLE)
    }

    /// In thousandths of one per cent.
    pub const fn thousandths(self) -> i64 {
        self.0 as i64
    }

    /// So much of a sum, rounded half up.
    pub fn of(self, sum: Money) -> Result<Money, MoneyError> {
        sum.part(self.thousandths(), Self::WHOLE.thousandths())
    }

    /// So much of a count, rounded down.
    pub const fn of_count(self, count: i64) -> i64 {
        count.saturating_mul(self.thousandths()) / Self::WHOLE.thousandths()
    }
}

/// From thousandths of one per cent, as they are stored.
impl TryFrom<i64> for Percent {
    type Error = BadPercent;

    fn try_from(thousandths: i64) -> Result<Self, BadPercent> {
        Self::from_thousandths(thousandths).ok_or_else(|| BadPercent(format!("{thousandths} thousandths")))
    }
}

impl FromStr for Percent {
    type Err = BadPercent;

    fn from_str(text: &str) -> Result<Self, BadPercent> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let plain = !whole.is_empty() && digits(whole) && digits(part) && part.len() <= DECIMALS && !text.ends_with('.');
        let thousandths = plain.then(|| format!("{whole}{part:0<DECIMALS$}").parse().ok()).flatten();
        thousandths.and_then(Self::from_thousandths).ok_or_else(|| BadPercent(text.to_owned()))
    }
}

/// As people write it, without the sign: `19`, `7.7`.
impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / SCALE, self.0 % SCALE);
        if part == 0 {
            return write!(f, "{whole}");
        }
        let text = format!("{whole}.{part:0DECIMALS$}");
        f.write_str(text.trim_end_matches('0'))
    }
}

/// A number: whole where it is whole.
impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(SCALE) { s.serialize_u32(self.0 / SCALE) } else { s.serialize_f64(f64::from(self.0) / f64::from(SCALE)) }
    }
}

/// A number, or a text with one.
impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a percentage such as 10 or 12.5")]
        enum Written {
            Whole(i64),
            Decimal(f64),
            Text(String),
        }
        let text = match Written::deserialize(d)? {
            Written::Whole(n) => n.to_string(),
            Written::Decimal(n) => n.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<i64> {
        text.parse().ok().map(Percent::thousandths)
    }

    #[test]
    fn percentages_are_read_and_written() {
        assert_eq!(["19", "7.7", "14.975", "0", "100"].map(read), [Some(19_000), Some(7_700), Some(14_975), Some(0), Some(100_000)]);
        assert_eq!(["", "-1", "19.", "1.2345", "100.001", "x", ".5", "1e1", "+5", "99999999999"].map(read), [None; 10]);
        let written = |thousandths| Percent::from_thousandths(thousandths).unwrap().to_string();
        assert_eq!([19_000, 7_700, 14_975, 5, 0, 100_000].map(written), ["19", "7.7", "14.975", "0.005", "0", "100"]);
    }

    #[test]
    fn they_are_numbers_elsewhere() {
        let read = |json: &str| serde_json::from_str::<Percent>(json).map_err(|e| e.to_string());
        assert_eq!((read("12.5"), read("20"), read("\"8.875\"")), (Ok(Percent(12_500)), Ok(Percent(20_000)), Ok(Percent(8_875))));
        for bad in ["101", "-1", "0.1234", "1e400", "null", "\"\""] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(serde_json::to_string(&[Percent(12_500), Percent(20_000), Percent(14_975)]).unwrap(), "[12.5,20,14.975]");
    }

    #[test]
    fn parts_are_exact() {
        let eur = |minor| Money::new(minor, "EUR".parse().unwrap());
        assert_eq!(Percent(14_975).of(eur(10_000)).unwrap(), eur(1498), "14.975 is rounded half up");
        assert_eq!(Percent::WHOLE.of(eur(999)).unwrap(), eur(999));
        assert_eq!(Percent(500).of_count(1000), 5);
    }
}
