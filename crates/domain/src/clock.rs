//! Whether the clock can be believed. A clock that jumped would charge everybody for time that has not come, or for none.

use std::time::Duration;

use crate::{Timestamp, time::show_duration};

/// How far a clock may fall back behind the latest instant that was ever seen.
const BACK: Duration = Duration::from_mins(5);
/// A step ahead that asks for a reason.
const AHEAD: Duration = Duration::from_hours(24);
/// How far the host's clock may be off the database's.
const OFF: Duration = Duration::from_mins(1);

/// What is known of the clock.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// What it says.
    pub now: Timestamp,
    /// The latest instant that was ever seen in these books.
    pub highest: Timestamp,
    /// How far the host's clock and the database's are apart.
    pub apart: Duration,
}

/// Why the clock is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadClock {
    /// It went back.
    #[error("the clock is {} behind the latest time that was seen ({})", show_duration(*.0), .1.human())]
    Behind(Duration, Timestamp),
    /// It jumped, and the host's and the database's do not agree.
    #[error("the clock is {} ahead of the latest time that was seen ({}), and the host's and the database's clocks are {} apart", show_duration(*.0), .1.human(), show_duration(*.2))]
    Apart(Duration, Timestamp, Duration),
    /// It jumped, and nobody keeps it right.
    #[error("the clock is {} ahead of the latest time that was seen ({}), and this host's clock is not known to be synchronised", show_duration(*.0), .1.human())]
    Alone(Duration, Timestamp),
}

impl Reading {
    /// Whether this can be believed; `synchronised` is asked only after a jump.
    pub fn check(&self, synchronised: impl FnOnce() -> bool) -> Result<(), BadClock> {
        let (ahead, behind) = (self.now.since(self.highest), self.highest.since(self.now));
        if behind > BACK {
            return Err(BadClock::Behind(behind, self.highest));
        }
        if ahead <= AHEAD {
            return Ok(());
        }
        if self.apart > OFF {
            return Err(BadClock::Apart(ahead, self.highest, self.apart));
        }
        if synchronised() { Ok(()) } else { Err(BadClock::Alone(ahead, self.highest)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(now: &str, apart: Duration, synchronised: bool) -> Result<(), BadClock> {
        let reading = Reading { now: now.parse().unwrap(), highest: "2026-03-10T12:00:00Z".parse().unwrap(), apart };
        reading.check(|| synchronised)
    }

    #[test]
    fn a_jump_is_believed_only_of_a_clock_that_is_kept_right() {
        let none = Duration::ZERO;
        assert_eq!(check("2026-03-10T11:55:00Z", none, false), Ok(()));
        assert!(matches!(check("2026-03-10T11:54:59Z", none, true), Err(BadClock::Behind(..))));
        assert_eq!(check("2026-03-11T12:00:00Z", Duration::from_hours(1), false), Ok(()), "a day is no jump");
        assert_eq!(check("2026-04-19T12:00:00Z", none, true), Ok(()), "forty days of downtime");
        let error = check("2026-04-19T12:00:00Z", none, false).unwrap_err().to_string();
        assert!(error.starts_with("the clock is 40d ahead of the latest time that was seen (2026-03-10 12:00:00 UTC)"), "{error}");
        assert!(matches!(check("2026-04-19T12:00:00Z", Duration::from_secs(61), true), Err(BadClock::Apart(..))));
    }
}
