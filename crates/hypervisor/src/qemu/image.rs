//! Disks: thin overlays of an image, or blank ones, grown to the plan's size.

use std::path::Path;

use serde::Deserialize;
use tokio::process::Command;

use crate::{Error, Result};

const GIB: i64 = 1 << 30;

#[derive(Deserialize)]
struct Info {
    #[serde(rename = "virtual-size")]
    virtual_size: i64,
}

pub(super) async fn qemu_img(args: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new("qemu-img").args(args).kill_on_drop(true).output().await;
    let output = output.map_err(|e| Error::Permanent(format!("qemu-img cannot be run ({e}); install Debian's qemu-utils")))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Error::Transient(format!("qemu-img {}: {}", args[0], String::from_utf8_lossy(&output.stderr).trim())))
}

/// Makes a disk over an image; it appears whole or not at all.
pub(super) async fn overlay(image: &Path, disk: &Path) -> Result<()> {
    let image = image.canonicalize().map_err(|e| Error::Permanent(format!("image {}: {e}", image.display())))?;
    let new = disk.with_extension("new");
    qemu_img(&["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &image.display().to_string(), &new.display().to_string()]).await?;
    std::fs::rename(&new, disk).map_err(super::folder::io)
}

/// Makes a disk with nothing on it, of no size yet; it appears whole or not at all.
pub(super) async fn blank(disk: &Path) -> Result<()> {
    let new = disk.with_extension("new");
    qemu_img(&["create", "-q", "-f", "qcow2", &new.display().to_string(), "1M"]).await?;
    std::fs::rename(&new, disk).map_err(super::folder::io)
}

/// The size that a guest sees, in whole GB.
pub(super) async fn size_gb(disk: &Path) -> Result<i64> {
    if !disk.exists() {
        return Ok(0);
    }
    // -U: also while the machine runs.
    let info = qemu_img(&["info", "-U", "--output=json", &disk.display().to_string()]).await?;
    let info: Info = serde_json::from_slice(&info).map_err(|e| Error::Permanent(format!("qemu-img info: {e}")))?;
    Ok(info.virtual_size / GIB)
}

/// Makes a disk larger; the machine is off.
pub(super) async fn grow(disk: &Path, gb: i64) -> Result<()> {
    qemu_img(&["resize", "-q", &disk.display().to_string(), &format!("{gb}G")]).await.map(drop)
}
