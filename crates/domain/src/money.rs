//! Money: minor units of one currency, checked, never a float.
//!
//! Exponents are those of ISO 4217 (EUR 2, JPY 0, BHD 3).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An ISO 4217 currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// The three-letter code.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Decimal places of the minor unit; currencies without one (XAU) count as none.
    pub fn decimals(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;
    fn from_str(code: &str) -> Result<Self, MoneyError> {
        iso_currency::Currency::from_code(code).map(Self).ok_or_else(|| MoneyError::UnknownCurrency(code.to_owned()))
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An amount in minor units of its currency. May be negative only as the result of [`Money::minus`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    /// Minor units: cents for EUR, whole yen for JPY.
    pub minor: i64,
    /// The currency that the units belong to.
    pub currency: Currency,
}

/// What can be wrong with an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// No such ISO 4217 code.
    #[error("unknown currency '{0}'; use an ISO 4217 code such as EUR")]
    UnknownCurrency(String),
    /// Not a decimal number.
    #[error("'{0}' is no amount; write digits and at most one point, like 9.99")]
    NotANumber(String),
    /// A sign where none is allowed.
    #[error("'{0}' is negative; amounts are written without a sign")]
    Negative(String),
    /// More decimals than the currency has.
    #[error("'{text}' has {given} decimals, {currency} has {allowed}")]
    TooManyDecimals {
        /// As written.
        text: String,
        /// Decimals written.
        given: u32,
        /// Decimals the currency has.
        allowed: u32,
        /// The currency's code.
        currency: Currency,
    },
    /// Does not fit.
    #[error("the amount is too large")]
    Overflow,
    /// Two currencies in one sum.
    #[error("{0} and {1} cannot be added; an account has one currency")]
    Mixed(Currency, Currency),
}

impl Money {
    /// `minor` units of `currency`.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing, in that currency.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// Reads `9.99`: no sign, no grouping, at most the currency's decimals.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        if text.starts_with('-') {
            return Err(MoneyError::Negative(text.to_owned()));
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') {
            return Err(MoneyError::NotANumber(text.to_owned()));
        }
        let (given, allowed) = (fraction.len() as u32, currency.decimals());
        if given > allowed {
            return Err(MoneyError::TooManyDecimals { text: text.to_owned(), given, allowed, currency });
        }
        let scale = 10i64.pow(allowed - given);
        let minor = format!("{whole}{fraction}").parse::<i64>().ok().and_then(|n| n.checked_mul(scale)).ok_or(MoneyError::Overflow)?;
        Ok(Self::new(minor, currency))
    }

    /// Sum; both must be of one currency.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.same(other)?;
        self.minor.checked_add(other.minor).map(|minor| Self::new(minor, self.currency)).ok_or(MoneyError::Overflow)
    }

    /// Difference; both must be of one currency.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.same(other)?;
        self.minor.checked_sub(other.minor).map(|minor| Self::new(minor, self.currency)).ok_or(MoneyError::Overflow)
    }

    /// `self * numerator / denominator`, rounded half up (the rule for tax and percentages, once per line).
    pub fn part(self, numerator: i64, denominator: i64) -> Result<Self, MoneyError> {
        let exact = i128::from(self.minor) * i128::from(numerator);
        let rounded = (exact * 2 + i128::from(denominator)).div_euclid(i128::from(denominator) * 2);
        i64::try_from(rounded).map(|minor| Self::new(minor, self.currency)).map_err(|_| MoneyError::Overflow)
    }

    /// Splits by weights without losing a unit: what is left goes to the largest remainders, earlier first.
    pub fn split(self, weights: &[u64]) -> Vec<Self> {
        let sum: i128 = weights.iter().map(|w| i128::from(*w)).sum();
        if sum == 0 {
            return weights.iter().map(|_| Self::zero(self.currency)).collect();
        }
        let exact: Vec<i128> = weights.iter().map(|w| i128::from(self.minor) * i128::from(*w)).collect();
        let mut shares: Vec<i64> = exact.iter().map(|e| e.div_euclid(sum) as i64).collect();
        let mut order: Vec<usize> = (0..weights.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(exact[*i].rem_euclid(sum)));
        let left = self.minor - shares.iter().sum::<i64>();
        order.iter().take(left as usize).for_each(|i| shares[*i] += 1);
        shares.into_iter().map(|minor| Self::new(minor, self.currency)).collect()
    }

    fn same(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency { Ok(()) } else { Err(MoneyError::Mixed(self.currency, other.currency)) }
    }

    /// The decimal text without the currency: `9.99`.
    pub fn decimal(self) -> String {
        let decimals = self.currency.decimals() as usize;
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = format!("{:0width$}", self.minor.unsigned_abs(), width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} {}", self.decimal(), self.currency))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    #[test]
    fn parses_by_the_currencys_own_decimals() {
        for (text, code, minor) in [("9.99", "EUR", 999), ("9.9", "EUR", 990), ("9", "EUR", 900), ("500", "JPY", 500), ("1.234", "BHD", 1234)] {
            assert_eq!(Money::parse(text, currency(code)).unwrap().minor, minor, "{text} {code}");
        }
        assert!(matches!(Money::parse("9.999", currency("EUR")), Err(MoneyError::TooManyDecimals { given: 3, allowed: 2, .. })));
        assert!(matches!(Money::parse("5.0", currency("JPY")), Err(MoneyError::TooManyDecimals { .. })));
        assert!(matches!(Money::parse("-1", currency("EUR")), Err(MoneyError::Negative(_))));
        assert!(matches!(Money::parse("99999999999999999999", currency("EUR")), Err(MoneyError::Overflow)));
        for bad in ["", ".", "1.", ".5", "1,5", "1e3", "+1", " 1", "1.2.3"] {
            assert!(matches!(Money::parse(bad, currency("EUR")), Err(MoneyError::NotANumber(_))), "{bad:?}");
        }
    }

    #[test]
    fn two_currencies_are_never_added() {
        let sum = Money::new(1, currency("EUR")).plus(Money::new(1, currency("USD")));
        assert!(matches!(sum, Err(MoneyError::Mixed(..))));
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(minor in 0i64..i64::MAX / 1000, code in prop::sample::select(vec!["EUR", "JPY", "BHD"])) {
            let money = Money::new(minor, currency(code));
            prop_assert_eq!(Money::parse(&money.decimal(), money.currency).unwrap(), money);
        }

        #[test]
        fn a_split_loses_nothing(minor in 0i64..1_000_000_000, weights in prop::collection::vec(0u64..1000, 1..8)) {
            let shares = Money::new(minor, currency("EUR")).split(&weights);
            if weights.iter().sum::<u64>() > 0 {
                prop_assert_eq!(shares.iter().map(|m| m.minor).sum::<i64>(), minor);
            }
        }

        #[test]
        fn a_part_is_off_by_half_a_unit_at_most(minor in 0i64..1_000_000_000, percent in 0i64..=100) {
            let part = Money::new(minor, currency("EUR")).part(percent, 100).unwrap();
            prop_assert!((part.minor * 100 - minor * percent).abs() <= 50);
        }
    }
}
