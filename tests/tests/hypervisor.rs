//! What every hypervisor must do: one suite, run against the simulated node and against real QEMU machines.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use leasehold_domain::{Mark, ServerId, Timestamp, server::Power, usage::Counters};
use leasehold_hypervisor::{Call, Error, GuestAddress, GuestConfig, Hypervisor, MachineSpec, Observed, Progress, Readiness, Source, connect};
use leasehold_tests::{netns, ssh};
use serde_json::json;

const SERVER: &str = "0198f0e2-0000-7000-8000-000000000001";
const VMID: i64 = 100;

fn call(server: &str, generation: i64, epoch: i64) -> Call {
    Call { mark: Mark { server: server.into(), generation }, epoch, now: Timestamp::from_millis(1_790_000_000_000) }
}

fn spec() -> MachineSpec {
    MachineSpec { vmid: VMID, server: ServerId::from(SERVER), vcpu: 1, ram_mb: 512, mac: "52:54:00:00:00:01".into() }
}

fn guest(key: &str) -> GuestConfig {
    let address = GuestAddress { address: "10.66.0.10".into(), prefix: 24, gateway: "10.66.0.1".into() };
    GuestConfig { hostname: "web-1".into(), username: "root".into(), ssh_keys: vec![key.into()], addresses: vec![address], resolvers: vec![], user_data: None }
}

async fn machine(hv: &dyn Hypervisor) -> Option<leasehold_hypervisor::Machine> {
    match hv.observe(VMID).await.unwrap() {
        Observed::Present(machine) => Some(machine),
        Observed::Absent => None,
    }
}

/// Asks twice: the second time changes nothing and ends the same.
macro_rules! twice {
    ($asked:expr) => {
        assert_eq!($asked.await.unwrap(), Progress::Done);
        assert_eq!($asked.await.unwrap(), Progress::Done);
    };
}

async fn build(hv: &dyn Hypervisor, call: &Call, image: &str, key: &str) {
    build_from(hv, call, &Source::Image(image.into()), key).await;
}

async fn build_from(hv: &dyn Hypervisor, call: &Call, source: &Source, key: &str) {
    twice!(hv.ensure_disk(call, VMID, source));
    twice!(hv.ensure_vm(call, &spec()));
    twice!(hv.ensure_config(call, VMID, &guest(key)));
    twice!(hv.ensure_disk_size(call, VMID, 2));
    twice!(hv.ensure_power(call, VMID, Power::On));
}

async fn names(hv: &dyn Hypervisor) -> Vec<String> {
    hv.snapshots(VMID).await.unwrap().into_iter().map(|s| s.name).collect()
}

/// What the machine used a minute after it was started.
async fn used(hv: &dyn Hypervisor) -> Option<Counters> {
    let now = Timestamp::from_millis(1_790_000_000_000) + Duration::from_mins(1);
    let counted = hv.stats(&[VMID, VMID + 1], now).await.unwrap();
    assert!(counted.iter().all(|(vmid, _)| *vmid == VMID), "{counted:?}");
    counted.first().map(|(_, counters)| *counters)
}

/// Off, as slowly as the guest likes.
async fn off(hv: &dyn Hypervisor, call: &Call) {
    for _ in 0..20 {
        if hv.ensure_power(call, VMID, Power::Off).await.unwrap() == Progress::Done {
            twice!(hv.ensure_power(call, VMID, Power::Off));
            return;
        }
    }
    panic!("the guest does not switch off");
}

async fn ready(hv: &dyn Hypervisor, call: &Call) {
    for _ in 0..300 {
        match hv.readiness(VMID, &call.mark, call.now).await.unwrap() {
            Readiness::NotYet { .. } => tokio::time::sleep(Duration::from_millis(200)).await,
            Readiness::Ready => return,
            Readiness::Troubled(trouble) => panic!("{trouble}"),
        }
    }
    panic!("the guest was never ready");
}

