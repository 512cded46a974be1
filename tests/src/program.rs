//! The real program as its users run it: a folder with a configuration, commands, daemons that are ended with the test.

use std::{
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::Pid;
pub use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::database::fresh_postgres;

/// A host's set-up.
pub struct Program {
    dir: TempDir,
    env: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// Its errors and logs.
    pub err: String,
}

/// A process of the test's own; killed when dropped.
pub struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Daemon {
    /// Starts a command.
    pub fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Sends it a signal; false when it has ended.
    pub fn signal(&self, name: Signal) -> bool {
        signal(self.0.id(), name)
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Asks it to stop, as systemd does, and waits for its end; the exit code, or none when a signal ended it.
    pub fn stop(mut self) -> Option<i32> {
        assert!(self.signal(Signal::TERM));
        self.0.wait().unwrap().code()
    }

    /// Waits until it ends by itself; none when a signal ended it.
    pub fn wait(mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

/// Sends a signal to a process that the test started; false when it has ended.
pub fn signal(pid: u32, signal: Signal) -> bool {
    rustix::process::kill_process(Pid::from_raw(pid as i32).unwrap(), signal).is_ok()
}

/// The program under test: `LEASEHOLD_BIN`, or the one beside the tests.
pub fn binary() -> PathBuf {
    // Tests are built into a folder below the program's.
    let me = std::env::current_exe().unwrap();
    let beside = || me.ancestors().skip(1).map(|dir| dir.join("leasehold")).find(|p| p.is_file()).unwrap_or_default();
    let path = std::env::var_os("LEASEHOLD_BIN").map_or_else(beside, PathBuf::from);
    assert!(path.exists(), "{} is missing; run scripts/test, or cargo build --workspace --all-targets", path.display());
    path
}

/// Looks until `what` holds; a test that waits for another process has no other way.
pub fn eventually(what: &str, holds: impl FnMut() -> bool) {
    within(Duration::from_mins(1), what, holds);
}

/// As [`eventually`], for what takes longer: a whole system that boots in software.
pub fn within(longest: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + longest;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A free port on loopback.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Program {
    /// On a database, with mail to a folder and short waits.
    pub fn new(database: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = database.map_or_else(|| format!("sqlite:{}", dir.path().join("leasehold.db").display()), str::to_owned);
        let mut program = Self { dir, env: vec![] };
        program.set("DATABASE__URL", &url);
        program.set("SECRETS__KEY_FILE", &program.path("leasehold.key").display().to_string());
        program.set("MAIL__TRANSPORT", &format!("file:{}", program.path("mails").display()));
        program.set("MAIL__FROM", "Test Host <hello@example.org>");
        program.set("API__LISTEN", "127.0.0.1:0");
        program.set("WORKER__CLAIM", "2s");
        program.set("PROVISION__BACKOFF_MIN", "1s");
        program
    }

    /// On a fresh database of the cluster.
    pub fn over_postgres(name: &str) -> Self {
        let name = format!("e2e_{name}_{}", std::process::id());
        Self::new(Some(&tokio::runtime::Runtime::new().unwrap().block_on(fresh_postgres(&name))))
    }

    /// Sets a configuration key.
    pub fn set(&mut self, key: &str, value: &str) {
        self.env.push((format!("LEASEHOLD__{key}"), value.to_owned()));
    }

    /// Where its database is.
    pub fn database(&self) -> &str {
        self.env.iter().find(|(key, _)| key == "LEASEHOLD__DATABASE__URL").map(|(_, url)| url.as_str()).unwrap()
    }

    /// A file of this set-up.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The command, ready to run.
    pub fn command(&self, args: &[&str]) -> Command {
        self.shell(&binary().display().to_string(), args)
    }

    /// Another program in this set-up.
    pub fn shell(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.dir.path()).envs(self.env.iter().cloned()).env("USER", "tester").stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        let Output { status, stdout, stderr } = self.command(args).output().unwrap();
        Ended { code: status.code().unwrap_or(-1), out: String::from_utf8(stdout).unwrap(), err: String::from_utf8(stderr).unwrap() }
    }

    /// Runs a command that must succeed; what it printed.
    pub fn ok(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!(ended.code, 0, "leasehold {}: {ended:?}", args.join(" "));
        ended.out
    }

    /// Runs a command with `--json` that must succeed.
    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["--json"]].concat())).unwrap()
    }

    /// Runs a command that must fail with this code and one line that says all of these.
    pub fn refuses(&self, code: i32, says: &[&str], args: &[&str]) {
        let ended = self.run(args);
        assert_eq!(ended.code, code, "leasehold {}: {ended:?}", args.join(" "));
        assert_eq!(ended.err.trim_end().lines().count(), 1, "one line: {}", ended.err);
        assert!(ended.err.starts_with("error: ") && says.iter().all(|part| ended.err.contains(part)), "{} does not say {says:?}", ended.err);
    }

    /// Key file, catalogue and an account with money; the account's number.
    pub fn set_up(&self, funds: &str) -> String {
        self.ok(&["secrets", "generate"]);
        self.ok(&["migrate"]);
        self.import("");
        let account = self.json(&["account", "create", "--email", "ada@example.org", "--first-name", "Ada", "--last-name", "Lovelace"])["number"].to_string();
        self.ok(&["account", "credit", &account, funds, "--reason", "test"]);
        account
    }

    /// Imports the sample catalogue with its node in this folder and without latency.
    pub fn import(&self, node: &str) {
        let sample = include_str!("../../config/catalog.toml");
        let text = sample.replace("latency = \"50ms..200ms\"", node).replace("boot_time = \"2s\"", "boot_time = \"500ms\"");
        // Tests order by the hundred.
        let text = text.replace("zone = \"UTC\"", "zone = \"UTC\"\norders_per_hour = 0");
        std::fs::write(self.path("catalog.toml"), text).unwrap();
        self.ok(&["catalog", "import", "catalog.toml"]);
    }

    /// Starts a role.
    pub fn daemon(&self, args: &[&str]) -> Daemon {
        Daemon::start(self.command(args).stderr(std::fs::File::create(self.path("daemon.log")).unwrap()))
    }
}
