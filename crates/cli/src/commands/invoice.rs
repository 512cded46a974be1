//! `leasehold invoice …`

use std::path::{Path, PathBuf};

use clap::Subcommand;
use leasehold_commands::refunds::{self, Refund};
use leasehold_domain::{Money, Reference};
use leasehold_store::invoices::Invoice as Row;
use serde_json::{Value, json};

use super::Context;
use crate::{
    exit::Failure,
    output::{show, table},
};

/// `leasehold invoice …`
#[derive(Debug, Subcommand)]
pub enum Invoice {
    /// Invoices, newest first.
    List {
        /// Only of this account.
        #[arg(long)]
        account: Option<String>,
        /// Lines at most.
        #[arg(long, default_value_t = 100)]
        limit: i64,
    },
    /// Give one back, or a part of it: a credit note, and the money in the wallet.
    Refund {
        /// Its number, like 2026-000042.
        number: String,
        /// How much, tax included; without it, all that is left of the invoice.
        #[arg(long)]
        amount: Option<String>,
        /// The money goes on to where it came from: out of the wallet again.
        #[arg(long)]
        payout: bool,
        /// Why; it stands on the credit note.
        #[arg(long)]
        reason: String,
        /// The case's own reference: the same one twice is given back once. A part needs one.
        #[arg(long)]
        reference: Option<Reference>,
    },
    /// One invoice or credit note with its lines, or as a document.
    Show {
        /// Its number, like 2026-000042.
        number: String,
        /// Write it to this file as PDF.
        #[arg(long, value_name = "FILE")]
        pdf: Option<PathBuf>,
        /// Write it to this file as HTML.
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
}

fn value(i: &Row) -> Result<Value, Failure> {
    let money = |minor| i.currency.parse().map(|c| Money::new(minor, c).decimal()).map_err(|e| Failure::Failed(format!("{e}")));
    Ok(json!({
        "number": i.name(), "kind": i.kind, "account": i.account_id, "currency": i.currency, "net": money(i.net)?, "tax": money(i.tax)?, "total": money(i.total)?,
        "createdAt": i.created_at, "date": i.created_at.day_in(i.zone()),
    }))
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(file, bytes).map_err(|e| Failure::Failed(format!("{}: {e}", file.display())))
}

pub(super) async fn run(c: &Context, command: Invoice) -> Result<(), Failure> {
    let app = c.app().await?;
    let mut tx = app.store.read().await?;
    match command {
        Invoice::Refund { number, amount, payout, reason, reference } => {
            drop(tx);
            let refund = Refund { invoice: &number, amount: amount.as_deref(), payout, reason: &reason, reference: reference.as_ref() };
            let note = refunds::refund(&app.store, &app.actor, &refund).await?;
            let value = value(&note)?;
            let total = format!("{} {}", value["total"].as_str().unwrap_or_default(), note.currency);
            show(c.json(), &value, || say!("{total} of invoice {number} were given back by credit note {}", note.name()));
        }
        Invoice::Show { number, pdf, html } if pdf.is_some() || html.is_some() => {
            let invoice = tx.invoice(&number).await?;
            let document = tx.document(&invoice).await?;
            if let Some(file) = &pdf {
                write(file, &leasehold_notifier::pdf(&document).map_err(|e| Failure::Failed(e.to_string()))?)?;
            }
            if let Some(file) = &html {
                let page = app.renderer()?.document(&document).map_err(|e| Failure::Failed(e.to_string()))?;
                write(file, page.as_bytes())?;
            }
            show(c.json(), &json!({ "number": number, "pdf": pdf, "html": html }), || say!("{number} is written"));
        }
        Invoice::List { account, limit } => {
            let account = match account {
                Some(text) => Some(tx.find_account(&text).await?.id),
                None => None,
            };
            let values = tx.invoices(account.as_ref(), limit).await?.iter().map(value).collect::<Result<Vec<_>, _>>()?;
            let text = |v: &Value, key: &str| v[key].as_str().unwrap_or_default().to_owned();
            let rows =
                values.iter().map(|v| vec![text(v, "number"), text(v, "kind"), text(v, "createdAt"), format!("{} {}", text(v, "total"), text(v, "currency"))]);
            let rows: Vec<Vec<String>> = rows.collect();
            show(c.json(), &json!(values), || table(&["NUMBER", "WHAT", "ISSUED", "TOTAL"], rows));
        }
        Invoice::Show { number, .. } => {
            let invoice = tx.invoice(&number).await?;
            let lines = tx.invoice_lines(&invoice.id).await?;
            let mut whole = value(&invoice)?;
            whole["lines"] = json!(lines);
            let currency = invoice.currency.parse().map_err(|e| Failure::Failed(format!("{e}")))?;
            show(c.json(), &whole, || {
                say!("{} {} of {}", invoice.kind, invoice.name(), invoice.created_at.day_in(invoice.zone()));
                let row = |l: &leasehold_store::invoices::InvoiceLine| {
                    vec![l.description.clone(), l.from_at.day_in(l.zone()), l.until_at.day_in(l.zone()), Money::new(l.amount, currency).to_string()]
                };
                table(&["WHAT", "FROM", "UNTIL", "AMOUNT"], lines.iter().map(row));
                let money = |minor| Money::new(minor, currency);
                say!("net {}, tax {}, total {}", money(invoice.net), money(invoice.tax), money(invoice.total));
            });
        }
    }
    Ok(())
}
