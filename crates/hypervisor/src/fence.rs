//! The fence that a backend keeps for every number: a database's fence does not stop a call that is already on its way.

use leasehold_domain::Mark;
use serde::{Deserialize, Serialize};

use crate::{Call, Error, Result};

/// What is remembered under a number, also after the machine's end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fence {
    /// The newest epoch that spoke.
    epoch: i64,
    /// Whose this number is or was.
    server: Option<Mark>,
    /// What was destroyed here.
    destroyed: Option<Mark>,
}

impl Fence {
    /// Refuses another server's number, an older epoch of this one, and a destroyed machine (but for destroying it once more).
    pub(crate) fn admit(&mut self, call: &Call, destroying: bool) -> Result<()> {
        if let Some(owner) = self.server.as_ref().filter(|owner| owner.server != call.mark.server) {
            return Err(Error::Conflict(format!("the number belongs to {owner}")));
        }
        if call.epoch < self.epoch {
            return Err(Error::Stale(format!("epoch {} has spoken, this call is of epoch {}", self.epoch, call.epoch)));
        }
        if let Some(mark) = self.destroyed.as_ref().filter(|_| !destroying) {
            return Err(Error::Destroyed(format!("{mark} was destroyed")));
        }
        self.epoch = call.epoch;
        self.server.get_or_insert_with(|| call.mark.clone());
        Ok(())
    }

    /// The newest epoch that spoke.
    pub(crate) fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Who spoke for this number first.
    pub(crate) fn server(&self) -> Option<&Mark> {
        self.server.as_ref()
    }

    /// Remembers the end.
    pub(crate) fn destroy(&mut self, call: &Call) {
        self.destroyed = Some(call.mark.clone());
    }
}
