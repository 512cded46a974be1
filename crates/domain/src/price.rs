//! The price of an order or a period, as its invoice will show it: lines, of which discounts are negative, plus tax.

use crate::{Money, Percent, money::MoneyError, names};

names! {
    /// What a line is for.
    LineKind {
        /// The plan.
        Plan = "plan",
        /// An add-on.
        Addon = "addon",
        /// What is taken off; negative.
        Discount = "discount",
        /// What a partner gets off; negative.
        Margin = "margin",
    }
}

/// One thing on the bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is for.
    pub kind: LineKind,
    /// What it is.
    pub description: String,
    /// Its price for one period before tax; negative for a discount.
    pub amount: Money,
}

/// What a coupon takes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discount {
    /// A part of the sum.
    Percent(Percent),
    /// An amount; never more than the sum.
    Fixed(Money),
}

impl Discount {
    /// As per cent, or as an amount.
    pub fn parts(self) -> (Option<Percent>, Option<Money>) {
        match self {
            Self::Percent(percent) => (Some(percent), None),
            Self::Fixed(amount) => (None, Some(amount)),
        }
    }

    /// What is taken off such a sum, as a positive amount.
    pub fn off(self, sum: Money) -> Result<Money, MoneyError> {
        match self {
            Self::Percent(percent) => percent.of(sum),
            Self::Fixed(off) if off.minus(sum)?.minor > 0 => Ok(sum),
            Self::Fixed(off) => Ok(off),
        }
    }
}

/// A price and how it came about. `net` is the sum of the lines, `total = net + tax`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// What is billed.
    pub lines: Vec<Line>,
    /// Sum of the lines; discounts never take it below zero.
    pub net: Money,
    /// Tax on the sum, rounded half up once; on a bill with others: what it adds to the rounded tax of them all.
    pub tax: Money,
    /// What is paid.
    pub total: Money,
    /// The rate of the tax.
    pub tax_rate: Percent,
}

/// Prices `lines` (at least one, all of one currency) with a rate of tax.
pub fn price(lines: Vec<Line>, tax_rate: Percent) -> Result<Price, MoneyError> {
    let currency = lines.first().map(|l| l.amount.currency).ok_or(MoneyError::Overflow)?;
    let mut net = lines.iter().try_fold(Money::zero(currency), |sum, line| sum.plus(line.amount))?;
    let mut lines = lines;
    if net.minor < 0 {
        // Discounts of several lines together: no more is taken off than there is.
        let (description, amount) = ("Discounts end at the sum".to_owned(), Money::new(-net.minor, currency));
        lines.push(Line { kind: LineKind::Discount, description, amount });
        net = Money::zero(currency);
    }
    let tax = tax_rate.of(net)?;
    Ok(Price { total: net.plus(tax)?, lines, net, tax, tax_rate })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn eur(minor: i64) -> Money {
        Money::new(minor, "EUR".parse().unwrap())
    }

    fn line(minor: i64) -> Line {
        Line { kind: LineKind::Plan, description: "x".into(), amount: eur(minor) }
    }

    #[test]
    fn a_discount_is_taken_off_before_tax_and_never_more_than_the_sum() {
        assert_eq!(Discount::Percent(Percent::whole(10)).off(eur(1199)).unwrap(), eur(120));
        assert_eq!(Discount::Fixed(eur(5000)).off(eur(999)).unwrap(), eur(999));
        let p = price(vec![line(999), line(200), line(-120)], Percent::whole(19)).unwrap();
        assert_eq!((p.net, p.tax, p.total), (eur(1079), eur(205), eur(1284)));
        let p = price(vec![line(999), line(-600), line(-600)], Percent::whole(19)).unwrap();
        assert_eq!((p.net, p.total, p.lines.len()), (eur(0), eur(0), 4));
    }

    proptest! {
        #[test]
        fn lines_and_tax_add_up_to_the_total(amounts in prop::collection::vec(-1_000_000i64..1_000_000, 1..9), tax in 0i64..30_000) {
            let p = price(amounts.into_iter().map(line).collect(), Percent::from_thousandths(tax).unwrap()).unwrap();
            prop_assert_eq!(p.lines.iter().map(|l| l.amount.minor).sum::<i64>(), p.net.minor);
            prop_assert_eq!(p.total.minor, p.net.minor + p.tax.minor);
            prop_assert!(p.net.minor >= 0 && p.tax.minor >= 0);
        }
    }
}