/// The contract. `inside` looks into the running guest, where there is one.
async fn suite(reopen: impl Fn() -> Arc<dyn Hypervisor>, image: &str, key: &str, inside: impl Fn(&leasehold_hypervisor::Machine)) {
    let hv = reopen();
    hv.node_status().await.unwrap();
    assert_eq!(hv.observe(VMID).await.unwrap(), Observed::Absent);
    let first = call(SERVER, 1, 5);
    build(hv.as_ref(), &first, image, key).await;
    let found = machine(hv.as_ref()).await.unwrap();
    assert_eq!((found.mark.as_ref(), found.power, found.disk_gb, found.mac.as_deref()), (Some(&first.mark), Power::On, 2, Some("52:54:00:00:00:01")));
    ready(hv.as_ref(), &first).await;
    hv.set_password(&first, VMID, "root", &"a-New-passw0rd".to_owned().into()).await.unwrap();
    inside(&found);

    // The cable is pulled and plugged in again; what the machine used is counted.
    twice!(hv.ensure_link(&first, VMID, false));
    assert!(!machine(hv.as_ref()).await.unwrap().link);
    twice!(hv.ensure_link(&first, VMID, true));
    assert!(machine(hv.as_ref()).await.unwrap().link);
    let counted = used(hv.as_ref()).await.unwrap();
    assert!(counted.cpu_ms > 0 && counted.memory_bytes > 0 && counted.disk_read_bytes > 0, "{counted:?}");
    twice!(hv.ensure_snapshot(&first, VMID, "first"));
    twice!(hv.ensure_snapshot(&first, VMID, "second"));
    twice!(hv.ensure_no_snapshot(&first, VMID, "first"));
    assert_eq!(names(hv.as_ref()).await, ["second"]);

    // A daemon that starts again finds the machine.
    let hv = reopen();
    assert_eq!(hv.list_owned().await.unwrap().iter().map(|o| (o.vmid, o.mark.clone(), o.power)).collect::<Vec<_>>(), [(VMID, first.mark.clone(), Power::On)]);

    // A newer claim fences the older one off, and a foreign server never gets the number.
    twice!(hv.ensure_power(&call(SERVER, 1, 6), VMID, Power::On));
    assert!(matches!(hv.ensure_power(&first, VMID, Power::Off).await, Err(Error::Stale(_))));
    for epoch in [1, 9] {
        // Whatever its own epochs are: another's say nothing of how old its records are.
        assert!(matches!(hv.ensure_disk(&call("other", 1, epoch), VMID, &Source::Image(image.into())).await, Err(Error::Conflict(_))));
    }
    assert_eq!(machine(hv.as_ref()).await.unwrap().power, Power::On);

    // Speaking is enough, and changes nothing.
    hv.fence(&call(SERVER, 1, 7), VMID).await.unwrap();
    assert!(matches!(hv.ensure_power(&call(SERVER, 1, 6), VMID, Power::Off).await, Err(Error::Stale(_))));
    assert!(matches!(hv.fence(&first, VMID).await, Err(Error::Stale(_))));
    assert_eq!(machine(hv.as_ref()).await.unwrap().power, Power::On);

    // Reinstall: a second disk, off, swapped, on again; the number and the machine stay.
    let second = call(SERVER, 2, 7);
    twice!(hv.ensure_disk(&second, VMID, &Source::Image(image.into())));
    assert!(matches!(hv.ensure_vm(&second, &spec()).await, Err(Error::Transient(_))), "never under a running machine");
    off(hv.as_ref(), &second).await;
    assert_eq!(used(hv.as_ref()).await, None, "what is off is left out");
    twice!(hv.ensure_snapshot(&second, VMID, "third"));
    twice!(hv.revert(&second, VMID, "second", 1));
    assert!(matches!(hv.revert(&second, VMID, "fourth", 2).await, Err(Error::Permanent(_))));
    assert_eq!((names(hv.as_ref()).await, machine(hv.as_ref()).await.unwrap().power), (vec!["second".to_owned(), "third".to_owned()], Power::Off));
    build(hv.as_ref(), &second, image, key).await;
    ready(hv.as_ref(), &second).await;
    assert_eq!(machine(hv.as_ref()).await.unwrap().mark, Some(second.mark.clone()));
    assert!(names(hv.as_ref()).await.is_empty(), "snapshots go with their disk");

    // The end: nothing is left, and no late call brings it back.
    twice!(hv.ensure_absent(&call(SERVER, 2, 8), VMID));
    assert_eq!(hv.observe(VMID).await.unwrap(), Observed::Absent);
    assert!(hv.list_owned().await.unwrap().is_empty());
    hv.fence(&call(SERVER, 2, 8), VMID).await.unwrap();
    assert!(matches!(hv.ensure_disk(&call(SERVER, 2, 9), VMID, &Source::Image(image.into())).await, Err(Error::Destroyed(_))));
}

