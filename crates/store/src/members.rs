//! Who acts for an account, and who is invited to.

use leasehold_domain::{AccountId, Timestamp, role::Role};
use sqlx::FromRow;
use subtle::ConstantTimeEq;

use crate::{Result, StoreError, Tx, accounts::Account, args};

/// A person who may act for an account.
#[derive(Clone, Debug, FromRow)]
pub struct Member {
    /// Who.
    pub user_id: String,
    /// Their address.
    pub email: String,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// As what.
    #[sqlx(try_from = "String")]
    pub role: Role,
    /// Whether they sign in with a second factor.
    pub two_factor: bool,
}

/// Somebody who may become a member.
#[derive(Clone, Debug, FromRow)]
pub struct Invitation {
    /// Its id.
    pub id: String,
    /// Of which account.
    #[sqlx(try_from = "String")]
    pub account_id: AccountId,
    /// Who, in lower case.
    pub email: String,
    /// As what.
    #[sqlx(try_from = "String")]
    pub role: Role,
    /// By which address; none: the host.
    pub invited_by: Option<String>,
    /// Since when.
    #[sqlx(try_from = "i64")]
    pub created_at: Timestamp,
    /// Until when it can be taken up.
    #[sqlx(try_from = "i64")]
    pub expires_at: Timestamp,
}

/// Of the digest in a link.
const TOKEN_LEN: usize = 40;

macro_rules! member {
    () => {
        "select m.user_id, u.email, u.first_name, u.last_name, m.role, \
         exists (select 1 from sealed s where s.owner_table = 'users' and s.owner_column = 'totp' and s.owner_id = u.id) as two_factor \
         from members m join users u on u.id = m.user_id where m.account_id = $1"
    };
}

impl Tx {
    /// Who may act for an account.
    pub async fn members(&mut self, account: &AccountId) -> Result<Vec<Member>> {
        self.all(concat!(member!(), " order by m.user_id"), args![account]).await
    }

    /// A member of an account by the person's id or address; whoever is none is not found.
    pub async fn member_of(&mut self, account: &AccountId, user: &str) -> Result<Member> {
        let sql = concat!(member!(), " and (u.id = $2 or u.email = $3)");
        self.optional(sql, args![account, user, user.to_lowercase()]).await?.ok_or_else(|| StoreError::not_found("member", user))
    }

    /// The accounts that a person acts for, by number.
    pub async fn accounts_of(&mut self, user: &str) -> Result<Vec<Account>> {
        self.all("select a.* from members m join accounts a on a.id = m.account_id where m.user_id = $1 order by a.number", args![user]).await
    }

    /// Lets a person act for an account; false where they do already.
    pub async fn add_member(&mut self, account: &AccountId, user: &str, role: Role) -> Result<bool> {
        let sql = "insert into members (account_id, user_id, role) values ($1, $2, $3) on conflict do nothing";
        Ok(self.exec(sql, args![account, user, role.as_str()]).await? == 1)
    }

    /// Gives a member another role.
    pub async fn set_role(&mut self, account: &AccountId, user: &str, role: Role) -> Result<()> {
        self.exec_one("update members set role = $1 where account_id = $2 and user_id = $3", args![role.as_str(), account, user]).await
    }

    /// Has an account's mails go to one of its owners, and names it after them.
    pub async fn hand_account_to(&mut self, account: &AccountId, owner: &str) -> Result<()> {
        let sql = "update accounts as a set email = u.email, first_name = u.first_name, last_name = u.last_name from users u where a.id = $1 and u.id = $2";
        self.exec_one(sql, args![account, owner]).await?;
        self.name_buyer(account).await
    }

    /// Ends a membership, the keys that were made for it, and the links that sign in with it.
    pub async fn remove_member(&mut self, account: &AccountId, user: &str) -> Result<()> {
        let now = self.now;
        let sql = "delete from sealed where owner_table = 'api_keys' and owner_id in (select id from api_keys where account_id = $1 and user_id = $2)";
        self.exec(sql, args![account, user]).await?;
        let sql = "update api_keys set revoked_at = $1 where account_id = $2 and user_id = $3 and revoked_at is null";
        self.exec(sql, args![now, account, user]).await?;
        self.exec("delete from sign_in_links where account_id = $1 and user_id = $2", args![account, user]).await?;
        self.exec_one("delete from members where account_id = $1 and user_id = $2", args![account, user]).await
    }

    /// Writes an invitation in the place of the one before it to the same address.
    pub async fn invite(&mut self, account: &AccountId, email: &str, role: Role, by: Option<&str>, expires_at: Timestamp) -> Result<Invitation> {
        let (id, now, email) = (self.new_id(), self.now, email.to_lowercase());
        self.exec("delete from invitations where account_id = $1 and email = $2", args![account, &email]).await?;
        let sql = "insert into invitations (id, account_id, email, role, invited_by, created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7)";
        self.exec_one(sql, args![&id, account, email, role.as_str(), by, now, expires_at]).await?;
        self.invitation_of(account, &id).await
    }

    /// Who is invited to act for an account.
    pub async fn invitations(&mut self, account: &AccountId) -> Result<Vec<Invitation>> {
        self.all("select * from invitations where account_id = $1 order by id", args![account]).await
    }

    /// An invitation of an account, by its id or address; another's is not found.
    pub async fn invitation_of(&mut self, account: &AccountId, id: &str) -> Result<Invitation> {
        let sql = "select * from invitations where account_id = $1 and (id = $2 or email = $3)";
        self.optional(sql, args![account, id, id.to_lowercase()]).await?.ok_or_else(|| StoreError::not_found("invitation", id))
    }

    /// Takes an invitation back, or up.
    pub async fn end_invitation(&mut self, id: &str) -> Result<()> {
        self.exec_one("delete from invitations where id = $1", args![id]).await
    }

    /// Forgets invitations that nobody took up in time.
    pub async fn prune_invitations(&mut self, before: Timestamp) -> Result<u64> {
        self.exec("delete from invitations where expires_at < $1", args![before]).await
    }

    /// What the link of an invitation ends with; it is kept nowhere. None where the invitation is over.
    pub async fn invitation_token(&mut self, id: &str) -> Result<Option<String>> {
        let now = self.now;
        let there = self.int("select count(*) from invitations where id = $1 and expires_at > $2", args![id, now]).await? == 1;
        there.then(|| self.token_of(id)).transpose()
    }

    fn token_of(&self, id: &str) -> Result<String> {
        Ok(format!("{id}.{}", &self.ring()?.fingerprint(&format!("invitation {id}"))[..TOKEN_LEN]))
    }

    /// The invitation of a link, while it can be taken up.
    pub async fn invited(&mut self, token: &str) -> Result<Option<Invitation>> {
        let (id, now) = (token.split('.').next().unwrap_or_default(), self.now);
        let found: Option<Invitation> = self.optional("select * from invitations where id = $1 and expires_at > $2", args![id, now]).await?;
        let same = bool::from(self.token_of(id)?.as_bytes().ct_eq(token.as_bytes()));
        Ok(found.filter(|_| same))
    }
}
