//! How the account stands as a partner.

use axum::{Json, extract::State};
use leasehold_domain::{Money, Percent, Timestamp};
use leasehold_store::partners::{Partner, Tier};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    access::{AccountRead, For},
    failure::Failure,
};

/// A step of the programme.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TierView {
    name: String,
    /// What is to be bought within 30 days, a decimal.
    #[serde(rename = "min30dGmv")]
    #[schema(example = "500.00")]
    min_30d_gmv: String,
    #[schema(value_type = f64)]
    discount_pct: Percent,
}

/// The next step of the programme.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NextTierView {
    name: String,
    gmv_required: String,
    gmv_remaining: String,
    #[schema(value_type = f64)]
    discount_pct: Percent,
}

/// How the account stands as a partner.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResellerView {
    enabled: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    enabled_at: Option<Timestamp>,
    /// The company's name in small letters and hyphens.
    brand_slug: Option<String>,
    brand_name: Option<String>,
    /// What is taken off, per cent.
    #[schema(value_type = f64)]
    margin_percent: Percent,
    /// What can be spent, a decimal.
    balance: String,
    /// What has to stay in the wallet: nothing.
    #[schema(example = "0.00")]
    min_balance: String,
    /// Whether anything is taken off now.
    eligible: bool,
    #[schema(value_type = f64)]
    discount_pct: Percent,
    /// What was agreed in place of what is reached, per cent.
    #[schema(value_type = Option<f64>)]
    discount_override: Option<Percent>,
    tier_name: Option<String>,
    /// What was bought within 30 days, a decimal.
    #[serde(rename = "gmv30d")]
    #[schema(example = "120.00")]
    gmv_30d: String,
    next_tier: Option<NextTierView>,
    tiers: Vec<TierView>,
}

fn slug(name: &str) -> String {
    let words = name.to_lowercase();
    words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}

/// How the account stands as a partner, and what there is to reach.
#[utoipa::path(get, path = "/reseller", tag = "account", security(("key" = ["account:read"])), responses(
    (status = 200, body = ResellerView),
))]
pub(crate) async fn show(State(api): State<Api>, caller: For<AccountRead>) -> Result<Json<ResellerView>, Failure> {
    let mut tx = api.store.read().await?;
    let account = tx.account(&caller.account).await?;
    let currency = account.currency()?;
    let partner = tx.partner(&account).await?;
    let tiers = tx.tiers().await?.into_iter().filter(|t| t.currency == account.currency);
    let decimal = |minor| Money::new(minor, currency).decimal();
    let of = |read: fn(&Partner) -> Option<Tier>| partner.as_ref().and_then(read);
    let percent = partner.as_ref().map_or(Percent::ZERO, |p| p.percent);
    let bought = partner.as_ref().map_or(0, |p| p.bought.minor);
    let next = of(|p| p.next.clone()).map(|t| NextTierView {
        gmv_required: decimal(t.amount),
        gmv_remaining: decimal(t.amount - bought),
        name: t.name,
        discount_pct: t.percent,
    });
    Ok(Json(ResellerView {
        enabled: partner.is_some(),
        enabled_at: partner.as_ref().map(|p| p.since),
        brand_slug: account.company.as_deref().map(slug),
        brand_name: account.company.clone(),
        margin_percent: percent,
        balance: tx.wallet(&account.id).await?.available().decimal(),
        min_balance: decimal(0),
        eligible: percent > Percent::ZERO,
        discount_pct: percent,
        discount_override: partner.as_ref().filter(|p| p.agreed).map(|p| p.percent),
        tier_name: of(|p| p.tier.clone()).map(|t| t.name),
        gmv_30d: decimal(bought),
        next_tier: next,
        tiers: tiers.map(|t| TierView { min_30d_gmv: decimal(t.amount), name: t.name, discount_pct: t.percent }).collect(),
    }))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_slug_is_of_small_letters_and_hyphens() {
        assert_eq!(super::slug("  Ada & Söhne GmbH"), "ada-s-hne-gmbh");
    }
}
