//! Real machines on this host: overlay disks, a NoCloud seed, QMP and the guest agent.
//!
//! A machine is a folder: what it should be (`machine.json`), its disk, its seed, its sockets, its process id. Machines are detached
//! processes: they outlive the daemon and are found again by their folder. Every change happens under the folder's lock.

mod agent;
mod folder;
mod image;
mod launch;
mod probe;
mod process;
mod qmp;
mod ready;
mod seed;
mod snapshots;
mod tap;
mod usage;

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use futures::future::join_all;
use leasehold_domain::{Mark, Timestamp, server::Power, usage::Counters};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{
    Call, Error, GuestAddress, GuestConfig, Hypervisor, Machine, MachineSpec, NodeStatus, Observed, Owned, Progress, Readiness, Result, Snapshot, Source,
};
use folder::{Defined, Folder, Held};

/// How machines are accelerated. Said, never guessed: a `/dev/kvm` that opens may still be unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// By the processor.
    Kvm,
    /// In software.
    Tcg,
}

impl Accel {
    /// For QEMU's command line.
    const fn argument(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg,thread=multi",
        }
    }
}

/// How machines reach the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Network {
    /// `user`: QEMU's own user network, with SSH forwarded from a port of the host.
    User,
    /// `bridge:NAME`: a tap each on a bridge of the host.
    Bridge(String),
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        match network {
            Network::User => "user".into(),
            Network::Bridge(name) => format!("bridge:{name}"),
        }
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        match text.split_once(':') {
            None if text == "user" => Ok(Self::User),
            Some(("bridge", name)) if !name.is_empty() => Ok(Self::Bridge(name.into())),
            _ => Err(format!("network '{text}' is neither \"user\" nor \"bridge:NAME\"")),
        }
    }
}

/// What a machine is to the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runs {
    /// A detached process.
    #[default]
    Process,
    /// A transient systemd unit; for a daemon that may start units, root for one.
    Unit,
}

/// Settings of a QEMU node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The directory that holds its machines.
    pub endpoint: PathBuf,
    /// The directory that holds its images: `NAME.qcow2`, and `NAME.kernel`, `.initrd`, `.append` where the kernel is booted directly;
    /// `NAME.iso` of CDs.
    pub images: PathBuf,
    /// How machines are accelerated.
    pub accel: Accel,
    /// How machines reach the network.
    pub network: Network,
    /// What a machine is to the host.
    #[serde(default)]
    pub machines: Runs,
}

impl Settings {
    /// The CD image of this name.
    fn cd(&self, name: &str) -> Result<PathBuf> {
        let path = self.images.join(format!("{name}.iso"));
        path.canonicalize().map_err(|e| Error::Permanent(format!("CD image {}: {e}", path.display())))
    }
}

/// How long a guest may take to switch itself off; a database writes for a while.
const PATIENCE: Duration = Duration::from_secs(90);
/// Says that a directory is a node's, and that its volume is there.
const MARKER: &str = ".leasehold-node";

/// This host as a node.
#[derive(Debug)]
pub struct Qemu {
    settings: Settings,
}

impl Qemu {
    /// Opens the node; its directory is made at the first write.
    pub fn new(mut settings: Settings) -> Self {
        // QEMU runs in the machine's folder, where a relative path would mean another place.
        for path in [&mut settings.endpoint, &mut settings.images] {
            *path = std::path::absolute(&*path).unwrap_or_else(|_| path.clone());
        }
        Self { settings }
    }

    /// Makes the directory where there is none. One without our marker is refused: it may be a mount point whose volume is missing,
    /// and then every machine would seem to be gone.
    fn make_endpoint(&self) -> Result<()> {
        if !self.settings.endpoint.exists() {
            std::fs::create_dir_all(&self.settings.endpoint).and_then(|()| std::fs::write(self.settings.endpoint.join(MARKER), "")).map_err(folder::io)?;
        }
        self.endpoint().map(drop)
    }

    fn endpoint(&self) -> Result<&std::path::Path> {
        let endpoint = &self.settings.endpoint;
        if endpoint.join(MARKER).exists() {
            return Ok(endpoint);
        }
        Err(Error::Transient(format!("{} has no file {MARKER}: is its volume mounted? If it is a new one: touch it there", endpoint.display())))
    }

