//! Snapshots inside a machine's disk: by QEMU while it runs, by qemu-img while it is off. They hold the disk as a power cut would
//! leave it, not the memory.

use serde::Deserialize;
use serde_json::json;

use super::{folder::Folder, image::qemu_img, qmp};
use crate::{Result, Snapshot};

/// QEMU's name for the disk.
const DISK: &str = "disk0";

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    snapshots: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(rename = "date-sec")]
    seconds: i64,
}

fn path(folder: &Folder, generation: i64) -> String {
    folder.disk(generation).display().to_string()
}

/// All of a disk's snapshots, the oldest first.
pub(super) async fn list(folder: &Folder, generation: i64) -> Result<Vec<Snapshot>> {
    // -U: also while the machine runs.
    let info = qemu_img(&["info", "-U", "--output=json", &path(folder, generation)]).await?;
    let info: Info = serde_json::from_slice(&info).map_err(|e| crate::Error::Permanent(format!("qemu-img info: {e}")))?;
    Ok(info.snapshots.into_iter().map(|s| Snapshot { name: s.name, taken_at: leasehold_domain::Timestamp::from_millis(s.seconds * 1000) }).collect())
}

pub(super) async fn take(folder: &Folder, generation: i64, name: &str, on: bool) -> Result<()> {
    if on {
        let arguments = json!({ "device": DISK, "name": name });
        return qmp::run_with(&folder.file("qmp.sock"), "blockdev-snapshot-internal-sync", arguments).await.map(drop);
    }
    qemu_img(&["snapshot", "-c", name, &path(folder, generation)]).await.map(drop)
}

pub(super) async fn delete(folder: &Folder, generation: i64, name: &str, on: bool) -> Result<()> {
    if on {
        let arguments = json!({ "device": DISK, "name": name });
        return qmp::run_with(&folder.file("qmp.sock"), "blockdev-snapshot-delete-internal-sync", arguments).await.map(drop);
    }
    qemu_img(&["snapshot", "-d", name, &path(folder, generation)]).await.map(drop)
}

/// Puts the disk back; the machine is off.
pub(super) async fn apply(folder: &Folder, generation: i64, name: &str) -> Result<()> {
    qemu_img(&["snapshot", "-a", name, &path(folder, generation)]).await.map(drop)
}
