//! The arithmetic of periods.
//!
//! A period's end is always counted from the anchor, never from the period before, so that
//! 31 January is followed by 28 February and then by 31 March again.

use jiff::{Span, tz::TimeZone};

use crate::{Timestamp, lease::Cycle};

/// Why a period cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPeriod {
    /// The zone's name is not in the time zone database.
    #[error("unknown time zone '{0}'; use a name like Europe/Berlin")]
    Zone(String),
    /// Beyond what a calendar holds.
    #[error("period {0} lies beyond the calendar")]
    Calendar(i64),
}

/// A zone of the time zone database by its IANA name.
pub fn zone(name: &str) -> Result<TimeZone, BadPeriod> {
    TimeZone::get(name).map_err(|_| BadPeriod::Zone(name.to_owned()))
}

/// From where and in which calendar the periods of a lease are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The instant that period `no` begins at.
    pub at: Timestamp,
    /// The number of that period.
    pub no: i64,
    /// The length of a period.
    pub cycle: Cycle,
    /// The zone whose calendar counts; an IANA name.
    pub zone: String,
}

impl Anchor {
    /// The end of period `no` (exclusive): the anchor plus `no - self.no + 1` cycles, clamped to the month's end.
    pub fn end_of(&self, no: i64) -> Result<Timestamp, BadPeriod> {
        let beyond = || BadPeriod::Calendar(no);
        let months = no.checked_sub(self.no).and_then(|n| n.checked_add(1)).and_then(|n| n.checked_mul(self.cycle.months())).ok_or_else(beyond)?;
        let begin = self.at.jiff().to_zoned(zone(&self.zone)?);
        let end = Span::new().try_months(months).and_then(|span| begin.checked_add(span)).map_err(|_| beyond())?;
        Ok(Timestamp::from_millis(end.timestamp().as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(at: &str, cycle: Cycle, zone: &str) -> Anchor {
        Anchor { at: at.parse().unwrap(), no: 1, cycle, zone: zone.into() }
    }

    fn days(anchor: &Anchor, periods: i64) -> Vec<String> {
        (1..=periods).map(|k| anchor.end_of(k).unwrap().day()).collect()
    }

    #[test]
    fn the_end_of_january_is_not_forgotten_in_february() {
        let ends = days(&anchor("2026-01-31T10:00:00Z", Cycle::Month, "UTC"), 14);
        let expected = "2026-02-28 2026-03-31 2026-04-30 2026-05-31 2026-06-30 2026-07-31 2026-08-31 2026-09-30 2026-10-31 2026-11-30 2026-12-31 \
                        2027-01-31 2027-02-28 2027-03-31";
        assert_eq!(ends.join(" "), expected);
    }

    #[test]
    fn a_leap_day_comes_back_after_four_years() {
        let ends = days(&anchor("2028-02-29T10:00:00Z", Cycle::Year, "UTC"), 8);
        assert_eq!(ends.join(" "), "2029-02-28 2030-02-28 2031-02-28 2032-02-29 2033-02-28 2034-02-28 2035-02-28 2036-02-29");
    }

    #[test]
    fn a_zone_keeps_its_wall_clock_over_summer_time() {
        let berlin = anchor("2026-03-10T08:00:00Z", Cycle::Month, "Europe/Berlin");
        assert_eq!(berlin.end_of(1).unwrap().to_string(), "2026-04-10T07:00:00.000Z");
        assert!(matches!(anchor("2026-03-10", Cycle::Month, "Mars/Base").end_of(1), Err(BadPeriod::Zone(_))));
        assert!(matches!(berlin.end_of(i64::MAX), Err(BadPeriod::Calendar(_))));
        assert!(matches!(berlin.end_of(1_000_000), Err(BadPeriod::Calendar(_))));
    }

    /// Every zone of the database × the last days of a month × ten years: no gap, no step back, and twelve months are a year.
    #[test]
    fn ends_only_grow_in_every_zone() {
        let zones: Vec<String> = jiff::tz::db().available().map(|z| z.as_str().to_owned()).collect();
        assert!(zones.len() > 400, "the time zone database is there");
        for zone in zones {
            for day in 28..=31 {
                let monthly = anchor(&format!("2024-01-{day}T23:30:00Z"), Cycle::Month, &zone);
                let mut last = monthly.at;
                for k in 1..=120 {
                    let end = monthly.end_of(k).unwrap();
                    assert!(end > last, "{zone}, the {day}th: period {k} ends at {end}, the one before at {last}");
                    last = end;
                }
                let yearly = Anchor { cycle: Cycle::Year, ..monthly.clone() };
                for year in 1..=10 {
                    assert_eq!(yearly.end_of(year).unwrap(), monthly.end_of(year * 12).unwrap(), "{zone}, year {year}");
                }
            }
        }
    }
}
