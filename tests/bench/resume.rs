//! How soon another process goes on after one ended, and what a daemon takes while it has nothing to do.

use std::time::{Duration, Instant};

use leasehold_tests::{
    Kind,
    program::{Signal, eventually},
};
use serde_json::Value;

use crate::{
    Figure,
    process::{Host, cpu, mebibytes},
};

const IDLE: Duration = Duration::from_secs(30);
const SETTLING: Duration = Duration::from_secs(5);

fn steps(host: &Host, server: &str) -> Vec<Value> {
    host.program.json(&["server", "show", server])["steps"].as_array().unwrap().clone()
}

/// Seconds from the end of a working process to the first step that the next one begins.
fn gap(host: &Host, signal: Signal, label: &str) -> f64 {
    let first = host.daemon();
    host.order(label);
    eventually("it works on it", || steps(host, label).iter().filter(|s| s["outcome"] == "done").count() >= 2);
    let before = steps(host, label).iter().map(|s| s["worker"].clone()).next_back().unwrap();
    let ended = Instant::now();
    first.signal(signal);
    // The host's service manager starts it again when it has ended.
    first.wait();
    let second = host.program.daemon(&[host.role]);
    eventually("another goes on", || steps(host, label).iter().any(|s| s["worker"] != before));
    let took = ended.elapsed().as_secs_f64();
    eventually("it is built", || host.status(label) == "running");
    second.stop();
    took
}

pub(crate) async fn measure(kind: Kind) -> Vec<Figure> {
    eprintln!("{kind:?}: idle, then killed and stopped");
    let host = Host::new(kind, "resume", "latency = \"300ms\"\nboot_time = \"1s\"").await;
    tokio::task::block_in_place(|| {
        let daemon = host.daemon();
        std::thread::sleep(SETTLING);
        let before = cpu(&daemon);
        std::thread::sleep(IDLE);
        let busy = (cpu(&daemon) - before) as f64 / IDLE.as_secs_f64();
        let memory = mebibytes(&daemon, "VmRSS").unwrap();
        daemon.stop();
        vec![
            Figure::new("idle daemon (`serve`; on PostgreSQL a `worker`): memory, processor", "≤ 30 MiB, ≤ 0.3 %", format!("{memory:.0} MiB, {busy:.2} %")),
            Figure::new("`kill -9` in a build, started again → its next step", "≤ 35 s", format!("{:.1} s", gap(&host, Signal::KILL, "killed"))),
            Figure::new("SIGTERM in a build, started again → its next step", "≤ 1 s", format!("{:.1} s", gap(&host, Signal::TERM, "stopped"))),
        ]
    })
}
