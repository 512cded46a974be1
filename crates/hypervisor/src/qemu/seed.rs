//! The NoCloud seed: a small FAT file system labelled CIDATA that tells a guest its name, network and keys.
//!
//! What is in it is serialised, never pasted: JSON is YAML in which every text is quoted, so that a name like `123456` or `no` stays a name.

use std::{
    io::{Cursor, Write},
    net::IpAddr,
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};
use leasehold_domain::Mark;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::folder::io;
use crate::{GuestAddress, GuestConfig, Result, whole};

const SIZE: usize = 1 << 20;
/// Who needs no `sudo`.
const ROOT: &str = "root";
/// Read before what distributions ship, and the first word counts.
const SSHD: &str = "/etc/ssh/sshd_config.d/10-leasehold.conf";
/// Parts are encoded or serialised, so none of them holds this line.
const BOUNDARY: &str = "=_leasehold";
/// What images without a resolver's program of their own leave to be done: the file says where to ask, when nothing else writes it.
const RESOLVE: &str = r#"f=/etc/resolv.conf; [ -L $f ] || grep -q '^nameserver' $f 2>/dev/null || printf 'nameserver %s\n' "$@" > $f"#;

/// One value a line: a person reads it, and so does a guest without a parser.
fn lines(value: &Value) -> String {
    format!("{value:#}\n")
}

fn meta_data(mark: &Mark, guest: &GuestConfig) -> String {
    lines(&json!({ "instance-id": mark.to_string(), "local-hostname": guest.hostname }))
}

/// Who is let in by key; the password, which the agent sets later, takes the lock off.
fn user(guest: &GuestConfig) -> Value {
    // Type and key only: a comment may hold anything.
    let bare = |key: &String| key.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let keys: Vec<String> = guest.ssh_keys.iter().map(bare).collect();
    let mut user = json!({ "name": guest.username });
    if !keys.is_empty() {
        user["ssh_authorized_keys"] = json!(keys);
    }
    if guest.username != ROOT {
        (user["sudo"], user["shell"]) = (json!("ALL=(ALL) NOPASSWD:ALL"), json!("/bin/bash"));
    }
    user
}

fn cloud_config(guest: &GuestConfig) -> String {
    let as_root = guest.username == ROOT;
    let mut config = json!({
        // Beside what the owner's own part says, which comes before it: lists are continued, and nothing else is replaced.
        "merge_how": [{ "name": "list", "settings": ["append"] }, { "name": "dict", "settings": ["no_replace", "recurse_list"] }],
        "users": [user(guest)],
        "disable_root": !as_root,
        "ssh_pwauth": true,
        "growpart": { "mode": "auto" },
    });
    if as_root {
        config["write_files"] = json!([{ "path": SSHD, "content": "PermitRootLogin yes\n", "permissions": "0644" }]);
    }
    if !guest.resolvers.is_empty() {
        let command: Vec<String> = ["sh", "-c", RESOLVE, "sh"].map(str::to_owned).into_iter().chain(guest.resolvers.iter().map(IpAddr::to_string)).collect();
        config["bootcmd"] = json!([command]);
    }
    format!("#cloud-config\n{}", lines(&config))
}

/// The owner's part as it was given, and ours behind it.
fn in_parts(theirs: &SecretString, ours: &str) -> String {
    let theirs = theirs.expose_secret();
    let kind = if theirs.starts_with("#!") { "x-shellscript" } else { "cloud-config" };
    let theirs = STANDARD.encode(theirs);
    let theirs: Vec<&str> = (0..theirs.len()).step_by(76).filter_map(|at| theirs.get(at..theirs.len().min(at + 76))).collect();
    format!(
        "Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\nMIME-Version: 1.0\n\n\
         --{BOUNDARY}\nContent-Type: text/{kind}; charset=\"utf-8\"\nMIME-Version: 1.0\nContent-Transfer-Encoding: base64\n\n{}\n\n\
         --{BOUNDARY}\nContent-Type: text/cloud-config; charset=\"utf-8\"\nMIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n\n{ours}\n\
         --{BOUNDARY}--\n",
        theirs.join("\n")
    )
}

fn user_data(guest: &GuestConfig) -> String {
    let ours = cloud_config(guest);
    guest.user_data.as_ref().map_or(ours.clone(), |theirs| in_parts(theirs, &ours))
}

/// Version 1, which every renderer of cloud-init writes rightly for both families; version 2 loses the way out in some of them. Resolvers
/// stand at every address: some renderers pass over those of the whole.
fn network_config(mac: &str, guest: &GuestConfig) -> String {
    let v6 = |a: &GuestAddress| a.address.contains(':');
    let first = |a: &GuestAddress| guest.addresses.iter().find(|b| v6(b) == v6(a)) == Some(a);
    let subnets = guest.addresses.iter().map(|a| {
        let mut subnet = json!({ "type": if v6(a) { "static6" } else { "static" }, "address": format!("{}/{}", a.address, a.prefix) });
        if first(a) {
            subnet["gateway"] = json!(a.gateway);
        }
        if !guest.resolvers.is_empty() {
            subnet["dns_nameservers"] = json!(guest.resolvers);
        }
        subnet
    });
    let card = json!({ "type": "physical", "name": "eth0", "mac_address": mac, "subnets": subnets.collect::<Vec<_>>() });
    let resolvers = (!guest.resolvers.is_empty()).then(|| json!({ "type": "nameserver", "address": guest.resolvers }));
    let config: Vec<Value> = [card].into_iter().chain(resolvers).collect();
    lines(&json!({ "version": 1, "config": config }))
}

