//! A machine's folder, its record, and the lock under which both change.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use leasehold_domain::{Mark, Timestamp, server::Power};
use serde::{Deserialize, Serialize};

use super::process::Process;
use crate::{Call, Error, GuestAddress, GuestConfig, MachineSpec, Result, Source, fence::Fence, whole};

/// `machine.json`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    fence: Fence,
    /// What each generation's disk was made from.
    #[serde(rename = "images")]
    pub(super) sources: BTreeMap<i64, Source>,
    pub(super) defined: Option<Defined>,
}

/// The machine as it was defined.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Defined {
    pub(super) mark: Mark,
    pub(super) spec: MachineSpec,
    pub(super) guest: Option<GuestConfig>,
    pub(super) ssh_port: u16,
    /// Addresses that the running guest was given beside those of its first boot.
    #[serde(default)]
    pub(super) more: Vec<GuestAddress>,
    /// Whether the network cable is pulled.
    #[serde(default)]
    pub(super) cut: bool,
    /// Since when its guest is asked to switch off.
    #[serde(default)]
    pub(super) off_asked_at: Option<Timestamp>,
    /// What was asked for by number, so that it is done once.
    pub(super) reboots: i64,
    #[serde(default)]
    pub(super) reverts: i64,
}

impl Record {
    /// Whose this is, while a machine or a disk exists.
    pub(super) fn owner(&self, folder: &Folder) -> Option<Mark> {
        let disk = || self.fence.server().cloned().filter(|_| folder.disks().next().is_some());
        self.defined.as_ref().map(|d| d.mark.clone()).or_else(disk)
    }

    /// The newest epoch that spoke for it.
    pub(super) fn epoch(&self) -> i64 {
        self.fence.epoch()
    }

    pub(super) fn defined(&mut self) -> Result<&mut Defined> {
        self.defined.as_mut().ok_or_else(|| Error::Permanent("there is no such machine".into()))
    }
}

/// What reading about a process says that has just ended.
const ESRCH: i32 = 3;

/// Holds a machine for one change.
pub(super) struct Lock(#[expect(dead_code, reason = "locked as long as it is open")] File);

/// A machine that is held for one change, and what it was when the hold began.
pub(super) struct Held {
    pub(super) folder: Folder,
    pub(super) lock: Lock,
    pub(super) record: Record,
}

/// A machine's folder.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

#[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
pub(super) fn io(e: io::Error) -> Error {
    Error::Transient(format!("the machine's folder: {e}"))
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn disk(&self, generation: i64) -> PathBuf {
        self.file(&format!("disk-{generation}.qcow2"))
    }

    fn disks(&self) -> impl Iterator<Item = PathBuf> {
        let files = fs::read_dir(&self.0).into_iter().flatten().flatten().map(|f| f.path());
        files.filter(|p| p.extension().is_some_and(|e| e == "qcow2"))
    }

    /// Takes the lock and passes the fence. A machine that another call holds is busy, not waited for.
    pub(super) fn admit(self, call: &Call, destroying: bool) -> Result<Held> {
        fs::create_dir_all(&self.0).map_err(io)?;
        let file = File::create(self.file("lock")).map_err(io)?;
        file.try_lock().map_err(|_| Error::Transient("another call holds the machine".into()))?;
        let lock = Lock(file);
        let mut record = self.read()?;
        let before = record.fence.clone();
        record.fence.admit(call, destroying)?;
        if record.fence != before {
            self.write(&lock, &record)?;
        }
        Ok(Held { folder: self, lock, record })
    }

    pub(super) fn read(&self) -> Result<Record> {
        match fs::read_to_string(self.file("machine.json")) {
            Ok(text) => serde_json::from_str(&text).map_err(|e| Error::Permanent(format!("{}: {e}", self.0.display()))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Record::default()),
            Err(e) => Err(io(e)),
        }
    }

    pub(super) fn write(&self, _: &Lock, record: &Record) -> Result<()> {
        let text = serde_json::to_string_pretty(record).map_err(|e| Error::Permanent(e.to_string()))?;
        whole::write(&self.file("machine.json"), text).map_err(io)
    }

    pub(super) fn drop_other_disks(&self, generation: i64) -> Result<()> {
        let keep = self.disk(generation);
        self.disks().filter(|d| *d != keep).try_for_each(fs::remove_file).map_err(io)
    }

    /// Removes everything but the memory of it.
    pub(super) fn clear(&self, lock: &Lock, mut record: Record, call: &Call) -> Result<()> {
        record.fence.destroy(call);
        record.defined = None;
        let kept = |p: &PathBuf| p.file_name().is_some_and(|n| n == "machine.json" || n == "lock");
        let files = fs::read_dir(&self.0).map_err(io)?.flatten().map(|f| f.path());
        files.filter(|p| !kept(p)).try_for_each(fs::remove_file).map_err(io)?;
        self.write(lock, &record)
    }

    /// The process, if it lives: a reused number belongs to a program that does not name this folder.
    pub(super) fn pid(&self) -> Result<Option<u32>> {
        let there = |read: io::Result<Vec<u8>>| match read {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound) || e.raw_os_error() == Some(ESRCH) => Ok(None),
            // Not known is not "off".
            Err(e) => Err(io(e)),
        };
        let Some(pid) = there(fs::read(self.file("pid")))?.and_then(|text| text.trim().parse().ok()) else { return Ok(None) };
        let command = there(fs::read(format!("/proc/{pid}/cmdline")))?.unwrap_or_default();
        if command.is_empty() {
            // Its memory is gone first, its files later: until all of it has ended it may hold the disk.
            let name = there(fs::read(format!("/proc/{pid}/comm")))?.unwrap_or_default();
            let process = if name.starts_with("qemu-system") { Process::open(pid).map_err(io)? } else { None };
            return Ok(process.map(|p| p.has_ended()).transpose().map_err(io)?.is_some_and(|ended| !ended).then_some(pid));
        }
        Ok(command.contains(&*self.file("qmp.sock").to_string_lossy()).then_some(pid))
    }

    pub(super) fn power(&self) -> Result<Power> {
        Ok(if self.pid()?.is_some() { Power::On } else { Power::Off })
    }
}
