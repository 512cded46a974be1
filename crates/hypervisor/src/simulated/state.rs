//! The files of a simulated node.

use std::{fs, path::PathBuf};

use leasehold_domain::{Mark, Timestamp, server::Power, usage::Counters};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Call, Error, GuestAddress, GuestConfig, MachineSpec, Progress, Result, Snapshot, Source, fence::Fence, whole};

/// Everything that is remembered under one number, also after the machine's end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) fence: Fence,
    /// Mutating calls so far.
    pub(super) calls: u64,
    pub(super) disks: Vec<Disk>,
    pub(super) machine: Option<SimMachine>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Disk {
    pub(super) generation: i64,
    #[serde(rename = "image")]
    pub(super) source: Source,
    pub(super) gb: i64,
    pub(super) ready_at: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SimMachine {
    pub(super) mark: Mark,
    pub(super) spec: MachineSpec,
    pub(super) config: Option<GuestConfig>,
    pub(super) power: Power,
    pub(super) boots: i64,
    pub(super) reboots: i64,
    #[serde(default)]
    pub(super) cut: bool,
    #[serde(default)]
    pub(super) more: Vec<GuestAddress>,
    #[serde(default)]
    pub(super) snapshots: Vec<Snapshot>,
    #[serde(default)]
    pub(super) reverts: i64,
    #[serde(default)]
    pub(super) on_since: Option<Timestamp>,
    pub(super) agent_at: Option<Timestamp>,
    pub(super) password: Option<String>,
}

impl SimMachine {
    /// What it used until now: it is a fifth busy, and chats.
    pub(super) fn counters(&self, now: Timestamp) -> Counters {
        let ms = self.on_since.map_or(0, |since| now.since(since).as_millis() as i64);
        Counters {
            run: self.boots,
            cpu_ms: ms / 5,
            memory_bytes: self.spec.ram_mb << 19,
            disk_read_bytes: ms << 10,
            disk_written_bytes: ms << 9,
            net_received_bytes: Some(ms << 2),
            net_sent_bytes: Some(ms << 4),
        }
    }
}

impl Entry {
    /// Whose this is, while anything of it exists.
    pub(super) fn owner(&self) -> Option<Mark> {
        let disk = || self.fence.server().cloned().filter(|_| !self.disks.is_empty());
        self.machine.as_ref().map(|m| m.mark.clone()).or_else(disk)
    }

    pub(super) fn disk(&self, generation: i64) -> Option<&Disk> {
        self.disks.iter().find(|d| d.generation == generation)
    }

    pub(super) fn machine(&mut self) -> Result<&mut SimMachine> {
        self.machine.as_mut().ok_or_else(|| Error::Permanent("there is no such machine".into()))
    }

    pub(super) fn define(&mut self, mark: &Mark, spec: &MachineSpec) -> Result<Progress> {
        if self.disk(mark.generation).is_none() {
            return Err(Error::Permanent(format!("the disk of {mark} is missing")));
        }
        match &mut self.machine {
            Some(machine) if machine.mark == *mark => {}
            Some(machine) if machine.power == Power::On => return Err(Error::Transient("the machine is on; switch it off before its disk is swapped".into())),
            // Snapshots live in the disk that goes.
            Some(machine) => (machine.mark, machine.config, machine.snapshots) = (mark.clone(), None, vec![]),
            None => {
                let (mark, spec) = (mark.clone(), spec.clone());
                self.machine = Some(SimMachine {
                    mark,
                    spec,
                    config: None,
                    power: Power::Off,
                    boots: 0,
                    reboots: 0,
                    cut: false,
                    more: vec![],
                    snapshots: vec![],
                    reverts: 0,
                    on_since: None,
                    agent_at: None,
                    password: None,
                });
            }
        }
        self.disks.retain(|d| d.generation == mark.generation);
        Ok(Progress::Done)
    }

    pub(super) fn destroy(&mut self, call: &Call) {
        self.machine = None;
        self.disks.clear();
        self.fence.destroy(call);
    }
}

#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    fn file(&self, vmid: i64) -> PathBuf {
        self.0.join(format!("{vmid}.json"))
    }

    pub(super) fn read(&self, vmid: i64) -> Result<Entry> {
        load(&self.file(vmid))
    }

    /// Changes one entry under the directory's lock. An error changes nothing.
    pub(super) fn update<T>(&self, vmid: i64, change: impl FnOnce(&mut Entry) -> Result<T>) -> Result<T> {
        fs::create_dir_all(&self.0).map_err(io)?;
        let lock = fs::File::create(self.0.join("lock")).map_err(io)?;
        lock.lock().map_err(io)?;
        let mut entry: Entry = load(&self.file(vmid))?;
        let done = change(&mut entry)?;
        let text = serde_json::to_string_pretty(&entry).map_err(|e| Error::Permanent(e.to_string()))?;
        whole::write(&self.file(vmid), text).map_err(io)?;
        Ok(done)
    }

    fn numbers(&self) -> impl Iterator<Item = i64> {
        let number = |f: fs::DirEntry| f.file_name().to_str()?.strip_suffix(".json")?.parse().ok();
        fs::read_dir(&self.0).into_iter().flatten().flatten().filter_map(number)
    }

    /// The highest number of all, machines that are gone included.
    pub(super) fn highest(&self) -> Option<i64> {
        self.numbers().max()
    }

    pub(super) fn list(&self) -> Result<Vec<(i64, Entry)>> {
        let mut vmids: Vec<i64> = self.numbers().collect();
        vmids.sort_unstable();
        vmids.into_iter().map(|vmid| Ok((vmid, self.read(vmid)?))).collect()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
fn io(e: std::io::Error) -> Error {
    Error::Transient(format!("the simulated node's directory: {e}"))
}

fn load<T: DeserializeOwned + Default>(path: &std::path::Path) -> Result<T> {
    match fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).map_err(|e| Error::Permanent(format!("{}: {e}", path.display()))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(e) => Err(io(e)),
    }
}
