//! A hypervisor that keeps its machines as files, with faults on demand.
//!
//! The state is a directory, one JSON file a machine, renamed into place under a lock, so that several worker processes share
//! it and it survives them. Faults are drawn from (seed, server, call number): the same run meets the same faults.

mod faults;
mod state;

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use leasehold_domain::{Mark, ServerId, Timestamp, server::Power, time, usage::Counters};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    Call, Error, GuestAddress, GuestConfig, Hypervisor, Machine, MachineSpec, NodeStatus, Observed, Owned, Progress, Readiness, Result, Snapshot, Source,
};
use faults::Fault;
pub use faults::Faults;
use state::{Directory, Disk, Entry};

/// Settings of a simulated node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The directory that holds its machines.
    pub endpoint: PathBuf,
    /// How long a call takes: `"50ms"` or `"50ms..200ms"`.
    #[serde(default)]
    pub latency: Option<String>,
    /// How long a disk takes to be made; without it the call itself makes it.
    #[serde(default, with = "leasehold_domain::time::duration")]
    pub disk_time: Duration,
    /// How long a guest takes from power-on to its agent's first answer.
    #[serde(default, with = "leasehold_domain::time::duration")]
    pub boot_time: Duration,
    /// Probabilities of faults.
    #[serde(default)]
    pub faults: Faults,
    /// Seed of the faults.
    #[serde(default)]
    pub seed: u64,
}

/// A simulated node.
#[derive(Debug)]
pub struct Simulated {
    settings: Settings,
    directory: Directory,
}

impl Simulated {
    /// Opens the node; its directory is made at the first write.
    pub fn new(settings: Settings) -> Self {
        Self { directory: Directory::new(settings.endpoint.clone()), settings }
    }

    fn befalls(&self, server: &ServerId, name: &str, probability: f64) -> bool {
        faults::Rolls::befalls(self.settings.seed, server, name, probability)
    }

    async fn latency(&self, roll: f64) {
        let Some(text) = &self.settings.latency else { return };
        let (from, to) = text.split_once("..").unwrap_or((text, text));
        if let (Ok(from), Ok(to)) = (time::parse_duration(from), time::parse_duration(to)) {
            tokio::time::sleep(from + to.saturating_sub(from).mul_f64(roll)).await;
        }
    }

    /// One mutating call: fence, faults before, the change, faults after.
    async fn change<T>(&self, call: &Call, vmid: i64, name: &str, change: impl FnOnce(&mut Entry) -> Result<T>) -> Result<T> {
        self.settings.faults.node_down(&self.settings.endpoint)?;
        let entry = self.directory.read(vmid)?;
        let rolls = faults::Rolls::new(self.settings.seed, &call.mark.server, entry.calls, name);
        self.latency(rolls.latency()).await;
        let fault = self.settings.faults.draw(name, &rolls);
        self.directory.update(vmid, |entry| {
            entry.calls += 1;
            Ok(())
        })?;
        if let Some(error) = fault.and_then(Fault::before) {
            return Err(error);
        }
        let done = self.directory.update(vmid, |entry| {
            entry.fence.admit(call, name == "destroy")?;
            change(entry)
        })?;
        fault.and_then(Fault::after).map_or(Ok(done), Err)
    }

    fn read(&self, vmid: i64) -> Result<Entry> {
        let entry = self.directory.read(vmid)?;
        self.settings.faults.node_down(&self.settings.endpoint)?;
        Ok(entry)
    }
}

#[async_trait]
impl Hypervisor for Simulated {
    async fn node_status(&self) -> Result<NodeStatus> {
        self.settings.faults.node_down(&self.settings.endpoint)?;
        Ok(NodeStatus { boot_id: "simulated".into(), version: format!("simulated {}", env!("CARGO_PKG_VERSION")), highest: self.directory.highest() })
    }

    async fn probe(&self) -> Result<String> {
        Ok(format!("{}; no real machines", self.node_status().await?.version))
    }

    async fn list_owned(&self) -> Result<Vec<Owned>> {
        self.settings.faults.node_down(&self.settings.endpoint)?;
        let entries = self.directory.list()?;
        let owned =
            |(vmid, e): (i64, Entry)| e.owner().map(|mark| Owned { vmid, mark, epoch: e.fence.epoch(), power: e.machine.map_or(Power::Off, |m| m.power) });
        Ok(entries.into_iter().filter_map(owned).collect())
    }

