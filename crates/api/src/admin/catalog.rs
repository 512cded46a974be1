//! What is sold, and where it is built.

use axum::{Json, extract::State, http::header::CONTENT_TYPE, response::IntoResponse};
use leasehold_commands::catalog::{self, Catalog, Consent, How};
use leasehold_domain::{Money, addon::AddonKind, server::Medium};
use leasehold_store::catalog::{AddressPool, Region, Template};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    access::Operator,
    failure::Failure,
    names,
    request::{Asked, Text},
};

/// A price for a period.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PriceView {
    #[schema(example = "EUR")]
    currency: String,
    /// 1m, 3m, 6m or 12m.
    #[schema(example = "1m")]
    cycle: String,
    /// Before tax, a decimal.
    #[schema(example = "9.00")]
    amount: String,
}

fn price(currency: &str, cycle: String, minor: i64) -> Result<PriceView, Failure> {
    let money = currency.parse().map(|currency| Money::new(minor, currency)).map_err(leasehold_store::StoreError::from)?;
    Ok(PriceView { currency: currency.to_owned(), cycle, amount: money.decimal() })
}

/// A plan.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperatorProduct {
    id: String,
    #[schema(example = "small")]
    key: String,
    name: String,
    vcpu: i64,
    ram_mb: i64,
    disk_gb: i64,
    bandwidth_gb: i64,
    hidden: bool,
    prices: Vec<PriceView>,
}

/// Every plan.
#[utoipa::path(get, path = "/catalog/products", tag = "operator", security(("operator" = [])), responses((status = 200, body = [OperatorProduct])))]
pub(crate) async fn products(State(api): State<Api>, _: Operator) -> Result<Json<Vec<OperatorProduct>>, Failure> {
    let mut tx = api.store.read().await?;
    let (products, prices) = (tx.products().await?, tx.prices().await?);
    let mut views = Vec::new();
    for p in products {
        let prices = prices.iter().filter(|x| x.product_id == p.id.0).map(|x| price(&x.currency, x.cycle.to_string(), x.amount)).collect::<Result<_, _>>()?;
        views.push(OperatorProduct {
            id: p.id.0,
            key: p.key,
            name: p.name,
            vcpu: p.vcpu,
            ram_mb: p.ram_mb,
            disk_gb: p.disk_gb,
            bandwidth_gb: p.bandwidth_gb,
            hidden: p.hidden,
            prices,
        });
    }
    Ok(Json(views))
}

/// An add-on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperatorAddon {
    #[schema(example = "vpk7wjf5")]
    id: String,
    key: String,
    name: String,
    #[serde(rename = "type")]
    #[schema(schema_with = names::addon_kind)]
    kind: AddonKind,
    hidden: bool,
    prices: Vec<PriceView>,
}

/// Every add-on.
#[utoipa::path(get, path = "/catalog/addons", tag = "operator", security(("operator" = [])), responses((status = 200, body = [OperatorAddon])))]
pub(crate) async fn addons(State(api): State<Api>, _: Operator) -> Result<Json<Vec<OperatorAddon>>, Failure> {
    let mut tx = api.store.read().await?;
    let (addons, prices) = (tx.addons().await?, tx.addon_prices().await?);
    let mut views = Vec::new();
    for a in addons {
        let prices = prices.iter().filter(|x| x.addon_id == a.id).map(|x| price(&x.currency, x.cycle.to_string(), x.amount)).collect::<Result<_, _>>()?;
        views.push(OperatorAddon { id: a.id, key: a.key, name: a.name, kind: a.kind, hidden: a.hidden, prices });
    }
    Ok(Json(views))
}

/// A region.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OperatorRegion {
    #[schema(example = "fra")]
    slug: String,
    name: String,
    hidden: bool,
}

/// Every region.
#[utoipa::path(get, path = "/catalog/regions", tag = "operator", security(("operator" = [])), responses((status = 200, body = [OperatorRegion])))]
pub(crate) async fn regions(State(api): State<Api>, _: Operator) -> Result<Json<Vec<OperatorRegion>>, Failure> {
    let view = |r: Region| OperatorRegion { slug: r.id.0, name: r.name, hidden: r.hidden };
    Ok(Json(api.store.read().await?.regions().await?.into_iter().map(view).collect()))
}

/// An operating system.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperatorTemplate {
    #[schema(example = "debian-12")]
    id: String,
    family: String,
    label: String,
    /// Its name at the nodes.
    image: String,
    min_disk_gb: i64,
    username: String,
    hidden: bool,
    /// `image`, of a disk, or `iso`, of a CD.
    #[schema(value_type = String, example = "image")]
    medium: Medium,
    /// Whether it can be ordered.
    ready: bool,
}