#[tokio::test]
async fn the_simulated_node_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let settings = json!({ "endpoint": dir.path().join("node") }).to_string();
    suite(|| connect("simulated", &settings).unwrap(), "debian-12", "ssh-ed25519 AAAA", |_| ()).await;
}

/// Runs a line in the guest over SSH.
#[track_caller]
fn ssh(at: std::net::SocketAddr, key: &Path, line: &str) -> String {
    ssh::by_key(at, "root", key, line)
}

/// A real guest's images, and a key pair in a folder: the private file and the public line.
fn real(dir: &Path) -> (String, std::path::PathBuf, String) {
    let images = std::env::var("LEASEHOLD_GUEST").expect("LEASEHOLD_GUEST is not set; real machines are never skipped: run scripts/test");
    let key = dir.join("id");
    let public = ssh::key_pair(&key);
    (images, key, public)
}

#[tokio::test]
async fn a_real_machine_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let (images, key, public) = real(dir.path());
    let node = dir.path().join("node");
    let settings = json!({ "endpoint": node, "images": images, "accel": "tcg", "network": "user" }).to_string();
    let inside = |m: &leasehold_hypervisor::Machine| {
        let seen = ssh(m.ssh.unwrap(), &key, "hostname; df -k / | tail -1; grep -c '^root:\\$6' /etc/shadow");
        let lines: Vec<&str> = seen.lines().collect();
        let kib: u64 = lines[1].split_whitespace().nth(1).unwrap().parse().unwrap();
        assert_eq!((lines[0], lines[2]), ("web-1", "1"), "name and password are set");
        assert!(kib > 1_800_000, "the root file system has grown to the disk: {kib} KiB");
    };
    suite(|| connect("qemu", &settings).unwrap(), "tiny", &public, inside).await;
    let left: Vec<String> = std::fs::read_dir(node.join("100")).unwrap().flatten().map(|f| f.file_name().into_string().unwrap()).collect();
    assert!(left.iter().all(|f| f == "machine.json" || f == "lock"), "{left:?}");
}

#[tokio::test]
async fn a_guest_that_does_not_listen_gets_its_time_anew_with_every_stop() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("blank.qcow2");
    assert!(Command::new("qemu-img").args(["create", "-q", "-f", "qcow2"]).arg(&image).arg("1G").status().unwrap().success());
    let settings = json!({ "endpoint": dir.path().join("node"), "images": dir.path(), "accel": "tcg", "network": "user" }).to_string();
    let hv = connect("qemu", &settings).unwrap();
    let mut call = call(SERVER, 1, 1);
    hv.node_status().await.unwrap();
    build(hv.as_ref(), &call, "blank", "ssh-ed25519 AAAA").await;
    let waits = Progress::Started("switching off".into());
    assert_eq!(hv.ensure_power(&call, VMID, Power::Off).await.unwrap(), waits);
    // The stop is taken back; another one, much later, is another one.
    twice!(hv.ensure_power(&call, VMID, Power::On));
    call.now = call.now + Duration::from_hours(1);
    assert_eq!(hv.ensure_power(&call, VMID, Power::Off).await.unwrap(), waits);
    call.now = call.now + Duration::from_secs(91);
    assert_eq!(hv.ensure_power(&call, VMID, Power::Off).await.unwrap(), Progress::Done);
    assert_eq!(machine(hv.as_ref()).await.unwrap().power, Power::Off);
    hv.ensure_absent(&call, VMID).await.unwrap();
}

