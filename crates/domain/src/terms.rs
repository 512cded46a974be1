//! What an order is agreed to cost: the plan, its add-ons, a partner's margin and a coupon, as lines of the lease.

use crate::{
    Money, Percent,
    coupon::Coupon,
    lease::LeaseLine,
    money::MoneyError,
    price::{Line, LineKind, Price, price},
};

/// Lines of a lease, and what its first period costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What each period costs.
    pub lines: Vec<LeaseLine>,
    /// The first period, tax included.
    pub price: Price,
}

/// A thing with its price for a period, and what a partner gets off it.
pub fn with_margin(line: Line, addon: Option<&str>, margin: Percent, from_period: i64) -> Result<Vec<LeaseLine>, MoneyError> {
    let off = margin.of(line.amount)?;
    let description = format!("Partner discount {margin} % on {}", line.description);
    let margin = Line { kind: LineKind::Margin, description, amount: Money::new(-off.minor, off.currency) };
    let lines = std::iter::once(line).chain((off.minor > 0).then_some(margin));
    Ok(lines.map(|line| LeaseLine { line, from_period, until_period: None, addon: addon.map(ToOwned::to_owned) }).collect())
}

impl Terms {
    /// A plan, add-ons by their ids, and what is taken off: the coupon from what the plan costs after the margin.
    pub fn new(plan: Line, addons: Vec<(String, Line)>, margin: Percent, coupon: Option<&Coupon>, tax_rate: Percent) -> Result<Self, MoneyError> {
        let mut lines = with_margin(plan, None, margin, 1)?;
        let net = lines.iter().skip(1).try_fold(lines[0].line.amount, |sum, l| sum.plus(l.line.amount))?;
        for (id, addon) in addons {
            lines.extend(with_margin(addon, Some(&id), margin, 1)?);
        }
        if let Some(coupon) = coupon {
            lines.push(coupon.line(net)?);
        }
        let price = price(lines.iter().map(|l| l.line.clone()).collect(), tax_rate)?;
        Ok(Self { lines, price })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::Discount;

    fn eur(minor: i64) -> Money {
        Money::new(minor, "EUR".parse().unwrap())
    }

    fn line(kind: LineKind, minor: i64) -> Line {
        Line { kind, description: format!("{kind}"), amount: eur(minor) }
    }

    #[test]
    fn a_coupon_takes_from_the_plan_what_a_partner_has_left_to_pay() {
        let half = Coupon {
            code: "HALF".into(),
            discount: Discount::Percent(Percent::whole(50)),
            periods: Some(1),
            uses: None,
            uses_per_account: None,
            used: 0,
            from: None,
            until: None,
            products: vec![],
            disabled: false,
        };
        let terms = Terms::new(line(LineKind::Plan, 1000), vec![("x".into(), line(LineKind::Addon, 200))], Percent::whole(10), Some(&half), Percent::whole(19))
            .unwrap();
        let amounts: Vec<i64> = terms.lines.iter().map(|l| l.line.amount.minor).collect();
        assert_eq!(amounts, [1000, -100, 200, -20, -450]);
        assert_eq!((terms.price.net, terms.price.tax, terms.price.total), (eur(630), eur(120), eur(750)));
        let later: i64 = terms.lines.iter().filter(|l| l.covers(2)).map(|l| l.line.amount.minor).sum();
        assert_eq!(later, 1080, "the coupon counts once, the margin for ever");
    }
}
