//! The host under test: a database behind a shaky network, four workers, a scheduler and later a second one, simulated nodes with faults, a moody mail server.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use leasehold_domain::Dice;
use leasehold_store::{Clock, Options, Store};
use leasehold_tests::{
    cluster::Cluster,
    program::{Daemon, Program, Signal, signal},
};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::{proxy::Proxy, smtp::Smtp};

/// Workers at once.
const WORKERS: usize = 4;
/// How long the host may take to come to rest after the storm.
const REST: Duration = Duration::from_mins(2);
/// How often one that ends is woken up.
const AWAKE: Duration = Duration::from_millis(100);

/// A process of the host; `None` while it is dead.
pub(crate) struct Process {
    role: &'static str,
    name: String,
    pub(crate) running: Option<Daemon>,
}

pub(crate) struct Host {
    pub(crate) proxy: Proxy,
    pub(crate) smtp: Smtp,
    pub(crate) processes: Vec<Process>,
    /// Past the shaky network, for preparing and for looking.
    pub(crate) store: Store,
    program: Program,
    pub(crate) cluster: Cluster,
    _dir: TempDir,
}

fn url(port: u16) -> String {
    format!("postgres://leasehold@127.0.0.1:{port}/chaos")
}

impl Host {
    pub(crate) async fn start(dice: &Dice) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let cluster = Cluster::start(dir.path());
        let mut admin = PgConnection::connect(&format!("postgres://leasehold@127.0.0.1:{}/postgres", cluster.port)).await.unwrap();
        sqlx::raw_sql("create database chaos").execute(&mut admin).await.unwrap();
        let store = Store::open(Options { clock: Clock::system(), ..Options::new(url(cluster.port)) }).await.unwrap();
        store.migrate().await.unwrap();

        let (proxy, smtp) = (Proxy::start(cluster.port).await, Smtp::start(Dice::seeded(dice.below(u64::MAX))).await);
        let mut program = Program::new(Some(&url(cluster.port)));
        for (key, value) in [("PROVISION__BACKOFF_MAX", "4s"), ("PROVISION__ATTEMPTS", "12"), ("PROVISION__BUILDS_PER_ACCOUNT", "1000"), ("LOG__LEVEL", "info")]
        {
            program.set(key, value);
        }
        program.set("MAIL__TRANSPORT", &format!("smtp://127.0.0.1:{}?tls=none", smtp.port));
        program.ok(&["secrets", "generate"]);
        std::fs::write(program.path("catalog.toml"), catalog(&program.path(""), dice)).unwrap();
        program.ok(&["catalog", "import", "catalog.toml"]);
        program.set("DATABASE__URL", &url(proxy.port));

