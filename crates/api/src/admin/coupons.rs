//! Coupons.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use leasehold_commands::coupons::{self, NewCoupon};
use leasehold_domain::{Money, Percent, Timestamp, coupon::Coupon};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Api,
    access::Operator,
    failure::Failure,
    once::{Begun, Posted, again, answer, begin_for_host},
};

/// A coupon.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperatorCoupon {
    #[schema(example = "WELCOME")]
    code: String,
    /// Per cent off the plan's price.
    #[schema(value_type = Option<f64>)]
    percent: Option<Percent>,
    /// An amount off it, a decimal.
    amount: Option<String>,
    currency: Option<String>,
    /// Periods that it counts for; none: all.
    periods: Option<i64>,
    /// Orders in all; none: any number.
    uses: Option<i64>,
    uses_per_account: Option<i64>,
    /// Orders that use it.
    used: i64,
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Plans by key; none: every plan.
    products: Vec<String>,
    disabled: bool,
}

impl From<Coupon> for OperatorCoupon {
    fn from(c: Coupon) -> Self {
        let (percent, fixed) = c.discount.parts();
        Self {
            code: c.code,
            percent,
            amount: fixed.map(Money::decimal),
            currency: fixed.map(|m| m.currency.code().to_owned()),
            periods: c.periods,
            uses: c.uses,
            uses_per_account: c.uses_per_account,
            used: c.used,
            from: c.from,
            until: c.until,
            products: c.products,
            disabled: c.disabled,
        }
    }
}

/// A coupon to be: one of `percent`, and `amount` with its `currency`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CouponToBe {
    /// 3 to 32 letters, digits, - and _.
    #[schema(example = "WELCOME")]
    code: String,
    #[schema(minimum = 1, maximum = 100, example = 20)]
    #[schema(value_type = Option<f64>)]
    percent: Option<Percent>,
    amount: Option<String>,
    currency: Option<String>,
    #[schema(minimum = 1)]
    periods: Option<i64>,
    #[schema(minimum = 1)]
    uses: Option<i64>,
    #[schema(minimum = 1)]
    uses_per_account: Option<i64>,
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    products: Option<Vec<String>>,
}

/// Every coupon, by code.
#[utoipa::path(get, path = "/coupons", tag = "operator", security(("operator" = [])), responses((status = 200, body = [OperatorCoupon])))]
pub(crate) async fn list(State(api): State<Api>, _: Operator) -> Result<Json<Vec<OperatorCoupon>>, Failure> {
    Ok(Json(api.store.read().await?.coupons(false).await?.into_iter().map(OperatorCoupon::from).collect()))
}

/// Makes a coupon.
#[utoipa::path(post, path = "/coupons", tag = "operator", security(("operator" = [])), params(("Idempotency-Key" = Option<String>, Header)), request_body = CouponToBe, responses(
    (status = 201, body = OperatorCoupon),
    (status = 409, body = super::error::Problem, description = "there is one of this code"),
))]
pub(crate) async fn create(State(api): State<Api>, operator: Operator, posted: Posted<CouponToBe>) -> Result<Response, Failure> {
    let mut open = match begin_for_host(&api, &operator, &posted).await? {
        Begun::Before(text) => return Ok(again(StatusCode::CREATED, text)),
        Begun::Now(open) => open,
    };
    let new = posted.body;
    let products = new.products.unwrap_or_default();
    let coupon = NewCoupon {
        code: &new.code,
        percent: new.percent,
        amount: new.amount.as_deref(),
        currency: new.currency.as_deref(),
        periods: new.periods,
        uses: new.uses,
        uses_per_account: new.uses_per_account,
        from: new.from,
        until: new.until,
        products: &products,
    };
    let made = coupons::add(&mut open.tx, &operator, &coupon).await.map_err(Failure::of_body)?;
    answer(open, StatusCode::CREATED, &OperatorCoupon::from(made)).await
}

/// No further order may use it; those that do keep what they got.
#[utoipa::path(post, path = "/coupons/{code}/disable", tag = "operator", security(("operator" = [])), params(("code" = String, Path)), responses((status = 200, body = OperatorCoupon)))]
pub(crate) async fn disable(State(api): State<Api>, operator: Operator, Path(code): Path<String>) -> Result<Json<OperatorCoupon>, Failure> {
    Ok(Json(coupons::disable(&api.store, &operator, &code).await?.into()))
}

/// A use of a coupon.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RedemptionView {
    account_id: String,
    server_id: String,
    #[schema(value_type = String, format = DateTime)]
    redeemed_at: Timestamp,
}

/// Who used a coupon for which server, newest first.
#[utoipa::path(get, path = "/coupons/{code}/redemptions", tag = "operator", security(("operator" = [])), params(("code" = String, Path)), responses((status = 200, body = [RedemptionView])))]
pub(crate) async fn redemptions(State(api): State<Api>, _: Operator, Path(code): Path<String>) -> Result<Json<Vec<RedemptionView>>, Failure> {
    let mut tx = api.store.read().await?;
    let code = tx.coupon(&code.to_ascii_uppercase()).await?.code;
    let view = |(account_id, server_id, at)| RedemptionView { account_id, server_id, redeemed_at: Timestamp::from_millis(at) };
    Ok(Json(tx.redemptions(&code).await?.into_iter().map(view).collect()))
}
