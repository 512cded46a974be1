//! The fixed words on documents.

use leasehold_domain::document::DocumentKind;
use serde::Serialize;

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Words {
    pub(super) language: &'static str,
    pub(super) title: &'static str,
    pub(super) date: &'static str,
    pub(super) corrects: &'static str,
    pub(super) reason: &'static str,
    pub(super) vat_id: &'static str,
    pub(super) what: &'static str,
    pub(super) period: &'static str,
    pub(super) amount: &'static str,
    pub(super) net: &'static str,
    pub(super) tax: &'static str,
    pub(super) on: &'static str,
    pub(super) total: &'static str,
    pub(super) reverse_charge: &'static str,
    pub(super) paid: &'static str,
    pub(super) page: &'static str,
}

impl Words {
    /// A language without words of its own is English.
    pub(super) fn of(kind: DocumentKind, locale: &str) -> Self {
        match (locale, kind) {
            ("de", DocumentKind::Invoice) => DE,
            ("de", DocumentKind::CreditNote) => Self { title: "Gutschrift", paid: "Der Betrag wurde Ihrem Guthaben gutgeschrieben.", ..DE },
            (_, DocumentKind::Invoice) => EN,
            (_, DocumentKind::CreditNote) => Self { title: "Credit note", paid: "The amount was credited to your balance.", ..EN },
        }
    }
}

const EN: Words = Words {
    language: "en",
    title: "Invoice",
    date: "Date",
    corrects: "Corrects invoice",
    reason: "Reason:",
    vat_id: "VAT id",
    what: "Description",
    period: "Period",
    amount: "Amount",
    net: "Net",
    tax: "VAT",
    on: "on",
    total: "Total",
    reverse_charge: "Reverse charge: the recipient is liable for the tax.",
    paid: "Paid from your balance.",
    page: "Page",
};

const DE: Words = Words {
    language: "de",
    title: "Rechnung",
    date: "Datum",
    corrects: "Berichtigt Rechnung",
    reason: "Grund:",
    vat_id: "USt-IdNr.",
    what: "Leistung",
    period: "Zeitraum",
    amount: "Betrag",
    net: "Netto",
    tax: "USt.",
    on: "auf",
    total: "Gesamt",
    reverse_charge: "Steuerschuldnerschaft des Leistungsempfängers.",
    paid: "Von Ihrem Guthaben bezahlt.",
    page: "Seite",
};