/// A boot sector that says something at the serial port and rests.
fn boot_sector(text: &str) -> Vec<u8> {
    // cli; cld; ax = ds = 0; si = the text; dx = the port; until it ends: lodsb, out dx, al; then hlt for ever.
    let mut sector = b"\xfa\xfc\x31\xc0\x8e\xd8\xbe\x17\x7c\xba\xf8\x03\xac\x84\xc0\x74\x03\xee\xeb\xf8\xf4\xeb\xfd".to_vec();
    sector.extend(text.bytes());
    sector.resize(510, 0);
    [sector, vec![0x55, 0xaa]].concat()
}

/// The smallest CD that starts (El Torito, no emulation): descriptors in the sectors 16 to 18, the catalogue in 19, what it runs in 20.
fn bootable_cd(text: &str) -> Vec<u8> {
    const SECTOR: usize = 2048;
    let mut cd = vec![0; 21 * SECTOR];
    let mut put = |at: usize, bytes: &[u8]| cd[at..at + bytes.len()].copy_from_slice(bytes);
    put(16 * SECTOR, b"\x01CD001\x01");
    put(17 * SECTOR, b"\x00CD001\x01EL TORITO SPECIFICATION");
    put(17 * SECTOR + 0x47, &19_u32.to_le_bytes());
    put(18 * SECTOR, b"\xffCD001\x01");
    // The sum of all 16-bit words of the first entry is 0.
    put(19 * SECTOR, b"\x01");
    put(19 * SECTOR + 28, b"\xaa\x55\x55\xaa");
    put(19 * SECTOR + 32, &[0x88, 0, 0, 0, 0, 0, 1, 0]);
    put(19 * SECTOR + 40, &20_u32.to_le_bytes());
    put(20 * SECTOR, &boot_sector(text));
    cd
}

#[tokio::test]
async fn a_real_machine_starts_from_a_cd_until_something_is_on_its_disk() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rescue.iso"), bootable_cd("from the CD")).unwrap();
    let node = dir.path().join("node");
    let settings = json!({ "endpoint": node, "images": dir.path(), "accel": "tcg", "network": "user" }).to_string();
    let hv = connect("qemu", &settings).unwrap();
    let call = call(SERVER, 1, 1);
    hv.node_status().await.unwrap();
    let missing = hv.ensure_disk(&call, VMID, &Source::Cd { iso: "other".into() }).await;
    assert!(matches!(&missing, Err(Error::Permanent(why)) if why.contains("other.iso")), "{missing:?}");
    build_from(hv.as_ref(), &call, &Source::Cd { iso: "rescue".into() }, "ssh-ed25519 AAAA").await;
    assert_eq!(machine(hv.as_ref()).await.unwrap().disk_gb, 2);
    let says = |text: &str| {
        let console = node.join("100/console.log");
        leasehold_tests::program::eventually(text, || String::from_utf8_lossy(&std::fs::read(&console).unwrap_or_default()).contains(text));
    };
    says("from the CD");

    // As an installer would leave it.
    twice!(hv.ensure_power(&call, VMID, Power::On));
    let late = Call { now: call.now + Duration::from_hours(1), ..call.clone() };
    hv.ensure_power(&call, VMID, Power::Off).await.unwrap();
    twice!(hv.ensure_power(&late, VMID, Power::Off));
    let raw = dir.path().join("installed");
    std::fs::write(&raw, [boot_sector("from the disk"), vec![0; 1 << 20]].concat()).unwrap();
    let installed = Command::new("qemu-img").args(["convert", "-f", "raw", "-O", "qcow2"]).arg(&raw).arg(node.join("100/disk-1.qcow2")).status().unwrap();
    assert!(installed.success());
    std::fs::remove_file(dir.path().join("rescue.iso")).unwrap();
    twice!(hv.ensure_power(&late, VMID, Power::On));
    says("from the disk");
    hv.ensure_absent(&late, VMID).await.unwrap();
}

/// Starts `in_a_network_of_its_own` as root of a network namespace; what it makes there ends with it.
#[test]
fn a_bridged_machine_is_reached_cut_off_reverted_and_leaves_nothing() {
    netns::alone("in_a_network_of_its_own");
}