/// Writes the seed; it appears whole or not at all.
pub(super) fn write(file: &Path, mark: &Mark, mac: &str, guest: &GuestConfig) -> Result<()> {
    let mut image = Cursor::new(vec![0; SIZE]);
    fatfs::format_volume(&mut image, FormatVolumeOptions::new().volume_label(*b"CIDATA     ")).map_err(io)?;
    let volume = FileSystem::new(&mut image, FsOptions::new()).map_err(io)?;
    for (name, text) in [("meta-data", meta_data(mark, guest)), ("user-data", user_data(guest)), ("network-config", network_config(mac, guest))] {
        volume.root_dir().create_file(name).and_then(|mut f| f.write_all(text.as_bytes())).map_err(io)?;
    }
    volume.unmount().map_err(io)?;
    whole::write(file, image.into_inner()).map_err(io)
}

#[cfg(test)]
mod tests {
    use leasehold_domain::ServerId;

    use super::*;

    fn guest(username: &str) -> GuestConfig {
        let address = |address: &str, prefix, gateway: &str| GuestAddress { address: address.into(), prefix, gateway: gateway.into() };
        GuestConfig {
            hostname: "0042".into(),
            username: username.into(),
            ssh_keys: vec!["ssh-ed25519 AAAA ada: \"no\"\n- x".into()],
            addresses: vec![address("203.0.113.10", 24, "203.0.113.1"), address("2001:db8::10", 64, "fe80::1"), address("203.0.113.11", 24, "203.0.113.1")],
            resolvers: vec!["192.0.2.53".parse().unwrap(), "2001:db8::53".parse().unwrap()],
            user_data: None,
        }
    }

    fn read(text: &str) -> Value {
        serde_json::from_str(text.trim_start_matches("#cloud-config\n")).unwrap()
    }

    #[test]
    fn a_name_is_a_text_and_a_key_is_nothing_else() {
        let mark = Mark { server: ServerId("s".into()), generation: 1 };
        assert_eq!(read(&meta_data(&mark, &guest("root")))["local-hostname"], "0042");
        assert_eq!(read(&cloud_config(&guest("root")))["users"], json!([{ "name": "root", "ssh_authorized_keys": ["ssh-ed25519 AAAA"] }]));
    }

    #[test]
    fn root_is_let_in_where_it_is_the_one_and_only_there() {
        let (root, other) = (read(&cloud_config(&guest("root"))), read(&cloud_config(&guest("debian"))));
        assert_eq!(
            (&root["disable_root"], &root["ssh_pwauth"], &root["write_files"][0]["content"]),
            (&json!(false), &json!(true), &json!("PermitRootLogin yes\n"))
        );
        assert_eq!((&other["disable_root"], &other["ssh_pwauth"], &other["write_files"]), (&json!(true), &json!(true), &Value::Null));
        assert_eq!(other["users"][0]["sudo"], "ALL=(ALL) NOPASSWD:ALL");
    }

    #[test]
    fn each_family_has_one_way_out_and_each_address_its_resolvers() {
        let network = read(&network_config("52:54:00:00:00:01", &guest("root")));
        let resolvers = json!(["192.0.2.53", "2001:db8::53"]);
        let subnet = |kind: &str, address: &str, gateway: Option<&str>| {
            let mut subnet = json!({ "type": kind, "address": address, "dns_nameservers": resolvers });
            if let Some(gateway) = gateway {
                subnet["gateway"] = gateway.into();
            }
            subnet
        };
        let subnets = [
            subnet("static", "203.0.113.10/24", Some("203.0.113.1")),
            subnet("static6", "2001:db8::10/64", Some("fe80::1")),
            subnet("static", "203.0.113.11/24", None),
        ];
        assert_eq!((&network["version"], &network["config"][0]["subnets"]), (&json!(1), &json!(subnets)));
        assert_eq!(network["config"][1], json!({ "type": "nameserver", "address": resolvers }));
    }

    #[test]
    fn the_owners_part_is_given_on_byte_for_byte_and_ours_follows() {
        let theirs = "#!/bin/sh\necho '--=_leasehold'\n".repeat(9);
        let whole = user_data(&GuestConfig { user_data: Some(theirs.clone().into()), ..guest("root") });
        let parts: Vec<&str> = whole.split("--=_leasehold").collect();
        let body = parts[1].split_once("\n\n").unwrap().1.replace('\n', "");
        assert_eq!(STANDARD.decode(body).unwrap(), theirs.as_bytes());
        assert!(parts[1].contains("text/x-shellscript") && parts[2].contains("#cloud-config") && parts.len() == 4, "{whole}");
    }
}
