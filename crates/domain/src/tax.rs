//! Which tax an account pays: by its country, unless it is a business elsewhere that owes the tax itself, or a rate was set by hand.

use crate::{
    Percent, VatId,
    names::{self, BadName},
};

/// What decides about an account's tax.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaxStatus {
    /// ISO 3166, two letters.
    pub country: Option<String>,
    /// Its number as a business, with the country's letters.
    pub vat_id: Option<String>,
    /// The buyer owes the tax (EU: article 196 of directive 2006/112/EC).
    pub reverse_charge: bool,
    /// A rate set by hand.
    pub fixed: Option<Percent>,
    /// Why that is so: the answer of a register, a document.
    pub evidence: Option<String>,
}

/// Why a tax status is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTax {
    /// A country or number that is none.
    #[error(transparent)]
    Name(#[from] BadName),
    /// The buyer cannot owe the tax.
    #[error("reverse charge needs a country and a VAT id, both other than the seller's")]
    NoBusinessAbroad,
    /// A number of one country for a buyer in another.
    #[error("the VAT id {number} is one of {of}, the account's country is {country}; mend one of them{}", if *.asked { ", or say why it is so with --evidence" } else { "" })]
    OtherCountry {
        /// The number.
        number: String,
        /// Who gave it.
        of: String,
        /// Where the buyer is.
        country: String,
        /// Whether evidence would do.
        asked: bool,
    },
    /// Something other than the usual, and nobody says why.
    #[error("reverse charge and a rate set by hand need evidence: say why with --evidence")]
    NoEvidence,
    /// Two rules at once.
    #[error("reverse charge is a rate of 0; do not set another by hand")]
    Both,
}

impl TaxStatus {
    /// Whether this makes sense for customers of a seller in this country.
    pub fn check(&self, seller: Option<&str>) -> Result<(), BadTax> {
        self.country.as_deref().map_or(Ok(()), names::country)?;
        let seller = seller.map(names::assigned);
        let number: Option<VatId> = self.vat_id.as_deref().map(str::parse).transpose()?;
        let said = self.evidence.as_deref().is_some_and(|e| !e.trim().is_empty());
        if let (Some(number), Some(country)) = (&number, &self.country)
            && !number.is_of(country)
            && (self.reverse_charge || !said)
        {
            let (of, country) = (number.country().to_owned(), country.clone());
            return Err(BadTax::OtherCountry { number: number.to_string(), of, country, asked: !self.reverse_charge });
        }
        let of_sellers = number.as_ref().is_some_and(|n| seller.is_some_and(|s| n.is_of(s)));
        if self.reverse_charge && (number.is_none() || of_sellers || self.country.is_none() || self.country.as_deref() == seller) {
            return Err(BadTax::NoBusinessAbroad);
        }
        if self.reverse_charge && self.fixed.is_some() {
            return Err(BadTax::Both);
        }
        if (self.reverse_charge || self.fixed.is_some()) && !said { Err(BadTax::NoEvidence) } else { Ok(()) }
    }

    /// The rate; `by_country` is what the table says for its country.
    pub fn rate(&self, by_country: Option<Percent>) -> Percent {
        match (self.reverse_charge, self.fixed) {
            (true, _) => Percent::ZERO,
            (false, Some(fixed)) => fixed,
            (false, None) => by_country.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_owes_the_tax_himself_says_why_and_lives_elsewhere() {
        let usual = TaxStatus { country: Some("FR".into()), ..TaxStatus::default() };
        assert_eq!((usual.check(Some("DE")), usual.rate(Some(Percent::whole(20)))), (Ok(()), Percent::whole(20)));
        let abroad = TaxStatus { vat_id: Some("FR12345678901".into()), reverse_charge: true, evidence: Some("VIES 2026-11-22".into()), ..usual.clone() };
        assert_eq!((abroad.check(Some("DE")), abroad.rate(Some(Percent::whole(20)))), (Ok(()), Percent::ZERO));
        assert_eq!(abroad.check(Some("FR")), Err(BadTax::NoBusinessAbroad));
        let with = |number: &str| TaxStatus { vat_id: Some(number.into()), ..abroad.clone() }.check(Some("DE")).map_err(|e| e.to_string());
        assert!(with("DE123456789").unwrap_err().contains("is one of DE, the account's country is FR"), "a number of the seller's own country");
        assert!(with("IT12345678901").unwrap_err().contains("is one of IT"), "evidence does not help against a foreign number");
        let greek = TaxStatus { country: Some("GR".into()), vat_id: Some("EL123456789".into()), ..abroad.clone() };
        assert_eq!(greek.check(Some("DE")), Ok(()));
        let moved = TaxStatus { reverse_charge: false, vat_id: Some("IT12345678901".into()), ..abroad.clone() };
        assert_eq!(moved.check(Some("DE")), Ok(()), "the usual tax, and somebody says why");
        assert!(TaxStatus { evidence: None, ..moved }.check(Some("DE")).is_err());
        for none in ["UK", "EL", "ZZ", "XX", "de", ""] {
            assert!(TaxStatus { country: Some(none.into()), ..TaxStatus::default() }.check(None).is_err(), "{none}");
        }
        assert_eq!(TaxStatus { vat_id: None, ..abroad.clone() }.check(Some("DE")), Err(BadTax::NoBusinessAbroad));
        assert_eq!(TaxStatus { evidence: None, ..abroad.clone() }.check(Some("DE")), Err(BadTax::NoEvidence));
        assert_eq!(TaxStatus { fixed: Some(Percent::whole(7)), ..abroad }.check(Some("DE")), Err(BadTax::Both));
        assert_eq!(TaxStatus { fixed: Some(Percent::whole(7)), evidence: Some("embassy".into()), ..usual }.rate(Some(Percent::whole(20))), Percent::whole(7));
        assert!(TaxStatus { country: Some("France".into()), ..TaxStatus::default() }.check(None).is_err());
    }
}
