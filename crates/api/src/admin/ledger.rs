//! The books and the log, for those who check them.

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use leasehold_store::activity::Activity;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{Api, access::Operator, failure::Failure, request::Asked};

/// A row that breaks a rule of the books.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FindingView {
    rule: String,
    subject: String,
    detail: String,
}

/// What an audit found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditView {
    /// Whether the books balance and every rule holds.
    clean: bool,
    findings: Vec<FindingView>,
}

/// Audits the books: every wallet is the sum of its transfers, every charge is paid once. It reads all of them.
#[utoipa::path(get, path = "/ledger/audit", tag = "operator", security(("operator" = [])), responses((status = 200, body = AuditView)))]
pub(crate) async fn audit(State(api): State<Api>, _: Operator) -> Result<Json<AuditView>, Failure> {
    let findings = api.store.audit().await?;
    let view = |f: leasehold_store::audit::Finding| FindingView { rule: f.rule.to_owned(), subject: f.subject, detail: f.detail };
    Ok(Json(AuditView { clean: findings.is_empty(), findings: findings.into_iter().map(view).collect() }))
}

/// Which part of the log is read.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Chain {
    /// The first place in the chain, from 1.
    #[param(minimum = 1, default = 1)]
    from: Option<i64>,
    /// Lines.
    #[param(minimum = 1, maximum = 10000, default = 1000)]
    limit: Option<i64>,
}

const MOST: i64 = 10_000;

/// The activity log in the order of its chain, one JSON object a line: who did what, on what, from where; `hash` is the SHA-256 over
/// the line before and this one. The next part begins after the last `seq`.
#[utoipa::path(get, path = "/activity/export", tag = "operator", security(("operator" = [])), params(Chain), responses(
    (status = 200, description = "lines of JSON", body = String, content_type = "application/x-ndjson"),
))]
pub(crate) async fn export(State(api): State<Api>, _: Operator, Asked(wanted): Asked<Chain>) -> Result<Response, Failure> {
    let (from, limit) = (wanted.from.unwrap_or(1), wanted.limit.unwrap_or(1000));
    if from < 1 || !(1..=MOST).contains(&limit) {
        return Err(Failure::bad(format!("'from' begins with 1, 'limit' is 1 to {MOST}")));
    }
    let lines: Vec<Activity> = api.store.read().await?.sealed_from(from, limit).await?;
    let mut text = String::new();
    for line in &lines {
        text.push_str(&serde_json::to_string(line).map_err(|e| Failure::inside(&e))?);
        text.push('\n');
    }
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], text).into_response())
}
