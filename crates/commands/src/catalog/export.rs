//! The catalogue that the house has, as the file that would make it.

use std::{collections::BTreeMap, net::IpAddr};

use leasehold_domain::{Currency, Money, coupon::Coupon, policy::Level, price::Discount, server::Medium};
use leasehold_store::{
    Tx,
    addons::AddonPrice,
    catalog::{AddressPool, Price, Template},
    nodes::Node,
};

use super::{
    Catalog, affiliates,
    entries::{AddonEntry, Capacity, CouponEntry, IsoEntry, NodeEntry, PoolEntry, Prices, ProductEntry, RegionEntry, TemplateEntry, TierEntry},
    pools::lowest_and_highest,
};
use crate::{CommandError, Result};

/// What is offered now. The seller's logo is inside.
pub(super) async fn export(tx: &mut Tx) -> Result<Catalog> {
    let seller = tx.seller().await?;
    let shown = |ips: &str| ips.split(',').filter_map(|ip| ip.parse::<IpAddr>().ok()).collect::<Vec<_>>();
    let regions = tx.regions().await?.into_iter().filter(|r| !r.hidden);
    let (images, discs): (Vec<Template>, Vec<Template>) = tx.templates().await?.into_iter().filter(|t| !t.hidden).partition(|t| t.medium == Medium::Image);
    Ok(Catalog {
        region: regions.map(|r| RegionEntry { resolvers: shown(&r.resolvers), id: r.id.to_string(), name: r.name }).collect(),
        node: tx.nodes().await?.into_iter().filter(|n| !n.hidden).map(|n| node(n, shown)).collect::<Result<_>>()?,
        template: images.into_iter().map(template).collect(),
        iso: discs.into_iter().map(disc).collect(),
        pool: pools(tx, shown).await?,
        product: products(tx).await?,
        addon: addons(tx).await?,
        coupon: tx.coupons(true).await?.into_iter().filter(|c| !c.disabled).map(coupon).collect(),
        tier: tiers(tx).await?,
        seller: match &seller {
            Some(id) => Some(tx.party(Some(id)).await?),
            None => None,
        },
        affiliates: affiliates::stored(tx).await?,
        tax: tx.tax_rates().await?.into_iter().map(|(country, rate)| (country, rate.to_string())).collect(),
        policy: rules(tx, Level::System, "").await?,
    })
}

fn node(n: Node, shown: impl Fn(&str) -> Vec<IpAddr>) -> Result<NodeEntry> {
    Ok(NodeEntry {
        settings: serde_json::from_str(&n.settings).map_err(|e| CommandError::Invalid(format!("node '{}': {e}", n.id)))?,
        resolvers: shown(&n.resolvers),
        id: n.id.to_string(),
        region: n.region_id.to_string(),
        backend: n.backend,
        capacity: Capacity { vcpu: n.vcpu, ram_mb: n.ram_mb, disk_gb: n.disk_gb },
        builds: n.builds,
    })
}

fn template(t: Template) -> TemplateEntry {
    TemplateEntry {
        id: t.id.to_string(),
        family: t.family,
        label: t.label,
        icon: t.icon,
        color: t.color,
        image: t.image,
        min_disk_gb: t.min_disk_gb,
        username: t.username,
    }
}

fn disc(t: Template) -> IsoEntry {
    IsoEntry {
        id: t.id.to_string(),
        name: t.label,
        description: t.description.unwrap_or_default(),
        kind: t.kind.unwrap_or_default(),
        size: t.size.unwrap_or_default(),
        image: t.image,
        min_disk_gb: t.min_disk_gb,
        ready: t.ready,
    }
}

async fn pools(tx: &mut Tx, shown: impl Fn(&str) -> Vec<IpAddr>) -> Result<Vec<PoolEntry>> {
    let mut entries = Vec::new();
    for AddressPool { id, region_id, family, cidr, gateway, blocks, resolvers, hidden } in tx.pools().await? {
        if hidden {
            continue;
        }
        let addresses = tx.pool_addresses(&id).await?;
        let range = lowest_and_highest(&addresses, family).map_or_else(String::new, |(first, last)| format!("{first}-{last}"));
        let gateway = gateway.parse().map_err(|e| CommandError::Invalid(format!("pool '{id}': {e}")))?;
        let blocks = blocks.and_then(|length| length.try_into().ok());
        entries.push(PoolEntry { id, region: region_id, family, cidr, gateway, range, resolvers: shown(&resolvers), blocks });
    }
    Ok(entries)
}

