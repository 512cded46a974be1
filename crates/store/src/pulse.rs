//! Signs of life of a process's loops. Each says by when it will be heard of again, so that a process that is up but no longer
//! gets anywhere (its connection died, a lock never came) is seen as stuck, and one that only naps is not.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How late a loop may be before it counts as stuck.
const SLACK: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Loop {
    due_by: Option<Instant>,
    trouble: Option<String>,
}

/// The loops of this process. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Mutex<BTreeMap<String, Loop>>>);

/// How the loops are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// All are heard of.
    Well,
    /// They turn, but this is in their way.
    Troubled(String),
    /// One is not heard of any more.
    Stuck(String),
}

impl Pulse {
    fn loops(&self) -> MutexGuard<'_, BTreeMap<String, Loop>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop is well and will be heard of again after `nap`.
    pub fn beat(&self, name: &str, nap: Duration) {
        self.loops().insert(name.to_owned(), Loop { due_by: Some(Instant::now() + nap), trouble: None });
    }

    /// The loop turns, but does not get on; it will try again after `nap`.
    pub fn trouble(&self, name: &str, why: &impl ToString, nap: Duration) {
        self.loops().insert(name.to_owned(), Loop { due_by: Some(Instant::now() + nap), trouble: Some(why.to_string()) });
    }

    /// Something is in the way until it is said to be over: nobody is expected to say so again.
    pub fn hindered(&self, name: &str, why: Option<&dyn ToString>) {
        match why {
            Some(why) => drop(self.loops().insert(name.to_owned(), Loop { due_by: None, trouble: Some(why.to_string()) })),
            None => drop(self.loops().remove(name)),
        }
    }

    /// The loop waits for work that may never come.
    pub fn rest(&self, name: &str) {
        self.loops().insert(name.to_owned(), Loop { due_by: None, trouble: None });
    }

    /// How the loops are now.
    pub fn health(&self) -> Health {
        let loops = self.loops();
        let late = |l: &Loop| l.due_by.map_or(Duration::ZERO, |by| Instant::now().saturating_duration_since(by));
        let latest = loops.iter().map(|(name, l)| (late(l), name)).max().filter(|(late, _)| *late > SLACK);
        if let Some((late, name)) = latest {
            return Health::Stuck(format!("the loop '{name}' was not heard of for {} s more than it said", late.as_secs()));
        }
        let troubled = loops.iter().find_map(|(name, l)| l.trouble.as_ref().map(|why| format!("{name}: {why}")));
        troubled.map_or(Health::Well, Health::Troubled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_broke_its_word_is_stuck_and_one_that_naps_is_not() {
        let pulse = Pulse::default();
        pulse.beat("claim", Duration::from_hours(1));
        pulse.rest("settle");
        assert_eq!(pulse.health(), Health::Well);
        pulse.trouble("claim", &"no route", Duration::from_secs(1));
        assert_eq!(pulse.health(), Health::Troubled("claim: no route".into()));
        pulse.loops().insert("keep".into(), Loop { due_by: Instant::now().checked_sub(SLACK * 2), trouble: None });
        assert!(matches!(pulse.health(), Health::Stuck(why) if why.contains("'keep'")));
        pulse.beat("keep", Duration::ZERO);
        pulse.beat("claim", Duration::ZERO);
        assert_eq!(pulse.health(), Health::Well);
    }
}
