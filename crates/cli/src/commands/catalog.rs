//! `leasehold catalog …`

use clap::Subcommand;
use leasehold_commands::{
    CommandError,
    catalog::{self, Catalog as File, Change, How},
};
use leasehold_domain::Money;
use serde_json::json;
use std::path::PathBuf;

use super::Context;
use crate::{
    exit::Failure,
    output::{show, table},
};

/// `leasehold catalog …`
#[derive(Debug, Subcommand)]
pub enum Catalog {
    /// Bring the catalogue to what a file says.
    Import {
        /// The TOML file.
        file: PathBuf,
        /// Only show what would change.
        #[arg(long)]
        dry_run: bool,
        /// Prices that change also change for servers that run, from their next period on.
        #[arg(long)]
        reprice: bool,
    },
    /// What is offered.
    Show,
}

/// Whether a backend accepts its settings.
pub(crate) fn check_node(backend: &str, settings: &str) -> Result<(), CommandError> {
    leasehold_hypervisor::check(backend, settings).map_err(|e| CommandError::Invalid(e.to_string()))
}

pub(super) async fn run(c: &Context, command: Catalog) -> Result<(), Failure> {
    let app = if matches!(command, Catalog::Import { dry_run: false, .. }) { c.app_or_new().await? } else { c.app().await? };
    match command {
        Catalog::Import { file, dry_run, reprice } => {
            let changes =
                catalog::import(&app.store, &app.actor, &File::read(&file, leasehold_notifier::check_logo)?, check_node, How { dry_run, reprice }).await?;
            let silent = app.store.read().await?.regions_without_resolvers().await?;
            let note =
                |region: &String| format!("region {region} has no resolvers: no name resolves in guests whose image brings none; give it resolvers = [\"…\"]");
            let notes: Vec<String> = silent.iter().map(note).collect();
            show(c.json(), &json!({ "changes": changes.iter().map(Change::to_string).collect::<Vec<_>>(), "notes": notes, "dryRun": dry_run }), || {
                changes.iter().for_each(|change| say!("{change}"));
                notes.iter().for_each(|note| say!("note: {note}"));
                say!(
                    "{}",
                    if changes.is_empty() {
                        "nothing to change"
                    } else if dry_run {
                        "not written (--dry-run)"
                    } else {
                        "done"
                    }
                );
            });
            Ok(())
        }
        Catalog::Show => offered(c, &app).await,
    }
}

async fn offered(c: &Context, app: &crate::app::App) -> Result<(), Failure> {
    let mut tx = app.store.read().await?;
    let (products, prices, offers) = (tx.products().await?, tx.prices().await?, tx.product_regions().await?);
    let (regions, templates, pools) = (tx.regions().await?, tx.templates().await?, tx.pools().await?);
    let mut rows = Vec::new();
    for p in products.iter().filter(|p| !p.hidden) {
        let mut list = Vec::new();
        for price in prices.iter().filter(|x| x.product_id == p.id.as_str()) {
            let currency = price.currency.parse().map_err(|e| Failure::Failed(format!("{e}")))?;
            list.push(format!("{} {}", Money::new(price.amount, currency), price.cycle));
        }
        let at: Vec<&str> = offers.iter().filter(|(id, _)| id == p.id.as_str()).map(|(_, r)| r.as_str()).collect();
        rows.push(vec![p.key.clone(), p.name.clone(), format!("{} vCPU, {} MiB, {} GB", p.vcpu, p.ram_mb, p.disk_gb), at.join(" "), list.join(", ")]);
    }
    let (addons, addon_prices) = (tx.addons().await?, tx.addon_prices().await?);
    let mut extras = Vec::new();
    for a in addons.iter().filter(|a| !a.hidden) {
        let mut list = Vec::new();
        for price in addon_prices.iter().filter(|x| x.addon_id == a.id) {
            let currency = price.currency.parse().map_err(|e| Failure::Failed(format!("{e}")))?;
            list.push(format!("{} {}", Money::new(price.amount, currency), price.cycle));
        }
        extras.push(vec![a.key.clone(), a.name.clone(), a.kind.to_string(), list.join(", ")]);
    }
    let value = json!({ "products": products, "prices": prices, "addons": addons, "addonPrices": addon_prices, "regions": regions, "templates": templates, "pools": pools });
    show(c.json(), &value, || {
        table(&["PRODUCT", "NAME", "SIZE", "REGIONS", "PRICES"], rows);
        table(&["ADD-ON", "NAME", "KIND", "PRICES"], extras);
        table(&["TEMPLATE", "NAME"], templates.iter().filter(|t| !t.hidden).map(|t| vec![t.id.to_string(), t.label.clone()]));
        table(&["REGION", "NAME"], regions.iter().filter(|r| !r.hidden).map(|r| vec![r.id.to_string(), r.name.clone()]));
        table(
            &["POOL", "REGION", "NETWORK", "GATEWAY"],
            pools.iter().filter(|p| !p.hidden).map(|p| vec![p.id.clone(), p.region_id.clone(), p.cidr.clone(), p.gateway.clone()]),
        );
    });
    Ok(())
}
