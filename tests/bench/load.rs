//! A thousand builds at once on one worker, and the memory that it takes at most.

use std::time::{Duration, Instant};

use leasehold_tests::{Kind, program::Daemon};

use crate::{
    Figure,
    process::{Host, mebibytes},
};

const BUILDS: usize = 1000;
const LONGEST: Duration = Duration::from_mins(10);

/// Builds that a call to the node is under way for, at the most that was seen.
fn follow(host: &Host, daemon: &Daemon) -> usize {
    let (mut most, began) = (0, Instant::now());
    loop {
        let count = |status: &str| host.program.json(&["server", "list", "--status", status]).as_array().unwrap().len();
        most = most.max(count("building"));
        if count("running") == BUILDS {
            return most;
        }
        assert!(began.elapsed() < LONGEST, "{} MiB and still building", mebibytes(daemon, "VmRSS").unwrap_or_default());
        std::thread::sleep(Duration::from_millis(500));
    }
}

pub(crate) async fn measure(kind: Kind) -> Figure {
    eprintln!("{kind:?}: {BUILDS} builds at once");
    let mut host = Host::new(kind, "load", "latency = \"5s..8s\"\nboot_time = \"2s\"").await;
    host.program.set("WORKER__CONCURRENCY", &BUILDS.to_string());
    let seen = tokio::task::block_in_place(|| {
        let order = &|client: usize| (0..BUILDS / 4).for_each(|n| host.order(&format!("b{client}-{n}")));
        std::thread::scope(|scope| (0..4).for_each(|client| drop(scope.spawn(move || order(client)))));
        let daemon = host.daemon();
        let most = follow(&host, &daemon);
        let peak = mebibytes(&daemon, "VmHWM").unwrap();
        daemon.stop();
        format!("{peak:.0} MiB ({most} at once)")
    });
    Figure::new(format!("{BUILDS} builds on one worker, each call to the node 5 to 8 s long: peak memory"), "≤ 150 MiB", seen)
}
