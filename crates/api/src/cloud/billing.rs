//! What an account paid.

use axum::{
    Json,
    extract::{Path, State},
};
use leasehold_domain::{Money, Timestamp};
use leasehold_store::{
    Tx,
    invoices::{Invoice, InvoiceLine},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Failure;
use crate::{
    Api,
    access::{BillingRead, Caller, For},
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
    (status = 400, body = Failure),
    (status = 401, body = Failure),
    (status = 403, body = Failure),
    (status = 429, body = Failure),
))]
pub(crate) async fn list(State(api): State<Api>, caller: For<BillingRead>, paged: Paged) -> Result<Json<Vec<InvoiceView>>, Failure> {
    let all = api.store.read().await?.invoices_of(&caller.account, paged.page()).await?;
    Ok(Json(all.iter().map(view).collect::<Result<_, _>>()?))
}

/// An invoice with its lines.
#[utoipa::path(get, path = "/billing/invoices/{id}", tag = "billing", security(("key" = ["billing:read"])), params(("id" = String, Path, description = "id or number")), responses(
    (status = 200, body = InvoiceDetail),
    (status = 401, body = Failure),
    (status = 403, body = Failure),
    (status = 404, body = Failure),
    (status = 429, body = Failure),
))]
pub(crate) async fn show(State(api): State<Api>, caller: For<BillingRead>, Path(id): Path<String>) -> Result<Json<InvoiceDetail>, Failure> {
    let mut tx = api.store.read().await?;
    let i = own(&mut tx, &caller, &id).await?;
    let lines = tx.invoice_lines(&i.id).await?;
    let sum = |wanted: fn(&i64) -> bool| lines.iter().map(|l| l.amount).filter(wanted).sum::<i64>();
    Ok(Json(InvoiceDetail {
        subtotal: money(&i, sum(|amount| *amount > 0))?,
        discount: money(&i, -sum(|amount| *amount < 0))?,
        tax: money(&i, i.tax)?,
        invoice: view(&i)?,
        lines: lines.into_iter().map(|l| line(&i, l)).collect::<Result<_, _>>()?,
    }))
}
