//! Nothing is settled by a clock that cannot be believed.

use std::{path::Path, process::Command, time::Duration};

use leasehold_domain::clock::{BadClock, Reading};
use leasehold_store::{Result, Store};

/// How far the stored instant may lag, so that not every tick is a write.
const LAG: Duration = Duration::from_mins(1);

/// Whether the clock can be believed; the latest instant moves on with one that can. One that cannot opens a matter.
pub(crate) async fn check(store: &Store, synchronised: fn() -> bool) -> Result<Option<BadClock>> {
    let mut tx = store.read().await?;
    let Some(clock) = tx.clock_row().await? else { return Ok(None) };
    let reading = Reading { now: tx.now, highest: clock.highest, apart: if clock.simulated { Duration::ZERO } else { store.clocks_apart() } };
    drop(tx);
    // Simulated time is moved by hand.
    let bad = reading.check(|| clock.simulated || synchronised()).err();
    if bad.is_none() && reading.now.since(clock.highest) < LAG {
        return Ok(None);
    }
    let mut tx = store.begin().await?;
    match &bad {
        None => {
            tx.raise_highest(reading.now).await?;
            tx.attended("clock", "clock", "scheduler").await?;
        }
        Some(bad) => {
            let detail = format!("{bad}: nothing is settled, ended, removed or given up. Set the clock right, or, if it is right: leasehold clock confirm");
            tx.attend("clock", "clock", &detail).await?;
        }
    }
    tx.commit().await?;
    Ok(bad)
}

/// Whether somebody keeps the host's clock right, as far as the host says.
pub fn synchronised() -> bool {
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return true;
    }
    let asked = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output();
    asked.is_ok_and(|answer| answer.stdout.trim_ascii() == b"yes")
}