/// Rows of prices as a file has them.
fn prices<'a>(rows: impl Iterator<Item = (&'a str, &'a str, i64)>) -> Result<Prices> {
    let mut prices = Prices::new();
    for (code, cycle, minor) in rows {
        let currency: Currency = code.parse().map_err(|e| CommandError::Invalid(format!("{e}")))?;
        prices.entry(code.to_owned()).or_default().insert(cycle.to_owned(), Money::new(minor, currency).decimal());
    }
    Ok(prices)
}

async fn products(tx: &mut Tx) -> Result<Vec<ProductEntry>> {
    let (all, offers, mut entries) = (tx.prices().await?, tx.product_regions().await?, Vec::new());
    for p in tx.products().await?.into_iter().filter(|p| !p.hidden) {
        let of_it = all.iter().filter(|x: &&Price| x.product_id == p.id.as_str());
        entries.push(ProductEntry {
            prices: prices(of_it.map(|x| (x.currency.as_str(), x.cycle.as_str(), x.amount)))?,
            regions: offers.iter().filter(|(id, _)| id == p.id.as_str()).map(|(_, region)| region.clone()).collect(),
            policy: rules(tx, Level::Plan, p.id.as_str()).await?,
            key: p.key,
            name: p.name,
            vcpu: p.vcpu,
            ram_mb: p.ram_mb,
            disk_gb: p.disk_gb,
            bandwidth_gb: p.bandwidth_gb,
        });
    }
    Ok(entries)
}

async fn addons(tx: &mut Tx) -> Result<Vec<AddonEntry>> {
    let (all, plans, products) = (tx.addon_prices().await?, tx.addon_products().await?, tx.products().await?);
    let mut entries = Vec::new();
    for a in tx.addons().await?.into_iter().filter(|a| !a.hidden) {
        let of_it = all.iter().filter(|x: &&AddonPrice| x.addon_id == a.id);
        let key_of = |id: &str| products.iter().find(|p| p.id.as_str() == id).map(|p| p.key.clone());
        let with: Vec<String> = plans.iter().filter(|(addon, _)| *addon == a.id).filter_map(|(_, plan)| key_of(plan)).collect();
        entries.push(AddonEntry {
            prices: prices(of_it.map(|x| (x.currency.as_str(), x.cycle.as_str(), x.amount)))?,
            products: (!with.is_empty()).then_some(with),
            key: a.key,
            name: a.name,
            kind: a.kind.to_string(),
            count: a.count,
            keep_days: a.keep_days,
        });
    }
    Ok(entries)
}

fn coupon(c: Coupon) -> CouponEntry {
    let (percent, amount) = match c.discount {
        Discount::Percent(percent) => (Some(percent), None),
        Discount::Fixed(amount) => (None, Some(amount)),
    };
    CouponEntry {
        code: c.code,
        percent,
        amount: amount.map(Money::decimal),
        currency: amount.map(|m| m.currency.code().to_owned()),
        periods: c.periods.unwrap_or(1),
        forever: c.periods.is_none(),
        uses: c.uses,
        uses_per_account: c.uses_per_account,
        from: c.from,
        until: c.until,
        products: c.products,
    }
}

async fn tiers(tx: &mut Tx) -> Result<Vec<TierEntry>> {
    let mut entries: Vec<TierEntry> = Vec::new();
    for t in tx.tiers().await? {
        let currency: Currency = t.currency.parse().map_err(|e| CommandError::Invalid(format!("{e}")))?;
        let from = (t.currency, Money::new(t.amount, currency).decimal());
        match entries.iter_mut().find(|e| e.name == t.name) {
            Some(entry) => drop(entry.from.insert(from.0, from.1)),
            None => entries.push(TierEntry { name: t.name, percent: t.percent, from: BTreeMap::from([from]) }),
        }
    }
    Ok(entries)
}

async fn rules(tx: &mut Tx, level: Level, subject: &str) -> Result<toml::Table> {
    let rules = tx.rules(level, subject).await?;
    Ok(rules.into_iter().map(|r| (r.key.to_string(), toml::Value::String(r.value))).collect())
}
