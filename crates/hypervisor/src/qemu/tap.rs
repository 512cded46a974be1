//! Taps on a bridge of the host: the machine's own cable, made before it starts and gone when it is.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
};

use tokio::process::Command;

use crate::{Error, Result};

/// The tap of a machine: within the fifteen letters that Linux allows, and unlike those of other nodes on this host.
pub(super) fn name(endpoint: &Path, vmid: i64) -> String {
    let mut hasher = DefaultHasher::new();
    endpoint.hash(&mut hasher);
    format!("lh{:04x}-{vmid}", hasher.finish() & 0xffff)
}

async fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(args).output().await;
    let output = output.map_err(|e| Error::Permanent(format!("ip cannot be run ({e}); install Debian's iproute2")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Transient(format!("ip {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim())))
}

/// Makes the tap where there is none, and puts it on the bridge.
pub(super) async fn ensure(tap: &str, bridge: &str) -> Result<()> {
    if counters(tap)?.is_none() {
        ip(&["tuntap", "add", "dev", tap, "mode", "tap"]).await?;
    }
    ip(&["link", "set", "dev", tap, "master", bridge, "up"]).await
}

/// Removes the tap where there is one.
pub(super) async fn remove(tap: &str) -> Result<()> {
    if counters(tap)?.is_some() { ip(&["link", "delete", "dev", tap]).await } else { Ok(()) }
}

/// Bytes that the guest received and sent; none when there is no such tap. What the host receives, the guest sent.
pub(super) fn counters(tap: &str) -> Result<Option<(i64, i64)>> {
    // This file shows the network that we are in, also where /sys shows another.
    let devices = std::fs::read_to_string("/proc/self/net/dev").map_err(super::folder::io)?;
    Ok(devices.lines().find_map(|line| {
        let (device, counts) = line.split_once(':')?;
        let counts: Vec<i64> = counts.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        (device.trim() == tap).then(|| (counts.get(8).copied().unwrap_or(0), counts.first().copied().unwrap_or(0)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_tell_nodes_apart() {
        let (a, b) = (name(Path::new("/a"), 1_000_000), name(Path::new("/b"), 1_000_000));
        assert!(a.len() <= 15 && a != b, "{a} {b}");
    }
}
