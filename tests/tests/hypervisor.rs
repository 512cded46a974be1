//! What every hypervisor must do: one suite, run against the simulated node and against real QEMU machines.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use leasehold_domain::{Mark, ServerId, Timestamp, server::Power};
use leasehold_hypervisor::{Call, Error, GuestAddress, GuestConfig, Hypervisor, MachineSpec, Observed, Progress, connect};
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
    GuestConfig { hostname: "web-1".into(), username: "root".into(), ssh_keys: vec![key.into()], addresses: vec![address] }
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
    twice!(hv.ensure_disk(call, VMID, image));
    twice!(hv.ensure_vm(call, &spec()));
    twice!(hv.ensure_config(call, VMID, &guest(key)));
    twice!(hv.ensure_disk_size(call, VMID, 2));
    twice!(hv.ensure_power(call, VMID, Power::On));
}

async fn agent(hv: &dyn Hypervisor) {
    for _ in 0..300 {
        if hv.agent_ready(VMID, Timestamp::from_millis(1_790_000_000_000)).await.unwrap() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the agent never answered");
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
    agent(hv.as_ref()).await;
    hv.set_password(&first, VMID, "root", &"a-New-passw0rd".to_owned().into()).await.unwrap();
    inside(&found);

    // A daemon that starts again finds the machine.
    let hv = reopen();
    assert_eq!(hv.list_owned().await.unwrap().iter().map(|o| (o.vmid, o.mark.clone(), o.power)).collect::<Vec<_>>(), [(VMID, first.mark.clone(), Power::On)]);

    // A newer claim fences the older one off, and a foreign server never gets the number.
    twice!(hv.ensure_power(&call(SERVER, 1, 6), VMID, Power::On));
    assert!(matches!(hv.ensure_power(&first, VMID, Power::Off).await, Err(Error::Stale(_))));
    assert!(matches!(hv.ensure_disk(&call("other", 1, 9), VMID, image).await, Err(Error::Conflict(_))));
    assert_eq!(machine(hv.as_ref()).await.unwrap().power, Power::On);

    // Reinstall: a second disk, off, swapped, on again; the number and the machine stay.
    let second = call(SERVER, 2, 7);
    twice!(hv.ensure_disk(&second, VMID, image));
    assert!(matches!(hv.ensure_vm(&second, &spec()).await, Err(Error::Transient(_))), "never under a running machine");
    twice!(hv.ensure_power(&second, VMID, Power::Off));
    build(hv.as_ref(), &second, image, key).await;
    agent(hv.as_ref()).await;
    assert_eq!(machine(hv.as_ref()).await.unwrap().mark, Some(second.mark.clone()));

    // The end: nothing is left, and no late call brings it back.
    twice!(hv.ensure_absent(&call(SERVER, 2, 8), VMID));
    assert_eq!(hv.observe(VMID).await.unwrap(), Observed::Absent);
    assert!(hv.list_owned().await.unwrap().is_empty());
    assert!(matches!(hv.ensure_disk(&call(SERVER, 2, 9), VMID, image).await, Err(Error::Destroyed(_))));
}

#[tokio::test]
async fn the_simulated_node_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let settings = json!({ "endpoint": dir.path().join("node") }).to_string();
    suite(|| connect("simulated", &settings).unwrap(), "debian-12", "ssh-ed25519 AAAA", |_| ()).await;
}

/// Runs a line in the guest over SSH.
fn ssh(at: std::net::SocketAddr, key: &Path, line: &str) -> String {
    let options = ["-q", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=20", "-o", "BatchMode=yes"];
    let output =
        Command::new("ssh").args(options).arg("-i").arg(key).args(["-p", &at.port().to_string(), &format!("root@{}", at.ip()), line]).output().unwrap();
    assert!(output.status.success(), "ssh: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_real_machine_keeps_the_contract() {
    let images = std::env::var("LEASEHOLD_GUEST").expect("LEASEHOLD_GUEST is not set; real machines are never skipped: run scripts/test");
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("id");
    assert!(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap().success());
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap().trim().to_owned();
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