    fn folder(&self, vmid: i64) -> Result<Folder> {
        Ok(Folder::new(self.endpoint()?.join(vmid.to_string())))
    }
}

/// The numbers of machines that have or had a folder there.
fn numbers(endpoint: &std::path::Path) -> Result<impl Iterator<Item = i64>> {
    let entries = std::fs::read_dir(endpoint).map_err(folder::io)?;
    Ok(entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()))
}

#[async_trait]
impl Hypervisor for Qemu {
    async fn node_status(&self) -> Result<NodeStatus> {
        if !self.settings.images.is_dir() {
            return Err(Error::Permanent(format!("the image directory {} is missing", self.settings.images.display())));
        }
        self.make_endpoint()?;
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map_err(folder::io)?;
        Ok(NodeStatus { boot_id: boot_id.trim().to_owned(), version: launch::version().await?, highest: numbers(self.endpoint()?)?.max() })
    }

    async fn probe(&self) -> Result<String> {
        let Settings { endpoint, images, .. } = &self.settings;
        if endpoint.exists() {
            self.endpoint()?;
        }
        if !images.is_dir() {
            return Err(Error::Permanent(format!("the image directory {} is missing", images.display())));
        }
        Ok(format!("{}; {}", launch::version().await?, probe::accelerated(&self.settings).await?))
    }

    async fn list_owned(&self) -> Result<Vec<Owned>> {
        let endpoint = self.endpoint()?;
        let mut vmids: Vec<i64> = numbers(endpoint)?.collect();
        vmids.sort_unstable();
        let mut owned = Vec::new();
        for vmid in vmids {
            let folder = Folder::new(endpoint.join(vmid.to_string()));
            let record = folder.read()?;
            if let Some(mark) = record.owner(&folder) {
                owned.push(Owned { vmid, mark, power: folder.power()?, epoch: record.epoch() });
            }
        }
        Ok(owned)
    }

    async fn fence(&self, call: &Call, vmid: i64) -> Result<()> {
        self.make_endpoint()?;
        self.folder(vmid)?.admit(call, true).map(drop)
    }

    async fn observe(&self, vmid: i64) -> Result<Observed> {
        let folder = self.folder(vmid)?;
        let record = folder.read()?;
        if record.owner(&folder).is_none() {
            return Ok(Observed::Absent);
        }
        let defined = record.defined.as_ref();
        let disk_gb = match defined {
            Some(d) => image::size_gb(&folder.disk(d.mark.generation)).await?,
            None => 0,
        };
        Ok(Observed::Present(Machine {
            mark: defined.map(|d| d.mark.clone()),
            power: if defined.is_some_and(|d| d.cut) && launch::stands_still(&folder).await? { Power::Off } else { folder.power()? },
            disk_gb,
            mac: defined.map(|d| d.spec.mac.clone()),
            link: defined.is_none_or(|d| !d.cut),
            ssh: defined.filter(|_| self.settings.network == Network::User).map(|d| ([127, 0, 0, 1], d.ssh_port).into()),
        }))
    }

    async fn ensure_disk(&self, call: &Call, vmid: i64, source: &Source) -> Result<Progress> {
        self.make_endpoint()?;
        let Held { folder, lock, mut record } = self.folder(vmid)?.admit(call, false)?;
        let disk = folder.disk(call.mark.generation);
        if !disk.exists() {
            match source {
                Source::Image(name) => image::overlay(&self.settings.images.join(format!("{name}.qcow2")), &disk).await?,
                Source::Cd { iso } => {
                    self.settings.cd(iso)?;
                    image::blank(&disk).await?;
                }
            }
        }
        record.sources.insert(call.mark.generation, source.clone());
        folder.write(&lock, &record)?;
        Ok(Progress::Done)
    }

    async fn ensure_vm(&self, call: &Call, spec: &MachineSpec) -> Result<Progress> {
        let Held { folder, lock, mut record } = self.folder(spec.vmid)?.admit(call, false)?;
        if record.defined.as_ref().is_none_or(|d| d.mark != call.mark) {
            if !folder.disk(call.mark.generation).exists() {
                return Err(Error::Permanent(format!("the disk of {} is missing", call.mark)));
            }
            if folder.power()? == Power::On {
                return Err(Error::Transient("the machine is on; switch it off before its disk is swapped".into()));
            }
            let (cut, reboots, reverts) = record.defined.as_ref().map_or((false, 0, 0), |d| (d.cut, d.reboots, d.reverts));
            record.defined = Some(Defined {
                mark: call.mark.clone(),
                spec: spec.clone(),
                guest: None,
                ssh_port: launch::free_port()?,
                more: vec![],
                cut,
                off_asked_at: None,
                reboots,
                reverts,
            });
            folder.write(&lock, &record)?;
        }
        folder.drop_other_disks(call.mark.generation)?;
        Ok(Progress::Done)
    }

