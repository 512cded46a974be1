//! Coupons made by hand, and looked at.

use leasehold_domain::{Money, Percent, Timestamp, coupon::Coupon, price::Discount};
use leasehold_store::{Store, Tx, activity::Actor};

use crate::{CommandError, Result, commit};

/// What a coupon shall be, as it is written. One of `percent` and `amount` with its `currency`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewCoupon<'a> {
    /// 3 to 32 letters, digits, - and _; kept in upper case.
    pub code: &'a str,
    /// Per cent off the plan's price.
    pub percent: Option<Percent>,
    /// An amount off it.
    pub amount: Option<&'a str>,
    /// Of that amount.
    pub currency: Option<&'a str>,
    /// Periods that it counts for; none: all.
    pub periods: Option<i64>,
    /// Orders in all.
    pub uses: Option<i64>,
    /// Orders of one account.
    pub uses_per_account: Option<i64>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Not at or after.
    pub until: Option<Timestamp>,
    /// Plans by key; none: every plan.
    pub products: &'a [String],
}

const CODE_MIN: usize = 3;
const CODE_MAX: usize = 32;

impl NewCoupon<'_> {
    /// The coupon, if it makes sense.
    pub fn check(&self) -> Result<Coupon> {
        let invalid = |why: String| Err(CommandError::Invalid(format!("coupon '{}': {why}", self.code.escape_debug())));
        let plain = self.code.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if !plain || !(CODE_MIN..=CODE_MAX).contains(&self.code.len()) {
            return invalid(format!("a code is {CODE_MIN} to {CODE_MAX} letters, digits, - and _"));
        }
        let discount = match (self.percent, self.amount, self.currency) {
            (Some(percent), None, None) if percent > Percent::ZERO => Discount::Percent(percent),
            (Some(_), None, None) => return invalid("it takes nothing off; give more than 0 per cent".into()),
            (None, Some(amount), Some(currency)) => match currency.parse().and_then(|currency| Money::parse(amount, currency)) {
                Ok(amount) if amount.minor > 0 => Discount::Fixed(amount),
                Ok(_) => return invalid("the amount is nothing".into()),
                Err(error) => return invalid(error.to_string()),
            },
            _ => return invalid("it takes off a percent, or an amount of a currency".into()),
        };
        for (what, n) in [("periods", self.periods), ("uses", self.uses), ("uses per account", self.uses_per_account)] {
            if n.is_some_and(|n| n < 1) {
                return invalid(format!("{what} are 1 or more"));
            }
        }
        if let (Some(from), Some(until)) = (self.from, self.until)
            && from >= until
        {
            return invalid(format!("it would end on {} before it begins", until.human()));
        }
        Ok(Coupon {
            code: self.code.to_ascii_uppercase(),
            discount,
            periods: self.periods,
            uses: self.uses,
            uses_per_account: self.uses_per_account,
            used: 0,
            from: self.from,
            until: self.until,
            products: self.products.to_vec(),
            disabled: false,
        })
    }
}

/// Makes a coupon.
pub async fn create(store: &Store, actor: &Actor, new: &NewCoupon<'_>) -> Result<Coupon> {
    let mut tx = store.begin().await?;
    let coupon = add(&mut tx, actor, new).await?;
    commit(tx).await?;
    Ok(coupon)
}

/// As [`create`], in a transaction that is open.
pub async fn add(tx: &mut Tx, actor: &Actor, new: &NewCoupon<'_>) -> Result<Coupon> {
    let coupon = new.check()?;
    if let Some(until) = coupon.until.filter(|until| *until <= tx.now) {
        return Err(CommandError::Invalid(format!("coupon '{}' would have expired on {}", coupon.code, until.human())));
    }
    let known = tx.products().await?;
    if let Some(unknown) = coupon.products.iter().find(|key| !known.iter().any(|p| p.key == **key)) {
        return Err(CommandError::NotFound(format!("product '{unknown}' does not exist; see: leasehold catalog show")));
    }
    if tx.coupons(false).await?.iter().any(|c| c.code == coupon.code) {
        return Err(CommandError::Refused(format!("there is a coupon '{}' already; choose another code", coupon.code)));
    }
    tx.put_coupon(&coupon, false).await?;
    tx.log(actor, "coupon.create", None, None, &coupon.code).await?;
    Ok(coupon)
}

/// No further order may use it; those that do keep what they got.
pub async fn disable(store: &Store, actor: &Actor, code: &str) -> Result<Coupon> {
    let mut tx = store.begin().await?;
    let coupon = tx.coupon(&code.to_ascii_uppercase()).await?;
    if !coupon.disabled {
        tx.disable_coupon(&coupon.code).await?;
        tx.log(actor, "coupon.disable", None, None, &coupon.code).await?;
    }
    commit(tx).await?;
    Ok(Coupon { disabled: true, ..coupon })
}