        let worker = |n| Process { role: "worker", name: format!("worker-{n}"), running: None };
        let scheduler = Process { role: "scheduler", name: "scheduler".into(), running: None };
        let processes = (0..WORKERS).map(worker).chain([scheduler]).collect();
        let mut host = Self { proxy, smtp, processes, store, program, cluster, _dir: dir };
        (0..host.processes.len()).for_each(|n| host.raise(n));
        host
    }

    /// A connection as a customer's shop has one: over the shaky network.
    pub(crate) async fn shaky_store(&self) -> Store {
        Store::open(Options { clock: Clock::system(), ..Options::new(url(self.proxy.port)) }).await.unwrap()
    }

    /// Starts a process that is dead.
    pub(crate) fn raise(&mut self, n: usize) {
        if self.processes[n].running.is_none() {
            self.start_process(n, |_| {});
        }
    }

    /// Starts a process that is dead, to stand still before so many a commit; its process id.
    pub(crate) fn raise_to_freeze(&mut self, n: usize, hit: u64) -> u32 {
        let point = if self.processes[n].role == "scheduler" { "settle.before_commit" } else { "step.before_commit" };
        self.start_process(n, |command| {
            command.env("LEASEHOLD_FREEZE_AT", format!("{point}:{hit}"));
        })
    }

    fn start_process(&mut self, n: usize, with: impl FnOnce(&mut Command)) -> u32 {
        let process = &mut self.processes[n];
        let log = std::fs::File::options().create(true).append(true).open(self.program.path(&format!("{}.log", process.name))).unwrap();
        let mut command = self.program.command(&[process.role]);
        with(&mut command);
        let daemon = Daemon::start(command.stdout(Stdio::null()).stderr(log));
        let pid = daemon.pid();
        process.running = Some(daemon);
        pid
    }

    /// From now on there are two.
    pub(crate) fn second_scheduler(&mut self) {
        self.processes.push(Process { role: "scheduler", name: "second-scheduler".into(), running: None });
        self.raise(self.processes.len() - 1);
    }

    /// The directories of the simulated nodes.
    pub(crate) fn nodes(&self) -> [PathBuf; 2] {
        ["node-a", "node-b"].map(|n| self.program.path(n))
    }

    /// The storm is over: everything works, and everyone gets the time to finish.
    pub(crate) async fn calm(&mut self) {
        self.proxy.silent(false);
        self.smtp.calm();
        for n in 0..self.processes.len() {
            self.raise(n);
            // Some may be stopped still.
            if let Some(stopped) = &self.processes[n].running {
                stopped.signal(Signal::CONT);
            }
        }
        let rested = tokio::time::timeout(REST, async {
            while self.unrest().await > 0 {
                // Somebody may have died at its start, when its database was away, or come late to the transaction in which it is to stand still.
                for n in 0..self.processes.len() {
                    if let Some(stopped) = &self.processes[n].running {
                        stopped.signal(Signal::CONT);
                    }
                    if self.processes[n].running.as_mut().is_some_and(Daemon::has_ended) {
                        self.processes[n].running = None;
                        self.raise(n);
                    }
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        });
        if rested.await.is_err() {
            self.keep_logs();
            panic!("{} rows do not come to rest:\n{}", self.unrest().await, self.program.ok(&["queue", "list"]));
        }
    }

    /// Servers and mails that are not at rest.
    async fn unrest(&self) -> usize {
        let mut tx = self.store.read().await.unwrap();
        let servers = tx.work_in(leasehold_store::Queue::Servers, 10_000).await.unwrap();
        let mails = tx.work_in(leasehold_store::Queue::Mails, 10_000).await.unwrap();
        servers.iter().chain(&mails).filter(|w| w.next_at.is_some()).count()
    }

    /// Everything that is known of a server.
    pub(crate) fn show(&self, server: &str) -> String {
        self.program.ok(&["server", "show", server])
    }

    /// Puts the processes' logs where they can be read after a failure.
    pub(crate) fn keep_logs(&self) {
        // Beside the program: temporary folders go with the run.
        let kept = std::env::current_exe().unwrap().with_file_name(format!("chaos-logs-{}", std::process::id()));
        std::fs::create_dir_all(&kept).unwrap();
        for process in &self.processes {
            let name = format!("{}.log", process.name);
            let _ = std::fs::copy(self.program.path(&name), kept.join(&name));
        }
        eprintln!("logs are in {}", kept.display());
    }

    /// Every process stops when it is asked to.
    pub(crate) async fn end(mut self) {
        for process in &mut self.processes {
            let Some(daemon) = process.running.take() else { continue };
            // Also one that comes to stand still on its way out.
            let pid = daemon.pid();
            std::thread::spawn(move || {
                while signal(pid, Signal::CONT) {
                    std::thread::sleep(AWAKE);
                }
            });
            assert_eq!(daemon.stop(), Some(0), "{} stops when it is asked to", process.name);
        }
        self.store.close().await;
    }
}

/// Two nodes where every tenth call goes wrong, and addresses enough.
fn catalog(dir: &std::path::Path, dice: &Dice) -> String {
    let node = |name: &str| {
        let (endpoint, seed) = (dir.join(name), dice.below(1_000_000));
        format!(
            "[[node]]\nid = \"{name}\"\nregion = \"fra\"\nbackend = \"simulated\"\nendpoint = \"{}\"\nlatency = \"50ms..500ms\"\ndisk_time = \"300ms\"\n\
             boot_time = \"400ms\"\nfaults = {{ busy = 0.04, request_lost = 0.03, reply_lost = 0.03 }}\nseed = {seed}\n\
             capacity = {{ vcpu = 4000, ram_mb = 4000000, disk_gb = 100000 }}\nbuilds = 1000\n",
            endpoint.display()
        )
    };
    format!(
        "[policy]\norders_per_hour = 0\n[[region]]\nid = \"fra\"\nname = \"Frankfurt\"\n{}{}[[template]]\nid = \"debian-12\"\nfamily = \"debian\"\nlabel = \"Debian 12\"\nimage = \"debian-12\"\n\
         [[pool]]\nid = \"fra-v4\"\nregion = \"fra\"\nfamily = 4\ncidr = \"198.18.0.0/16\"\ngateway = \"198.18.0.1\"\nrange = \"198.18.1.0-198.18.16.255\"\n\
         [[product]]\nkey = \"small\"\nname = \"Small\"\nvcpu = 1\nram_mb = 1024\ndisk_gb = 10\nbandwidth_gb = 1000\nregions = [\"fra\"]\nprices = {{ EUR = {{ 1m = \"9.00\" }} }}\n",
        node("node-a"),
        node("node-b")
    )
}
