//! The one source of ids and chance, passed as an argument, so that a simulation replays from its seed.

use std::sync::{Arc, Mutex, PoisonError};

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use uuid::Uuid;

use crate::Timestamp;

/// A shared random generator. Cloning shares its state.
#[derive(Clone, Debug)]
pub struct Dice(Arc<Mutex<StdRng>>);

impl Dice {
    /// Seeded by the operating system.
    #[expect(clippy::disallowed_methods, reason = "the one place where chance enters")]
    pub fn from_os() -> Self {
        Self(Arc::new(Mutex::new(rand::make_rng())))
    }

    /// The same seed gives the same ids, secrets and jitter.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    fn with<T>(&self, f: impl FnOnce(&mut StdRng) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
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

    /// A UUIDv7 for `now`: ids sort by time of creation.
    pub fn uuid(&self, now: Timestamp) -> Uuid {
        uuid::Builder::from_unix_timestamp_millis(now.as_millis().max(0) as u64, &self.bytes()).into_uuid()
    }

    /// A text of `len` characters drawn evenly from `alphabet` (ASCII).
    pub fn text(&self, alphabet: &str, len: usize) -> String {
        let bytes = alphabet.as_bytes();
        (0..len).map(|_| char::from(bytes[self.below(bytes.len() as u64) as usize])).collect()
    }
}
