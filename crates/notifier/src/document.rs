//! Invoices and credit notes as HTML and as PDF, from the same view of the same document.

mod html;
mod pdf;
mod words;

use leasehold_domain::{Timestamp, document::Document};
use serde::Serialize;

use crate::local;
use words::Words;

pub use pdf::{BadDocument, check_logo, pdf};

/// A document as it is read: texts only, in the buyer's language.
#[derive(Debug, Serialize)]
struct View<'a> {
    w: Words,
    number: &'a str,
    date: String,
    seller: Vec<&'a str>,
    seller_vat_id: Option<&'a str>,
    seller_email: Option<&'a str>,
    logo: Option<&'a str>,
    footer: &'a [String],
    buyer: Vec<&'a str>,
    buyer_vat_id: Option<&'a str>,
    corrects: Option<&'a str>,
    reason: Option<&'a str>,
    lines: Vec<ViewLine<'a>>,
    sums: Vec<Sum>,
    notes: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct ViewLine<'a> {
    description: &'a str,
    period: String,
    amount: String,
}

#[derive(Debug, Serialize)]
struct Sum {
    label: String,
    amount: String,
}

impl<'a> View<'a> {
    fn of(d: &'a Document) -> Self {
        let w = Words::of(d.kind, &d.locale);
        let day = |at: Timestamp, zone: &str| local::day(&at.day_in(zone), &d.locale);
        let money = |amount: leasehold_domain::Money| local::money(&amount.to_string(), &d.locale);
        let line = |l: &'a leasehold_domain::document::DocumentLine| ViewLine {
            description: &l.description,
            period: format!("{} – {}", day(l.from, &l.zone), day(l.until, &l.zone)),
            amount: money(l.amount),
        };
        let sum = |label: String, amount: leasehold_domain::Money| Sum { label, amount: money(amount) };
        let mut sums = Vec::new();
        if d.tax.minor > 0 || d.reverse_charge {
            sums.push(sum(w.net.into(), d.net));
            for t in &d.taxes {
                let of = if d.taxes.len() > 1 { format!(" ({} {})", w.on, money(leasehold_domain::Money::new(t.net, d.net.currency))) } else { String::new() };
                sums.push(sum(
                    format!("{} {} %{of}", w.tax, local::number(&t.rate.to_string(), &d.locale)),
                    leasehold_domain::Money::new(t.tax, d.tax.currency),
                ));
            }
        }
        sums.push(sum(w.total.into(), d.total));
        Self {
            number: &d.number,
            date: day(d.issued_at, &d.zone),
            seller: d.seller.lines(),
            seller_vat_id: d.seller.vat_id.as_deref(),
            seller_email: d.seller.email.as_deref(),
            logo: d.seller.logo.as_deref(),
            footer: &d.seller.footer,
            buyer: d.buyer.lines(),
            buyer_vat_id: d.buyer.vat_id.as_deref(),
            corrects: d.corrects.as_deref(),
            reason: d.reason.as_deref(),
            lines: d.lines.iter().map(line).collect(),
            sums,
            notes: if d.reverse_charge { vec![w.reverse_charge, w.paid] } else { vec![w.paid] },
            w,
        }
    }
}

#[cfg(test)]
mod tests;
