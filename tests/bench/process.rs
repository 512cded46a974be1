//! The real program as a host runs it, with room for many orders, and what its process takes.

use leasehold_tests::{
    Kind,
    database::fresh_postgres,
    program::{Daemon, Program, eventually},
};

/// A host's set-up.
pub(crate) struct Host {
    pub(crate) program: Program,
    /// The database's address.
    pub(crate) url: String,
    /// The role that builds servers there.
    pub(crate) role: &'static str,
    /// An account with money.
    pub(crate) account: String,
}

impl Host {
    /// On a fresh database, with one large node; `node` is what its settings say beside its place.
    pub(crate) async fn new(kind: Kind, name: &str, node: &str) -> Self {
        Self::with(kind, name, node, &[]).await
    }

    /// As [`Host::new`], with more settings.
    pub(crate) async fn with(kind: Kind, name: &str, node: &str, settings: &[(&str, &str)]) -> Self {
        let (mut program, url, role) = match kind {
            Kind::Sqlite => {
                let p = Program::new(None);
                let url = format!("sqlite:{}", p.path("leasehold.db").display());
                (p, url, "serve")
            }
            Kind::Postgres => {
                let url = fresh_postgres(&format!("bench_{name}_{}", std::process::id())).await;
                (Program::new(Some(&url)), url, "worker")
            }
        };
        for (key, value) in [("WORKER__CLAIM", "30s"), ("PROVISION__BUILDS_PER_ACCOUNT", "2000"), ("LOG__LEVEL", "warn")].iter().chain(settings) {
            program.set(key, value);
        }
        let account = program.set_up("100000.00");
        let large = include_str!("../../config/catalog.toml")
            .replace("vcpu = 64, ram_mb = 131072, disk_gb = 4000", "vcpu = 4000, ram_mb = 4000000, disk_gb = 1000000")
            .replace("builds = 8", "builds = 2000")
            .replace("zone = \"UTC\"", "zone = \"UTC\"\norders_per_hour = 0")
            .replace("203.0.113.0/24", "10.0.0.0/16")
            .replace("203.0.113.10-203.0.113.250", "10.0.1.0-10.0.20.0")
            .replace("203.0.113.1\"", "10.0.0.1\"")
            .replace("latency = \"50ms..200ms\"\nboot_time = \"2s\"", node);
        std::fs::write(program.path("large.toml"), large).unwrap();
        program.ok(&["catalog", "import", "large.toml", "--yes"]);
        Self { program, url, role, account }
    }

    /// Starts the daemon and waits until it has nothing to do.
    pub(crate) fn daemon(&self) -> Daemon {
        let daemon = self.program.daemon(&[self.role]);
        eventually("the node was looked at", || self.program.json(&["node", "list"])[0]["seenAt"].is_string());
        daemon
    }

    pub(crate) fn order(&self, label: &str) {
        self.program.ok(&["server", "order", "--account", &self.account, "--product", "small", "--template", "debian-12", "--label", label]);
    }

    pub(crate) fn status(&self, server: &str) -> String {
        self.program.json(&["server", "show", server])["status"].as_str().unwrap().to_owned()
    }
}

/// Hundredths of a second of processor time so far.
pub(crate) fn cpu(daemon: &Daemon) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
    let fields: Vec<u64> = stat.rsplit_once(')').unwrap().1.split_whitespace().filter_map(|f| f.parse().ok()).collect();
    // Behind the state letter: utime and stime are the 14th and 15th of all.
    fields[10] + fields[11]
}

/// A line of `/proc/PID/status` in MiB: `VmRSS`, `VmHWM`; none once the process has ended.
pub(crate) fn mebibytes(daemon: &Daemon, line: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).ok()?;
    let kib: f64 = status.lines().find_map(|l| l.strip_prefix(line))?.trim_matches([':', ' ', '\t', 'k', 'B']).parse().ok()?;
    Some(kib / 1024.0)
}
