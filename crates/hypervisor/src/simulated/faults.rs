//! Faults, drawn from (seed, server, call number) so that a run can be replayed.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
};

use leasehold_domain::ServerId;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Probabilities from 0 to 1, for each mutating call unless said otherwise.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// The node is busy; nothing happens.
    pub busy: f64,
    /// The request is lost; nothing happens, nobody knows.
    pub request_lost: f64,
    /// It happens, and the answer is lost.
    pub reply_lost: f64,
    /// Making a disk runs into a time-out after it was done.
    pub create_timeout: f64,
    /// The node refuses to make the disk, for good.
    pub refused: f64,
    /// The node has no room when the disk is made.
    pub capacity: f64,
    /// The guest's agent never answers (drawn once a server).
    pub agent_never: f64,
    /// The guest switches itself off as soon as it is on (drawn once a server).
    pub guest_off: f64,
    /// The guest's agent says that it is ready and nothing more (drawn once a server).
    pub agent_hangs: f64,
    /// The guest refuses a new password.
    pub password_refused: f64,
    /// Something of the guest's first boot goes wrong (drawn once a server).
    pub guest_troubled: f64,
    /// The node does not answer while a file `down` lies in its directory.
    pub down_file: bool,
}

/// The numbers drawn for one call.
pub(super) struct Rolls {
    base: u64,
}

impl Rolls {
    pub(super) fn new(seed: u64, server: &ServerId, call: u64, name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (seed, server.as_str(), call, name).hash(&mut hasher);
        Self { base: hasher.finish() }
    }

    /// The `n`-th number of this call, `0.0..1.0`.
    fn nth(&self, n: u64) -> f64 {
        let mut x = self.base.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether something befalls a server, drawn once for it.
    pub(super) fn befalls(seed: u64, server: &ServerId, name: &str, probability: f64) -> bool {
        Self::new(seed, server, 0, name).nth(1) < probability
    }

    pub(super) fn latency(&self) -> f64 {
        self.nth(0)
    }
}

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Busy,
    RequestLost,
    ReplyLost,
    Refused,
    Capacity,
    NoPassword,
}

impl Fault {
    pub(super) fn before(self) -> Option<Error> {
        match self {
            Self::Busy => Some(Error::Transient("the node is busy (simulated)".into())),
            Self::RequestLost => Some(Error::Unknown("the request was lost (simulated)".into())),
            Self::Refused => Some(Error::Permanent("the node refuses this disk (simulated)".into())),
            Self::Capacity => Some(Error::Capacity("the storage is full (simulated)".into())),
            Self::NoPassword => Some(Error::Permanent("the guest refuses the password (simulated)".into())),
            Self::ReplyLost => None,
        }
    }

    pub(super) fn after(self) -> Option<Error> {
        (self == Self::ReplyLost).then(|| Error::Unknown("the answer was lost (simulated)".into()))
    }
}

impl Faults {
    pub(super) fn draw(&self, call: &str, rolls: &Rolls) -> Option<Fault> {
        let disk = |p: f64| if call == "create_disk" { p } else { 0.0 };
        let table = [
            (self.busy, Fault::Busy),
            (self.request_lost, Fault::RequestLost),
            (self.reply_lost, Fault::ReplyLost),
            (disk(self.create_timeout), Fault::ReplyLost),
            (disk(self.refused), Fault::Refused),
            (disk(self.capacity), Fault::Capacity),
            (if call == "set_password" { self.password_refused } else { 0.0 }, Fault::NoPassword),
        ];
        table.iter().zip(1..).find(|((p, _), n)| rolls.nth(*n) < *p).map(|((_, fault), _)| *fault)
    }

    pub(super) fn node_down(&self, directory: &Path) -> Result<()> {
        if self.down_file && directory.join("down").exists() {
            return Err(Error::Transient("the node does not answer (simulated)".into()));
        }
        Ok(())
    }
}
