//! What is done to the host, drawn from the seed.

use std::{collections::BTreeMap, fmt, time::Duration};

use leasehold_domain::Dice;
use leasehold_tests::program::{Daemon, Signal, signal};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::host::Host;

/// The storm ends when the orders are in, but not before so much was done, and never later than this.
const EVENTS: u64 = 40;
const LONGEST: Duration = Duration::from_secs(80);

/// What was done how often.
#[derive(Default)]
pub(crate) struct Blown(BTreeMap<&'static str, u64>);

impl fmt::Display for Blown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(|(what, n)| format!("{what} {n}")).collect();
        f.write_str(&all.join(", "))
    }
}

pub(crate) struct Storm {
    dice: Dice,
}

impl Storm {
    pub(crate) fn new(dice: &Dice) -> Self {
        Self { dice: Dice::seeded(dice.below(u64::MAX)) }
    }

    pub(crate) async fn blow(&self, host: &mut Host, done: CancellationToken) -> Blown {
        let (mut blown, began) = (Blown::default(), Instant::now());
        for n in 0.. {
            sleep(Duration::from_millis(200 + self.dice.below(900))).await;
            if (done.is_cancelled() && n >= EVENTS) || began.elapsed() > LONGEST {
                break;
            }
            if n == EVENTS / 2 {
                host.second_scheduler();
            }
            let what = self.strike(host).await;
            *blown.0.entry(what).or_default() += 1;
        }
        // What is stopped or silent stays so for a moment: the calm finds it.
        done.cancelled().await;
        blown
    }

    async fn strike(&self, host: &mut Host) -> &'static str {
        let any = self.dice.below(host.processes.len() as u64) as usize;
        match self.dice.below(100) {
            0..6 => {
                // Begun anew, to stand still in one of its first transactions, for longer than anybody may wait for it.
                host.processes[any].running = None;
                let pid = host.raise_to_freeze(any, 1 + self.dice.below(12));
                let pause = Duration::from_millis(20_000 + self.dice.below(15_000));
                tokio::spawn(async move {
                    sleep(pause).await;
                    signal(pid, Signal::CONT);
                });
                "frozen in a transaction"
            }
            6..28 => {
                // Killed by force; another takes its place, or nobody for a while.
                host.processes[any].running = None;
                if self.dice.chance(0.7) {
                    host.raise(any);
                }
                "killed"
            }
            28..40 => {
                (0..host.processes.len()).for_each(|n| host.raise(n));
                "raised"
            }
            40..68 => {
                let Some(pid) = host.processes[any].running.as_ref().map(Daemon::pid) else { return "missed" };
                let pause = Duration::from_millis(3_000 + self.dice.below(4_000));
                signal(pid, Signal::STOP);
                tokio::spawn(async move {
                    // Longer than its claims last; it may have been killed meanwhile.
                    sleep(pause).await;
                    signal(pid, Signal::CONT);
                });
                "stalled"
            }
            68..84 => {
                host.proxy.cut();
                "cut off"
            }
            84..93 => {
                host.proxy.silent(true);
                sleep(Duration::from_millis(500 + self.dice.below(3_000))).await;
                host.proxy.silent(false);
                "silenced"
            }
            _ => {
                host.cluster.crash_and_recover();
                "database crashed"
            }
        }
    }
}
