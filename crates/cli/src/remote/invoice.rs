//! `leasehold --server … invoice`

use reqwest::Method;
use serde_json::json;

use super::{Remote, only_here, word};
use crate::{
    commands::invoice::Invoice,
    exit::Failure,
    output::{show, table},
};

pub(super) async fn run(r: &Remote, command: Invoice) -> Result<(), Failure> {
    match command {
        Invoice::List { account: None, limit } => {
            let all = r.get(&format!("/billing/invoices?limit={}", limit.clamp(1, 100))).await?;
            let rows = all.as_array().into_iter().flatten();
            let row = |i: &serde_json::Value| vec![word(i, "invoiceNumber"), word(i, "createdAt"), format!("{} {}", word(i, "total"), word(i, "currency"))];
            show(r.json, &all, || table(&["NUMBER", "ISSUED", "TOTAL"], rows.map(row)));
        }
        Invoice::Show { number, pdf: Some(file), html: None } => {
            let answer = r.send(Method::GET, &format!("/billing/invoices/{number}.pdf"), None, None).await?;
            let bytes = answer.bytes().await.map_err(|e| Failure::TryAgain(e.to_string()))?;
            std::fs::write(&file, &bytes).map_err(|e| Failure::Failed(format!("{}: {e}", file.display())))?;
            show(r.json, &json!({ "number": number, "pdf": file }), || say!("{number} is written"));
        }
        Invoice::Show { number, pdf: None, html: None } => {
            let i = r.get(&format!("/billing/invoices/{number}")).await?;
            let lines = i["lines"].as_array().into_iter().flatten();
            show(r.json, &i, || {
                say!("invoice {} of {}", word(&i, "invoiceNumber"), word(&i, "createdAt"));
                table(
                    &["WHAT", "FROM", "UNTIL", "AMOUNT"],
                    lines.map(|l| ["description", "periodStart", "periodEnd", "amount"].map(|field| word(l, field)).to_vec()),
                );
                say!("discount {}, tax {}, total {} {}", word(&i, "discount"), word(&i, "tax"), word(&i, "total"), word(&i, "currency"));
            });
        }
        _ => return Err(only_here("this of invoice")),
    }
    Ok(())
}
