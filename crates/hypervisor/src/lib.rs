//! What a hypervisor must be able to do, and the backends that do it.
//!
//! # The contract
//! - Level-triggered: every `ensure_*` may be repeated with the same arguments and ends in the same state.
//! - We choose identity (number, mark, network card); a foreign machine under our number is [`Error::Conflict`], never overwritten.
//! - Every mutating call carries a [`Call`]: the mark, and the epoch of the claim it is made for. A backend refuses an epoch older
//!   than the newest that it has seen for the machine ([`Error::Stale`]), since a fence in the database does not stop a late call,
//!   and never makes again what was destroyed under a number ([`Error::Destroyed`]). What a look says may be changed by such a late
//!   call: [`Hypervisor::fence`] comes before a look that decides.
//! - An unreachable node is an error, never [`Observed::Absent`].
//! - No call takes longer than ten seconds; longer work answers [`Progress::Started`] and is polled.

mod error;
mod fence;
pub mod qemu;
pub mod simulated;
mod types;
mod whole;

use std::sync::Arc;

use async_trait::async_trait;
use leasehold_domain::{Mark, Timestamp, server::Power, usage::Counters};
use secrecy::SecretString;

pub use error::Error;
pub use types::*;

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// One node.
#[async_trait]
pub trait Hypervisor: Send + Sync {
    /// How the node is.
    async fn node_status(&self) -> Result<NodeStatus>;
    /// Whether it could do its work, as far as can be seen without changing anything: what was seen, or what stands in the way.
    async fn probe(&self) -> Result<String>;
    /// Every machine there that carries a mark of ours.
    async fn list_owned(&self) -> Result<Vec<Owned>>;
    /// Nothing else than speaking: from now on calls of older epochs are refused under this number.
    async fn fence(&self, call: &Call, vmid: i64) -> Result<()>;
    /// What is under this number.
    async fn observe(&self, vmid: i64) -> Result<Observed>;
    /// A disk, for this mark.
    async fn ensure_disk(&self, call: &Call, vmid: i64, source: &Source) -> Result<Progress>;
    /// A machine with the disk of this mark; an older generation's disk is dropped.
    async fn ensure_vm(&self, call: &Call, machine: &MachineSpec) -> Result<Progress>;
    /// What the guest learns at its first boot.
    async fn ensure_config(&self, call: &Call, vmid: i64, guest: &GuestConfig) -> Result<Progress>;
    /// A disk of at least this size, GB.
    async fn ensure_disk_size(&self, call: &Call, vmid: i64, disk_gb: i64) -> Result<Progress>;
    /// On or off.
    async fn ensure_power(&self, call: &Call, vmid: i64, power: Power) -> Result<Progress>;
    /// The `seq`-th restart of this machine, once; one that is off is switched on.
    async fn reboot(&self, call: &Call, vmid: i64, seq: i64) -> Result<Progress>;
    /// How far the guest of this mark has come. One that does not answer is not ready; that is no error.
    async fn readiness(&self, vmid: i64, mark: &Mark, now: Timestamp) -> Result<Readiness>;
    /// A new password through the agent, without a restart.
    async fn set_password(&self, call: &Call, vmid: i64, user: &str, password: &SecretString) -> Result<()>;
    /// Whether its network cable is plugged in; it stays so through restarts.
    async fn ensure_link(&self, call: &Call, vmid: i64, up: bool) -> Result<Progress>;
    /// Gives a running guest exactly these addresses beside its first one, without a restart. A guest that starts again has only those
    /// of its first boot: ask once more.
    async fn ensure_addresses(&self, call: &Call, vmid: i64, more: &[GuestAddress]) -> Result<Progress>;
    /// What these machines used so far; one that is off is left out.
    async fn stats(&self, vmids: &[i64], now: Timestamp) -> Result<Vec<(i64, Counters)>>;
    /// Its snapshots, the oldest first.
    async fn snapshots(&self, vmid: i64) -> Result<Vec<Snapshot>>;
    /// A snapshot of its disk under this name; one that is there is kept as it is.
    async fn ensure_snapshot(&self, call: &Call, vmid: i64, name: &str) -> Result<Progress>;
    /// No snapshot of this name.
    async fn ensure_no_snapshot(&self, call: &Call, vmid: i64, name: &str) -> Result<Progress>;
    /// The `seq`-th return of its disk to a snapshot, once; a machine that was on is on again.
    async fn revert(&self, call: &Call, vmid: i64, name: &str, seq: i64) -> Result<Progress>;
    /// How work under way is doing.
    async fn poll(&self, call: &Call, vmid: i64, handle: &str) -> Result<Progress>;
    /// Nothing under this number: neither the machine nor any of its disks.
    async fn ensure_absent(&self, call: &Call, vmid: i64) -> Result<Progress>;
}

/// Opens a node by its backend's name and settings (JSON, as the catalogue has them).
pub fn connect(backend: &str, settings: &str) -> Result<Arc<dyn Hypervisor>> {
    let bad = |e: serde_json::Error| Error::Permanent(format!("settings of the {backend} node: {e}"));
    match backend {
        "simulated" => Ok(Arc::new(simulated::Simulated::new(serde_json::from_str(settings).map_err(bad)?))),
        "qemu" => Ok(Arc::new(qemu::Qemu::new(serde_json::from_str(settings).map_err(bad)?))),
        other => Err(Error::Unsupported(format!("backend '{other}' (known: qemu, simulated)"))),
    }
}

/// Checks a node's settings without opening it.
pub fn check(backend: &str, settings: &str) -> Result<()> {
    connect(backend, settings).map(|_| ())
}
