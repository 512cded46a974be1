//! The one source of ids and chance, passed as an argument, so that a simulation replays from its seed.

use std::sync::{Arc, Mutex, PoisonError};

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use uuid::Uuid;

use crate::Timestamp;

/// A shared random generator. Cloning shares its state.
#[derive(Clone, Debug)]
pub struct Dice(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    rng: StdRng,
    last: Last,
}

/// The time in the last id, and how many before it had the same.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    ms: u64,
    count: u16,
}

impl Last {
    /// The ids of one millisecond that are kept in order, as RFC 9562 has it (6.2, method 1): twelve bits.
    const MOST: u16 = 0xfff;

    /// A clock that went back by more than this was wrong before, and is followed.
    const BACK: u64 = 60_000;

    fn next(self, ms: u64) -> Self {
        // Of two transactions that write by turns, one began earlier: order is that of the ids.
        if ms > self.ms || self.ms - ms > Self::BACK {
            Self { ms, count: 0 }
        } else if self.count < Self::MOST {
            Self { count: self.count + 1, ..self }
        } else {
            Self { ms: self.ms + 1, count: 0 }
        }
    }
}

impl Dice {
    /// Seeded by the operating system.
    #[expect(clippy::disallowed_methods, reason = "the one place where chance enters")]
    pub fn from_os() -> Self {
        Self::of(rand::make_rng())
    }

    /// The same seed gives the same ids, secrets and jitter.
    pub fn seeded(seed: u64) -> Self {
        Self::of(StdRng::seed_from_u64(seed))
    }

    fn of(rng: StdRng) -> Self {
        Self(Arc::new(Mutex::new(State { rng, last: Last::default() })))
    }

    fn with<T>(&self, f: impl FnOnce(&mut StdRng) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).rng)
    }

    /// Random bytes, good enough for keys and passwords.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.with(|rng| rng.fill_bytes(&mut out));
        out
    }

    /// A whole number from `0` to `end - 1`; `0` when `end` is `0`.
    pub fn below(&self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.with(|rng| rng.random_range(0..end)) }
    }

    /// True with the given probability, `0.0..=1.0`.
    pub fn chance(&self, probability: f64) -> bool {
        probability > 0.0 && self.with(RngExt::random::<f64>) < probability
    }

    /// A UUIDv7 for `now`: ids sort by time of creation, those of one millisecond, or of a moment before, by their order.
    pub fn uuid(&self, now: Timestamp) -> Uuid {
        let (ms, mut bytes) = (now.as_millis().max(0) as u64, self.bytes::<10>());
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.last = state.last.next(ms);
        [bytes[0], bytes[1]] = state.last.count.to_be_bytes();
        uuid::Builder::from_unix_timestamp_millis(state.last.ms, &bytes).into_uuid()
    }

    /// A text of `len` characters drawn evenly from `alphabet` (ASCII).
    pub fn text(&self, alphabet: &str, len: usize) -> String {
        let bytes = alphabet.as_bytes();
        (0..len).map(|_| char::from(bytes[self.below(bytes.len() as u64) as usize])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_millisecond_sort_by_their_order() {
        let (dice, now) = (Dice::seeded(1), Timestamp::from_millis(1_790_000_000_000));
        let earlier = Timestamp::from_millis(1_789_999_999_990);
        let ids: Vec<Uuid> = (0..10_000).map(|n| dice.uuid(if n % 3 == 0 { earlier } else { now })).collect();
        assert!(ids.is_sorted() && ids[0] != ids[1]);
        assert!(dice.uuid(Timestamp::from_millis(1_790_000_000_003)) > ids[9_999]);
        assert!(dice.uuid(Timestamp::from_millis(1_780_000_000_000)) < ids[0], "a clock that was wrong is not followed for ever");
        assert_eq!(ids[0].get_version_num(), 7);
    }
}
