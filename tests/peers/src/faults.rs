//! The faults, and what a queue makes of them. Whether it passes is worked out from what was seen.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    cluster::Cluster,
    peer::{Act, Peer, Terms},
    proxy::Proxy,
    stage::Stage,
};

pub(crate) struct Fault {
    pub(crate) fault: &'static str,
    pub(crate) seen: String,
    /// Nothing where the library has no words for it.
    pub(crate) passes: Option<bool>,
}

fn brisk(attempts: u16) -> Terms {
    Terms { attempts, brisk: true }
}

fn count(runs: usize) -> String {
    if runs == 1 { "1 run".into() } else { format!("{runs} runs") }
}

fn seconds(times: &[f64]) -> String {
    let first = times.first().copied().unwrap_or_default();
    times.iter().map(|at| format!("{:.1}", at - first)).collect::<Vec<_>>().join(", ")
}

/// A worker takes as many jobs as it may, and they take longer than a claim or a heartbeat, with another worker beside it.
async fn two_healthy<P: Peer>(cluster: &Cluster) -> Fault {
    let stage = Stage::<P>::new(cluster, brisk(5)).await;
    // Where nothing is taken ahead, all of them run at once and each takes long.
    let (concurrency, ms) = if P::PREFETCHES { (1, 1_500) } else { (12, 8_000) };
    stage.enqueue(1..=12, Act::SleepMs(ms)).await;
    let _first = stage.worker("first", concurrency, 12);
    stage.within(15, async |s| s.at_least("start", 1).await > 0).await;
    let _second = stage.worker("second", concurrency, 12);
    stage.within(40, async |s| s.at_least("finish", 1).await == 12).await;
    sleep(Duration::from_secs(3)).await;
    let (twice, finished) = (stage.at_least("start", 2).await, stage.at_least("finish", 1).await);
    let held = if P::PREFETCHES { "one after the other" } else { "at once, each longer than the time-out" };
    stage.database.drop().await;
    Fault {
        fault: "two healthy workers, 12 jobs taken by one of them that together take longer than the time-out",
        seen: format!("{twice} of 12 started more than once, {finished} finished ({held})"),
        passes: Some(twice == 0 && finished == 12),
    }
}

async fn failing<P: Peer>(cluster: &Cluster) -> Fault {
    let stage = Stage::<P>::new(cluster, brisk(4)).await;
    stage.enqueue(1..=1, Act::Fail).await;
    let _worker = stage.worker("only", 1, 1);
    stage.within(15, async |s| s.starts(1).await > 0).await;
    sleep(Duration::from_millis(400)).await;
    let after_first = stage.jobs().await;
    let stored = after_first.waiting == 1 && after_first.due > 0.0;
    stage.within(40, async |s| !s.jobs().await.unfinished()).await;
    sleep(Duration::from_secs(2)).await;
    let runs = stage.times("start", 1).await;
    let waits: Vec<f64> = runs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Polls blur the waits; what grows is longer at the end, and never much shorter on the way.
    let grow = waits.len() > 1 && waits.windows(2).all(|w| w[1] > w[0] * 0.8) && waits[waits.len() - 1] > waits[0] * 1.5 && waits[0] > 0.5;
    let kept = if stored { "the wait is in the row" } else { "the wait is not in the row" };
    stage.database.drop().await;
    Fault {
        fault: "a handler that always fails, 4 attempts",
        seen: format!("{}, at {} s; {kept}", count(runs.len()), seconds(&runs)),
        passes: Some((2..=4).contains(&runs.len()) && grow && stored),
    }
}

async fn later<P: Peer>(cluster: &Cluster) -> Fault {
    let fault = "a handler that asks to be run again in 30 s";
    if let Some(why) = P::CANNOT_SAY_LATER {
        return Fault { fault, seen: format!("cannot be said: {why}"), passes: None };
    }
    let stage = Stage::<P>::new(cluster, brisk(25)).await;
    stage.enqueue(1..=1, Act::LaterSecs(30)).await;
    let _worker = stage.worker("only", 1, 1);
    stage.within(15, async |s| s.starts(1).await > 0).await;
    sleep(Duration::from_secs(10)).await;
    let runs = stage.starts(1).await;
    let unfinished = stage.jobs().await.unfinished();
    stage.database.drop().await;
    let kept = if unfinished { "" } else { ", and no further one is due" };
    Fault { fault, seen: format!("{} in 10 s{kept}", count(runs)), passes: Some(runs == 1 && unfinished) }
}

