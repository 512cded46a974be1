//! The operator's window: when something may be taken away from a customer.

use std::{fmt, str::FromStr};

use jiff::{
    ToSpan,
    civil::{Time, Weekday},
    tz::TimeZone,
};

use crate::Timestamp;

/// Hours of a day on some days of the week, by the wall clock of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    /// At any time.
    Always,
    /// `mon-fri 09:00-17:00`.
    Hours {
        /// The first day, and the last; the week may end between them.
        days: (Weekday, Weekday),
        /// From this time.
        from: Time,
        /// Until this time (exclusive), later than `from`.
        until: Time,
    },
}

/// A text that is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no window; write always, or days and hours like mon-fri 09:00-17:00")]
pub struct BadWindow(String);

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl Window {
    /// `now` where the window is open, else the instant of its next opening.
    pub fn opens(&self, now: Timestamp, zone: &TimeZone) -> Timestamp {
        let Self::Hours { days: (first, last), from, until } = self else { return now };
        let today = now.jiff().to_zoned(zone.clone()).date();
        let length = last.since(*first);
        // Eight days: the one of today may be over.
        let openings = (0..=7).filter_map(|n| today.checked_add(n.days()).ok()).filter(|day| day.weekday().since(*first) <= length);
        let instant = |day: jiff::civil::Date, time: &Time| {
            day.to_datetime(*time).to_zoned(zone.clone()).map_or(now, |z| Timestamp::from_millis(z.timestamp().as_millisecond()))
        };
        openings.map(|day| (instant(day, from), instant(day, until))).find(|(_, until)| now < *until).map_or(now, |(from, _)| from.max(now))
    }
}

impl FromStr for Window {
    type Err = BadWindow;
    fn from_str(text: &str) -> Result<Self, BadWindow> {
        if text == "always" {
            return Ok(Self::Always);
        }
        let parsed = || {
            let day = |name: &str| DAYS.iter().find(|(n, _)| *n == name).map(|(_, d)| *d);
            let (days, hours) = text.split_once(' ')?;
            let (first, last) = days.split_once('-').unwrap_or((days, days));
            let (from, until) = hours.split_once('-')?;
            let (from, until) = (Time::strptime("%H:%M", from).ok()?, Time::strptime("%H:%M", until).ok()?);
            (from < until).then_some(Self::Hours { days: (day(first)?, day(last)?), from, until })
        };
        parsed().ok_or_else(|| BadWindow(text.to_owned()))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Hours { days: (first, last), from, until } = self else { return f.write_str("always") };
        let name = |day: &Weekday| DAYS.iter().find(|(_, d)| d == day).map_or("", |(n, _)| n);
        write!(f, "{}-{} {}-{}", name(first), name(last), from.strftime("%H:%M"), until.strftime("%H:%M"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opens(window: &str, now: &str) -> String {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        window.parse::<Window>().unwrap().opens(now.parse().unwrap(), &berlin).to_string()
    }

    #[test]
    fn it_opens_by_the_wall_clock_of_its_zone() {
        let office = "mon-fri 09:00-17:00";
        assert_eq!(opens(office, "2026-03-27T15:59:00Z"), "2026-03-27T15:59:00.000Z", "Friday before five");
        assert_eq!(opens(office, "2026-03-27T16:00:00Z"), "2026-03-30T07:00:00.000Z", "Monday, after the change to summer time");
        assert_eq!(opens(office, "2026-03-30T03:00:00Z"), "2026-03-30T07:00:00.000Z");
        assert_eq!(opens("sat-mon 10:00-11:00", "2026-03-31T12:00:00Z"), "2026-04-04T08:00:00.000Z", "over the end of the week");
        assert_eq!(opens("wed 10:00-11:00", "2026-04-01T09:30:00Z"), "2026-04-08T08:00:00.000Z", "today's is over");
        assert_eq!(opens("always", "2026-03-27T16:00:00Z"), "2026-03-27T16:00:00.000Z");
    }

    #[test]
    fn it_reads_back_as_it_is_shown() {
        for text in ["always", "mon-fri 09:00-17:00", "sat-mon 00:00-23:59"] {
            assert_eq!(text.parse::<Window>().unwrap().to_string(), text);
        }
        for bad in ["", "never", "mon-fri", "mon-fri 17:00-09:00", "mo-fr 09:00-17:00", "mon 9-17"] {
            assert!(bad.parse::<Window>().is_err(), "{bad}");
        }
    }
}
