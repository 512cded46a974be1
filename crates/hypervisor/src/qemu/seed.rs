//! The NoCloud seed: a small FAT file system labelled CIDATA that tells a guest its name, network and keys.

use std::{
    io::{Cursor, Write},
    path::Path,
};

use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};
use leasehold_domain::Mark;

use super::folder::io;
use crate::{GuestConfig, Result, whole};

const SIZE: usize = 1 << 20;

fn user_data(guest: &GuestConfig) -> String {
    // Type and key only: a comment may hold anything, also what YAML reads as something else.
    let bare = |key: &String| key.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let keys: String = guest.ssh_keys.iter().map(|k| format!("      - {}\n", bare(k))).collect();
    let keys = if keys.is_empty() { String::new() } else { format!("    ssh_authorized_keys:\n{keys}") };
    format!("#cloud-config\nusers:\n  - name: {}\n{keys}growpart:\n  mode: auto\n", guest.username)
}

fn network_config(mac: &str, guest: &GuestConfig) -> String {
    let addresses: String = guest.addresses.iter().map(|a| format!("      - {}/{}\n", a.address, a.prefix)).collect();
    let gateway = |v6: bool| guest.addresses.iter().find(|a| a.address.contains(':') == v6).map(|a| a.gateway.as_str());
    let gateway4 = gateway(false).map_or_else(String::new, |g| format!("    gateway4: {g}\n"));
    let gateway6 = gateway(true).map_or_else(String::new, |g| format!("    gateway6: {g}\n"));
    format!("version: 2\nethernets:\n  eth0:\n    match:\n      macaddress: \"{mac}\"\n    set-name: eth0\n    addresses:\n{addresses}{gateway4}{gateway6}")
}

/// Writes the seed; it appears whole or not at all.
pub(super) fn write(file: &Path, mark: &Mark, mac: &str, guest: &GuestConfig) -> Result<()> {
    let mut image = Cursor::new(vec![0; SIZE]);
    fatfs::format_volume(&mut image, FormatVolumeOptions::new().volume_label(*b"CIDATA     ")).map_err(io)?;
    let meta = format!("instance-id: {mark}\nlocal-hostname: {}\n", guest.hostname);
    let volume = FileSystem::new(&mut image, FsOptions::new()).map_err(io)?;
    for (name, text) in [("meta-data", meta), ("user-data", user_data(guest)), ("network-config", network_config(mac, guest))] {
        volume.root_dir().create_file(name).and_then(|mut f| f.write_all(text.as_bytes())).map_err(io)?;
    }
    volume.unmount().map_err(io)?;
    whole::write(file, image.into_inner()).map_err(io)
}
