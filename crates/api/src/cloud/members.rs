//! Who acts for the account, and who is invited to.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use leasehold_commands::members;
use leasehold_domain::{Timestamp, role::Role};
use leasehold_store::members::{Invitation, Member};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::Failure as CloudFailure;
use crate::{
    Api,
    access::{For, Users},
    failure::Failure,
    names, once,
    once::{Begun, Posted, again, answer, begin},
    request::Body,
};

/// A person who may act for an account.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberView {
    /// The person's.
    id: String,
    #[schema(example = "grace@example.org")]
    email: String,
    first_name: String,
    last_name: String,
    /// `owner`: everything; `admin`: everything but what concerns owners; `billing`: what it costs; `read-only`: looking, at nothing secret.
    #[schema(schema_with = names::role)]
    role: Role,
    /// Whether they sign in with a second factor.
    two_factor: bool,
}

impl From<Member> for MemberView {
    fn from(m: Member) -> Self {
        Self { id: m.user_id, email: m.email, first_name: m.first_name, last_name: m.last_name, role: m.role, two_factor: m.two_factor }
    }
}

/// Somebody who may become a member.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InvitationView {
    id: String,
    #[schema(example = "grace@example.org")]
    email: String,
    #[schema(schema_with = names::role)]
    role: Role,
    /// The address of the member who invited them; none: the host.
    invited_by: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl From<Invitation> for InvitationView {
    fn from(i: Invitation) -> Self {
        Self { id: i.id, email: i.email, role: i.role, invited_by: i.invited_by, created_at: i.created_at, expires_at: i.expires_at }
    }
}

/// Somebody to invite.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Invitee {
    #[schema(example = "grace@example.org")]
    pub(crate) email: String,
    #[schema(schema_with = names::role)]
    pub(crate) role: Role,
}

/// What somebody is to act as.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewRole {
    #[schema(schema_with = names::role)]
    pub(crate) role: Role,
}

/// Who acts for the account.
#[utoipa::path(get, path = "/members", tag = "members", security(("key" = ["users"])), responses((status = 200, body = [MemberView])))]
pub(crate) async fn list(State(api): State<Api>, caller: For<Users>) -> Result<Json<Vec<MemberView>>, Failure> {
    let all = api.store.read().await?.members(&caller.account).await?;
    Ok(Json(all.into_iter().map(MemberView::from).collect()))
}

/// Gives a member another role: what their keys may do changes with the next request.
#[utoipa::path(patch, path = "/members/{member}", tag = "members", security(("key" = ["users"])), params(("member" = String, Path)), request_body = NewRole, responses(
    (status = 200, body = MemberView),
    (status = 409, body = CloudFailure, description = "it is the only owner"),
))]
pub(crate) async fn set_role(
    State(api): State<Api>,
    caller: For<Users>,
    Path(member): Path<String>,
    Body(new): Body<NewRole>,
) -> Result<Json<MemberView>, Failure> {
    let mut open = once::open(&api, &caller).await?;
    let member = members::set_role(&mut open.tx, &caller.actor, caller.as_member()?, &caller.account, &member, new.role).await?;
    open.end("").await?;
    Ok(Json(member.into()))
}

/// Ends a membership, and the keys that were made for it. Everybody may leave.
#[utoipa::path(delete, path = "/members/{member}", tag = "members", security(("key" = ["users"])), params(("member" = String, Path)), responses(
    (status = 204, description = "it is ended"),
    (status = 409, body = CloudFailure, description = "it is the only owner"),
))]
pub(crate) async fn remove(State(api): State<Api>, caller: For<Users>, Path(member): Path<String>) -> Result<StatusCode, Failure> {
    let mut open = once::open(&api, &caller).await?;
    members::remove(&mut open.tx, &caller.actor, caller.as_member()?, &caller.account, &member).await?;
    open.end("").await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who is invited to act for the account.
#[utoipa::path(get, path = "/invitations", tag = "members", security(("key" = ["users"])), responses((status = 200, body = [InvitationView])))]
pub(crate) async fn invitations(State(api): State<Api>, caller: For<Users>) -> Result<Json<Vec<InvitationView>>, Failure> {
    let all = api.store.read().await?.invitations(&caller.account).await?;
    Ok(Json(all.into_iter().map(InvitationView::from).collect()))
}

/// Invites somebody by mail to act for the account, for 7 days; what was sent to the same address before is over.
#[utoipa::path(post, path = "/invitations", tag = "members", security(("key" = ["users"])), params(("Idempotency-Key" = Option<String>, Header)), request_body = Invitee, responses(
    (status = 201, body = InvitationView),
    (status = 403, body = CloudFailure, description = "the key lacks the scope, or its person's role may not give this one"),
    (status = 409, body = CloudFailure, description = "the account has a hundred members and invitations, or an equal request is being carried out"),
))]
pub(crate) async fn invite(State(api): State<Api>, caller: For<Users>, posted: Posted<Invitee>) -> Result<Response, Failure> {
    let mut open = match begin(&api, &caller, &posted).await? {
        Begun::Before(text) => return Ok(again(StatusCode::CREATED, text)),
        Begun::Now(open) => open,
    };
    let Invitee { email, role } = &posted.body;
    let account = open.account.clone();
    let invitation = members::invite(&mut open.tx, &caller.actor, caller.as_member()?, &account, email, *role).await?;
    answer(open, StatusCode::CREATED, &InvitationView::from(invitation)).await
}

/// Takes an invitation back: its link leads nowhere any more.
#[utoipa::path(delete, path = "/invitations/{invitation}", tag = "members", security(("key" = ["users"])), params(("invitation" = String, Path)), responses(
    (status = 204, description = "it is taken back"),
))]
pub(crate) async fn withdraw(State(api): State<Api>, caller: For<Users>, Path(invitation): Path<String>) -> Result<StatusCode, Failure> {
    let mut open = once::open(&api, &caller).await?;
    members::withdraw(&mut open.tx, &caller.actor, caller.as_member()?, &caller.account, &invitation).await?;
    open.end("").await?;
    Ok(StatusCode::NO_CONTENT)
}
