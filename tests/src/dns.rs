//! A real DNS server that takes signed updates, for the names of addresses.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::program::{Daemon, eventually, free_port};

/// A server with zones of the test's own; it ends with the test.
pub struct DnsServer {
    _process: Daemon,
    ip: String,
    port: u16,
}

/// What every zone begins with.
const HEAD: &str = "$TTL 60\n@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns.example.org.\n";

/// The zones that updates are taken for.
pub const ZONES: [&str; 2] = ["113.0.203.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa"];
/// The key that signs them: its name and its base64.
pub const KEY: (&str, &str) = ("leasehold", "bm90IGEgc2VjcmV0LCBqdXN0IGEga2V5IG9mIHRlc3RzLg==");

/// The program, this machine's own or the one that `scripts/prepare` took out of its package.
fn bind(program: &str) -> Command {
    let root = std::env::var_os("LEASEHOLD_BIND").map(PathBuf::from).expect("LEASEHOLD_BIND is not set; run scripts/test");
    let own = ["usr/sbin", "usr/bin"].map(|dir| root.join(dir).join(program)).into_iter().find(|path| path.exists());
    let Some(own) = own else { return Command::new(program) };
    let mut command = Command::new(own);
    let libraries = std::fs::read_dir(root.join("usr/lib")).unwrap().flatten().map(|f| f.path().display().to_string()).collect::<Vec<_>>();
    command.env("LD_LIBRARY_PATH", libraries.join(":"));
    command
}

impl DnsServer {
    /// Starts one on loopback whose files are in this folder, with two reverse zones.
    pub fn start(dir: &Path) -> Self {
        Self::on(dir, free_port())
    }

    /// As [`DnsServer::start`], at this port.
    pub fn on(dir: &Path, port: u16) -> Self {
        Self::with(dir, "127.0.0.1", port, &ZONES.map(|zone| (zone, "")))
    }

    /// One that guests ask at this address: it knows `NAME.example.test` by this address.
    pub fn for_guests(dir: &Path, ip: &str, name: &str, address: &str) -> Self {
        Self::with(dir, ip, 53, &[("example.test", &format!("{name} A {address}\n"))])
    }

    fn with(dir: &Path, ip: &str, port: u16, zones: &[(&str, &str)]) -> Self {
        let shown = dir.display();
        let zone = |(name, records): &(&str, &str)| {
            let file = dir.join(name);
            if !file.exists() {
                std::fs::write(&file, format!("{HEAD}{records}")).unwrap();
            }
            format!("zone \"{name}\" {{ type primary; file \"{}\"; allow-update {{ key \"{}\"; }}; }};\n", file.display(), KEY.0)
        };
        let text = format!(
            "options {{ directory \"{shown}\"; pid-file none; session-keyfile \"{shown}/session\"; listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }}; \
             recursion no; dnssec-validation no; empty-zones-enable no; }};\ncontrols {{ }};\nkey \"{}\" {{ algorithm hmac-sha256; secret \"{}\"; }};\n{}",
            KEY.0,
            KEY.1,
            zones.iter().map(zone).collect::<String>()
        );
        let config = dir.join("named.conf");
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::create(dir.join("named.log")).unwrap();
        let process = Daemon::start(bind("named").args(["-g", "-n", "1", "-c"]).arg(&config).stdout(Stdio::null()).stderr(log));
        let server = Self { _process: process, ip: ip.to_owned(), port };
        eventually("the DNS server answers", || !server.dig(&["SOA", zones[0].0]).is_empty());
        server
    }

    fn dig(&self, what: &[&str]) -> String {
        let (server, port) = (format!("@{}", self.ip), self.port.to_string());
        let asked = bind("dig").args([&server, "-p", &port, "+short", "+norecurse", "+tries=1", "+time=2"]).args(what).output().unwrap();
        if asked.status.success() { String::from_utf8(asked.stdout).unwrap().trim().to_owned() } else { String::new() }
    }

    /// What an address resolves to, a name a line.
    pub fn name_of(&self, address: &str) -> String {
        self.dig(&["-x", address])
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("{}:{}", self.ip, self.port)
    }
}
