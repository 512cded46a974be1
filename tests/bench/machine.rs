//! A real machine: from the order to `running`, beside the same calls made by hand, one after another.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use leasehold_domain::{Mark, ServerId, Timestamp, server::Power};
use leasehold_hypervisor::{Call, GuestAddress, GuestConfig, Hypervisor, MachineSpec, Readiness, Source, connect};
use leasehold_store::{Options, Store, args};
use leasehold_tests::{Kind, program::eventually};
use serde_json::json;

use crate::{Figure, median, process::Host};

const RUNS: usize = 3;
const VMID: i64 = 900;

/// Seconds that the machine takes without anything of ours around the calls.
async fn by_hand(images: &str, node: &Path, run: usize) -> f64 {
    let hv = connect("qemu", &json!({ "endpoint": node, "images": images, "accel": "tcg", "network": "user" }).to_string()).unwrap();
    let hv: &dyn Hypervisor = hv.as_ref();
    let server = ServerId::from(format!("0198f0e2-0000-7000-8000-00000000000{run}").as_str());
    let call = Call { mark: Mark { server: server.clone(), generation: 1 }, epoch: 1, now: Timestamp::from_millis(0) };
    let vmid = VMID + run as i64;
    let spec = MachineSpec { vmid, server, vcpu: 1, ram_mb: 512, mac: format!("52:54:00:00:00:0{run}") };
    let address = GuestAddress { address: "10.66.0.10".into(), prefix: 24, gateway: "10.66.0.1".into() };
    let guest =
        GuestConfig { hostname: "bench".into(), username: "root".into(), ssh_keys: vec![], addresses: vec![address], resolvers: vec![], user_data: None };
    let began = Instant::now();
    hv.node_status().await.unwrap();
    hv.ensure_disk(&call, vmid, &Source::Image("tiny".into())).await.unwrap();
    hv.ensure_vm(&call, &spec).await.unwrap();
    hv.ensure_config(&call, vmid, &guest).await.unwrap();
    hv.ensure_disk_size(&call, vmid, 3).await.unwrap();
    hv.ensure_power(&call, vmid, Power::On).await.unwrap();
    while matches!(hv.readiness(vmid, &call.mark, call.now).await.unwrap(), Readiness::NotYet { .. }) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    hv.set_password(&call, vmid, "root", &"a-New-passw0rd".to_owned().into()).await.unwrap();
    hv.observe(vmid).await.unwrap();
    let took = began.elapsed().as_secs_f64();
    hv.ensure_absent(&call, vmid).await.unwrap();
    took
}

pub(crate) async fn measure(kind: Kind) -> Vec<Figure> {
    let images = std::env::var("LEASEHOLD_GUEST").expect("LEASEHOLD_GUEST names the guest's images");
    let host = Host::new(kind, "machine", "").await;
    let text = include_str!("../../config/catalog-qemu.toml")
        .replace("\"target/guest\"", &format!("\"{images}\""))
        .replace("\"machines\"", &format!("\"{}\"", host.program.path("machines").display()));
    std::fs::write(host.program.path("real.toml"), text).unwrap();
    host.program.ok(&["catalog", "import", "real.toml", "--yes"]);
    let daemon = tokio::task::block_in_place(|| host.daemon());
    let store = Store::open(Options::new(host.url.clone())).await.unwrap();
    let (mut alone, mut whole) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        eprintln!("{kind:?}: a real machine, run {} of {RUNS}", run + 1);
        alone.push(by_hand(&images, &host.program.path("by-hand"), run).await);
        let label = format!("real{run}");
        let id = tokio::task::block_in_place(|| {
            let ordered = host.program.json(&["server", "order", "--account", &host.account, "--product", "small", "--template", "tiny", "--label", &label]);
            let id = ordered["id"].as_str().unwrap().to_owned();
            eventually("it runs", || host.status(&id) == "running");
            id
        });
        let sql = "select running_at - created_at from servers where id = $1";
        whole.push(store.read().await.unwrap().int(sql, args![id.as_str()]).await.unwrap() as f64 / 1000.0);
        tokio::task::block_in_place(|| {
            host.program.ok(&["server", "terminate", &id, "--yes"]);
            eventually("it is gone", || host.status(&id) == "terminated");
        });
    }
    daemon.stop();
    let (alone, whole) = (median(alone), median(whole));
    vec![
        Figure::new("real small guest under TCG: the node's calls by hand", "", format!("{alone:.1} s")),
        Figure::new("the same by an order, to `running`", "≤ 25 s", format!("{whole:.1} s")),
        Figure::new("our share of it", "≤ 1 s", format!("{:.1} s", whole - alone)),
    ]
}
