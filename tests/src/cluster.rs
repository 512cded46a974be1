//! A PostgreSQL cluster of our own, which may be ended in the middle of anything.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::program::free_port;

/// A cluster; it ends with this value.
pub struct Cluster {
    dir: PathBuf,
    bin: PathBuf,
    /// Where it listens, on loopback.
    pub port: u16,
    /// What it is started with.
    options: &'static str,
}

/// As few bytes of log as it can do with: 1 MiB a segment.
const SMALL: &str = "-c min_wal_size=2MB -c max_wal_size=4MB -c shared_buffers=8MB";

impl Drop for Cluster {
    fn drop(&mut self) {
        self.control(&["-m", "immediate", "stop"]);
    }
}

fn programs() -> PathBuf {
    let debian = || {
        let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|e| e.path().join("bin")).collect();
        found.sort();
        found.pop().expect("PostgreSQL is not installed: run scripts/test")
    };
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).find(|p| p.join("initdb").exists()).unwrap_or_else(debian)
}

/// PostgreSQL refuses to run as root.
fn unprivileged(program: &Path) -> Command {
    let root = std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(program);
    command
}

impl Cluster {
    /// Makes and starts it under `dir`, which any user may enter.
    pub fn start(dir: &Path) -> Self {
        Self::make(dir, &[], "")
    }

    /// As [`Cluster::start`], for a small volume.
    pub fn start_small(dir: &Path) -> Self {
        Self::make(dir, &["--wal-segsize=1"], SMALL)
    }

    fn make(dir: &Path, with: &[&str], options: &'static str) -> Self {
        let dir = dir.join("pg");
        std::fs::create_dir(&dir).unwrap();
        std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let cluster = Self { bin: programs(), port: free_port(), dir, options };
        let made = unprivileged(&cluster.bin.join("initdb"))
            .arg("-D")
            .arg(cluster.data())
            .args(["-A", "trust", "-U", "leasehold", "--locale=C.UTF-8"])
            .args(with)
            .current_dir(&cluster.dir)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        cluster.up();
        cluster
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn control(&self, args: &[&str]) -> bool {
        unprivileged(&self.bin.join("pg_ctl")).arg("-D").arg(self.data()).args(args).current_dir(&self.dir).output().unwrap().status.success()
    }

    fn up(&self) {
        let options = format!("-p {} -k {} -c listen_addresses=127.0.0.1 -c max_connections=200 {}", self.port, self.dir.display(), self.options);
        let log = self.dir.join("log").display().to_string();
        assert!(self.control(&["-w", "-l", &log, "-o", &options, "start"]), "PostgreSQL does not start: {log}");
    }

    /// Starts it again where it gave up.
    pub fn up_again(&self) {
        if !self.control(&["status"]) {
            self.up();
        }
    }

    /// Keeps what it holds now, as a standby that hears nothing more would.
    pub fn keep(&self) {
        assert!(self.control(&["-m", "fast", "-w", "stop"]));
        self.copy("data", "kept");
        self.up();
    }

    /// That standby takes over.
    pub fn go_back(&self) {
        assert!(self.control(&["-m", "immediate", "-w", "stop"]));
        std::fs::remove_dir_all(self.data()).unwrap();
        self.copy("kept", "data");
        self.up();
    }

    fn copy(&self, from: &str, to: &str) {
        let copied = Command::new("cp").arg("-a").args([self.dir.join(from), self.dir.join(to)]).status().unwrap();
        assert!(copied.success(), "{from} is copied");
    }

    /// As after a power cut: nothing is written down on the way out.
    pub fn crash_and_recover(&self) {
        self.control(&["-m", "immediate", "stop"]);
        self.up();
    }
}
