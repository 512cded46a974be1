//! What machines use: counters as hypervisors have them, and what they mean over time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What a machine used since it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Another number after every start of the machine: its counters began anew.
    pub run: i64,
    /// Processor time, ms.
    pub cpu_ms: i64,
    /// Memory of the host in use, bytes; not a counter.
    pub memory_bytes: i64,
    /// Read from its disk, bytes.
    pub disk_read_bytes: i64,
    /// Written to its disk, bytes.
    pub disk_written_bytes: i64,
    /// Received by the guest, bytes; none where nobody counts.
    pub net_received_bytes: Option<i64>,
    /// Sent by the guest, bytes; none where nobody counts.
    pub net_sent_bytes: Option<i64>,
}

impl Counters {
    /// What was used since an earlier sample. A machine that was started since then counts from its start.
    #[must_use]
    pub fn since(&self, before: Option<&Self>) -> Self {
        let before = before.filter(|b| b.run == self.run);
        let past = |of: fn(&Self) -> i64| (of(self) - before.map_or(0, of)).max(0);
        let counted = |of: fn(&Self) -> Option<i64>| of(self).map(|now| (now - before.and_then(of).unwrap_or(0)).max(0));
        Self {
            run: self.run,
            cpu_ms: past(|c| c.cpu_ms),
            memory_bytes: self.memory_bytes,
            disk_read_bytes: past(|c| c.disk_read_bytes),
            disk_written_bytes: past(|c| c.disk_written_bytes),
            net_received_bytes: counted(|c| c.net_received_bytes),
            net_sent_bytes: counted(|c| c.net_sent_bytes),
        }
    }
}

/// What a machine is using, from its last two samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// Of all its processors together.
    pub cpu_percent: f64,
    /// MiB.
    pub memory_used_mb: i64,
    /// MiB.
    pub memory_total_mb: i64,
    /// kbit/s
    pub disk_read_kbps: i64,
    /// kbit/s
    pub disk_write_kbps: i64,
    /// Received, kbit/s; none where nobody counts.
    pub net_rx_kbps: Option<i64>,
    /// Sent, kbit/s; none where nobody counts.
    pub net_tx_kbps: Option<i64>,
    /// When.
    pub sampled_at: Timestamp,
}

/// A sample older than this, or one that tells of a longer time, is not live.
pub const LIVE: Duration = Duration::from_secs(30);

impl Live {
    /// From what was `used` in the time `over` before `sampled_at`, by a machine of `vcpu` processors and `ram_mb` MiB.
    pub fn of(used: &Counters, over: Duration, sampled_at: Timestamp, vcpu: i64, ram_mb: i64) -> Self {
        let ms = (over.as_millis() as i64).max(1);
        // A byte in a millisecond is eight kilobits in a second.
        let kbps = |bytes: i64| bytes.saturating_mul(8) / ms;
        let percent = used.cpu_ms as f64 / (ms * vcpu.max(1)) as f64 * 100.0;
        Self {
            cpu_percent: (percent.min(100.0) * 10.0).round() / 10.0,
            memory_used_mb: (used.memory_bytes >> 20).min(ram_mb),
            memory_total_mb: ram_mb,
            disk_read_kbps: kbps(used.disk_read_bytes),
            disk_write_kbps: kbps(used.disk_written_bytes),
            net_rx_kbps: used.net_received_bytes.map(kbps),
            net_tx_kbps: used.net_sent_bytes.map(kbps),
            sampled_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(run: i64, n: i64) -> Counters {
        Counters { run, cpu_ms: n, memory_bytes: 300 << 20, disk_read_bytes: n, disk_written_bytes: n, net_received_bytes: Some(n), net_sent_bytes: None }
    }

    #[test]
    fn a_restart_counts_from_zero_also_when_it_has_overtaken() {
        assert_eq!(counters(1, 5000).since(Some(&counters(1, 3000))).cpu_ms, 2000);
        assert_eq!(counters(2, 5000).since(Some(&counters(1, 3000))).net_received_bytes, Some(5000));
        assert_eq!(counters(1, 5000).since(None).disk_read_bytes, 5000);
        assert_eq!(counters(1, 10).since(Some(&counters(1, 30))).cpu_ms, 0, "a counter that goes back used nothing");
    }

    #[test]
    fn rates_are_per_second_and_processor() {
        let live = Live::of(&counters(1, 5000), Duration::from_secs(5), Timestamp::from_millis(0), 2, 256);
        assert_eq!((live.cpu_percent, live.disk_read_kbps, live.net_rx_kbps, live.net_tx_kbps), (50.0, 8, Some(8), None));
        assert_eq!((live.memory_used_mb, live.memory_total_mb), (256, 256), "the host's share is more than the guest has");
    }
}
