//! Who acts for an account: invitations, roles, and the end of both.

use std::time::Duration;

use leasehold_domain::{AccountId, names, notice::NoticeKind, role::Role};
use leasehold_store::{
    Store, Tx,
    accounts::{Account, AccountState},
    activity::Actor,
    mails::NewMail,
    members::{Invitation, Member},
};
use secrecy::SecretString;
use serde_json::json;

use crate::{CommandError, Result, commit, people};

/// Members and invitations of one account at most.
const MOST: usize = 100;
/// Invitations that one account sends within a day at most: they are mails to strangers.
const A_DAY: i64 = 50;
const DAY: Duration = Duration::from_hours(24);
/// How long an invitation can be taken up.
pub const LASTS: Duration = Duration::from_hours(7 * 24);

/// Who changes something about members.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// The host's staff.
    Host,
    /// A member of the same account, by the person's id.
    Member(&'a str),
}

/// Refuses whoever may not give or take these roles.
async fn check(tx: &mut Tx, account: &AccountId, by: By<'_>, roles: &[Role]) -> Result<()> {
    let By::Member(user) = by else { return Ok(()) };
    let own = tx.member_of(account, user).await?.role;
    match roles.iter().find(|role| !own.manages(**role)) {
        None => Ok(()),
        Some(role) => Err(CommandError::Forbidden(format!("who acts for the account as '{own}' manages none that act as '{role}'"))),
    }
}

/// An owner beside this member; where there is none, what needs one is refused.
async fn another_owner(tx: &mut Tx, account: &AccountId, member: &Member) -> Result<Member> {
    let other = tx.members(account).await?.into_iter().find(|m| m.role == Role::Owner && m.user_id != member.user_id);
    other.ok_or_else(|| CommandError::Refused(format!("{} is the account's only owner; make somebody else one first", member.email)))
}

/// Invites somebody by mail to act for an account; an invitation to the same address before it is over.
pub async fn invite(tx: &mut Tx, actor: &Actor, by: By<'_>, account: &Account, email: &str, role: Role) -> Result<Invitation> {
    names::email(email)?;
    tx.books(&account.id).await?;
    let invitations = tx.invitations(&account.id).await?;
    let before = invitations.iter().find(|i| i.email == email.to_lowercase()).map(|i| i.role);
    check(tx, &account.id, by, &[role, before.unwrap_or(role)]).await?;
    if account.state == AccountState::Closed {
        return Err(CommandError::Refused(format!("account {} is closed", account.number)));
    }
    let members = tx.members(&account.id).await?;
    if members.iter().any(|m| m.email == email.to_lowercase()) {
        return Err(CommandError::Exists(format!("{email} is a member already")));
    }
    if before.is_none() && members.len() + invitations.len() >= MOST {
        return Err(CommandError::Refused(format!("an account has {MOST} members and invitations at most")));
    }
    let day_ago = tx.now - DAY;
    if tx.mails_of_kind_since(&account.id, NoticeKind::MemberInvitation, day_ago).await? >= A_DAY {
        return Err(CommandError::TooMany { text: format!("the account sent {A_DAY} invitations within a day"), wait: DAY });
    }
    let inviter = match by {
        By::Host => None,
        By::Member(user) => members.iter().find(|m| m.user_id == user).map(|m| m.email.clone()),
    };
    let expires_at = tx.now + LASTS;
    let made = tx.invite(&account.id, email, role, inviter.as_deref(), expires_at).await?;
    let data = json!({ "invitation": made.id, "by": inviter, "account": account.called(), "number": account.number, "role": role, "until": expires_at.day() });
    let (kind, recipient, locale) = (NoticeKind::MemberInvitation, made.email.as_str(), account.locale.as_str());
    tx.notify(NewMail { kind, subject: &made.id, account: Some(&account.id), server: None, recipient, locale, data, charge: None }).await?;
    tx.log(actor, "member.invite", Some(&account.id), None, &format!("{} as {role}", made.email)).await?;
    Ok(made)
}