    async fn fence(&self, call: &Call, vmid: i64) -> Result<()> {
        self.settings.faults.node_down(&self.settings.endpoint)?;
        self.directory.update(vmid, |entry| entry.fence.admit(call, true))
    }

    async fn observe(&self, vmid: i64) -> Result<Observed> {
        let entry = self.read(vmid)?;
        if entry.owner().is_none() {
            return Ok(Observed::Absent);
        }
        let disk_gb = entry.disks.last().map_or(0, |d| d.gb);
        let machine = entry.machine.as_ref();
        Ok(Observed::Present(Machine {
            mark: machine.map(|m| m.mark.clone()),
            power: machine.map_or(Power::Off, |m| m.power),
            disk_gb,
            mac: machine.map(|m| m.spec.mac.clone()),
            link: machine.is_none_or(|m| !m.cut),
            ssh: None,
        }))
    }

    async fn ensure_disk(&self, call: &Call, vmid: i64, source: &Source) -> Result<Progress> {
        let ready_at = call.now + self.settings.disk_time;
        self.change(call, vmid, "create_disk", |entry| {
            if entry.disk(call.mark.generation).is_none() {
                entry.disks.push(Disk { generation: call.mark.generation, source: source.clone(), gb: 1, ready_at });
            }
            Ok(if entry.disk(call.mark.generation).is_some_and(|d| d.ready_at > call.now) {
                Progress::Started(format!("disk-{}", call.mark.generation))
            } else {
                Progress::Done
            })
        })
        .await
    }

    async fn ensure_vm(&self, call: &Call, spec: &MachineSpec) -> Result<Progress> {
        self.change(call, spec.vmid, "define", |entry| entry.define(&call.mark, spec)).await
    }

    async fn ensure_config(&self, call: &Call, vmid: i64, guest: &GuestConfig) -> Result<Progress> {
        self.change(call, vmid, "configure", |entry| {
            entry.machine()?.config = Some(guest.clone());
            Ok(Progress::Done)
        })
        .await
    }

    async fn ensure_disk_size(&self, call: &Call, vmid: i64, disk_gb: i64) -> Result<Progress> {
        self.change(call, vmid, "resize_disk", |entry| {
            let disk = entry.disks.last_mut().ok_or_else(|| Error::Permanent(format!("machine {vmid} has no disk")))?;
            disk.gb = disk.gb.max(disk_gb);
            Ok(Progress::Done)
        })
        .await
    }

    async fn ensure_power(&self, call: &Call, vmid: i64, power: Power) -> Result<Progress> {
        let never = self.befalls(&call.mark.server, "agent", self.settings.faults.agent_never);
        let agent_at = (!never).then(|| call.now + self.settings.boot_time);
        let off_again = self.befalls(&call.mark.server, "off", self.settings.faults.guest_off);
        let name = if power == Power::On { "power_on" } else { "power_off" };
        self.change(call, vmid, name, |entry| {
            let machine = entry.machine()?;
            if machine.power != power {
                (machine.power, machine.agent_at) = (power, agent_at.filter(|_| power == Power::On));
                machine.boots += i64::from(power == Power::On);
                machine.on_since = Some(call.now);
            }
            if off_again {
                machine.power = Power::Off;
            }
            Ok(Progress::Done)
        })
        .await
    }

    async fn reboot(&self, call: &Call, vmid: i64, seq: i64) -> Result<Progress> {
        let agent_at = call.now + self.settings.boot_time;
        self.change(call, vmid, "reboot", |entry| {
            let machine = entry.machine()?;
            if machine.reboots < seq {
                (machine.power, machine.reboots, machine.boots, machine.agent_at) = (Power::On, seq, machine.boots + 1, Some(agent_at));
                machine.on_since = Some(call.now);
            }
            Ok(Progress::Done)
        })
        .await
    }

    async fn readiness(&self, vmid: i64, mark: &Mark, now: Timestamp) -> Result<Readiness> {
        let machine = self.read(vmid)?.machine;
        if !machine.is_some_and(|m| m.mark == *mark && m.power == Power::On && m.agent_at.is_some_and(|at| at <= now)) {
            return Ok(Readiness::NotYet { answers: false });
        }
        let troubled = self.befalls(&mark.server, "guest", self.settings.faults.guest_troubled);
        Ok(if troubled { Readiness::Troubled("the simulated guest could not set its locale".into()) } else { Readiness::Ready })
    }