async fn panics<P: Peer>(cluster: &Cluster) -> Fault {
    let stage = Stage::<P>::new(cluster, brisk(4)).await;
    stage.enqueue(1..=1, Act::Panic).await;
    let mut worker = stage.worker("only", 1, 1);
    stage.until(20).await;
    let (runs, jobs) = (stage.starts(1).await, stage.jobs().await);
    let worker = if worker.lives() { "lives" } else { "has ended" };
    stage.database.drop().await;
    Fault {
        fault: "a handler that panics, looked at after 20 s",
        seen: format!("{}, the row is {}, the worker {worker}", count(runs), jobs.state()),
        passes: Some(runs > 0 && jobs.running == 0 && (runs > 1 || jobs.dead == 1)),
    }
}

async fn killed<P: Peer>(cluster: &Cluster) -> Fault {
    let stage = Stage::<P>::new(cluster, brisk(4)).await;
    stage.enqueue(1..=1, Act::SleepMs(3_000)).await;
    let first = stage.worker("same", 1, 1);
    stage.within(15, async |s| s.starts(1).await > 0).await;
    sleep(Duration::from_millis(500)).await;
    first.kill().await;
    let _again = stage.worker("same", 1, 1);
    let again = stage.within(60, async |s| s.starts(1).await > 1).await;
    let runs = stage.times("start", 1).await;
    stage.database.drop().await;
    let seen = if again { format!("runs again after {:.1} s", runs[1] - runs[0]) } else { format!("{}, not again within 60 s", count(runs.len())) };
    Fault { fault: "kill -9 in a job, a worker of the same name started at once", seen, passes: Some(again) }
}

async fn stopped<P: Peer>(cluster: &Cluster) -> Fault {
    let stage = Stage::<P>::new(cluster, brisk(4)).await;
    stage.enqueue(1..=1, Act::SleepMs(8_000)).await;
    let first = stage.worker("first", 1, 1);
    stage.within(15, async |s| s.starts(1).await > 0).await;
    let _second = stage.worker("second", 1, 1);
    sleep(Duration::from_secs(1)).await;
    first.signal("-STOP");
    let taken = stage.within(25, async |s| s.starts(1).await > 1).await;
    first.signal("-CONT");
    stage.within(15, async |s| !s.times("finish", 1).await.is_empty()).await;
    // Time for the late result to arrive, but not for the other run to end.
    sleep(Duration::from_millis(1_500)).await;
    let (runs, finished, unfinished) = (stage.starts(1).await, stage.times("finish", 1).await.len(), stage.jobs().await.unfinished());
    stage.database.drop().await;
    let said = count(runs);
    let (seen, passes) = match (taken, unfinished) {
        (true, _) if finished != 1 => (format!("{said}, {finished} finished: the late result could not be told from the other"), None),
        (true, true) => (format!("{said}, the late result of the first was not taken for the second's"), Some(true)),
        (true, false) => (format!("{said}, the late result of the first settled the job while the second still ran"), Some(false)),
        (false, true) => (format!("{said}, not taken over within 25 s, and its result was lost"), Some(false)),
        (false, false) => (format!("{said}, not taken over within 25 s: it finished when it went on"), Some(runs == 1)),
    };
    Fault { fault: "SIGSTOP past the time-out beside another worker, then SIGCONT", seen, passes }
}

