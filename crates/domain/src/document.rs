//! Invoices and credit notes as they are printed: everything that stands on one, and nothing that changes later.

use serde::{Deserialize, Serialize};

use crate::{Money, Percent, Timestamp, names};

names! {
    /// What a document is.
    DocumentKind {
        /// What was paid.
        Invoice = "invoice",
        /// What of an invoice was given back.
        CreditNote = "credit_note",
    }
}

/// Whoever buys or sells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Party {
    /// A person's name; of a seller, the firm's.
    pub name: String,
    /// The company.
    pub company: Option<String>,
    /// Street and place, line by line.
    pub address: Vec<String>,
    /// ISO 3166, two letters.
    pub country: Option<String>,
    /// Its number as a business; in a catalogue `vat_id`, like all its keys.
    #[serde(alias = "vat_id")]
    pub vat_id: Option<String>,
    /// Of a seller: where questions go.
    pub email: Option<String>,
    /// Of a seller: what stands at the foot: bank, register, court.
    pub footer: Vec<String>,
    /// Of a seller: a PNG in base64.
    pub logo: Option<String>,
}

impl Party {
    /// Name, company, address and country, line by line.
    pub fn lines(&self) -> Vec<&str> {
        let head = self.company.iter().chain((!self.name.is_empty()).then_some(&self.name));
        head.chain(&self.address).chain(&self.country).map(String::as_str).collect()
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentLine {
    /// For what.
    pub description: String,
    /// The zone whose days it counts.
    pub zone: String,
    /// From when.
    pub from: Timestamp,
    /// Until when (exclusive).
    pub until: Timestamp,
    /// How much, before tax.
    pub amount: Money,
}

/// What was taxed at one rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taxed {
    /// The rate.
    #[serde(with = "rate")]
    pub rate: Percent,
    /// Minor units.
    pub net: i64,
    /// Minor units.
    pub tax: i64,
}

/// A rate as it stands in documents that are kept: a text of per cent; in the first ones a number of basis points.
mod rate {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::Percent;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    pub(super) fn serialize<S: Serializer>(rate: &Percent, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(rate)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Percent, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Kept {
            Percent(String),
            BasisPoints(u16),
        }
        match Kept::deserialize(d)? {
            Kept::Percent(text) => text.parse().map_err(D::Error::custom),
            Kept::BasisPoints(points) => Percent::from_thousandths(i64::from(points) * 10).ok_or_else(|| D::Error::custom("a rate above 100 %")),
        }
    }
}

/// An invoice or a credit note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Which.
    pub kind: DocumentKind,
    /// Its number, `2026-000042`.
    pub number: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// The zone whose day that is.
    pub zone: String,
    /// The language of its buyer.
    pub locale: String,
    /// Who sells.
    pub seller: Party,
    /// Who buys.
    pub buyer: Party,
    /// What for.
    pub lines: Vec<DocumentLine>,
    /// Sum of the lines.
    pub net: Money,
    /// Tax on it.
    pub tax: Money,
    /// Both.
    pub total: Money,
    /// What was taxed at which rate.
    pub taxes: Vec<Taxed>,
    /// The buyer owes the tax.
    pub reverse_charge: bool,
    /// Of a credit note: the invoice that it corrects.
    pub corrects: Option<String>,
    /// Of a credit note: why.
    pub reason: Option<String>,
}
