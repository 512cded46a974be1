//! What is billed together, and its tax: that of a rate is the rate of all that is taxed at it, rounded once (EN 16931, BR-CO-17).
//!
//! Each price gets what it adds to the rounded tax of the sum, so that charges, ledger and invoice agree to the last unit.

use crate::{Money, Percent, document::Taxed, money::MoneyError, price::Price};

/// What stands on a bill so far, by rate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    rates: Vec<Taxed>,
}

impl Bill {
    /// What each rate comes to.
    pub fn rates(&self) -> &[Taxed] {
        &self.rates
    }

    fn so_far(&self, rate: Percent) -> Taxed {
        self.rates.iter().find(|r| r.rate == rate).copied().unwrap_or(Taxed { rate, net: 0, tax: 0 })
    }

    /// A price as it is once it stands on this bill.
    pub fn price(&self, of: &Price) -> Result<Price, MoneyError> {
        let before = self.so_far(of.tax_rate);
        let net = of.net.plus(Money::new(before.net, of.net.currency))?;
        let tax = of.tax_rate.of(net)?.minus(Money::new(before.tax, of.net.currency))?;
        Ok(Price { tax, total: of.net.plus(tax)?, ..of.clone() })
    }

    /// Puts a price on the bill.
    pub fn add(&mut self, price: &Price) {
        let (net, tax) = (price.net.minor, price.tax.minor);
        match self.rates.iter_mut().find(|r| r.rate == price.tax_rate) {
            Some(r) => (r.net, r.tax) = (r.net + net, r.tax + tax),
            None => self.rates.push(Taxed { rate: price.tax_rate, net, tax }),
        }
    }

    /// Whether the tax of each rate is still that of the sum, with this price on the bill as it is.
    pub fn takes(&self, price: &Price) -> bool {
        self.price(price).is_ok_and(|here| here == *price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::{Line, LineKind, price};
    use proptest::prelude::*;

    fn of(net: i64, rate: Percent) -> Price {
        let amount = Money::new(net, "EUR".parse().unwrap());
        price(vec![Line { kind: LineKind::Plan, description: "x".into(), amount }], rate).unwrap()
    }

    fn billed(nets: &[i64], rate: &str) -> Taxed {
        let mut bill = Bill::default();
        for net in nets {
            let here = bill.price(&of(*net, rate.parse().unwrap())).unwrap();
            bill.add(&here);
        }
        bill.rates()[0]
    }

    #[test]
    fn the_tax_of_a_bill_is_rounded_once() {
        let tax = |nets: &[i64], rate| (billed(nets, rate).net, billed(nets, rate).tax);
        assert_eq!(tax(&[103; 6], "19"), (618, 117));
        assert_eq!(tax(&[103; 8], "19"), (824, 157));
        assert_eq!(tax(&[102; 3], "19"), (306, 58), "more than 3 times 0.19");
        assert_eq!(tax(&[1000, 1], "14.975"), (1001, 150));
    }

    #[test]
    fn a_price_of_its_own_rounding_may_need_another_bill() {
        let mut bill = Bill::default();
        let alone = of(102, Percent::whole(19));
        assert!(bill.takes(&alone));
        bill.add(&alone);
        assert!(!bill.takes(&alone), "0.19 and 0.19 are not 19 % of 2.04");
        assert!(bill.takes(&of(102, Percent::ZERO)), "another rate");
    }

    proptest! {
        #[test]
        fn each_price_is_off_by_less_than_a_unit(nets in prop::collection::vec(0i64..100_000, 1..40), rate in 0i64..=100_000) {
            let rate = Percent::from_thousandths(rate).unwrap();
            let (mut bill, mut sum) = (Bill::default(), 0);
            for net in nets {
                let here = bill.price(&of(net, rate)).unwrap();
                prop_assert!((here.tax.minor * 100_000 - net * rate.thousandths()).abs() < 100_000);
                prop_assert!(here.tax.minor >= 0);
                bill.add(&here);
                sum += net;
                prop_assert_eq!(bill.rates()[0], Taxed { rate, net: sum, tax: rate.of(Money::new(sum, "EUR".parse().unwrap())).unwrap().minor });
            }
        }
    }
}
