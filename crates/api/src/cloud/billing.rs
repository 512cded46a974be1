//! What an account paid.

use axum::{
    Json,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use leasehold_domain::{Money, Timestamp};
use leasehold_store::{
    Tx,
    invoices::{Invoice, InvoiceLine},
    statement::Numbered,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    access::{BillingRead, Caller, For},
    failure::Failure,
    request::Paged,
};

/// An invoice or a credit note at a glance.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InvoiceView {
    id: String,
    #[schema(example = "2026-000042")]
    invoice_number: String,
    /// Tax included, a decimal; of a credit note what is given back.
    #[schema(example = "9.00")]
    total: String,
    currency: String,
    /// An invoice is issued when it is paid.
    #[schema(example = "paid")]
    status: &'static str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// One line of an invoice.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LineView {
    description: String,
    /// Before tax, a decimal.
    amount: String,
    #[schema(value_type = String, format = DateTime)]
    period_start: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    period_end: Timestamp,
}

/// An invoice whole.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InvoiceDetail {
    #[serde(flatten)]
    invoice: InvoiceView,
    lines: Vec<LineView>,
    /// Of all lines but those that take something off.
    subtotal: String,
    /// What coupons and margins take off.
    discount: String,
    tax: String,
}

fn money(i: &Invoice, minor: i64) -> Result<String, Failure> {
    let currency = i.currency.parse().map_err(|e: leasehold_domain::money::MoneyError| Failure::from(leasehold_store::StoreError::from(e)))?;
    Ok(Money::new(minor, currency).decimal())
}

fn view(i: &Invoice) -> Result<InvoiceView, Failure> {
    Ok(InvoiceView {
        id: i.id.clone(),
        invoice_number: i.name(),
        total: money(i, i.total)?,
        currency: i.currency.clone(),
        status: "paid",
        created_at: i.created_at,
    })
}

fn line(i: &Invoice, l: InvoiceLine) -> Result<LineView, Failure> {
    Ok(LineView { description: l.description, amount: money(i, l.amount)?, period_start: l.from_at, period_end: l.until_at })
}

/// The caller's invoice by its id or its number.
async fn own(tx: &mut Tx, caller: &Caller, id: &str) -> Result<Invoice, Failure> {
    Ok(tx.invoice_of(&caller.account, id).await?)
}

/// The account's invoices and credit notes, newest first.
#[utoipa::path(get, path = "/billing/invoices", tag = "billing", security(("key" = ["billing:read"])), params(Paged), responses(
    (status = 200, body = [InvoiceView]),
))]
pub(crate) async fn list(State(api): State<Api>, caller: For<BillingRead>, paged: Paged) -> Result<Json<Vec<InvoiceView>>, Failure> {
    let all = api.store.read().await?.invoices_of(&caller.account, paged.page()).await?;
    Ok(Json(all.iter().map(view).collect::<Result<_, _>>()?))
}

/// What moved the wallet.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TransactionView {
    id: String,
    /// What for: `top_up`, `order`, `renewal`, …
    #[serde(rename = "type")]
    #[schema(example = "renewal")]
    kind: String,
    /// By how much the balance rose, a decimal; negative where it fell.
    #[schema(example = "-9.00")]
    amount: String,
    #[schema(example = "41.00")]
    balance_after: String,
    description: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// What moved the account's wallet, newest first.
#[utoipa::path(get, path = "/billing/transactions", tag = "billing", security(("key" = ["billing:read"])), params(Paged), responses(
    (status = 200, body = [TransactionView]),
))]
pub(crate) async fn transactions(State(api): State<Api>, caller: For<BillingRead>, paged: Paged) -> Result<Json<Vec<TransactionView>>, Failure> {
    let movements = api.store.read().await?.movements(&caller.account, paged.page()).await?;
    let view = |(id, m): Numbered| TransactionView {
        id,
        description: m.description(),
        kind: m.code,
        amount: m.amount.decimal(),
        balance_after: m.balance.decimal(),
        created_at: m.at,
    };
    Ok(Json(movements.into_iter().map(view).collect()))
}

/// An invoice with its lines; with `.pdf` after its id or number, the document.
#[utoipa::path(get, path = "/billing/invoices/{id}", tag = "billing", security(("key" = ["billing:read"])), params(("id" = String, Path, description = "id or number; with .pdf after it the document", example = "2026-000042")), responses(
    (status = 200, content((InvoiceDetail = "application/json"), (Vec<u8> = "application/pdf"))),
))]
pub(crate) async fn show(State(api): State<Api>, caller: For<BillingRead>, Path(id): Path<String>) -> Result<Response, Failure> {
    let mut tx = api.store.read().await?;
    match id.strip_suffix(".pdf") {
        Some(id) => {
            let i = own(&mut tx, &caller, id).await?;
            document(&mut tx, &i).await
        }
        None => Ok(Json(detail(&mut tx, &caller, &id).await?).into_response()),
    }
}

async fn document(tx: &mut Tx, i: &Invoice) -> Result<Response, Failure> {
    let document = tx.document(i).await?;
    // Drawing takes a while; others are served meanwhile.
    let drawn = tokio::task::spawn_blocking(move || leasehold_notifier::pdf(&document)).await.map_err(|e| Failure::inside(&e))?;
    let file = format!("attachment; filename=\"{}.pdf\"", i.name());
    let headers = [(header::CONTENT_TYPE, "application/pdf".to_owned()), (header::CONTENT_DISPOSITION, file)];
    Ok((headers, drawn.map_err(|e| Failure::inside(&e))?).into_response())
}

async fn detail(tx: &mut Tx, caller: &Caller, id: &str) -> Result<InvoiceDetail, Failure> {
    let i = own(tx, caller, id).await?;
    let lines = tx.invoice_lines(&i.id).await?;
    let sum = |wanted: fn(&i64) -> bool| lines.iter().map(|l| l.amount).filter(wanted).sum::<i64>();
    Ok(InvoiceDetail {
        subtotal: money(&i, sum(|amount| *amount > 0))?,
        discount: money(&i, -sum(|amount| *amount < 0))?,
        tax: money(&i, i.tax)?,
        invoice: view(&i)?,
        lines: lines.into_iter().map(|l| line(&i, l)).collect::<Result<_, _>>()?,
    })
}
