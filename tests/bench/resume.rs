//! How soon another process goes on after one died, and what a daemon takes while it has nothing to do.

use std::time::{Duration, Instant};

use leasehold_tests::{
    Kind,
    program::{Daemon, Program, Signal, eventually},
};

use crate::latency::program;

const IDLE: Duration = Duration::from_secs(20);

/// Hundredths of a second of processor time so far, and kiB of memory.
fn used(daemon: &Daemon) -> (u64, u64) {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", daemon.pid())).unwrap();
    let stat = read("stat");
    let fields: Vec<u64> = stat.rsplit_once(')').unwrap().1.split_whitespace().filter_map(|f| f.parse().ok()).collect();
    let memory = read("status").lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap().trim().trim_end_matches(" kB").parse().unwrap();
    // Behind the state letter: utime and stime are the 14th and 15th of all.
    (fields[10] + fields[11], memory)
}

/// Seconds from the end of a working process to the first step of the next.
fn gap(p: &Program, role: &str, account: &str, signal: Signal, label: &str) -> f64 {
    let first = p.daemon(&[role]);
    p.ok(&["server", "order", "--account", account, "--product", "small", "--template", "debian-12", "--label", label]);
    let steps = || p.json(&["server", "show", label])["steps"].as_array().unwrap().iter().filter(|s| s["outcome"] == "done").count();
    eventually("it works on it", || steps() >= 1);
    first.signal(signal);
    let ended = Instant::now();
    let second = p.daemon(&[role]);
    eventually("another goes on", || p.json(&["server", "show", label])["status"] == "running");
    let took = ended.elapsed().as_secs_f64();
    drop(first);
    second.stop();
    took
}

pub(crate) async fn measure(kind: Kind) -> Vec<(String, String)> {
    let (p, _, role) = program(kind, "resume").await;
    tokio::task::block_in_place(|| {
        let account = p.set_up("1000.00");
        p.import("latency = \"300ms\"");
        let daemon = p.daemon(&[role]);
        eventually("the daemon has nothing to do", || p.json(&["node", "list"])[0]["seenAt"].is_string());
        std::thread::sleep(Duration::from_secs(3));
        let (before, _) = used(&daemon);
        std::thread::sleep(IDLE);
        let (after, memory) = used(&daemon);
        let cpu = (after - before) as f64 / (IDLE.as_secs_f64() * 100.0) * 100.0;
        daemon.stop();
        let killed = gap(&p, role, &account, Signal::KILL, "killed");
        let stopped = gap(&p, role, &account, Signal::TERM, "stopped");
        vec![
            ("idle daemon, memory / CPU".into(), format!("{:.0} MiB / {cpu:.2} %", memory as f64 / 1024.0)),
            ("kill -9 in a build → the next process has it running (build itself ≈ 4 s)".into(), format!("{killed:.1} s")),
            ("SIGTERM in a build → the same".into(), format!("{stopped:.1} s")),
        ]
    })
}
