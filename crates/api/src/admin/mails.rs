//! Mails.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use leasehold_commands::operate;
use leasehold_domain::{
    ServerId, Timestamp,
    notice::{MailState, NoticeKind},
};
use leasehold_store::mails::Mail;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    access::Operator,
    failure::Failure,
    names,
    once::{Begun, Posted, again, answer, begin_for_host},
    request::{Asked, Paged},
};

/// A mail.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MailView {
    id: String,
    #[schema(schema_with = names::notice_kind)]
    kind: NoticeKind,
    to: String,
    server_id: Option<String>,
    /// `queued`, `sent`, `ambiguous`, `dead` or `superseded`.
    #[schema(schema_with = names::mail_state)]
    state: MailState,
    message_id: String,
    attempts: i64,
    error: Option<String>,
    /// The mail that this one repeats.
    resend_of: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    sent_at: Option<Timestamp>,
}

impl From<Mail> for MailView {
    fn from(m: Mail) -> Self {
        Self {
            id: m.id.0,
            kind: m.kind,
            to: m.recipient,
            server_id: m.server_id,
            state: m.state,
            message_id: m.message_id,
            attempts: m.attempt,
            error: m.last_error,
            resend_of: m.resend_of,
            created_at: m.created_at,
            sent_at: m.sent_at.map(|at| at.0),
        }
    }
}

/// Which mails are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Only of this state.
    #[param(schema_with = names::mail_state)]
    state: Option<MailState>,
    /// Only about this server.
    server: Option<String>,
}

/// Mails, newest first.
#[utoipa::path(get, path = "/mails", tag = "operator", security(("operator" = [])), params(Wanted, Paged), responses((status = 200, body = [MailView])))]
pub(crate) async fn list(State(api): State<Api>, _: Operator, Asked(wanted): Asked<Wanted>, paged: Paged) -> Result<Json<Vec<MailView>>, Failure> {
    let server = wanted.server.map(ServerId::from);
    let found = api.store.read().await?.mails(wanted.state, server.as_ref(), paged.page()).await?;
    Ok(Json(found.into_iter().map(MailView::from).collect()))
}

/// One mail.
#[utoipa::path(get, path = "/mails/{id}", tag = "operator", security(("operator" = [])), params(("id" = String, Path)), responses((status = 200, body = MailView)))]
pub(crate) async fn show(State(api): State<Api>, _: Operator, Path(id): Path<String>) -> Result<Json<MailView>, Failure> {
    Ok(Json(api.store.read().await?.mail(&id.into()).await?.into()))
}

/// Sends a mail once more, under a new Message-ID.
#[utoipa::path(post, path = "/mails/{id}/resend", tag = "operator", security(("operator" = [])), params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)), responses((status = 201, body = MailView)))]
pub(crate) async fn resend(State(api): State<Api>, operator: Operator, Path(id): Path<String>, posted: Posted<IgnoredAny>) -> Result<Response, Failure> {
    let mut open = match begin_for_host(&api, &operator, &posted).await? {
        Begun::Before(text) => return Ok(again(StatusCode::CREATED, text)),
        Begun::Now(open) => open,
    };
    let new = operate::resend(&mut open.tx, &operator, &id.into()).await?;
    let view = MailView::from(open.tx.mail(&new.into()).await?);
    answer(open, StatusCode::CREATED, &view).await
}
