//! `leasehold member …`

use clap::Subcommand;
use leasehold_commands::{
    members::{self, By},
    two_factor,
};
use leasehold_domain::role::Role;
use leasehold_store::{
    Tx,
    members::{Invitation, Member as Row},
};
use serde_json::{Value, json};

use super::{Context, whose};
use crate::{
    app::App,
    exit::Failure,
    output::{show, table},
};

/// `leasehold member …`
#[derive(Debug, Subcommand)]
pub enum Member {
    /// Invite somebody by mail.
    Invite {
        /// Whose: account id or number; not needed with --server.
        #[arg(long)]
        account: Option<String>,
        /// Their address.
        email: String,
        /// As what: owner, admin, billing or read-only.
        #[arg(long)]
        role: Role,
    },
    /// Who acts for an account, and who is invited to.
    List {
        /// Whose: account id or number; not needed with --server.
        #[arg(long)]
        account: Option<String>,
    },
    /// End a membership, and the keys that were made for it.
    Remove {
        /// Whose: account id or number; not needed with --server.
        #[arg(long)]
        account: Option<String>,
        /// Their address or id.
        member: String,
    },
    /// Turn a second factor off, for somebody who lost the phone.
    ResetTwoFactor {
        /// Of which account a member: id or number.
        #[arg(long)]
        account: Option<String>,
        /// Their address or id.
        member: String,
    },
    /// Give a member another role.
    Role {
        /// Whose: account id or number; not needed with --server.
        #[arg(long)]
        account: Option<String>,
        /// Their address or id.
        member: String,
        /// As what: owner, admin, billing or read-only.
        role: Role,
    },
    /// Take an invitation back.
    Withdraw {
        /// Whose: account id or number; not needed with --server.
        #[arg(long)]
        account: Option<String>,
        /// The address that was invited, or the invitation's id.
        invitation: String,
    },
}

fn value(m: &Row) -> Value {
    json!({ "id": m.user_id, "email": m.email, "firstName": m.first_name, "lastName": m.last_name, "role": m.role, "twoFactor": m.two_factor })
}

fn invitation(i: &Invitation) -> Value {
    json!({ "id": i.id, "email": i.email, "role": i.role, "invitedBy": i.invited_by, "createdAt": i.created_at, "expiresAt": i.expires_at })
}

/// Who acts for an account, and who is invited to, for people.
pub(crate) fn print(members: &Value, invitations: &Value) {
    let text = |of: &Value, field: &str| of[field].as_str().unwrap_or_default().to_owned();
    let member = |m: &Value| {
        let factor = if m["twoFactor"] == true { "on" } else { "off" };
        vec![text(m, "email"), text(m, "role"), format!("{} {}", text(m, "firstName"), text(m, "lastName")), factor.to_owned(), text(m, "id")]
    };
    let invited = |i: &Value| vec![text(i, "email"), text(i, "role"), format!("(invited, until {})", text(i, "expiresAt")), String::new(), text(i, "id")];
    let all = |of: &Value| of.as_array().cloned().unwrap_or_default();
    let rows = all(members).iter().map(member).chain(all(invitations).iter().map(invited)).collect::<Vec<_>>();
    table(&["MEMBER", "ROLE", "NAME", "TWO-FACTOR", "ID"], rows);
}

/// What is written for an account, whole or not at all.
async fn change<T>(
    app: &App,
    account: Option<String>,
    write: impl AsyncFnOnce(&mut Tx, &leasehold_store::accounts::Account) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut tx = app.store.begin().await?;
    let account = tx.find_account(&whose(account)?).await?;
    let written = write(&mut tx, &account).await?;
    tx.commit().await?;
    Ok(written)
}

pub(super) async fn run(c: &Context, command: Member) -> Result<(), Failure> {
    match command {
        Member::Invite { account, email, role } => {
            let app = c.app().await?;
            let made = change(&app, account, async |tx, account| Ok(members::invite(tx, &app.actor, By::Host, account, &email, role).await?)).await?;
            show(c.json(), &invitation(&made), || say!("{} is invited as {}, until {}", made.email, made.role, made.expires_at.human()));
        }
        Member::List { account } => {
            let app = c.app().await?;
            let mut tx = app.store.read().await?;
            let account = tx.find_account(&whose(account)?).await?.id;
            let members = json!(tx.members(&account).await?.iter().map(value).collect::<Vec<_>>());
            let invitations = json!(tx.invitations(&account).await?.iter().map(invitation).collect::<Vec<_>>());
            show(c.json(), &json!({ "members": members, "invitations": invitations }), || print(&members, &invitations));
        }
        Member::Remove { account, member } => {
            let app = c.app().await?;
            let gone = change(&app, account, async |tx, account| Ok(members::remove(tx, &app.actor, By::Host, &account.id, &member).await?)).await?;
            show(c.json(), &json!({ "id": gone.user_id, "removed": true }), || {
                say!("{} does not act for the account any more; their keys open nothing", gone.email);
            });
        }
        Member::ResetTwoFactor { account, member } => {
            let app = c.app_with_keys().await?;
            let reset = change(&app, account, async |tx, account| {
                let member = tx.member_of(&account.id, &member).await?;
                two_factor::end(tx, &app.actor, &account.id, &member.user_id, None).await?;
                Ok(member)
            });
            let member = reset.await?;
            show(c.json(), &json!({ "id": member.user_id, "twoFactor": false }), || say!("{} signs in with the password alone", member.email));
        }
        Member::Role { account, member, role } => {
            let app = c.app().await?;
            let now = change(&app, account, async |tx, account| Ok(members::set_role(tx, &app.actor, By::Host, &account.id, &member, role).await?)).await?;
            show(c.json(), &value(&now), || say!("{} acts for the account as {}", now.email, now.role));
        }
        Member::Withdraw { account, invitation } => {
            let app = c.app().await?;
            let gone = change(&app, account, async |tx, account| Ok(members::withdraw(tx, &app.actor, By::Host, &account.id, &invitation).await?)).await?;
            show(c.json(), &json!({ "id": gone.id, "withdrawn": true }), || say!("{} is not invited any more", gone.email));
        }
    }
    Ok(())
}
