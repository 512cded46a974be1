//! What a machine used, from the host's own counters: the process, its disk as QEMU counts it, its tap.

use leasehold_domain::usage::Counters;

use super::{folder::Folder, folder::io, qmp, tap};
use crate::Result;

/// Linux counts processor time in hundredths of a second.
const TICK_MS: i64 = 10;
const KIB: i64 = 1024;

/// The n-th number behind the program's name in `/proc/PID/stat`, from 3 as the manual counts them.
fn field(stat: &str, n: usize) -> i64 {
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().nth(n - 3).and_then(|f| f.parse().ok()).unwrap_or(0)
}

/// A line of `/proc/PID/status`, kiB as bytes.
fn bytes(status: &str, name: &str) -> i64 {
    let line = status.lines().find_map(|l| l.strip_prefix(name));
    line.and_then(|l| l.trim_matches([':', ' ', '\t', 'k', 'B']).trim().parse::<i64>().ok()).unwrap_or(0) * KIB
}

/// None for a machine that is off, or is just going.
pub(super) async fn of(folder: &Folder, tap_name: &str) -> Option<Counters> {
    match count(folder, tap_name).await {
        Ok(counted) => counted,
        Err(error) => {
            tracing::debug!(%error, machine = %folder.path().display(), "not counted");
            None
        }
    }
}

async fn count(folder: &Folder, tap_name: &str) -> Result<Option<Counters>> {
    let Some(pid) = folder.pid()? else { return Ok(None) };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(io)?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(io)?;
    let disks = qmp::run(&folder.file("qmp.sock"), "query-blockstats").await?;
    let disk = disks.as_array().and_then(|all| all.iter().find(|d| d["device"] == "disk0")).map(|d| &d["stats"]);
    let count = |name: &str| disk.and_then(|d| d[name].as_i64()).unwrap_or(0);
    let net = tap::counters(tap_name)?;
    Ok(Some(Counters {
        // The process's start.
        run: field(&stat, 22),
        // utime and stime
        cpu_ms: (field(&stat, 14) + field(&stat, 15)) * TICK_MS,
        memory_bytes: bytes(&status, "VmRSS"),
        disk_read_bytes: count("rd_bytes"),
        disk_written_bytes: count("wr_bytes"),
        net_received_bytes: net.map(|(received, _)| received),
        net_sent_bytes: net.map(|(_, sent)| sent),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_by_their_place_and_name() {
        let stat = "77 (qemu (x) y) S 1 77 77 0 -1 4194624 100 0 0 0 250 50 0 0 20";
        assert_eq!((field(stat, 14), field(stat, 15)), (250, 50));
        assert_eq!(bytes("Name:\tq\nVmRSS:\t   2048 kB\n", "VmRSS"), 2048 * 1024);
    }
}
