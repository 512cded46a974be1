//! The price of an order, as its invoice will show it: lines, minus the coupon, plus tax.

use crate::{Money, money::MoneyError};

/// One thing on the bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub description: String,
    /// Its price for one period, before discount and tax.
    pub amount: Money,
}

/// What a coupon takes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discount {
    /// A part of the sum, in whole per cent (0 to 100).
    Percent(u8),
    /// An amount; never more than the sum.
    Fixed(Money),
}

/// A price and how it came about. `total = subtotal - discount + tax`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// What is billed.
    pub lines: Vec<Line>,
    /// Sum of the lines.
    pub subtotal: Money,
    /// What the coupon took off.
    pub discount: Money,
    /// Tax on the rest, rounded half up once.
    pub tax: Money,
    /// What is paid.
    pub total: Money,
}

/// Prices `lines` (at least one, all of one currency) with a tax rate in basis points (1900 = 19 %).
pub fn price(lines: Vec<Line>, discount: Option<Discount>, tax_basis_points: u16) -> Result<Price, MoneyError> {
    let currency = lines.first().map(|l| l.amount.currency).ok_or(MoneyError::Overflow)?;
    let subtotal = lines.iter().try_fold(Money::zero(currency), |sum, line| sum.plus(line.amount))?;
    let discount = match discount {
        None => Money::zero(currency),
        Some(Discount::Percent(percent)) => subtotal.part(i64::from(percent.min(100)), 100)?,
        Some(Discount::Fixed(off)) if off.minus(subtotal)?.minor > 0 => subtotal,
        Some(Discount::Fixed(off)) => off,
    };
    let net = subtotal.minus(discount)?;
    let tax = net.part(i64::from(tax_basis_points), 10_000)?;
    Ok(Price { total: net.plus(tax)?, lines, subtotal, discount, tax })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn eur(minor: i64) -> Money {
        Money::new(minor, "EUR".parse().unwrap())
    }

    fn line(minor: i64) -> Line {
        Line { description: "x".into(), amount: eur(minor) }
    }

    #[test]
    fn a_coupon_is_taken_off_before_tax_and_never_more_than_the_sum() {
        let p = price(vec![line(999), line(200)], Some(Discount::Percent(10)), 1900).unwrap();
        assert_eq!((p.subtotal, p.discount, p.tax, p.total), (eur(1199), eur(120), eur(205), eur(1284)));
        let p = price(vec![line(999)], Some(Discount::Fixed(eur(5000))), 1900).unwrap();
        assert_eq!((p.discount, p.total), (eur(999), eur(0)));
    }

    proptest! {
        #[test]
        fn lines_add_up_to_the_total(amounts in prop::collection::vec(0i64..1_000_000, 1..9), percent in 0u8..=100, tax in 0u16..3000) {
            let sum: i64 = amounts.iter().sum();
            let p = price(amounts.into_iter().map(line).collect(), Some(Discount::Percent(percent)), tax).unwrap();
            prop_assert_eq!(p.subtotal.minor, sum);
            prop_assert_eq!(p.total.minor, p.subtotal.minor - p.discount.minor + p.tax.minor);
            prop_assert!(p.total.minor >= 0);
        }
    }
}
