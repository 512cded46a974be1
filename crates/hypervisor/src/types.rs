//! What goes to a hypervisor and what comes back.

use leasehold_domain::{Mark, ServerId, Timestamp, server::Power};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// In whose name a mutating call is made.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which build of which server.
    pub mark: Mark,
    /// The epoch of the worker's claim.
    pub epoch: i64,
    /// The caller's time.
    pub now: Timestamp,
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Changes when the host was restarted.
    pub boot_id: String,
    /// The backend's version, for people.
    pub version: String,
    /// The highest machine number that was ever spoken for there, also of what is gone.
    pub highest: Option<i64>,
}

/// A machine of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// Its number.
    pub vmid: i64,
    /// Whom it serves.
    pub mark: Mark,
    /// On or off.
    pub power: Power,
    /// The newest epoch that spoke for it.
    pub epoch: i64,
}

/// What is under a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Nothing.
    Absent,
    /// Something.
    Present(Machine),
}

/// A machine as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Whom it serves; none when it is not defined yet (only a disk is there).
    pub mark: Option<Mark>,
    /// On or off.
    pub power: Power,
    /// Size of its disk, GB.
    pub disk_gb: i64,
    /// Its network card.
    pub mac: Option<String>,
    /// Whether its network cable is plugged in.
    pub link: bool,
    /// Where its SSH can be reached, when the backend forwards a port.
    pub ssh: Option<std::net::SocketAddr>,
}

/// A snapshot of a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// When it was taken.
    pub taken_at: Timestamp,
}

/// What a machine's disk is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Source {
    /// A copy of the disk image of this name.
    Image(String),
    /// Nothing. The machine has this CD in its drive, and starts from it for as long as it cannot start from its disk.
    Cd {
        /// The CD image's name.
        iso: String,
    },
}

/// How far a call got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is so.
    Done,
    /// Under way; poll with this handle.
    Started(String),
}

/// The hardware of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSpec {
    /// Its number at the node.
    pub vmid: i64,
    /// The server's id; becomes the machine's UUID.
    pub server: ServerId,
    /// Virtual processors.
    pub vcpu: i64,
    /// Memory, MiB.
    pub ram_mb: i64,
    /// Network card.
    pub mac: String,
}

/// What a guest learns at its first boot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GuestConfig {
    /// Its name.
    pub hostname: String,
    /// Who signs in.
    pub username: String,
    /// OpenSSH lines.
    pub ssh_keys: Vec<String>,
    /// Its addresses, the primary first.
    pub addresses: Vec<GuestAddress>,
    /// The name servers that it asks.
    #[serde(default)]
    pub resolvers: Vec<std::net::IpAddr>,
    /// What its owner wants done at the first boot, cloud-config or a script. Goes to the guest and stands nowhere else.
    #[serde(skip)]
    pub user_data: Option<SecretString>,
}

/// How far a guest has come with setting itself up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It has not said that it is done.
    NotYet {
        /// Whether its agent answers.
        answers: bool,
    },
    /// It is done, and its agent answers.
    Ready,
    /// As [`Readiness::Ready`], and something of it went wrong: what the guest says, in one bounded line.
    Troubled(String),
}

/// An address of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestAddress {
    /// The address.
    pub address: String,
    /// Bits of the network.
    pub prefix: u8,
    /// The way out.
    pub gateway: String,
}