    async fn ensure_config(&self, call: &Call, vmid: i64, guest: &GuestConfig) -> Result<Progress> {
        let Held { folder, lock, mut record } = self.folder(vmid)?.admit(call, false)?;
        let defined = record.defined()?;
        defined.guest = Some(guest.clone());
        seed::write(&folder.file("seed.img"), &defined.mark, &defined.spec.mac, guest)?;
        folder.write(&lock, &record)?;
        Ok(Progress::Done)
    }

    async fn ensure_disk_size(&self, call: &Call, vmid: i64, disk_gb: i64) -> Result<Progress> {
        let Held { folder, lock: _lock, .. } = self.folder(vmid)?.admit(call, false)?;
        let disk = folder.disk(call.mark.generation);
        if image::size_gb(&disk).await? < disk_gb {
            image::grow(&disk, disk_gb).await?;
        }
        Ok(Progress::Done)
    }

    async fn ensure_power(&self, call: &Call, vmid: i64, power: Power) -> Result<Progress> {
        let Held { folder, lock, mut record } = self.folder(vmid)?.admit(call, false)?;
        let (is, machine) = (folder.power()?, record.defined()?);
        let before = (machine.off_asked_at, machine.ssh_port);
        machine.off_asked_at = (is == Power::On && power == Power::Off).then(|| before.0.unwrap_or(call.now));
        if (is, power) == (Power::Off, Power::On) && !launch::port_is_free(machine.ssh_port) {
            machine.ssh_port = launch::free_port()?;
        }
        let (off_asked_at, cut) = (machine.off_asked_at, machine.cut);
        // Asked again and again while a guest switches itself off: written when there is something to write.
        if (off_asked_at, machine.ssh_port) != before {
            folder.write(&lock, &record)?;
        }
        match (is, power) {
            (Power::Off, Power::On) => launch::start(&self.settings, &folder, &record).await?,
            (Power::On, Power::Off) if !launch::switched_off(&folder).await? => {
                if off_asked_at.is_some_and(|since| call.now.since(since) < PATIENCE) {
                    return Ok(Progress::Started("switching off".into()));
                }
                launch::kill(&folder).await?;
            }
            // One that starts with its cable pulled stands still until it is pulled; a call may have died in between.
            (Power::On, Power::On) if cut => launch::go_on(&folder, false).await?,
            _ => {}
        }
        Ok(Progress::Done)
    }

    async fn reboot(&self, call: &Call, vmid: i64, seq: i64) -> Result<Progress> {
        let Held { folder, lock, mut record } = self.folder(vmid)?.admit(call, false)?;
        if record.defined()?.reboots < seq {
            match folder.power()? {
                Power::On => drop(qmp::run(&folder.file("qmp.sock"), "system_reset").await?),
                Power::Off => launch::start(&self.settings, &folder, &record).await?,
            }
            let machine = record.defined()?;
            (machine.reboots, machine.off_asked_at) = (seq, None);
            folder.write(&lock, &record)?;
        }
        Ok(Progress::Done)
    }

    async fn readiness(&self, vmid: i64, mark: &Mark, _now: Timestamp) -> Result<Readiness> {
        let folder = self.folder(vmid)?;
        Ok(if folder.power()? == Power::On { ready::of(&folder, mark).await } else { Readiness::NotYet { answers: false } })
    }

    async fn set_password(&self, call: &Call, vmid: i64, user: &str, password: &SecretString) -> Result<()> {
        let Held { folder, lock: _lock, .. } = self.folder(vmid)?.admit(call, false)?;
        agent::set_password(&folder.file("qga.sock"), user, password).await
    }

    async fn ensure_link(&self, call: &Call, vmid: i64, up: bool) -> Result<Progress> {
        let Held { folder, lock, mut record } = self.folder(vmid)?.admit(call, false)?;
        record.defined()?.cut = !up;
        folder.write(&lock, &record)?;
        if folder.power()? == Power::On {
            launch::go_on(&folder, up).await?;
        }
        Ok(Progress::Done)
    }

