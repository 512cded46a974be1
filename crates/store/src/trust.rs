//! Whether a process may take the books for as new as the world: they may have been replaced by older ones while nobody looked.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU8, AtomicU64, Ordering::SeqCst},
};

use tokio::sync::Notify;

use crate::{Result, StoreError, Tx, restoration::Restoration, witness::Witness};

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
    witness: Mutex<Witness>,
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

    /// Whether this process had the nodes looked at, and others may go by its word.
    pub fn vouches(&self) -> bool {
        self.word() == Word::Own && !self.is_in_doubt()
    }

    /// What this process has seen is known not to be in these books; it begins anew.
    pub fn forget(&self) {
        *self.witness() = Witness::default();
    }

    /// What this process has seen committed.
    pub(crate) fn witness(&self) -> MutexGuard<'_, Witness> {
        self.0.witness.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.word() == Word::Own && self.is_doubted()
    }

    /// Whether there was doubt that nothing dispelled yet, whoever's word counts.
    pub fn is_doubted(&self) -> bool {
        self.0.dispelled.load(SeqCst) < self.doubts()
    }

    /// Waits for the next doubt; one that came before is not lost.
    pub async fn doubted(&self) {
        self.0.doubted.notified().await;
    }
}

impl Tx {
    /// As [`Trust::is_in_doubt`], asked on this very connection, which may lead to another server than the last; and of a process that goes by others'
    /// word, whether there is nobody who gives it.
    pub async fn is_in_doubt(&mut self) -> Result<bool> {
        let trust = self.store.trust().clone();
        if trust.word() == Word::Nobodys {
            return Ok(false);
        }
        let server = self.answering().await?;
        if trust.word() == Word::Others {
            return Ok(!self.somebody_vouches(&server).await?);
        }
        trust.connected_to(&server);
        Ok(trust.is_in_doubt())
    }

    /// Refuses to go on for books that may be older than the world.
    pub async fn trusted(&mut self) -> Result<()> {
        if self.is_in_doubt().await? {
            return Err(StoreError::NobodyLooked);
        }
        match self.open_restoration().await? {
            Some(Restoration { why, .. }) => Err(StoreError::Restored { why }),
            None => Ok(()),
        }
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