async fn aborts<P: Peer>(cluster: &Cluster) -> Fault {
    let stage = Stage::<P>::new(cluster, brisk(3)).await;
    stage.enqueue(1..=1, Act::Abort).await;
    let until = Instant::now() + Duration::from_secs(30);
    let mut processes = 1;
    let mut worker = stage.worker("worker-1", 1, 1);
    while Instant::now() < until {
        if !worker.lives() {
            processes += 1;
            // A fresh name each time: the name of a dead worker has a row of its own above.
            worker = stage.worker(&format!("worker-{processes}"), 1, 1);
        }
        sleep(Duration::from_millis(100)).await;
    }
    let (runs, jobs) = (stage.starts(1).await, stage.jobs().await);
    stage.database.drop().await;
    Fault {
        fault: "a job that aborts its process, 3 attempts, the worker restarted at once for 30 s",
        seen: format!("{}, the row is {}", count(runs), jobs.state()),
        passes: Some((1..=3).contains(&runs)),
    }
}

async fn unreachable<P: Peer>(cluster: &Cluster) -> Fault {
    let stage = Stage::<P>::new(cluster, Terms { attempts: 4, brisk: false }).await;
    let proxy = Proxy::start(cluster.port()).await;
    stage.enqueue(1..=1, Act::SleepMs(20_000)).await;
    let mut worker = stage.worker_at(&stage.database.through(proxy.port), "only", 2, 2);
    stage.within(15, async |s| s.starts(1).await > 0).await;
    sleep(Duration::from_secs(2)).await;
    proxy.set_open(false);
    sleep(Duration::from_secs(15)).await;
    proxy.set_open(true);
    stage.within(8, async |s| !s.times("finish", 1).await.is_empty()).await;
    stage.enqueue(2..=2, Act::Nothing).await;
    let next = stage.within(20, async |s| s.starts(2).await > 0).await;
    // A claim of 30 s that nobody kept ends by now, and shows as a second run.
    stage.until(45).await;
    let (runs, finished, jobs) = (stage.starts(1).await, stage.times("finish", 1).await.len(), stage.jobs().await);
    let lives = if worker.lives() { "lives" } else { "has ended" };
    stage.database.drop().await;
    let row = if jobs.unfinished() { "unfinished" } else { "settled" };
    let more = if next { "the next job is taken" } else { "the next job is not taken within 20 s" };
    Fault {
        fault: "the database away for 15 s in a job of 20 s",
        seen: format!("{}, {finished} finished, rows {row}; {more}, the process {lives}", count(runs)),
        passes: Some(runs == 1 && finished == 1 && next && !jobs.unfinished()),
    }
}

async fn undecodable<P: Peer>(cluster: &Cluster) -> Fault {
    let stage = Stage::<P>::new(cluster, brisk(3)).await;
    stage.enqueue(1..=11, Act::SleepMs(200)).await;
    sqlx::query(P::SPOIL).execute(&stage.database.plain).await.unwrap();
    let mut worker = stage.worker("only", 2, 11);
    stage.within(25, async |s| s.at_least("finish", 1).await == 10).await;
    let (good, twice) = (stage.at_least("finish", 1).await, stage.at_least("start", 2).await);
    stage.enqueue(99..=99, Act::Nothing).await;
    let next = stage.within(15, async |s| s.starts(99).await > 0).await;
    let lives = worker.lives();
    stage.database.drop().await;
    let (more, end) = (if next { "taken" } else { "not taken within 15 s" }, if lives { "lives" } else { "has ended" });
    Fault {
        fault: "one payload of 11 that does not decode",
        seen: format!("{good} of 10 good ones finished, {twice} started more than once; the next job is {more}, the process {end}"),
        passes: Some(good == 10 && next && lives),
    }
}

/// All of them at the same time, each in a database of its own: they wait more than they work.
pub(crate) async fn all<P: Peer>(cluster: &Cluster) -> Vec<Fault> {
    eprintln!("{}: faults", P::NAME);
    let (a, b, c, d, e, f, g, h, i) = tokio::join!(
        two_healthy::<P>(cluster),
        failing::<P>(cluster),
        later::<P>(cluster),
        panics::<P>(cluster),
        killed::<P>(cluster),
        stopped::<P>(cluster),
        aborts::<P>(cluster),
        unreachable::<P>(cluster),
        undecodable::<P>(cluster),
    );
    vec![a, b, c, d, e, f, g, h, i]
}
