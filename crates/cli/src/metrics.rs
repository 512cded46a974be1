//! Every metric, with its meaning, and the endpoint that serves them. Names follow the Prometheus rules: a base unit at the end,
//! `_total` for counters; labels are few and from closed sets.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use leasehold_domain::server::Status;
use leasehold_store::{Queue, Store, depth::WorkState};
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tokio_util::sync::CancellationToken;

use leasehold_api::metrics::Page;

use crate::exit::Failure;

/// Counters of this process, sorted.
const COUNTERS: &[(&str, &str)] = &[
    ("leasehold_claim_errors_total", "Claims that the database refused or did not answer, by queue."),
    ("leasehold_decisions_total", "What was decided about leases, by what."),
    ("leasehold_http_requests_total", "HTTP requests that were answered, by surface and status."),
    ("leasehold_mails_total", "Mails handed over, by outcome."),
    ("leasehold_runs_total", "Runs of work rows, by queue and outcome."),
    ("leasehold_steps_total", "Steps of servers, by step and outcome."),
    ("leasehold_ticks_total", "Ticks, by name and outcome."),
    ("leasehold_webhook_calls_total", "Calls of webhooks, by outcome."),
];

/// Durations in seconds, sorted.
const HISTOGRAMS: &[(&str, &str)] = &[
    ("leasehold_http_request_duration_seconds", "From the head of a request to its answer, by surface."),
    ("leasehold_run_duration_seconds", "From claim to outcome of a run, by queue."),
    ("leasehold_step_duration_seconds", "From asking a hypervisor to its answer, by step."),
];

/// Gauges, sorted. Those about the database are served by processes with a scheduler only, so that they are counted once.
const GAUGES: &[(&str, &str)] = &[
    ("leasehold_attention_oldest_seconds", "Age of the oldest open matter, by kind."),
    ("leasehold_attention_open", "Matters that need a person, by kind."),
    ("leasehold_build_info", "Always 1; the version is a label."),
    ("leasehold_claims_held", "Work rows that this process holds, by queue."),
    ("leasehold_database_free_bytes", "Bytes that are free on the volume of a SQLite database."),
    ("leasehold_nodes_unreachable", "Nodes that do not answer."),
    ("leasehold_queue_oldest_due_seconds", "How long the oldest due row waits, by queue."),
    ("leasehold_queue_rows", "Work rows that are not at rest, by queue and state."),
    ("leasehold_servers", "Servers, by status."),
    ("leasehold_settle_lag_seconds", "How long the account that is due longest waits to be settled."),
    ("leasehold_stuck", "1 when a loop of this process is not heard of any more."),
    ("leasehold_tick_late_seconds", "How late the latest tick is."),
    ("leasehold_troubled", "1 while something is in the way of this process, the database most likely."),
    ("leasehold_wallets_minor", "Money in all wallets in minor units, by currency and whether it is held."),
];

const BUCKETS: &[f64] = &[0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// How often what was measured is taken together.
const UPKEEP: Duration = Duration::from_secs(10);

/// Measures this process: for its own HTTP listener to show, or at `http://LISTEN/metrics` where that is said.
pub(crate) fn start(listen: Option<SocketAddr>) -> Result<Option<Page>, Failure> {
    let usage = |e: &dyn std::fmt::Display| Failure::Usage(format!("configuration: api.metrics_listen: {e}"));
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), BUCKETS).map_err(|e| usage(&e))?;
    let page = if let Some(listen) = listen {
        builder.with_http_listener(listen).install().map_err(|e| usage(&e))?;
        None
    } else {
        let handle = builder.install_recorder().map_err(|e| usage(&e))?;
        let kept = handle.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                kept.run_upkeep();
            }
        });
        Some(Page::new(move || handle.render()))
    };
    COUNTERS.iter().for_each(|(name, help)| describe_counter!(*name, *help));
    HISTOGRAMS.iter().for_each(|(name, help)| describe_histogram!(*name, Unit::Seconds, *help));
    GAUGES.iter().for_each(|(name, help)| describe_gauge!(*name, *help));
    gauge!("leasehold_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(page)
}

