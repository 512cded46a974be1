//! A coupon: what it takes off a plan's price, for how many periods, and who may still use it.

use crate::{
    Money, Timestamp,
    lease::LeaseLine,
    money::MoneyError,
    price::{Discount, Line, LineKind},
};

/// A coupon and how often it was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coupon {
    /// What the customer types; upper case.
    pub code: String,
    /// What it takes off the plan's price. Add-ons keep theirs.
    pub discount: Discount,
    /// The periods that it counts for, from the first; none: all.
    pub periods: Option<i64>,
    /// Orders that may use it; none: any number.
    pub uses: Option<i64>,
    /// Orders of one account that may use it; none: any number.
    pub uses_per_account: Option<i64>,
    /// Orders that use it.
    pub used: i64,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Not at or after.
    pub until: Option<Timestamp>,
    /// The plans that it is for, by key; empty: every plan.
    pub products: Vec<String>,
    /// An operator took it back.
    pub disabled: bool,
}

/// Why a coupon does not count for an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CouponRefused {
    /// Taken back.
    #[error("coupon '{0}' is not valid any more")]
    Disabled(String),
    /// Too early.
    #[error("coupon '{0}' is valid from {from} on", from = .1.human())]
    TooEarly(String, Timestamp),
    /// Too late.
    #[error("coupon '{0}' expired on {until}", until = .1.human())]
    Expired(String, Timestamp),
    /// For other plans.
    #[error("coupon '{0}' is not for product '{1}' (it is for: {plans})", plans = .2.join(", "))]
    OtherPlan(String, String, Vec<String>),
    /// All uses are gone.
    #[error("coupon '{0}' is used up")]
    UsedUp(String),
    /// The account had its share.
    #[error("coupon '{0}' was used by this account as often as it may be ({1})")]
    UsedByAccount(String, i64),
}

impl Coupon {
    /// Whether an order of this plan may use it, by an account that used it so often before.
    pub fn check(&self, product: &str, used_by_account: i64, now: Timestamp) -> Result<(), CouponRefused> {
        let code = || self.code.clone();
        if self.disabled {
            return Err(CouponRefused::Disabled(code()));
        }
        if let Some(from) = self.from.filter(|from| now < *from) {
            return Err(CouponRefused::TooEarly(code(), from));
        }
        if let Some(until) = self.until.filter(|until| now >= *until) {
            return Err(CouponRefused::Expired(code(), until));
        }
        if !self.products.is_empty() && !self.products.iter().any(|p| p == product) {
            return Err(CouponRefused::OtherPlan(code(), product.to_owned(), self.products.clone()));
        }
        if self.uses.is_some_and(|most| self.used >= most) {
            return Err(CouponRefused::UsedUp(code()));
        }
        match self.uses_per_account {
            Some(most) if used_by_account >= most => Err(CouponRefused::UsedByAccount(code(), most)),
            _ => Ok(()),
        }
    }

    /// Its line in a lease whose plan costs so much a period.
    pub fn line(&self, plan: Money) -> Result<LeaseLine, MoneyError> {
        let off = self.discount.off(plan)?;
        let line = Line { kind: LineKind::Discount, description: format!("Coupon {}", self.code), amount: Money::new(-off.minor, off.currency) };
        Ok(LeaseLine { line, from_period: 1, until_period: self.periods, addon: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_coupon_says_why_it_does_not_count() {
        let spring = Coupon {
            code: "SPRING".into(),
            discount: Discount::Percent(crate::Percent::whole(20)),
            periods: Some(3),
            uses: Some(7),
            uses_per_account: Some(1),
            used: 0,
            from: Some(at("2026-03-01")),
            until: Some(at("2026-04-01")),
            products: vec!["small".into()],
            disabled: false,
        };
        let now = at("2026-03-10");
        let why = |c: &Coupon, product: &str, mine: i64, now| c.check(product, mine, now).map_err(|e| e.to_string()).unwrap_err();
        assert_eq!(spring.check("small", 0, now), Ok(()));
        insta::assert_snapshot!(
            [
                why(&Coupon { disabled: true, ..spring.clone() }, "small", 0, now),
                why(&spring, "small", 0, at("2026-02-28")),
                why(&spring, "small", 0, at("2026-04-01")),
                why(&spring, "large", 0, now),
                why(&Coupon { used: 7, ..spring.clone() }, "small", 0, now),
                why(&spring, "small", 1, now),
            ]
            .join("\n")
        );
        let eur = |minor| Money::new(minor, "EUR".parse().unwrap());
        let line = spring.line(eur(999)).unwrap();
        assert_eq!((line.line.amount, line.until_period), (eur(-200), Some(3)));
        assert_eq!(Coupon { discount: Discount::Fixed(eur(5000)), ..spring }.line(eur(999)).unwrap().line.amount, eur(-999), "never more than the plan");
    }
}
