//! Whether a process may take the books for as new as the world: they may have been replaced by older ones while nobody looked.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU8, AtomicU64, Ordering::SeqCst},
};

use tokio::sync::Notify;

/// Whose word this process goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Word {
    /// Nobody replaces them: simulated time.
    Nobodys,
    /// Its own: it has the nodes looked at first.
    Own,
    /// That of a process that runs and has looked.
    Others,
}

#[derive(Debug, Default)]
struct State {
    word: AtomicU8,
    doubts: AtomicU64,
    dispelled: AtomicU64,
    doubted: Notify,
    server: Mutex<Option<String>>,
}

/// What this process knows of it. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Trust(Arc<State>);

impl Trust {
    /// Says whose word counts. Its own is not given yet.
    pub fn go_by(&self, word: Word) {
        self.0.word.store(word as u8, SeqCst);
        self.doubt();
    }

    /// Whose word counts.
    pub fn word(&self) -> Word {
        match self.0.word.load(SeqCst) {
            1 => Word::Own,
            2 => Word::Others,
            _ => Word::Nobodys,
        }
    }

    /// The books may be others by now.
    pub fn doubt(&self) {
        self.0.doubts.fetch_add(1, SeqCst);
        self.0.doubted.notify_one();
    }

    /// As [`Trust::doubt`], where a connection leads to another start of the database server than the one before.
    pub(crate) fn connected_to(&self, server: &str) {
        let before = self.0.server.lock().unwrap_or_else(PoisonError::into_inner).replace(server.to_owned());
        if before.is_some_and(|before| before != server) {
            self.doubt();
        }
    }

    /// How often there was doubt; the looks that begin after this dispel as many.
    pub fn doubts(&self) -> u64 {
        self.0.doubts.load(SeqCst)
    }

    /// The nodes were looked at since.
    pub fn dispel(&self, doubts: u64) {
        self.0.dispelled.fetch_max(doubts, SeqCst);
    }

    /// Whether nothing is to be done for these books but looking at nodes.
    pub fn is_in_doubt(&self) -> bool {
        self.word() == Word::Own && self.0.dispelled.load(SeqCst) < self.doubts()
    }

    /// Waits for the next doubt; one that came before is not lost.
    pub async fn doubted(&self) {
        self.0.doubted.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_that_comes_while_the_nodes_are_looked_at_stays() {
        let trust = Trust::default();
        trust.doubt();
        assert!(!trust.is_in_doubt(), "nobody replaces books in simulated time");
        trust.go_by(Word::Own);
        let seen = trust.doubts();
        trust.connected_to("monday");
        trust.dispel(seen);
        assert!(!trust.is_in_doubt());
        let seen = trust.doubts();
        trust.connected_to("tuesday");
        trust.dispel(seen);
        assert!(trust.is_in_doubt());
        trust.connected_to("tuesday");
        trust.dispel(trust.doubts());
        assert!(!trust.is_in_doubt());
    }
}
