//! Signing in to a guest as its owner does: the `ssh` program, with a key or with a password.

use std::{net::SocketAddr, os::unix::fs::PermissionsExt, path::Path, process::Command};

fn ssh(at: SocketAddr, options: &[&str]) -> Command {
    let known = ["LogLevel=ERROR", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=20"];
    let mut command = Command::new("ssh");
    command.args(known.iter().chain(options).flat_map(|option| ["-o", option])).args(["-p", &at.port().to_string()]);
    command
}

#[track_caller]
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "ssh: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a line as a user of the guest, who signs in with the key in this file.
#[track_caller]
pub fn by_key(at: SocketAddr, user: &str, key: &Path, line: &str) -> String {
    said(ssh(at, &["BatchMode=yes", "IdentitiesOnly=yes"]).arg("-i").arg(key).args([&format!("{user}@{}", at.ip()), line]))
}

/// Runs a line as a user of the guest, who signs in with a password; `dir` holds a small program that types it.
#[track_caller]
pub fn by_password(at: SocketAddr, user: &str, dir: &Path, password: &str, line: &str) -> String {
    let askpass = dir.join("askpass");
    std::fs::write(&askpass, format!("#!/bin/sh\necho '{password}'\n")).unwrap();
    std::fs::set_permissions(&askpass, PermissionsExt::from_mode(0o700)).unwrap();
    let mut command = ssh(at, &["PreferredAuthentications=password", "PubkeyAuthentication=no"]);
    said(command.args([&format!("{user}@{}", at.ip()), line]).env("SSH_ASKPASS", askpass).env("SSH_ASKPASS_REQUIRE", "force"))
}

/// Makes a key pair in these files: the private one, and its public line.
pub fn key_pair(file: &Path) -> String {
    assert!(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file).status().unwrap().success());
    std::fs::read_to_string(file.with_extension("pub")).unwrap().trim().to_owned()
}
