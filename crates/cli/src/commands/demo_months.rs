//! The second half of the demo: months pass, a wallet runs empty, one server is saved and one is lost.

use std::time::Duration;

use leasehold_commands::{
    CommandError,
    accounts::{self, Movement},
};
use leasehold_domain::{Reference, lease::LeaseState, server::Status};

use super::demo::{Tour, held, say};
use crate::{drive::Driver, exit::Failure};

const DAY: Duration = Duration::from_hours(24);

/// Time passes, and what was told on the way is shown.
async fn pass(driver: &Driver<'_>, days: u32) -> Result<(), Failure> {
    let since = driver.store.clock().now();
    driver.to(since + DAY * days, |_| ()).await?;
    let mut mails = driver.store.read().await?.mails(None, None, 1000).await?;
    mails.retain(|m| m.created_at > since);
    mails.sort_by_key(|m| m.created_at);
    for mail in mails {
        let data: serde_json::Value = serde_json::from_str(&mail.data).unwrap_or_default();
        let what = data["label"].as_str().or_else(|| data["total"].as_str()).or_else(|| data["missing"].as_str()).unwrap_or_default();
        say(&format!("  {}  {:<20} {what}", mail.created_at.day(), mail.kind.to_string()));
    }
    Ok(())
}

async fn stands(tour: &Tour, label: &str) -> Result<(Status, LeaseState), Failure> {
    let mut tx = tour.app.store.read().await?;
    let servers = tx.servers(None, None, 100).await?;
    let Some(server) = servers.into_iter().find(|s| s.label == label) else { return Err(Failure::Failed(format!("server {label} is gone"))) };
    let lease = tx.lease_of(&server.id).await?.ok_or_else(|| Failure::Failed(format!("server {label} has no lease")))?;
    Ok((server.status, lease.state))
}

pub(super) async fn walk(tour: &Tour) -> Result<(), Failure> {
    let driver = Driver { store: &tour.app.store, worker: tour.app.worker("demo")?, scheduler: tour.app.scheduler(), step: Duration::from_secs(15) };
    say("\nA month passes (simulated time); the wallet pays for both servers.");
    pass(&driver, 32).await?;
    held(tour.balance().await? == "0.00", "both were renewed, once each, and the wallet is empty")?;

    say("\nThe next month ends, and nobody pays in.");
    pass(&driver, 35).await?;
    let (web, shop) = (stands(tour, "web").await?, stands(tour, "shop").await?);
    held(web.0 == Status::Suspended && shop.0 == Status::Suspended, "both were told in time, and are off; their data is kept")?;

    say("\nAda pays 6.00 EUR in: enough for one of them.");
    let reference = "pay-2".parse::<Reference>().map_err(CommandError::from)?;
    let movement = Movement { account: &tour.account, amount: "6.00", reason: "card payment", reference: Some(&reference) };
    accounts::credit(&tour.app.store, &tour.app.actor, &movement).await?;
    pass(&driver, 1).await?;
    let (web, shop) = (stands(tour, "web").await?, stands(tour, "shop").await?);
    held(web.0 == Status::Running && web.1 == LeaseState::Active, "web was paid first, and came back by itself")?;
    held(shop.0 == Status::Suspended, "shop stays off")?;

    say("\nTwo more weeks pass.");
    pass(&driver, 15).await?;
    held(stands(tour, "shop").await?.0 == Status::Terminated, "shop was warned three times, and is gone; its addresses are given back")?;
    held(stands(tour, "web").await?.0 == Status::Running, "web runs on")
}
