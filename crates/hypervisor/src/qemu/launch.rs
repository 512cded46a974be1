//! Machines as processes: started detached, asked to switch off, and ended by number when they do not.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    time::Duration,
};

use tokio::process::Command;

use super::{
    Network, Runs, Settings,
    folder::{Defined, Folder, Record, io},
    process::Process,
    qmp, tap,
};
use crate::{Error, Result, Source};

pub(super) const QEMU: &str = "qemu-system-x86_64";
/// How long one call waits for a guest that switches itself off.
const GRACE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);
/// Looks at a process that was ended by force.
const LOOKS: u32 = 30;

pub(super) fn missing(e: &std::io::Error) -> Error {
    Error::Permanent(format!("{QEMU} cannot be run ({e}); install Debian's qemu-system-x86"))
}

pub(super) async fn version() -> Result<String> {
    let output = Command::new(QEMU).arg("--version").output().await.map_err(|e| missing(&e))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

pub(super) fn free_port() -> Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).map(|a| a.port()).map_err(io)
}

pub(super) fn port_is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A tap on the host's bridge, or the user network as the guest's first IPv4 address wants it, with SSH forwarded.
fn network(settings: &Settings, d: &Defined) -> String {
    if let Network::Bridge(_) = settings.network {
        return format!("tap,id=net0,ifname={},script=no,downscript=no", tap::name(&settings.endpoint, d.spec.vmid));
    }
    let guest = d.guest.iter().flat_map(|g| &g.addresses).find_map(|a| Some((a.address.parse::<Ipv4Addr>().ok()?, a)));
    match guest {
        Some((ip, a)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(a.prefix)).unwrap_or(0);
            let net = Ipv4Addr::from(u32::from(ip) & mask);
            format!("user,id=net0,net={net}/{},host={},hostfwd=tcp:127.0.0.1:{}-{ip}:22", a.prefix, a.gateway, d.ssh_port)
        }
        None => "user,id=net0".into(),
    }
}

fn direct_kernel(images: &Path, image: &str) -> Vec<String> {
    let part = |extension: &str| images.join(format!("{image}.{extension}"));
    let Ok(append) = std::fs::read_to_string(part("append")) else { return Vec::new() };
    let file = |extension: &str| part(extension).display().to_string();
    vec!["-kernel".into(), file("kernel"), "-initrd".into(), file("initrd"), "-append".into(), append.trim().to_owned()]
}

/// The CD in its drive. A disk that nothing was installed on is passed over.
fn drive(cd: &Path) -> Vec<String> {
    // A comma in a path is doubled for QEMU.
    let file = cd.display().to_string().replace(',', ",,");
    ["-drive", &format!("if=none,id=cd0,media=cdrom,readonly=on,format=raw,file={file}"), "-device", "ide-cd,drive=cd0,bootindex=2"].map(str::to_owned).into()
}

/// What it starts from beside its disk.
fn starts_from(settings: &Settings, source: Option<&Source>) -> Vec<String> {
    match source {
        Some(Source::Image(name)) => direct_kernel(&settings.images, name),
        // What was installed from it starts without it.
        Some(Source::Cd { iso }) => match settings.cd(iso) {
            Ok(cd) => drive(&cd),
            Err(error) => {
                tracing::warn!(%error, "a machine starts with an empty drive");
                vec![]
            }
        },
        None => vec![],
    }
}

fn arguments(settings: &Settings, folder: &Folder, record: &Record, d: &Defined) -> Vec<String> {
    let file = |name: &str| folder.file(name).display().to_string();
    let pairs = [
        ("-name", format!("leasehold-{}", d.spec.vmid)),
        ("-uuid", d.spec.server.to_string()),
        ("-machine", "q35".into()),
        ("-accel", settings.accel.argument().into()),
        ("-cpu", "max".into()),
        ("-smp", d.spec.vcpu.to_string()),
        ("-m", d.spec.ram_mb.to_string()),
        ("-display", "none".into()),
        ("-serial", format!("file:{}", file("console.log"))),
        ("-pidfile", file("pid")),
        ("-qmp", format!("unix:{},server=on,wait=off", file("qmp.sock"))),
        ("-drive", format!("if=none,id=disk0,file={},format=qcow2", folder.disk(d.mark.generation).display())),
        ("-device", "virtio-blk-pci,drive=disk0,bootindex=1".into()),
        ("-drive", format!("if=virtio,file={},format=raw,readonly=on", file("seed.img"))),
        ("-netdev", network(settings, d)),
        ("-device", format!("virtio-net-pci,netdev=net0,id=nic0,mac={},romfile=", d.spec.mac)),
        ("-device", "virtio-serial-pci".into()),
        ("-chardev", format!("socket,id=qga0,path={},server=on,wait=off", file("qga.sock"))),
        ("-device", "virtserialport,id=qga,chardev=qga0,name=org.qemu.guest_agent.0".into()),
        ("-device", "virtio-rng-pci".into()),
    ];
    // A machine whose cable is pulled begins when it is pulled.
    let flags = ["-nodefaults", "-daemonize"].into_iter().chain(d.cut.then_some("-S")).map(str::to_owned);
    let medium = starts_from(settings, record.sources.get(&d.mark.generation));
    pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).chain(flags).chain(medium).collect()
}