/// Every operating system, and every CD.
#[utoipa::path(get, path = "/catalog/templates", tag = "operator", security(("operator" = [])), responses((status = 200, body = [OperatorTemplate])))]
pub(crate) async fn templates(State(api): State<Api>, _: Operator) -> Result<Json<Vec<OperatorTemplate>>, Failure> {
    let view = |t: Template| OperatorTemplate {
        id: t.id.0,
        family: t.family,
        label: t.label,
        image: t.image,
        min_disk_gb: t.min_disk_gb,
        username: t.username,
        hidden: t.hidden,
        medium: t.medium,
        ready: t.ready,
    };
    Ok(Json(api.store.read().await?.templates().await?.into_iter().map(view).collect()))
}

/// Addresses to hand out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PoolView {
    id: String,
    region: String,
    /// 4 or 6.
    family: i64,
    #[schema(example = "203.0.113.0/24")]
    cidr: String,
    gateway: String,
    hidden: bool,
}

/// Every pool of addresses.
#[utoipa::path(get, path = "/catalog/pools", tag = "operator", security(("operator" = [])), responses((status = 200, body = [PoolView])))]
pub(crate) async fn pools(State(api): State<Api>, _: Operator) -> Result<Json<Vec<PoolView>>, Failure> {
    let view = |p: AddressPool| PoolView { id: p.id, region: p.region_id, family: p.family, cidr: p.cidr, gateway: p.gateway, hidden: p.hidden };
    Ok(Json(api.store.read().await?.pools().await?.into_iter().map(view).collect()))
}

/// How a catalogue is imported.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Import {
    /// Nothing is written.
    #[serde(default)]
    dry_run: bool,
    /// Servers that run pay the prices of the file, too, from their next period on.
    #[serde(default)]
    reprice: bool,
    /// What changes by more than half, goes away, or ends servers sooner is meant; else that is refused.
    #[serde(default)]
    confirm: bool,
}

/// What an import changes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Imported {
    /// One line each: `+` new, `~` other than before, `-` not offered any more.
    #[schema(example = json!(["~ product small: 1m EUR 5.00 → 0.50, −90 %"]))]
    changes: Vec<String>,
    /// Those that must be confirmed.
    grave: Vec<String>,
    dry_run: bool,
}

/// Brings the catalogue to what a TOML file says, in one transaction. What is gone is hidden, and what live servers need is refused.
#[utoipa::path(post, path = "/catalog/import", tag = "operator", security(("operator" = [])), params(Import), request_body(content = String, content_type = "application/toml"), responses(
    (status = 200, body = Imported),
    (status = 409, body = super::error::Problem, description = "live servers need what the file leaves out, or something changes by more than half and was not confirmed"),
))]
pub(crate) async fn import(State(api): State<Api>, operator: Operator, Asked(how): Asked<Import>, Text(text): Text) -> Result<Json<Imported>, Failure> {
    let catalog = Catalog::received(&text, leasehold_notifier::check_logo)?;
    let with = How { reprice: how.reprice, consent: Consent::of(how.dry_run, how.confirm) };
    let imported = catalog::import(&api.store, &operator, &catalog, api.settings.check_node, with).await?;
    Ok(Json(Imported { changes: imported.lines, grave: imported.grave, dry_run: how.dry_run }))
}

/// The catalogue that the house has, as the file that imports as no change; the seller's logo is inside.
#[utoipa::path(get, path = "/catalog/export", tag = "operator", security(("operator" = [])), responses((status = 200, body = String, content_type = "application/toml")))]
pub(crate) async fn export(State(api): State<Api>, _: Operator) -> Result<impl IntoResponse, Failure> {
    Ok(([(CONTENT_TYPE, "application/toml")], catalog::export(&api.store).await?))
}

/// Which leases are brought to the catalogue's prices.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Reprice {
    /// Those of one product or add-on, by its key; else all.
    #[param(example = "small")]
    only: Option<String>,
    /// It is meant; else nothing is written.
    #[serde(default)]
    confirm: bool,
}

/// What leases pay otherwise from their next period on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Repriced {
    #[schema(example = json!(["~ product small: 3 lease(s) pay EUR 5.00 → 6.00, +20 % every 1m from their next period on"]))]
    changes: Vec<String>,
    /// Nothing was written: it was not confirmed.
    dry_run: bool,
}

/// Has every lease pay what the catalogue says, from its next period on.
#[utoipa::path(post, path = "/catalog/reprice", tag = "operator", security(("operator" = [])), params(Reprice), responses(
    (status = 200, body = Repriced),
    (status = 404, body = super::error::Problem, description = "there is no product or add-on of that key"),
))]
pub(crate) async fn reprice(State(api): State<Api>, operator: Operator, Asked(how): Asked<Reprice>) -> Result<Json<Repriced>, Failure> {
    let consent = if how.confirm { Consent::All } else { Consent::Look };
    let changes = catalog::reprice::reprice(&api.store, &operator, how.only.as_deref(), &consent).await?;
    Ok(Json(Repriced { changes, dry_run: !how.confirm }))
}