/// Whether the guest's SSH answers at this address.
fn answers(address: &str) -> bool {
    std::net::TcpStream::connect_timeout(&(address.parse::<std::net::IpAddr>().unwrap(), 22).into(), Duration::from_secs(3)).is_ok()
}

#[tokio::test]
#[ignore = "started by the test above, in a network of its own"]
async fn in_a_network_of_its_own() {
    netns::bridge();
    let dir = tempfile::tempdir().unwrap();
    let (images, key, public) = real(dir.path());
    let node = dir.path().join("node");
    let settings = json!({ "endpoint": node, "images": images, "accel": "tcg", "network": "bridge:br0" }).to_string();
    let hv = connect("qemu", &settings).unwrap();
    let hv = hv.as_ref();
    let me = call(SERVER, 1, 1);
    let (guest_ip, at) = ("10.66.0.10", std::net::SocketAddr::from(([10, 66, 0, 10], 22)));

    build(hv, &me, "tiny", &public).await;
    ready(hv, &me).await;
    assert_eq!(ssh(at, &key, "hostname").trim(), "web-1");
    hv.set_password(&me, VMID, "root", &"a-New-passw0rd".to_owned().into()).await.unwrap();
    assert_eq!(ssh::by_password(at, "root", dir.path(), "a-New-passw0rd", "hostname").trim(), "web-1");

    // Counters are the host's own.
    let before = used(hv).await.unwrap();
    ssh(at, &key, "head -c 300000 /dev/zero | tr '\\0' a");
    let after = used(hv).await.unwrap();
    assert!(after.net_sent_bytes.unwrap() - before.net_sent_bytes.unwrap() > 300_000, "{before:?} {after:?}");
    assert!(after.cpu_ms > before.cpu_ms && after.net_received_bytes > before.net_received_bytes);

    // More addresses, live, of both families, and gone again.
    let more = ["10.66.0.77", "fd66::77"].map(|a| GuestAddress { address: a.into(), prefix: if a.contains(':') { 64 } else { 24 }, gateway: String::new() });
    twice!(hv.ensure_addresses(&me, VMID, &more));
    assert!(answers("10.66.0.77"));
    assert!(ssh(at, &key, "ip addr show dev eth0").contains("fd66::77/64"));
    twice!(hv.ensure_addresses(&me, VMID, &more[1..]));
    assert!(!answers("10.66.0.77") && answers(guest_ip));

    // A snapshot brings the disk back as it was; the machine is on again.
    ssh(at, &key, "echo kept > /root/kept; sync");
    twice!(hv.ensure_snapshot(&me, VMID, "before"));
    ssh(at, &key, "echo lost > /root/lost; sync");
    twice!(hv.revert(&me, VMID, "before", 1));

    // Cut off: also while it starts. Then back.
    twice!(hv.ensure_link(&me, VMID, false));
    ready(hv, &me).await;
    assert!(!answers(guest_ip));
    off(hv, &me).await;
    twice!(hv.ensure_power(&me, VMID, Power::On));
    ready(hv, &me).await;
    assert!(!answers(guest_ip), "it starts with its cable pulled");
    twice!(hv.ensure_link(&me, VMID, true));
    // Both sides must first see each other again.
    leasehold_tests::program::eventually("the guest answers again", || answers(guest_ip));
    assert_eq!(ssh(at, &key, "ls /root").trim(), "kept");

    // The end: no tap, no process, no disk.
    let taps = || std::fs::read_to_string("/proc/self/net/dev").unwrap().lines().filter(|l| l.trim_start().starts_with("lh")).count();
    assert_eq!(taps(), 1);
    twice!(hv.ensure_absent(&me, VMID));
    assert_eq!(taps(), 0);
    let left: Vec<String> = std::fs::read_dir(node.join("100")).unwrap().flatten().map(|f| f.file_name().into_string().unwrap()).collect();
    assert!(left.iter().all(|f| f == "machine.json" || f == "lock"), "{left:?}");
}
