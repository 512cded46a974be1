//! A real guest as a customer gets it: a stock Debian with cloud-init, ordered, built, signed in to by key and by password, reinstalled.
#![expect(clippy::expect_used, reason = "a test that cannot go on panics")]

use std::{net::SocketAddr, time::Duration};

use leasehold_tests::{
    dns::DnsServer,
    netns,
    program::{Program, within},
    ssh,
};

#[test]
fn a_stock_debian_is_delivered_signed_in_to_and_reinstalled() {
    netns::alone("in_a_network_of_its_own");
}

fn catalogue(p: &Program) -> String {
    let images = std::env::var("LEASEHOLD_GUEST").expect("LEASEHOLD_GUEST is not set; real machines are never skipped: run scripts/test");
    let machines = p.path("machines").display().to_string();
    format!(
        r#"
[[region]]
id = "here"
name = "Here"
resolvers = ["10.66.0.1", "192.0.2.53"]
[[node]]
id = "q1"
region = "here"
backend = "qemu"
endpoint = "{machines}"
images = "{images}"
accel = "tcg"
network = "bridge:br0"
capacity = {{ vcpu = 4, ram_mb = 4096, disk_gb = 50 }}
[[template]]
id = "debian-12"
family = "debian"
label = "Debian 12"
image = "debian-12"
[[template]]
id = "debian-12-user"
family = "debian"
label = "Debian 12, as its own user"
image = "debian-12"
username = "admin"
[[pool]]
id = "v4"
region = "here"
family = 4
cidr = "10.66.0.0/24"
gateway = "10.66.0.1"
range = "10.66.0.10-10.66.0.20"
[[pool]]
id = "v6"
region = "here"
family = 6
cidr = "fd66::/64"
gateway = "fd66::1"
range = "fd66::10-fd66::20"
[[product]]
key = "small"
name = "Small"
vcpu = 2
ram_mb = 1024
disk_gb = 4
bandwidth_gb = 100
regions = ["here"]
prices = {{ EUR = {{ 1m = "5.00" }} }}
"#
    )
}

/// Longer than two boots in software on a busy host.
const BOOT: Duration = Duration::from_mins(6);
/// What every renderer of cloud-init makes of the network, a heading before each file.
const RENDERED: &str = r#"for r in eni netplan networkd sysconfig network-manager; do
  d=debian; case $r in sysconfig | network-manager) d=rhel ;; esac
  cloud-init devel net-convert -p /mnt/network-config -k yaml -d /tmp/$r -D $d -O $r -m eth0,"$(cat /sys/class/net/eth0/address)" >/dev/null || echo "FAILED $r"
  find /tmp/$r -type f | while read -r f; do echo "== $r"; cat "$f"; done
done"#;

/// What is said of one renderer.
fn of<'a>(rendered: &'a str, renderer: &str) -> String {
    let files = rendered.split("== ").filter(|file| file.lines().next() == Some(renderer));
    files.map(|file: &'a str| file.to_owned()).collect()
}

fn running(p: &Program) {
    within(BOOT, "the server runs", || {
        let s = p.json(&["server", "show", "123456"]);
        assert_ne!(s["status"], "failed", "{s}");
        s["status"] == "running"
    });
}

#[test]
#[ignore = "started by the test above, in a network of its own"]
fn in_a_network_of_its_own() {
    netns::bridge();
    let p = Program::new(None);
    let _dns = DnsServer::for_guests(&p.path(""), "10.66.0.1", "mail", "192.0.2.25");
    let account = p.set_up("20.00");
    std::fs::write(p.path("real.toml"), catalogue(&p)).unwrap();
    p.ok(&["catalog", "import", "real.toml", "--yes"]);
    ssh::key_pair(&p.path("id"));
    p.ok(&["ssh-key", "add", "id.pub", "--account", &account]);
    std::fs::write(
        p.path("first-boot"),
        "#cloud-config\nwrite_files:\n- {path: /root/from-owner, content: \"it's mine: yes\"}\nruncmd: [[touch, /root/ran]]\n",
    )
    .unwrap();
    let daemon = p.daemon(&["serve"]);

    // A label of digits is a name, in YAML too.
    p.ok(&["server", "order", "--account", &account, "--product", "small", "--template", "debian-12", "--label", "123456", "--user-data", "first-boot"]);
    running(&p);
    let at = SocketAddr::from(([10, 66, 0, 10], 22));
    let by_key = |user: &str, line: &str| ssh::by_key(at, user, &p.path("id"), line).trim().to_owned();
    let password = || p.json(&["server", "credentials", "123456"])["password"].as_str().expect("a password is known").to_owned();

    // By key and by password, as the mail says; the network of both families, and names.
    assert_eq!(by_key("root", "hostname"), "123456");
    assert_eq!(ssh::by_password(at, "root", &p.path(""), &password(), "id -un").trim(), "root");
    assert_eq!(by_key("root", "getent ahostsv4 mail.example.test | head -1").split(' ').next(), Some("192.0.2.25"));
    assert!(by_key("root", "ip -4 route show default").contains("via 10.66.0.1") && by_key("root", "ip -6 route show default").contains("via fd66::1"));
    assert!(by_key("root", "ip -6 addr show dev eth0").contains("fd66::10/64"));
    assert_eq!(by_key("root", "cat /root/from-owner; echo; ls /root"), "it's mine: yes\nfrom-owner\nran");

    // The image has no locales, which cloud-init complains of: delivered all the same, and said, without what may quote the owner's part.
    let shown = p.json(&["server", "show", "123456"]);
    assert!(shown["attention"][0]["kind"] == "guest_troubled" && shown["attention"][0]["detail"].as_str().unwrap().contains("result.json"), "{shown}");

    // Our part is good in cloud-init's own eyes, and no renderer loses the way out or the name server.
    assert!(by_key("root", "cloud-init schema --system 2>&1").contains("Valid"), "{}", by_key("root", "cloud-init schema --system 2>&1"));
    by_key("root", "mount -o ro /dev/vdb /mnt");
    let rendered = by_key("root", RENDERED);
    assert!(!rendered.contains("FAILED"), "{rendered}");
    for renderer in ["eni", "netplan", "networkd", "sysconfig", "network-manager"] {
        let text = of(&rendered, renderer);
        for part in ["10.66.0.10", "fd66::10", "10.66.0.1", "fd66::1", "192.0.2.53"] {
            assert!(text.contains(part), "{renderer} lacks {part}:\n{text}");
        }
        assert!(!text.contains(" ::/64"), "{renderer} takes the way out for a network:\n{text}");
    }

    // Another system on the same address, for another user; the owner's part goes along.
    let old = password();
    p.ok(&["server", "reinstall", "123456", "--template", "debian-12-user", "--yes"]);
    within(BOOT, "the rebuilding began", || p.json(&["server", "show", "123456"])["status"] == "building");
    running(&p);
    assert_ne!(password(), old);
    assert_eq!(by_key("admin", "id -un; sudo cat /root/from-owner"), "admin\nit's mine: yes");
    assert_eq!(ssh::by_password(at, "admin", &p.path(""), &password(), "sudo id -un").trim(), "root");

    // It ends with nothing of the owner's left.
    p.ok(&["server", "terminate", "123456", "--yes"]);
    within(BOOT, "the server is gone", || p.json(&["server", "list", "--status", "terminated"]).as_array().unwrap().len() == 1);
    assert_eq!(daemon.stop(), Some(0));
    p.ok(&["billing", "audit"]);
}
