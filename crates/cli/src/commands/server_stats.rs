//! `leasehold server stats`

use std::time::{Duration, Instant};

use leasehold_commands::stats::{Stats, stats};
use leasehold_store::samples::Traffic;
use serde_json::json;

use super::Context;
use crate::{
    exit::Failure,
    output::{progress, show, table},
};

/// The longest wait for two samples.
const WAIT: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(500);

pub(super) async fn run(c: &Context, server: &str) -> Result<(), Failure> {
    let app = c.app().await?;
    let mut seen = stats(&app.store, server).await?;
    let asked = Instant::now();
    if seen.live.is_none() && seen.power_state == "POWERED_ON" {
        progress("waiting for two samples");
        while seen.live.is_none() && asked.elapsed() < WAIT {
            tokio::time::sleep(LOOK).await;
            seen = stats(&app.store, server).await?;
        }
    }
    show(c.json(), &json!(seen), || print(&seen));
    Ok(())
}

fn print(seen: &Stats) {
    let rate = |kbps: Option<i64>| kbps.map_or_else(|| "not counted".to_owned(), |n| format!("{n} kbit/s"));
    match &seen.live {
        Some(l) => {
            say!("sampled   {}", l.sampled_at.human());
            say!("processor {} %", l.cpu_percent);
            say!("memory    {} of {} MiB", l.memory_used_mb, l.memory_total_mb);
            say!("disk      read {}, written {}", rate(Some(l.disk_read_kbps)), rate(Some(l.disk_write_kbps)));
            say!("network   received {}, sent {}", rate(l.net_rx_kbps), rate(l.net_tx_kbps));
        }
        None if seen.power_state == "POWERED_ON" => say!("no sample yet: is a worker running that reaches its node? See: leasehold node list"),
        None => say!("off"),
    }
    let row = |t: &Traffic| vec![t.month.clone(), (t.received_bytes >> 20).to_string(), (t.sent_bytes >> 20).to_string()];
    if !seen.traffic.is_empty() {
        table(&["MONTH", "RECEIVED MiB", "SENT MiB"], seen.traffic.iter().map(row));
    }
}
