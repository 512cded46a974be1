//! Instants as epoch milliseconds (the form both databases store) and durations as people write them.

use std::{
    fmt,
    ops::{Add, Sub},
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// An instant in UTC: milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Timestamp(i64);

impl Timestamp {
    /// From epoch milliseconds.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Epoch milliseconds.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The time that passed since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0) as u64)
    }

    /// The same instant as `jiff` sees it (for calendars and printing).
    pub fn jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::MAX)
    }

    /// The UTC day, `2026-03-31`.
    pub fn day(self) -> String {
        self.jiff().strftime("%Y-%m-%d").to_string()
    }

    /// The day in a zone, by its IANA name; one that is unknown counts as UTC.
    pub fn day_in(self, zone: &str) -> String {
        let zone = jiff::tz::TimeZone::get(zone).unwrap_or(jiff::tz::TimeZone::UTC);
        self.jiff().to_zoned(zone).strftime("%Y-%m-%d").to_string()
    }

    /// The UTC month, `2026-03`.
    pub fn month(self) -> String {
        self.jiff().strftime("%Y-%m").to_string()
    }

    /// `2026-03-31 12:30:05 UTC`, for people.
    pub fn human(self) -> String {
        self.jiff().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(rhs.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(rhs.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// RFC 3339 in UTC with milliseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.jiff().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
    }
}

impl From<i64> for Timestamp {
    fn from(ms: i64) -> Self {
        Self(ms)
    }
}

impl From<Timestamp> for String {
    fn from(at: Timestamp) -> Self {
        at.to_string()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = BadTime;
    fn try_from(text: String) -> Result<Self, BadTime> {
        text.parse()
    }
}

/// `2026-03-31` (midnight UTC) or an RFC 3339 instant.
impl FromStr for Timestamp {
    type Err = BadTime;
    fn from_str(text: &str) -> Result<Self, BadTime> {
        let instant = text
            .parse::<jiff::Timestamp>()
            .or_else(|_| text.parse::<jiff::civil::Date>().and_then(|d| d.to_zoned(jiff::tz::TimeZone::UTC)).map(|z| z.timestamp()));
        instant.map(|at| Self(at.as_millisecond())).map_err(|_| BadTime::Instant(text.to_owned()))
    }
}

/// A text that is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTime {
    /// Not an instant.
    #[error("'{0}' is no date; write 2026-03-31 or 2026-03-31T12:00:00Z")]
    Instant(String),
    /// Not a duration.
    #[error("'{0}' is no duration; write a number and ms, s, m, h or d, like \"72h\"")]
    Duration(String),
}

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Parses `"50ms"`, `"2s"`, `"30m"`, `"72h"`, `"14d"`.
pub fn parse_duration(text: &str) -> Result<Duration, BadTime> {
    let bad = || BadTime::Duration(text.to_owned());
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let (number, unit) = text.split_at(digits);
    let factor = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?.1;
    let ms = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(bad)?;
    Ok(Duration::from_millis(ms))
}

/// The shortest exact form: `72h` prints as `3d`.
pub fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis() as u64;
    let (unit, factor) = UNITS.iter().rev().find(|(_, f)| ms > 0 && ms.is_multiple_of(*f)).copied().unwrap_or(("s", 1_000));
    format!("{}{unit}", ms / factor)
}

/// Serde for durations as people write them; use as `#[serde(with = "leasehold_domain::time::duration")]`.
pub mod duration {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    /// Writes `"30s"`.
    pub fn serialize<S: Serializer>(value: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&super::show_duration(*value))
    }

    /// Reads `"30s"`.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        super::parse_duration(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print_in_the_largest_unit_that_is_exact() {
        for (text, shown) in [("72h", "3d"), ("90m", "90m"), ("1500ms", "1500ms"), ("60s", "1m"), ("0s", "0s")] {
            assert_eq!(show_duration(parse_duration(text).unwrap()), shown, "{text}");
        }
        for bad in ["", "5", "s", "1w", "-1s", "1.5h", "99999999999999999999d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn instants_read_as_a_day_or_as_rfc_3339() {
        let day: Timestamp = "2026-03-31".parse().unwrap();
        assert_eq!(day.to_string(), "2026-03-31T00:00:00.000Z");
        assert_eq!("2026-03-31T00:00:00Z".parse::<Timestamp>().unwrap(), day);
        assert!("31.3.2026".parse::<Timestamp>().is_err());
    }
}
