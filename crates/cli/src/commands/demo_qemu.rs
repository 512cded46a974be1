//! `leasehold demo --qemu`: one order on a real machine of this host, and a login with the account's key.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use leasehold_commands::{accounts, servers};
use leasehold_domain::server::Status;

use super::{
    demo::{Tour, held, say},
    server_show::follow,
};
use crate::exit::Failure;

/// Where the guest image is looked for.
const IMAGES: &str = "target/guest";

/// One QEMU node, and a plan that the small guest fits.
pub(super) fn catalog(dir: &Path) -> Result<String, Failure> {
    let images = std::env::var_os("LEASEHOLD_GUEST").map_or_else(|| PathBuf::from(IMAGES), PathBuf::from);
    if !images.join("tiny.qcow2").exists() {
        return Err(Failure::Usage(format!(
            "there is no guest image in {}; build it from Debian packages with: scripts/guest-image {IMAGES}",
            images.display()
        )));
    }
    let (images, machines) = (images.canonicalize()?, dir.join("machines"));
    Ok(format!(
        r#"
region = [{{ id = "here", name = "This host" }}]
[[node]]
id = "qemu-1"
region = "here"
backend = "qemu"
endpoint = "{}"
images = "{}"
accel = "tcg"
network = "user"
capacity = {{ vcpu = 4, ram_mb = 4096, disk_gb = 50 }}
[[template]]
id = "tiny"
family = "debian"
label = "Tiny (Debian 12 packages)"
image = "tiny"
[[pool]]
id = "here-v4"
region = "here"
family = 4
cidr = "10.66.0.0/24"
gateway = "10.66.0.1"
range = "10.66.0.10-10.66.0.20"
[[product]]
key = "small"
name = "Small"
vcpu = 1
ram_mb = 512
disk_gb = 3
bandwidth_gb = 100
regions = ["here"]
prices = {{ EUR = {{ 1m = "5.00" }} }}
"#,
        machines.display(),
        images.display()
    ))
}

fn key_pair(dir: &Path) -> Result<(PathBuf, String), Failure> {
    let private = dir.join("id_ed25519");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "ada", "-f"]).arg(&private).status()?;
    if !made.success() {
        return Err(Failure::Failed("ssh-keygen could not make a key".into()));
    }
    let public = std::fs::read_to_string(private.with_extension("pub"))?;
    Ok((private, public))
}

pub(super) async fn walk(tour: &Tour, dir: &Path) -> Result<(), Failure> {
    let (store, actor) = (&tour.app.store, &tour.app.actor);
    let (private, public) = key_pair(dir)?;
    accounts::add_ssh_key(store, actor, &tour.account, "ada", &public).await?;
    say("\nAda adds her SSH key and orders a server. A real machine is built, in software emulation: this takes a while.");
    let server = tour.order("web", "tiny").await?;
    let server = follow(store, &server.id, say).await?;
    let ended = signed_in_and_gone(tour, &server.id.to_string(), server.status, &private).await;
    if ended.is_err() {
        // Whatever went wrong, no machine is left running on this host.
        servers::terminate(store, actor, server.id.as_str()).await?;
        follow(store, &server.id, |_| ()).await?;
    }
    ended?;
    tour.mails(dir, 3).await?;
    tour.audit().await
}

async fn signed_in_and_gone(tour: &Tour, id: &str, status: Status, key: &Path) -> Result<(), Failure> {
    let (store, actor) = (&tour.app.store, &tour.app.actor);
    held(status == Status::Running, "the machine runs")?;
    let (at, _) = servers::credentials(store, actor, id).await?;
    let target = format!("{}@{}", at.username, at.host);
    say(&format!("  ssh -p {} {target} hostname", at.port));
    let options = ["-q", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"];
    let answer = Command::new("ssh").args(options).arg("-i").arg(key).args(["-p", &at.port.to_string(), &target, "hostname"]).output()?;
    held(String::from_utf8_lossy(&answer.stdout).trim() == "web", "her key opens it, and it knows its name")?;
    say("\nShe is done with it and terminates it.");
    let server = servers::terminate(store, actor, id).await?;
    let server = follow(store, &server.id, |_| ()).await?;
    held(server.status == Status::Terminated && server.absent_at.is_some(), "the machine is gone")
}
