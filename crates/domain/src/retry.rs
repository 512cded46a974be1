//! Back-off between attempts: full jitter (a random wait up to a cap that doubles), so that failures do not march in step.

use std::time::Duration;

use crate::Dice;

/// How often and how patiently something is tried.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Attempts in all, per step.
    pub attempts: i64,
    /// The shortest wait.
    pub min: Duration,
    /// The longest wait.
    pub max: Duration,
}

impl Backoff {
    /// The wait after failed attempt `attempt` (1 = the first): from `min` up to `min * 2^attempt`, never above `max`.
    pub fn wait(&self, attempt: i64, dice: &Dice) -> Duration {
        let doublings = attempt.clamp(0, 30) as u32;
        let cap = self.min.saturating_mul(2u32.saturating_pow(doublings)).min(self.max);
        let span = cap.saturating_sub(self.min).as_millis() as u64;
        self.min + Duration::from_millis(dice.below(span + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_between_the_bounds_and_grow() {
        let backoff = Backoff { attempts: 8, min: Duration::from_secs(5), max: Duration::from_mins(15) };
        let dice = Dice::seeded(1);
        for attempt in 1..40 {
            let longest = (0..50).map(|_| backoff.wait(attempt, &dice)).inspect(|w| assert!(*w >= backoff.min && *w <= backoff.max)).max().unwrap();
            assert!(attempt > 2 || longest <= Duration::from_secs(20), "attempt {attempt} waited {longest:?}");
        }
    }
}
