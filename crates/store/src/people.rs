//! People: how they are called, and how they prove who they are.

use leasehold_domain::{AccountId, Timestamp, UserId};
use secrecy::SecretString;
use sqlx::FromRow;

use crate::{Result, StoreError, Tx, When, args, sealed::Place};

/// Somebody who acts for accounts.
#[derive(Clone, Debug, FromRow)]
pub struct Person {
    /// Their id.
    pub id: String,
    /// Their address, in lower case: what they sign in with.
    pub email: String,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// Where to call back.
    pub phone: Option<String>,
}

/// What somebody is asked who signs in.
#[derive(Clone, Debug, FromRow)]
pub struct Proof {
    /// Who.
    pub id: String,
    /// The digest of their password, where they have one.
    pub password_hash: Option<String>,
    /// The 30 seconds in which a code of theirs was used last.
    pub totp_step: Option<i64>,
    /// Wrong tries since the last right one.
    pub failures: i64,
    /// Until when they are not asked.
    pub locked_until: Option<When>,
}

fn totp(user: &str) -> Place<'_> {
    Place { table: "users", column: "totp", id: user }
}

fn new_totp(user: &str) -> Place<'_> {
    Place { table: "users", column: "totp_new", id: user }
}

impl Tx {
    /// The person of this address, who is made where there is none; their id.
    pub async fn add_person(&mut self, email: &str, first: &str, last: &str, password: Option<&str>) -> Result<String> {
        let (id, now) = (UserId(self.new_id()), self.now);
        let sql = "insert into users (id, email, first_name, last_name, password_hash, created_at) values ($1, $2, $3, $4, $5, $6) on conflict do nothing";
        self.exec(sql, args![&id, email.to_lowercase(), first, last, password, now]).await?;
        let found = self.person_called(email).await?;
        found.map(|person| person.id).ok_or_else(|| StoreError::not_found("user", email))
    }

    /// One person.
    pub async fn person(&mut self, id: &str) -> Result<Person> {
        let sql = "select id, email, first_name, last_name, phone from users where id = $1";
        self.optional(sql, args![id]).await?.ok_or_else(|| StoreError::not_found("user", id))
    }

    /// The person of this address.
    pub async fn person_called(&mut self, email: &str) -> Result<Option<Person>> {
        let sql = "select id, email, first_name, last_name, phone from users where email = $1";
        self.optional(sql, args![email.to_lowercase()]).await
    }

    /// Changes what is said of a person (given name, family name, phone) and of the account, where it is theirs; documents that were issued
    /// stay as they are.
    pub async fn set_person(&mut self, account: &AccountId, id: &str, [first, last, phone]: [&str; 3], password: Option<&str>) -> Result<()> {
        let sql = "update users set first_name = $1, last_name = $2, phone = $3, password_hash = coalesce($4, password_hash) where id = $5";
        self.exec_one(sql, args![first, last, phone, password, id]).await?;
        let sql = "update accounts set first_name = $1, last_name = $2 where id = $3 \
                   and exists (select 1 from members m where m.account_id = $3 and m.user_id = $4 and m.role = 'owner')";
        if self.exec(sql, args![first, last, account, id]).await? > 0 {
            self.name_buyer(account).await?;
        }
        Ok(())
    }

    /// What the person of this address is asked. The row is locked: who guesses in parallel guesses one by one.
    pub async fn proof(&mut self, email: &str) -> Result<Option<Proof>> {
        let sql = "select id, password_hash, totp_step, failures, locked_until from users where email = $1 {lock}";
        self.optional(sql, args![email.to_lowercase()]).await
    }

    /// Notes a try before it is known whether it is right, and until when there are no more if it is not.
    pub async fn trying(&mut self, user: &str, locked_until: Option<Timestamp>) -> Result<()> {
        self.exec_one("update users set failures = failures + 1, locked_until = $1 where id = $2", args![locked_until, user]).await
    }

    /// Notes a right try, and which code was used up by it; false where that one was used before.
    pub async fn proven(&mut self, user: &str, totp_step: Option<i64>) -> Result<bool> {
        let sql = "update users set failures = 0, locked_until = null, totp_step = coalesce($1, totp_step) \
                   where id = $2 and ($1 is null or totp_step is null or totp_step < $1)";
        Ok(self.exec(sql, args![totp_step, user]).await? == 1)
    }

    /// The secret of a person's second factor, where it is on.
    pub async fn totp(&mut self, user: &str) -> Result<Option<SecretString>> {
        self.secret(totp(user)).await
    }

    /// The secret of a second factor that is not on yet.
    pub async fn new_totp(&mut self, user: &str) -> Result<Option<SecretString>> {
        self.secret(new_totp(user)).await
    }

    /// Keeps the secret of a second factor until a code shows that the person has it.
    pub async fn propose_totp(&mut self, user: &str, secret: &SecretString) -> Result<()> {
        self.put_secret(new_totp(user), secret).await
    }

    /// Turns a second factor on, with the code that was used for it.
    pub async fn confirm_totp(&mut self, user: &str, step: i64) -> Result<()> {
        self.move_secret(new_totp(user), "totp").await?;
        self.exec_one("update users set totp_step = $1 where id = $2", args![step, user]).await
    }

    /// Turns a second factor off.
    pub async fn drop_totp(&mut self, user: &str) -> Result<()> {
        self.drop_secrets("users", user, None).await?;
        self.exec_one("update users set totp_step = null where id = $1", args![user]).await
    }
}
