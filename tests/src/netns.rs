//! Networks and mounts of a test's own: namespaces that end with the process in them.

use std::process::Command;

/// Runs an ignored test of this program as root of network and mount namespaces of its own; it must pass.
pub fn alone(test: &str) {
    let me = std::env::current_exe().unwrap();
    // Root needs no user namespace, which some containers refuse.
    let flags = if rustix::process::geteuid().is_root() { "-nm" } else { "-rnm" };
    let ran = Command::new("unshare").args([flags, "--"]).arg(me).args(["--exact", test, "--ignored", "--nocapture"]).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && text.contains("1 passed"), "{text}");
}

fn ip(line: &str) {
    let done = Command::new("ip").args(line.split(' ')).status().unwrap();
    assert!(done.success(), "ip {line}");
}

/// The loopback of the namespace that this process is in.
pub fn loopback() {
    ip("link set lo up");
}

/// A bridge `br0` with 10.66.0.1/24 and fd66::1/64, in the namespace that this process is in.
pub fn bridge() {
    loopback();
    for line in ["link add br0 type bridge", "addr add 10.66.0.1/24 dev br0", "addr add fd66::1/64 dev br0 nodad", "link set br0 up"] {
        ip(line);
    }
}
