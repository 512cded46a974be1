//! People: how they are called, and how they prove who they are.

use leasehold_domain::{AccountId, Timestamp, UserId};
use secrecy::SecretString;
use sqlx::FromRow;

use crate::{Result, StoreError, Tx, args, sealed::Place};

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

    /// Changes what is said of a person (given name, family name, phone) and of the account, where they are the owner whom its mails go to;
    /// documents that were issued stay as they are.
    pub async fn set_person(&mut self, account: &AccountId, id: &str, [first, last, phone]: [&str; 3], password: Option<&str>) -> Result<()> {
        let sql = "update users set first_name = $1, last_name = $2, phone = $3, password_hash = coalesce($4, password_hash) where id = $5";
        self.exec_one(sql, args![first, last, phone, password, id]).await?;
        let sql = "update accounts set first_name = $1, last_name = $2 where id = $3 and exists (select 1 from members m \
                   join users u on u.id = m.user_id where m.account_id = $3 and m.user_id = $4 and m.role = 'owner' and u.email = lower(accounts.email))";
        if self.exec(sql, args![first, last, account, id]).await? > 0 {
            self.name_buyer(account).await?;
        }
        Ok(())
    }

    /// Changes what a person signs in with, and their name.
    pub async fn rename_person(&mut self, id: &str, email: &str, first: &str, last: &str) -> Result<()> {
        let sql = "update users set email = $1, first_name = $2, last_name = $3 where id = $4";
        self.exec_one(sql, args![email.to_lowercase(), first, last, id]).await
    }

    /// The digest of a person's password, where they have one.
    pub async fn password_of(&mut self, user: &str) -> Result<Option<String>> {
        let (digest,): (Option<String>,) = self.one("select password_hash from users where id = $1", args![user]).await?;
        Ok(digest)
    }

    /// Counts a try to sign in with an address, whoever's it is, before it is known whether it is right. From the `most`th in a row on each
    /// locks the address until `locked_until`; until when it is locked already, where it is.
    pub async fn try_sign_in(&mut self, email: &str, most: i64, locked_until: Timestamp) -> Result<Option<Timestamp>> {
        let (who, now) = (self.tried(email)?, self.now);
        let sql = "insert into sign_in_tries (who, tries, tried_at) values ($1, 1, $2) on conflict (who) do update \
                   set tries = sign_in_tries.tries + 1, locked_until = case when sign_in_tries.tries + 1 >= $3 then $4 end, tried_at = $2 \
                   where sign_in_tries.locked_until is null or sign_in_tries.locked_until <= $2";
        if self.exec(sql, args![&who, now, most, locked_until]).await? == 1 {
            return Ok(None);
        }
        let (until,): (i64,) = self.one("select locked_until from sign_in_tries where who = $1", args![who]).await?;
        Ok(Some(Timestamp::from_millis(until)))
    }

    /// Addresses that nobody has are not kept in clear.
    fn tried(&self, email: &str) -> Result<String> {
        Ok(self.ring()?.fingerprint(&format!("sign-in of {}", email.to_lowercase())))
    }

    /// Forgets the tries with an address: one was right.
    pub async fn signed_in(&mut self, email: &str) -> Result<()> {
        let who = self.tried(email)?;
        self.exec("delete from sign_in_tries where who = $1", args![who]).await?;
        Ok(())
    }

    /// Forgets tries that were long ago.
    pub async fn prune_tries(&mut self, before: Timestamp) -> Result<u64> {
        self.exec("delete from sign_in_tries where tried_at < $1", args![before]).await
    }

    /// Uses a code of a second factor up; false where it, or one after it, was used before.
    pub async fn use_code(&mut self, user: &str, step: i64) -> Result<bool> {
        let sql = "update users set totp_step = $1 where id = $2 and (totp_step is null or totp_step < $1)";
        Ok(self.exec(sql, args![step, user]).await? == 1)
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
