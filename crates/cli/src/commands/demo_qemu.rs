//! `leasehold demo --qemu`: one order on a real machine of this host, and a login with the account's key.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use leasehold_commands::{servers, ssh_keys};
use leasehold_domain::server::Status;

use super::{
    demo::{Tour, held, say},
    server_show::follow,
};
use crate::exit::Failure;

/// Where the guest image is looked for.
const IMAGES: &str = "target/guest";

/// One QEMU node, and a plan that the small guest fits.
const CATALOG: &str = include_str!("../../../../config/catalog-qemu.toml");

/// That catalogue, with its folders in their places.
pub(super) fn catalog(dir: &Path) -> Result<String, Failure> {
    let images = std::env::var_os("LEASEHOLD_GUEST").map_or_else(|| PathBuf::from(IMAGES), PathBuf::from);
    if !images.join("tiny.qcow2").exists() {
        return Err(Failure::Usage(format!(
            "there is no guest image in {}; build it from Debian packages with: scripts/guest-image {IMAGES}",
            images.display()
        )));
    }
    let (images, machines) = (images.canonicalize()?, dir.join("machines"));
    Ok(CATALOG.replace("\"target/guest\"", &format!("\"{}\"", images.display())).replace("\"machines\"", &format!("\"{}\"", machines.display())))
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
    ssh_keys::add_to(store, actor, &tour.account, "ada", &public).await?;
    say("\nAda adds her SSH key and orders a server. A real machine is built, in software emulation: this takes a while.");
    let server = tour.order("web", "tiny").await?;
    let used = async {
        let server = follow(store, &server.id, say).await?;
        signed_in_and_gone(tour, server.id.as_str(), server.status, &private).await
    };
    let ended = tokio::select! {
        ended = used => ended,
        _ = tokio::signal::ctrl_c() => Err(Failure::Failed("interrupted; the machine was removed".into())),
    };
    if ended.is_err() {
        // Whatever went wrong, no machine is left running on this host.
        servers::terminate(store, actor, server.id.as_str(), servers::Unfinished::Paid).await?;
        while store.read().await?.server(&server.id).await?.absent_at.is_none() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    ended?;
    tour.mails(dir, 4).await?;
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
    let server = servers::terminate(store, actor, id, servers::Unfinished::Paid).await?;
    let server = follow(store, &server.id, |_| ()).await?;
    held(server.status == Status::Terminated && server.absent_at.is_some(), "the machine is gone")
}