    async fn set_password(&self, call: &Call, vmid: i64, user: &str, password: &SecretString) -> Result<()> {
        let hangs = self.befalls(&call.mark.server, "hangs", self.settings.faults.agent_hangs);
        self.change(call, vmid, "set_password", |entry| {
            let machine = entry.machine()?;
            if machine.power == Power::Off {
                return Err(Error::Transient(format!("machine {vmid} is off, its agent does not answer")));
            }
            if hangs {
                return Err(Error::Unknown("the agent did not answer (simulated)".into()));
            }
            machine.password = Some(format!("{user}:{}", password.expose_secret()));
            Ok(())
        })
        .await
    }

    async fn ensure_link(&self, call: &Call, vmid: i64, up: bool) -> Result<Progress> {
        self.change(call, vmid, "link", |entry| {
            entry.machine()?.cut = !up;
            Ok(Progress::Done)
        })
        .await
    }

    async fn ensure_addresses(&self, call: &Call, vmid: i64, more: &[GuestAddress]) -> Result<Progress> {
        self.change(call, vmid, "addresses", |entry| {
            entry.machine()?.more = more.to_vec();
            Ok(Progress::Done)
        })
        .await
    }

    async fn stats(&self, vmids: &[i64], now: Timestamp) -> Result<Vec<(i64, Counters)>> {
        let mut counted = Vec::new();
        for vmid in vmids {
            let Some(m) = self.read(*vmid)?.machine.filter(|m| m.power == Power::On) else { continue };
            counted.push((*vmid, m.counters(now)));
        }
        Ok(counted)
    }

    async fn snapshots(&self, vmid: i64) -> Result<Vec<Snapshot>> {
        Ok(self.read(vmid)?.machine()?.snapshots.clone())
    }

    async fn ensure_snapshot(&self, call: &Call, vmid: i64, name: &str) -> Result<Progress> {
        self.change(call, vmid, "snapshot", |entry| {
            let machine = entry.machine()?;
            if !machine.snapshots.iter().any(|s| s.name == name) {
                machine.snapshots.push(Snapshot { name: name.to_owned(), taken_at: call.now });
            }
            Ok(Progress::Done)
        })
        .await
    }

    async fn ensure_no_snapshot(&self, call: &Call, vmid: i64, name: &str) -> Result<Progress> {
        self.change(call, vmid, "drop_snapshot", |entry| {
            entry.machine()?.snapshots.retain(|s| s.name != name);
            Ok(Progress::Done)
        })
        .await
    }

    async fn revert(&self, call: &Call, vmid: i64, name: &str, seq: i64) -> Result<Progress> {
        self.change(call, vmid, "revert", |entry| {
            let machine = entry.machine()?;
            if machine.reverts < seq {
                if !machine.snapshots.iter().any(|s| s.name == name) {
                    return Err(Error::Permanent(format!("there is no snapshot '{name}'")));
                }
                (machine.reverts, machine.boots) = (seq, machine.boots + i64::from(machine.power == Power::On));
                machine.on_since = Some(call.now);
            }
            Ok(Progress::Done)
        })
        .await
    }

    async fn poll(&self, call: &Call, vmid: i64, handle: &str) -> Result<Progress> {
        let entry = self.read(vmid)?;
        let disk = entry.disk(call.mark.generation).ok_or_else(|| Error::Unknown(format!("the task {handle} is not known any more")))?;
        Ok(if disk.ready_at > call.now { Progress::Started(handle.to_owned()) } else { Progress::Done })
    }

    async fn ensure_absent(&self, call: &Call, vmid: i64) -> Result<Progress> {
        self.change(call, vmid, "destroy", |entry| {
            entry.destroy(call);
            Ok(Progress::Done)
        })
        .await
    }
}

/// For tests: every machine of a directory with its mark, whether defined or only a disk.
pub fn marks(endpoint: &std::path::Path) -> Result<Vec<Mark>> {
    Ok(Directory::new(endpoint.to_owned()).list()?.into_iter().filter_map(|(_, e)| e.owner()).collect())
}

/// For tests: the addresses that a server's guest was given beside its first one.
pub fn more_addresses(endpoint: &std::path::Path, server: &leasehold_domain::ServerId) -> Result<Vec<String>> {
    let machines = Directory::new(endpoint.to_owned()).list()?.into_iter().filter_map(|(_, e)| e.machine);
    Ok(machines.filter(|m| m.mark.server == *server).flat_map(|m| m.more).map(|a| a.address).collect())
}