/// How often the database is counted.
const COUNT: Duration = Duration::from_secs(15);
/// Every so many rounds whole tables are counted, too.
const WHOLE: u64 = 8;

/// Keeps the gauges about the database fresh until the process stops.
pub(crate) async fn count(store: &Store, stop: &CancellationToken) {
    let mut kinds = BTreeSet::new();
    for round in 0_u64.. {
        if let Some((free, _)) = store.space() {
            gauge!("leasehold_database_free_bytes").set(free as f64);
        }
        let counted = async {
            count_work(store, &mut kinds).await?;
            if round.is_multiple_of(WHOLE) { count_all(store).await } else { Ok(()) }
        };
        if let Err(error) = counted.await {
            tracing::debug!(%error, "the gauges could not be counted");
        }
        if tokio::time::timeout(COUNT, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}

/// What walks over whole tables.
async fn count_all(store: &Store) -> Result<(), Failure> {
    let mut tx = store.read().await?;
    // A group that is empty is not counted: it was something before, perhaps.
    Status::ALL.iter().for_each(|status| gauge!("leasehold_servers", "status" => status.as_str()).set(0.0));
    for (status, servers) in tx.servers_by_status().await? {
        gauge!("leasehold_servers", "status" => status).set(servers as f64);
    }
    for (currency, posted, held) in tx.wallet_totals().await? {
        gauge!("leasehold_wallets_minor", "currency" => currency.clone(), "held" => "no").set((posted - held) as f64);
        gauge!("leasehold_wallets_minor", "currency" => currency, "held" => "yes").set(held as f64);
    }
    Ok(())
}

async fn count_work(store: &Store, kinds: &mut BTreeSet<String>) -> Result<(), Failure> {
    let mut tx = store.read().await?;
    for queue in Queue::ALL {
        let depth = tx.depth(*queue).await?;
        for state in WorkState::ALL {
            gauge!("leasehold_queue_rows", "queue" => queue.as_str(), "state" => state.as_str()).set(depth.of(*state) as f64);
        }
        gauge!("leasehold_queue_oldest_due_seconds", "queue" => queue.as_str()).set(depth.oldest_due(tx.now).as_secs_f64());
    }
    let open = tx.attention_counts().await?;
    for gone in kinds.iter().filter(|kind| !open.iter().any(|o| o.kind == **kind)) {
        gauge!("leasehold_attention_open", "kind" => gone.clone()).set(0.0);
        gauge!("leasehold_attention_oldest_seconds", "kind" => gone.clone()).set(0.0);
    }
    for kind in open {
        kinds.insert(kind.kind.clone());
        gauge!("leasehold_attention_open", "kind" => kind.kind.clone()).set(kind.open as f64);
        gauge!("leasehold_attention_oldest_seconds", "kind" => kind.kind).set(kind.oldest_at.map_or(0.0, |at| tx.now.since(at.0).as_secs_f64()));
    }
    gauge!("leasehold_nodes_unreachable").set(tx.nodes().await?.iter().filter(|n| !n.hidden && n.failing_since.is_some()).count() as f64);
    let late = tx.ticks().await?.iter().filter(|t| !t.paused).map(|t| tx.now.since(t.next_at)).max().unwrap_or_default();
    gauge!("leasehold_tick_late_seconds").set(late.as_secs_f64());
    let lag = tx.oldest_due_account().await?.map_or(Duration::ZERO, |at| tx.now.since(at));
    gauge!("leasehold_settle_lag_seconds").set(lag.as_secs_f64());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted() {
        for list in [COUNTERS, HISTOGRAMS, GAUGES] {
            assert!(list.is_sorted_by_key(|(name, _)| *name));
        }
    }
}
