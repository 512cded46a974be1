//! What can be bought: plans, coupons, and what partners and those who bring customers get.

use axum::{
    Json,
    extract::{Path, State},
};
use leasehold_commands::{CommandError, catalog, shop};
use leasehold_domain::{
    Money, Percent,
    addon::AddonKind,
    affiliate::{RewardType, Trigger},
};
use leasehold_store::addons::Addon;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    access::{AccountRead, For},
    failure::Failure,
    limit::Bucket,
    names,
    request::Asked,
};

/// An add-on of a plan.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AddonOffer {
    #[schema(example = "vpk7wjf5")]
    id: String,
    name: String,
    #[serde(rename = "type")]
    #[schema(schema_with = names::addon_kind)]
    kind: AddonKind,
    #[schema(example = "3.00")]
    monthly_price: String,
}

/// A plan at the account's price.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProductView {
    id: String,
    name: String,
    vcpu: i64,
    ram_mb: i64,
    ram_gb: f64,
    disk_gb: i64,
    bandwidth_gb: i64,
    /// A month of it, a partner's margin off and tax included, a decimal.
    #[schema(example = "9.00")]
    monthly_price: String,
    /// The same.
    #[schema(example = "9.00")]
    price_per_month: String,
    currency: String,
    /// Where it is offered, by slug.
    #[schema(example = json!(["fra"]))]
    regions: Vec<String>,
    addons: Vec<AddonOffer>,
}

impl From<shop::Offer> for ProductView {
    fn from(o: shop::Offer) -> Self {
        let p = o.product;
        let addon = |(a, price): (Addon, Money)| AddonOffer { id: a.id, name: a.name, kind: a.kind, monthly_price: price.decimal() };
        Self {
            id: p.id.0,
            name: p.name,
            vcpu: p.vcpu,
            ram_mb: p.ram_mb,
            ram_gb: p.ram_mb as f64 / 1024.0,
            disk_gb: p.disk_gb,
            bandwidth_gb: p.bandwidth_gb,
            monthly_price: o.price.decimal(),
            price_per_month: o.price.decimal(),
            currency: o.price.currency.code().to_owned(),
            regions: o.regions,
            addons: o.addons.into_iter().map(addon).collect(),
        }
    }
}

/// Every plan that is offered in the account's currency; partners see what they pay.
#[utoipa::path(get, path = "/products", tag = "catalogue", security(("key" = ["account:read"])), responses(
    (status = 200, body = [ProductView]),
))]
pub(crate) async fn products(State(api): State<Api>, caller: For<AccountRead>) -> Result<Json<Vec<ProductView>>, Failure> {
    let offers = shop::offers(&api.store, &caller.account).await?;
    Ok(Json(offers.into_iter().map(ProductView::from).collect()))
}

/// For which plan a coupon is looked at.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct OfPlan {
    /// A plan, to be told what the coupon takes off its first month.
    product_id: Option<String>,
}

/// A coupon that the account could use.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CouponView {
    code: String,
    /// Per cent off the plan.
    #[schema(value_type = Option<f64>)]
    percent: Option<Percent>,
    /// An amount off the plan, a decimal.
    amount: Option<String>,
    currency: Option<String>,
    /// Periods that it counts for; none: all.
    periods: Option<i64>,
    /// What it takes off the first month of the plan that was named, tax included.
    #[schema(example = "1.80")]
    discount: Option<String>,
}

/// What a coupon would take off; one that the account cannot use now is not there. 20 a minute.
#[utoipa::path(get, path = "/coupons/{code}", tag = "catalogue", security(("key" = ["account:read"])), params(("code" = String, Path), OfPlan), responses(
    (status = 200, body = CouponView),
))]
pub(crate) async fn coupon(
    State(api): State<Api>,
    caller: For<AccountRead>,
    Path(code): Path<String>,
    Asked(of): Asked<OfPlan>,
) -> Result<Json<CouponView>, Failure> {
    api.limiter.take(&api.store, Bucket::Coupons, &caller.key).await?;
    let found = shop::coupon(&api.store, &caller.account, &code, of.product_id.as_deref()).await;
    let (coupon, off) = found.map_err(|e| match e {
        CommandError::Store(_) | CommandError::TryAgain(_) => Failure::from(e),
        _ => Failure::not_found("no coupon of this code can be used now"),
    })?;
    let (percent, fixed) = coupon.discount.parts();
    Ok(Json(CouponView {
        code: coupon.code,
        percent,
        amount: fixed.map(Money::decimal),
        currency: fixed.map(|m| m.currency.code().to_owned()),
        periods: coupon.periods,
        discount: off.map(Money::decimal),
    }))
}

/// What is offered to those who bring customers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AffiliatesView {
    enabled: bool,
    #[schema(schema_with = names::trigger)]
    trigger: Trigger,
    #[schema(schema_with = names::reward_type)]
    reward_type: RewardType,
    /// An amount, or per cent; a decimal.
    #[schema(example = "10")]
    reward_amount: String,
}

/// What is offered to those who bring customers. No key is needed.
#[utoipa::path(get, path = "/public/affiliates/rule", tag = "catalogue", responses((status = 200, body = AffiliatesView)))]
pub(crate) async fn affiliates(State(api): State<Api>) -> Result<Json<AffiliatesView>, Failure> {
    let rule = catalog::affiliates(&api.store).await?;
    Ok(Json(AffiliatesView { enabled: rule.enabled, trigger: rule.trigger, reward_type: rule.reward_type, reward_amount: rule.reward_amount }))
}
