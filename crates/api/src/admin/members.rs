//! Who acts for an account, who is invited to, and the machines that it has elsewhere.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use leasehold_commands::{
    machines,
    members::{self, By},
    two_factor,
};
use leasehold_domain::role::Role;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    Api,
    access::Operator,
    cloud::{
        machines::{LineView, MachineView, line},
        members::{InvitationView, MemberView},
    },
    failure::Failure,
    names,
    once::{Begun, Posted, again, answer, begin_for_host},
    request::Body,
};

/// Somebody to invite.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OperatorInvitee)]
pub(crate) struct Invitee {
    #[schema(example = "grace@example.org")]
    email: String,
    #[schema(schema_with = names::role)]
    role: Role,
}

/// What somebody is to act as.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OperatorNewRole)]
pub(crate) struct NewRole {
    #[schema(schema_with = names::role)]
    role: Role,
}

/// Who may act for an account.
#[utoipa::path(get, path = "/accounts/{account}/members", tag = "operator", security(("operator" = [])), params(("account" = String, Path)), responses((status = 200, body = [MemberView])))]
pub(crate) async fn list(State(api): State<Api>, _: Operator, Path(account): Path<String>) -> Result<Json<Vec<MemberView>>, Failure> {
    let mut tx = api.store.read().await?;
    let account = tx.find_account(&account).await?.id;
    Ok(Json(tx.members(&account).await?.into_iter().map(MemberView::from).collect()))
}

/// Gives a member (id or address) another role.
#[utoipa::path(patch, path = "/accounts/{account}/members/{member}", tag = "operator", security(("operator" = [])), params(("account" = String, Path), ("member" = String, Path)), request_body = NewRole, responses(
    (status = 200, body = MemberView),
    (status = 409, body = super::error::Problem, description = "it is the only owner"),
))]
pub(crate) async fn set_role(
    State(api): State<Api>,
    operator: Operator,
    Path((account, member)): Path<(String, String)>,
    Body(new): Body<NewRole>,
) -> Result<Json<MemberView>, Failure> {
    let mut tx = api.store.begin().await?;
    let account = tx.find_account(&account).await?.id;
    let member = members::set_role(&mut tx, &operator, By::Host, &account, &member, new.role).await?;
    tx.commit().await?;
    Ok(Json(member.into()))
}

/// Ends a membership (id or address), and the keys that were made for it.
#[utoipa::path(delete, path = "/accounts/{account}/members/{member}", tag = "operator", security(("operator" = [])), params(("account" = String, Path), ("member" = String, Path)), responses(
    (status = 204, description = "it is ended"),
    (status = 409, body = super::error::Problem, description = "it is the only owner"),
))]
pub(crate) async fn remove(State(api): State<Api>, operator: Operator, Path((account, member)): Path<(String, String)>) -> Result<StatusCode, Failure> {
    let mut tx = api.store.begin().await?;
    let account = tx.find_account(&account).await?.id;
    members::remove(&mut tx, &operator, By::Host, &account, &member).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Turns a member's second factor off, for somebody who lost the phone.
#[utoipa::path(delete, path = "/accounts/{account}/members/{member}/two-factor", tag = "operator", security(("operator" = [])), params(("account" = String, Path), ("member" = String, Path)), responses(
    (status = 204, description = "it is off"),
))]
pub(crate) async fn end_two_factor(State(api): State<Api>, operator: Operator, Path((account, member)): Path<(String, String)>) -> Result<StatusCode, Failure> {
    let mut tx = api.store.begin().await?;
    let account = tx.find_account(&account).await?.id;
    let user = tx.member_of(&account, &member).await?.user_id;
    two_factor::end(&mut tx, &operator, &account, &user, None).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who is invited to act for an account.
#[utoipa::path(get, path = "/accounts/{account}/invitations", tag = "operator", security(("operator" = [])), params(("account" = String, Path)), responses((status = 200, body = [InvitationView])))]
pub(crate) async fn invitations(State(api): State<Api>, _: Operator, Path(account): Path<String>) -> Result<Json<Vec<InvitationView>>, Failure> {
    let mut tx = api.store.read().await?;
    let account = tx.find_account(&account).await?.id;
    Ok(Json(tx.invitations(&account).await?.into_iter().map(InvitationView::from).collect()))
}

/// Invites somebody by mail to act for an account.
#[utoipa::path(post, path = "/accounts/{account}/invitations", tag = "operator", security(("operator" = [])), params(("account" = String, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = Invitee, responses((status = 201, body = InvitationView)))]
pub(crate) async fn invite(State(api): State<Api>, operator: Operator, Path(account): Path<String>, posted: Posted<Invitee>) -> Result<Response, Failure> {
    let mut open = match begin_for_host(&api, &operator, &posted).await? {
        Begun::Before(text) => return Ok(again(StatusCode::CREATED, text)),
        Begun::Now(open) => open,
    };
    let account = open.tx.find_account(&account).await?;
    let invitation = members::invite(&mut open.tx, &operator, By::Host, &account, &posted.body.email, posted.body.role).await?;
    answer(open, StatusCode::CREATED, &InvitationView::from(invitation)).await
}

/// Takes an invitation (id or address) back.
#[utoipa::path(delete, path = "/accounts/{account}/invitations/{invitation}", tag = "operator", security(("operator" = [])), params(("account" = String, Path), ("invitation" = String, Path)), responses(
    (status = 204, description = "it is taken back"),
))]
pub(crate) async fn withdraw(State(api): State<Api>, operator: Operator, Path((account, invitation)): Path<(String, String)>) -> Result<StatusCode, Failure> {
    let mut tx = api.store.begin().await?;
    let account = tx.find_account(&account).await?.id;
    members::withdraw(&mut tx, &operator, By::Host, &account, &invitation).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The machines that an account has elsewhere.
#[utoipa::path(get, path = "/accounts/{account}/machines", tag = "operator", security(("operator" = [])), params(("account" = String, Path)), responses((status = 200, body = [MachineView])))]
pub(crate) async fn list_machines(State(api): State<Api>, _: Operator, Path(account): Path<String>) -> Result<Json<Vec<MachineView>>, Failure> {
    let mut tx = api.store.read().await?;
    let account = tx.find_account(&account).await?.id;
    Ok(Json(tx.machines(&account).await?.into_iter().map(MachineView::from).collect()))
}

/// Forgets a machine (id or name), until it tells of itself again.
#[utoipa::path(delete, path = "/accounts/{account}/machines/{machine}", tag = "operator", security(("operator" = [])), params(("account" = String, Path), ("machine" = String, Path)), responses(
    (status = 204, description = "it is forgotten"),
))]
pub(crate) async fn forget_machine(
    State(api): State<Api>,
    operator: Operator,
    Path((account, machine)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    let account = api.store.read().await?.find_account(&account).await?.id;
    machines::forget(&api.store, &operator, &account, &machine).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Another line for an account's machines: the one before lists nothing any more.
#[utoipa::path(post, path = "/accounts/{account}/machines/line", tag = "operator", security(("operator" = [])), params(("account" = String, Path)), responses((status = 200, body = LineView)))]
pub(crate) async fn renew_line(State(api): State<Api>, operator: Operator, Path(account): Path<String>) -> Result<Json<LineView>, Failure> {
    let mut tx = api.store.begin().await?;
    let account = tx.find_account(&account).await?.id;
    machines::renew(&mut tx, &operator, &account).await?;
    let view = line(&api, &mut tx, &account).await?;
    tx.commit().await?;
    Ok(Json(view))
}
