//! `leasehold invoice …`

use clap::Subcommand;
use leasehold_domain::Money;
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
    /// One invoice with its lines.
    Show {
        /// Its number, like 2026-000042.
        number: String,
    },
}

fn value(i: &Row) -> Result<Value, Failure> {
    let money = |minor| i.currency.parse().map(|c| Money::new(minor, c).decimal()).map_err(|e| Failure::Failed(format!("{e}")));
    Ok(json!({
        "number": i.name(), "account": i.account_id, "currency": i.currency, "net": money(i.net)?, "tax": money(i.tax)?, "total": money(i.total)?,
        "createdAt": i.created_at,
    }))
}

pub(super) async fn run(c: &Context, command: Invoice) -> Result<(), Failure> {
    let app = c.app().await?;
    let mut tx = app.store.read().await?;
    match command {
        Invoice::List { account, limit } => {
            let account = match account {
                Some(text) => Some(tx.find_account(&text).await?.id),
                None => None,
            };
            let values = tx.invoices(account.as_ref(), limit).await?.iter().map(value).collect::<Result<Vec<_>, _>>()?;
            let text = |v: &Value, key: &str| v[key].as_str().unwrap_or_default().to_owned();
            let rows = values.iter().map(|v| vec![text(v, "number"), text(v, "createdAt"), format!("{} {}", text(v, "total"), text(v, "currency"))]);
            let rows: Vec<Vec<String>> = rows.collect();
            show(c.json(), &json!(values), || table(&["NUMBER", "ISSUED", "TOTAL"], rows));
        }
        Invoice::Show { number } => {
            let invoice = tx.invoice(&number).await?;
            let lines = tx.invoice_lines(&invoice.id).await?;
            let mut whole = value(&invoice)?;
            whole["lines"] = json!(lines);
            let currency = invoice.currency.parse().map_err(|e| Failure::Failed(format!("{e}")))?;
            show(c.json(), &whole, || {
                say!("invoice {} of {}", invoice.name(), invoice.created_at.human());
                let row = |l: &leasehold_store::invoices::InvoiceLine| {
                    vec![l.description.clone(), l.from_at.day(), l.until_at.day(), Money::new(l.amount, currency).to_string()]
                };
                table(&["WHAT", "FROM", "UNTIL", "AMOUNT"], lines.iter().map(row));
                let money = |minor| Money::new(minor, currency);
                say!("net {}, tax {}, total {}", money(invoice.net), money(invoice.tax), money(invoice.total));
            });
        }
    }
    Ok(())
}