/// Takes an invitation back (its id or address).
pub async fn withdraw(tx: &mut Tx, actor: &Actor, by: By<'_>, account: &AccountId, invitation: &str) -> Result<Invitation> {
    tx.books(account).await?;
    let found = tx.invitation_of(account, invitation).await?;
    check(tx, account, by, &[found.role]).await?;
    tx.end_invitation(&found.id).await?;
    tx.log(actor, "member.withdraw", Some(account), None, &found.email).await?;
    Ok(found)
}

/// Gives a member (id or address) another role, from the next request of each of their keys on.
pub async fn set_role(tx: &mut Tx, actor: &Actor, by: By<'_>, account: &AccountId, member: &str, role: Role) -> Result<Member> {
    tx.books(account).await?;
    let found = tx.member_of(account, member).await?;
    check(tx, account, by, &[found.role, role]).await?;
    if role != Role::Owner {
        another_owner(tx, account, &found).await?;
    }
    tx.set_role(account, &found.user_id, role).await?;
    tx.log(actor, "member.role", Some(account), None, &format!("{}: {role} instead of {}", found.email, found.role)).await?;
    Ok(Member { role, ..found })
}

/// Ends a membership (id or address), and the keys that were made for it. Everybody may leave; where the account's mails went to them, they
/// go to another owner from then on, who is the one that it is named after.
pub async fn remove(tx: &mut Tx, actor: &Actor, by: By<'_>, account: &AccountId, member: &str) -> Result<Member> {
    tx.books(account).await?;
    let found = tx.member_of(account, member).await?;
    if !matches!(by, By::Member(user) if user == found.user_id) {
        check(tx, account, by, &[found.role]).await?;
    }
    let owner = another_owner(tx, account, &found).await?;
    tx.remove_member(account, &found.user_id).await?;
    if tx.account(account).await?.email.to_lowercase() == found.email {
        tx.hand_account_to(account, &owner.user_id).await?;
    }
    tx.log(actor, "member.remove", Some(account), None, &found.email).await?;
    Ok(found)
}

/// What is asked of somebody who is not known yet.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// What they will sign in with.
    pub password: SecretString,
}

/// Where an invitation leads.
#[derive(Clone, Debug)]
pub struct Invited {
    /// The invitation.
    pub invitation: Invitation,
    /// Its account.
    pub account: Account,
    /// Whether its address is nobody's yet, so that a name and a password are asked for.
    pub new: bool,
}

fn over() -> CommandError {
    CommandError::NotFound("this invitation was taken up or back, or is older than 7 days; ask for another".into())
}

/// What an invitation is about, by the end of its link.
pub async fn invited(tx: &mut Tx, token: &str) -> Result<Invited> {
    let found = tx.invited(token).await?;
    let invitation = found.ok_or_else(over)?;
    let account = tx.account(&invitation.account_id).await?;
    let new = tx.person_called(&invitation.email).await?.is_none();
    Ok(Invited { invitation, account, new })
}

/// Takes an invitation up: whoever has the link reads the mail of that address.
pub async fn accept(store: &Store, origin: &str, token: &str, newcomer: Option<&Newcomer>) -> Result<Invited> {
    // Nobody has a password digested without an invitation; and nobody is locked out while it is digested.
    let asked = invited(&mut store.read().await?, token).await?;
    let new = match newcomer {
        Some(n) if asked.new => {
            names::person(&n.first_name)?;
            names::person(&n.last_name)?;
            Some((n, people::digest(store.dice(), &n.password).await?))
        }
        _ if asked.new => return Err(CommandError::Invalid("a name and a password are needed".into())),
        _ => None,
    };
    let mut tx = store.begin().await?;
    tx.books(&asked.account.id).await?;
    let found = invited(&mut tx, token).await?;
    let email = &found.invitation.email;
    let user = match &new {
        Some((n, digest)) => tx.add_person(email, &n.first_name, &n.last_name, Some(digest)).await?,
        None => tx.person_called(email).await?.ok_or_else(over)?.id,
    };
    tx.add_member(&found.account.id, &user, found.invitation.role).await?;
    tx.end_invitation(&found.invitation.id).await?;
    let actor = Actor { name: format!("user:{user}"), origin: origin.to_owned() };
    tx.log(&actor, "member.join", Some(&found.account.id), None, &format!("as {}", found.invitation.role)).await?;
    commit(tx).await?;
    Ok(found)
}
