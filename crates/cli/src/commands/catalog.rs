//! `leasehold catalog …`

use clap::Subcommand;
use leasehold_commands::{
    CommandError,
    catalog::{self, Catalog as File, Consent, How, Imported, reprice},
};
use leasehold_domain::Money;
use serde_json::json;
use std::path::{Path, PathBuf};

use super::Context;
use crate::{
    app::App,
    exit::Failure,
    output::{confirm, show, table},
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
        /// Servers that run pay the prices of the file, too, from their next period on.
        #[arg(long)]
        reprice: bool,
        /// Do it also where prices change by more than half or something goes away.
        #[arg(long)]
        yes: bool,
    },
    /// The catalogue as a file, which imports as "nothing to change"; on stdout.
    Export,
    /// Have servers that run pay what the catalogue says, from their next period on.
    Reprice {
        /// Of this product or add-on only, by its key.
        #[arg(long, value_name = "KEY")]
        only: Option<String>,
        /// Only show who would pay what.
        #[arg(long)]
        dry_run: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
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
        Catalog::Import { file, dry_run, reprice, yes } => import(c, &app, &file, How { reprice, consent: Consent::of(dry_run, yes) }).await,
        Catalog::Export => {
            let text = catalog::export(&app.store).await?;
            show(c.json(), &json!({ "catalog": text }), || say!("{}", text.trim_end()));
            Ok(())
        }
        Catalog::Reprice { only, dry_run, yes } => {
            let mut lines = reprice::reprice(&app.store, &app.actor, only.as_deref(), &Consent::Look).await?;
            if !dry_run && !lines.is_empty() {
                if !yes && !confirm(&format!("{}; do it?", lines.join("; "))) {
                    return Err(Failure::Refused(format!("nothing was changed; say --yes to do it: {}", lines.join("; "))));
                }
                let consent = if yes { Consent::All } else { Consent::To(lines) };
                lines = reprice::reprice(&app.store, &app.actor, only.as_deref(), &consent).await?;
            }
            print(c, &Imported { lines, grave: vec![] }, &[], dry_run);
            Ok(())
        }
        Catalog::Show => offered(c, &app).await,
    }
}

async fn import(c: &Context, app: &App, file: &Path, mut how: How) -> Result<(), Failure> {
    let file = File::read(file, leasehold_notifier::check_logo)?;
    let dry_run = how.consent == Consent::Look;
    if how.consent == Consent::Nothing {
        // Seen before it is asked for.
        let would = catalog::import(&app.store, &app.actor, &file, check_node, How { consent: Consent::Look, ..how }).await?;
        if !would.grave.is_empty() {
            let grave = would.grave.join("; ");
            if !confirm(&format!("this changes by more than half, takes away, or ends servers sooner: {grave}; do it?")) {
                return Err(Failure::Refused(format!(
                    "nothing was imported; say --yes to do it, since it changes by more than half, takes away, or ends servers sooner: {grave}"
                )));
            }
            how.consent = Consent::To(would.lines);
        }
    }
    let imported = catalog::import(&app.store, &app.actor, &file, check_node, how).await?;
    let silent = app.store.read().await?.regions_without_resolvers().await?;
    let note = |region: &String| format!("region {region} has no resolvers: no name resolves in guests whose image brings none; give it resolvers = [\"…\"]");
    let notes: Vec<String> = silent.iter().map(note).collect();
    print(c, &imported, &notes, dry_run);
    Ok(())
}

fn print(c: &Context, imported: &Imported, notes: &[String], dry_run: bool) {
    show(c.json(), &json!({ "changes": imported.lines, "grave": imported.grave, "notes": notes, "dryRun": dry_run }), || {
        imported.lines.iter().for_each(|line| say!("{line}"));
        notes.iter().for_each(|note| say!("note: {note}"));
        say!(
            "{}",
            if imported.lines.is_empty() {
                "nothing to change"
            } else if dry_run {
                "not written (--dry-run)"
            } else {
                "done"
            }
        );
    });
}

async fn offered(c: &Context, app: &App) -> Result<(), Failure> {
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