/// Starts the machine; it lives on when we end.
pub(super) async fn start(settings: &Settings, folder: &Folder, record: &Record) -> Result<()> {
    let Some(d) = &record.defined else { return Err(Error::Permanent("there is no such machine".into())) };
    for left_over in ["pid", "qmp.sock", "qga.sock"] {
        // From a machine that ended without removing them.
        let _ = std::fs::remove_file(folder.file(left_over));
    }
    if let Network::Bridge(bridge) = &settings.network {
        let tap = tap::name(&settings.endpoint, d.spec.vmid);
        // A new one, whose counters begin with the machine.
        tap::remove(&tap).await?;
        tap::ensure(&tap, bridge).await?;
    }
    let mut command = match settings.machines {
        Runs::Unit => as_unit(settings, d),
        Runs::Process => Command::new(QEMU),
    };
    command.args(arguments(settings, folder, record, d)).current_dir(folder.path()).stdin(std::process::Stdio::null());
    let started = command.output().await.map_err(|e| missing(&e))?;
    if !started.status.success() {
        return Err(Error::Transient(format!("QEMU did not start: {}", String::from_utf8_lossy(&started.stderr).trim())));
    }
    if d.cut { go_on(folder, false).await } else { Ok(()) }
}

/// Plugs the cable in or pulls it, then lets the machine go on if it stands still.
pub(super) async fn go_on(folder: &Folder, up: bool) -> Result<()> {
    qmp::run_with(&folder.file("qmp.sock"), "set_link", serde_json::json!({ "name": "nic0", "up": up })).await?;
    qmp::run(&folder.file("qmp.sock"), "cont").await.map(drop)
}

/// Whether it was started and never went on: a call died between its start and its cable.
pub(super) async fn stands_still(folder: &Folder) -> Result<bool> {
    if folder.pid()?.is_none() {
        return Ok(false);
    }
    Ok(qmp::run(&folder.file("qmp.sock"), "query-status").await?["status"] == "prelaunch")
}

/// The machine as a unit of its own, beside the daemon's: a restart of the daemon never touches it.
fn as_unit(settings: &Settings, d: &Defined) -> Command {
    let tap = tap::name(&settings.endpoint, d.spec.vmid);
    let name = format!("leasehold-vm-{}", tap.trim_start_matches("lh"));
    let mut command = Command::new("systemd-run");
    command.args(["--quiet", "--collect", "--service-type=forking", "--slice=leasehold-machines.slice", "--same-dir"]);
    command.args([format!("--unit={name}"), format!("--uid={}", rustix::process::geteuid().as_raw())]).args(["--", QEMU]);
    command
}

/// Asks the guest to switch off; whether it did within a call's time.
pub(super) async fn switched_off(folder: &Folder) -> Result<bool> {
    let asked = qmp::run(&folder.file("qmp.sock"), "system_powerdown").await;
    Ok(asked.is_ok() && ended(folder, GRACE).await?)
}

/// Ends the process at once: whoever does not switch off when asked, or is to be destroyed.
pub(super) async fn kill(folder: &Folder) -> Result<()> {
    let Some(pid) = folder.pid()? else { return Ok(()) };
    let Some(process) = Process::open(pid).map_err(io)? else { return Ok(()) };
    // The number may have been another's before the handle was taken: whose it is, is asked once more.
    if folder.pid()? == Some(pid) {
        process.kill().map_err(io)?;
    }
    for _ in 0..LOOKS {
        if process.has_ended().map_err(io)? {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(Error::Transient(format!("process {pid} does not end")))
}

async fn ended(folder: &Folder, within: Duration) -> Result<bool> {
    let looks = (within.as_millis() / LOOK.as_millis()) as u32;
    for _ in 0..looks {
        if folder.pid()?.is_none() {
            return Ok(true);
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(folder.pid()?.is_none())
}
