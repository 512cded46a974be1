//! Links that sign a person in, once.

use leasehold_domain::{AccountId, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use sqlx::FromRow;

use crate::{Result, Tx, args, keys::ALPHABET};

/// Who was signed in by a link, and where to.
#[derive(Clone, Debug, FromRow)]
pub struct SignedIn {
    /// The account that the link was made for.
    pub account_id: String,
    /// Its number.
    pub number: i64,
    /// The person.
    pub user_id: String,
    /// The person's address.
    pub email: String,
    /// The path in the panel.
    pub next: String,
}

/// Programs that ask for one-time passwords expect 48 characters at least.
const SECRET_LEN: usize = 48;

impl Tx {
    fn digest(&self, secret: &str) -> Result<String> {
        Ok(self.ring()?.fingerprint(&format!("sign-in {secret}")))
    }

    /// Makes a link for a person who acts for an account; its secret is in the answer and nowhere else.
    pub async fn create_sign_in(&mut self, account: &AccountId, user: &str, next: &str, expires_at: Timestamp) -> Result<SecretString> {
        let secret = SecretString::from(self.dice().text(ALPHABET, SECRET_LEN));
        let (digest, now) = (self.digest(secret.expose_secret())?, self.now);
        let sql = "insert into sign_in_links (digest, account_id, user_id, next, created_at, expires_at) \
                   select $1, account_id, user_id, $2, $3, $4 from members where account_id = $5 and user_id = $6";
        self.exec_one(sql, args![digest, next, now, expires_at, account, user]).await?;
        Ok(secret)
    }

    /// Uses a link up; none when it was used, is over, or never was.
    pub async fn use_sign_in(&mut self, secret: &str) -> Result<Option<SignedIn>> {
        let (digest, now) = (self.digest(secret)?, self.now);
        if self.exec("update sign_in_links set used_at = $1 where digest = $2 and used_at is null and expires_at > $1", args![now, &digest]).await? == 0 {
            return Ok(None);
        }
        let sql = "select l.account_id, a.number, l.user_id, u.email, l.next from sign_in_links l join accounts a on a.id = l.account_id \
                   join users u on u.id = l.user_id where l.digest = $1";
        self.optional(sql, args![digest]).await
    }

    /// Forgets links that are over.
    pub async fn prune_sign_in(&mut self, before: Timestamp) -> Result<u64> {
        self.exec("delete from sign_in_links where expires_at < $1", args![before]).await
    }
}
