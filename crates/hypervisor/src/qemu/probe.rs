//! Whether this host can run machines as its settings say. A `/dev/kvm` that opens may still hang every kernel, so a kernel is
//! booted: it has nothing to mount, says so, and ends.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use tokio::process::Command;

use super::{Settings, launch};
use crate::{Error, Result};

/// The longest time for a kernel to get as far as looking for its disk.
const BOOT: Duration = Duration::from_secs(10);

/// A kernel to boot: one of the node's own images, else the host's.
fn kernel(settings: &Settings) -> Option<PathBuf> {
    let newest = |dir: PathBuf, fits: fn(&str) -> bool| {
        let files = std::fs::read_dir(dir).ok()?.flatten().map(|e| e.path());
        files.filter(|p| p.file_name().and_then(|n| n.to_str()).is_some_and(fits)).max()
    };
    newest(settings.images.clone(), |name| name.ends_with(".kernel")).or_else(|| newest("/boot".into(), |name| name.starts_with("vmlinuz-")))
}

/// Boots a kernel as machines are booted; answers what was seen.
pub(super) async fn accelerated(settings: &Settings) -> Result<String> {
    let Some(kernel) = kernel(settings) else { return Ok("acceleration not tried: no kernel was found to boot".into()) };
    let accel = settings.accel.argument();
    let began = Instant::now();
    let mut command = Command::new(launch::QEMU);
    command
        .args(["-accel", accel, "-cpu", "max", "-machine", "q35", "-m", "256", "-display", "none", "-nodefaults", "-no-reboot", "-kernel"])
        .arg(&kernel)
        .args(["-append", "panic=-1"])
        .kill_on_drop(true);
    let ended = tokio::time::timeout(BOOT, command.output()).await;
    let name = kernel.display();
    match ended {
        Ok(Ok(output)) if output.status.success() => Ok(format!("accel {accel} boots {name} in {} ms", began.elapsed().as_millis())),
        Ok(Ok(output)) => Err(Error::Permanent(format!("accel {accel}: {}", String::from_utf8_lossy(&output.stderr).trim()))),
        Ok(Err(e)) => Err(launch::missing(&e)),
        Err(_) => Err(Error::Permanent(format!("accel {accel} does not boot {name} within {} s; set accel = \"tcg\" for this node", BOOT.as_secs()))),
    }
}
