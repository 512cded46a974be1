//! How the process is, told to systemd, to the log, and to the `processes` table.
//!
//! The watchdog is fed from the progress of the loops, not from a timer of its own: a process that is up but whose loops hang is
//! restarted. A database that is away is no reason for that: the loops turn and say so, and go on when it is back.

use std::time::Duration;

use leasehold_store::{Health, Store};
use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// How often the loops are looked at; oftener when the watchdog wants it.
const LOOK: Duration = Duration::from_secs(5);

/// What the status line says.
fn line(health: &Health) -> String {
    match health {
        Health::Well => "working".into(),
        Health::Troubled(why) => format!("in trouble, trying on: {why}"),
        Health::Stuck(why) => format!("stuck: {why}"),
    }
}

/// Tells systemd, where there is one; elsewhere this does nothing.
fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}

/// What is in the way of this process, for its row.
pub(crate) fn trouble(store: &Store) -> Option<String> {
    let health = store.pulse().health();
    (health != Health::Well).then(|| line(&health))
}

/// Says that the process is ready, then how it is, until it stops.
pub(crate) async fn watch(store: &Store, stop: &CancellationToken) {
    let every = sd_notify::watchdog_enabled().map_or(LOOK, |limit| LOOK.min(limit / 3));
    tell(&[NotifyState::Ready]);
    let mut said = None;
    loop {
        let health = store.pulse().health();
        if said.as_ref() != Some(&health) {
            match &health {
                Health::Stuck(why) => tracing::error!(why, "this process is stuck; the watchdog is not fed any more"),
                Health::Troubled(why) => tracing::warn!(why, "in trouble, trying on"),
                Health::Well => tracing::debug!("working"),
            }
            tell(&[NotifyState::Status(&line(&health))]);
        }
        metrics::gauge!("leasehold_stuck").set(f64::from(matches!(health, Health::Stuck(_))));
        metrics::gauge!("leasehold_troubled").set(f64::from(matches!(health, Health::Troubled(_))));
        if !matches!(health, Health::Stuck(_)) {
            tell(&[NotifyState::Watchdog]);
        }
        said = Some(health);
        if tokio::time::timeout(every, stop.cancelled()).await.is_ok() {
            break;
        }
    }
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping: ending what runs")]);
}