    async fn ensure_addresses(&self, call: &Call, vmid: i64, more: &[GuestAddress]) -> Result<Progress> {
        let Held { folder, lock, mut record } = self.folder(vmid)?.admit(call, false)?;
        let before = record.defined()?.more.clone();
        let stays = |a: &&GuestAddress| more.iter().any(|m| (&m.address, m.prefix) == (&a.address, a.prefix));
        let removed: Vec<GuestAddress> = before.iter().filter(|a| !stays(a)).cloned().collect();
        // Remembered first: what was given and is not known to be gone is taken away by the next call.
        record.defined()?.more = [more, &removed[..]].concat();
        folder.write(&lock, &record)?;
        let mac = record.defined()?.spec.mac.clone();
        agent::set_addresses(&folder.file("qga.sock"), &mac, more, &removed).await?;
        record.defined()?.more = more.to_vec();
        folder.write(&lock, &record)?;
        Ok(Progress::Done)
    }

    async fn stats(&self, vmids: &[i64], _now: Timestamp) -> Result<Vec<(i64, Counters)>> {
        let endpoint = self.endpoint()?;
        let one = async |vmid: &i64| Some((*vmid, usage::of(&Folder::new(endpoint.join(vmid.to_string())), &tap::name(endpoint, *vmid)).await?));
        Ok(join_all(vmids.iter().map(one)).await.into_iter().flatten().collect())
    }

    async fn snapshots(&self, vmid: i64) -> Result<Vec<Snapshot>> {
        let folder = self.folder(vmid)?;
        let generation = folder.read()?.defined()?.mark.generation;
        snapshots::list(&folder, generation).await
    }

    async fn ensure_snapshot(&self, call: &Call, vmid: i64, name: &str) -> Result<Progress> {
        let Held { folder, lock: _lock, mut record } = self.folder(vmid)?.admit(call, false)?;
        let generation = record.defined()?.mark.generation;
        if !snapshots::list(&folder, generation).await?.iter().any(|s| s.name == name) {
            snapshots::take(&folder, generation, name, folder.power()? == Power::On).await?;
        }
        Ok(Progress::Done)
    }

    async fn ensure_no_snapshot(&self, call: &Call, vmid: i64, name: &str) -> Result<Progress> {
        let Held { folder, lock: _lock, mut record } = self.folder(vmid)?.admit(call, false)?;
        let generation = record.defined()?.mark.generation;
        if snapshots::list(&folder, generation).await?.iter().any(|s| s.name == name) {
            snapshots::delete(&folder, generation, name, folder.power()? == Power::On).await?;
        }
        Ok(Progress::Done)
    }

    async fn revert(&self, call: &Call, vmid: i64, name: &str, seq: i64) -> Result<Progress> {
        let Held { folder, lock, mut record } = self.folder(vmid)?.admit(call, false)?;
        let (generation, reverts) = (record.defined()?.mark.generation, record.defined()?.reverts);
        if reverts >= seq {
            return Ok(Progress::Done);
        }
        if !snapshots::list(&folder, generation).await?.iter().any(|s| s.name == name) {
            return Err(Error::Permanent(format!("there is no snapshot '{name}'")));
        }
        // What the guest has not written yet is given up anyway, so it is not asked to switch off.
        let on = folder.power()? == Power::On;
        launch::kill(&folder).await?;
        snapshots::apply(&folder, generation, name).await?;
        let machine = record.defined()?;
        (machine.reverts, machine.off_asked_at) = (seq, None);
        folder.write(&lock, &record)?;
        if on {
            launch::start(&self.settings, &folder, &record).await?;
        }
        Ok(Progress::Done)
    }

    async fn poll(&self, _call: &Call, _vmid: i64, handle: &str) -> Result<Progress> {
        Err(Error::Unknown(format!("this backend starts no tasks, so it knows none called {handle}")))
    }

    async fn ensure_absent(&self, call: &Call, vmid: i64) -> Result<Progress> {
        let Held { folder, lock, record } = self.folder(vmid)?.admit(call, true)?;
        launch::kill(&folder).await?;
        tap::remove(&tap::name(&self.settings.endpoint, vmid)).await?;
        folder.clear(&lock, record, call)?;
        Ok(Progress::Done)
    }
}
