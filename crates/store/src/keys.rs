//! API keys: prefix, public id, 256 random bits and a checksum. Only a keyed digest of the secret is stored.

use leasehold_domain::{AccountId, Timestamp, names};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use sqlx::FromRow;

use crate::{Result, StoreError, Tx, When, args};

names! {
    /// What a key is for.
    KeyKind {
        /// An account's own programs.
        Api = "api",
        /// A person's.
        Pat = "pat",
        /// One service's.
        Service = "service",
        /// A signing pair for the e24cloud dialect.
        E24 = "e24",
        /// The host's own staff and systems.
        Operator = "operator",
    }
}

/// A key as it is listed: never its secret.
#[derive(Clone, Debug, FromRow)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// Whose.
    pub account_id: Option<String>,
    /// What for.
    #[sqlx(try_from = "String")]
    pub kind: KeyKind,
    /// What it begins with, up to its public id.
    pub prefix: String,
    /// The part that may be shown.
    pub public_id: String,
    /// What it may do, separated by commas.
    pub scopes: String,
    /// When it was made.
    #[sqlx(try_from = "i64")]
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<When>,
    /// When it was revoked.
    pub revoked_at: Option<When>,
}

/// What is needed for a new key.
#[derive(Clone, Debug)]
pub struct NewKey<'a> {
    /// Whose; none for an operator's.
    pub account: Option<&'a AccountId>,
    /// What for.
    pub kind: KeyKind,
    /// What it begins with.
    pub prefix: &'a str,
    /// What it may do, separated by commas.
    pub scopes: &'a str,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

const ALPHABET: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZabcdefghjkmnpqrstvwxyz";
const PUBLIC_LEN: usize = 12;
/// 45 characters of an alphabet of 54 are more than 256 bits.
const SECRET_LEN: usize = 45;

impl Tx {
    /// Makes a key. The full text is in the answer and nowhere else.
    pub async fn create_key(&mut self, new: NewKey<'_>) -> Result<(ApiKey, SecretString)> {
        let ring = self.store.keys().cloned().ok_or_else(|| StoreError::Sealed("no key file is open; set [secrets] key_file".into()))?;
        let public = self.dice().text(ALPHABET, PUBLIC_LEN);
        let secret = self.dice().text(ALPHABET, SECRET_LEN);
        let checksum: String = Sha256::digest(format!("{public}{secret}")).iter().take(3).map(|b| format!("{b:02x}")).collect();
        let full = format!("{}{public}_{secret}{checksum}", new.prefix);
        let (id, now) = (self.new_id(), self.now);
        let sql = "insert into api_keys (id, account_id, kind, prefix, public_id, secret_hmac, scopes, created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let account = new.account.map(AccountId::as_str);
        self.exec_one(sql, args![&id, account, new.kind.as_str(), new.prefix, public, ring.fingerprint(&secret), new.scopes, now, new.expires_at]).await?;
        Ok((self.key(&id).await?, full.into()))
    }

    /// One key.
    pub async fn key(&mut self, id: &str) -> Result<ApiKey> {
        let sql = "select id, account_id, kind, prefix, public_id, scopes, created_at, expires_at, revoked_at from api_keys where id = $1 or public_id = $1";
        self.optional(sql, args![id]).await?.ok_or_else(|| StoreError::not_found("key", id))
    }

    /// The keys of an account, or the operators'.
    pub async fn keys(&mut self, account: Option<&AccountId>) -> Result<Vec<ApiKey>> {
        let sql = "select id, account_id, kind, prefix, public_id, scopes, created_at, expires_at, revoked_at from api_keys \
                   where ($1 is null and account_id is null) or account_id = $1 order by id";
        self.all(sql, args![account.map(AccountId::as_str)]).await
    }

    /// Ends a key at once.
    pub async fn revoke_key(&mut self, id: &str) -> Result<()> {
        let now = self.now;
        self.exec("update api_keys set revoked_at = $1 where id = $2 and revoked_at is null", args![now, id]).await?;
        Ok(())
    }
}
