//! API keys: prefix, public id, 256 random bits and a checksum. Only a keyed digest of the secret is stored.

use std::time::Duration;

use leasehold_domain::{AccountId, Timestamp, hex, names, role::Role};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use sqlx::FromRow;
use subtle::ConstantTimeEq;

use crate::{Result, StoreError, Text, Tx, When, args};

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
        /// A signing pair for the host's S3 gateway.
        S3 = "s3",
        /// The host's own staff and systems.
        Operator = "operator",
    }
}

impl KeyKind {
    /// Whether it is a pair that signs.
    pub const fn signs(self) -> bool {
        matches!(self, Self::E24 | Self::S3)
    }
}

names! {
    /// What a service's key is for.
    Service {
        /// Databases.
        Database = "database",
        /// Storage.
        Storage = "storage",
        /// Language models.
        LlmApi = "llm-api",
        /// Names.
        Dns = "dns",
        /// Servers: ours.
        Vps = "vps",
    }
}

impl Service {
    /// What a key for it may do. Servers are ended by none.
    pub fn scopes(self) -> String {
        match self {
            Self::Vps => "servers:read,servers:write".into(),
            other => format!("{other}:read,{other}:write"),
        }
    }
}

/// The columns of a key as it is listed.
macro_rules! listed {
    () => {
        "id, account_id, user_id, kind, prefix, public_id, scopes, service, description, created_at, expires_at, revoked_at, last_used_at, \
         (select m.role from members m where m.account_id = api_keys.account_id and m.user_id = api_keys.user_id) as role"
    };
}

/// A key as it is listed: never its secret.
#[derive(Clone, Debug, FromRow)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// Whose.
    pub account_id: Option<String>,
    /// The person that it speaks for.
    pub user_id: Option<String>,
    /// What for.
    #[sqlx(try_from = "String")]
    pub kind: KeyKind,
    /// What it begins with, up to its public id.
    pub prefix: String,
    /// The part that may be shown.
    pub public_id: String,
    /// What it may do, separated by commas.
    pub scopes: String,
    /// The service that it is for.
    pub service: Option<Text<Service>>,
    /// In its owner's words.
    pub description: Option<String>,
    /// When it was made.
    #[sqlx(try_from = "i64")]
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<When>,
    /// When it was revoked.
    pub revoked_at: Option<When>,
    /// When it was used last, to the minute.
    pub last_used_at: Option<When>,
    /// As what its person acts for the account now; none where they do not any more, and of operators' keys.
    pub role: Option<Text<Role>>,
}

impl ApiKey {
    /// Whether it has a scope, and its person's role allows it.
    pub fn may(&self, scope: &str) -> bool {
        self.carries(scope) && self.role_may(scope)
    }

    /// Whether it was given a scope.
    pub fn carries(&self, scope: &str) -> bool {
        self.scopes.split(',').any(|has| has == scope || has == "*")
    }

    /// Whether its person's role allows what a scope is for.
    pub fn role_may(&self, scope: &str) -> bool {
        self.account_id.is_none() || self.role.is_some_and(|role| role.0.may(scope))
    }

    /// Whether its person runs the account: invites others, sees what opens a server.
    pub fn runs_it(&self) -> bool {
        self.role.is_some_and(|role| role.0.runs_it())
    }

    /// What may be shown of its text.
    pub fn shown(&self) -> String {
        format!("{}{}", self.prefix, self.public_id)
    }

    /// Whether it opens anything.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| at.0 > now)
    }
}

/// What is needed for a new key.
#[derive(Clone, Debug)]
pub struct NewKey<'a> {
    /// Whose; none for an operator's.
    pub account: Option<&'a AccountId>,
    /// The person that it speaks for; none: the account's owner.
    pub user: Option<&'a str>,
    /// What for.
    pub kind: KeyKind,
    /// What it begins with.
    pub prefix: &'a str,
    /// What it may do, separated by commas.
    pub scopes: &'a str,
    /// The service that it is for.
    pub service: Option<Service>,
    /// In its owner's words.
    pub description: Option<&'a str>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

pub(crate) const ALPHABET: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZabcdefghjkmnpqrstvwxyz";
const PUBLIC_LEN: usize = 12;
/// 45 characters of an alphabet of 54 are more than 256 bits.
const SECRET_LEN: usize = 45;

/// How exactly it is known when a key was used last.
pub const USED: Duration = Duration::from_mins(1);
/// Of the checksum, hexadecimal.
const CHECKSUM_LEN: usize = 6;

fn checksum(public: &str, secret: &str) -> String {
    hex(&Sha256::digest(format!("{public}{secret}"))[..CHECKSUM_LEN / 2])
}

/// The parts of a key's text.
struct Presented<'a> {
    prefix: &'a str,
    public: &'a str,
    secret: &'a str,
}

impl<'a> Presented<'a> {
    /// None where it cannot be a key of ours: most typing errors never reach the database.
    fn read(text: &'a str) -> Option<Self> {
        let (head, tail) = text.rsplit_once('_')?;
        let (secret, check) = tail.split_at_checked(SECRET_LEN)?;
        let (prefix, public) = head.split_at_checked(head.len().checked_sub(PUBLIC_LEN)?)?;
        (checksum(public, secret) == check).then_some(Self { prefix, public, secret })
    }
}

#[derive(FromRow)]
struct Kept {
    #[sqlx(flatten)]
    key: ApiKey,
    secret_hmac: String,
}

impl Tx {
    /// Chance that nobody guesses.
    pub(crate) fn new_secret(&self) -> String {
        self.dice().text(ALPHABET, SECRET_LEN)
    }

    /// Makes a key. The full text is in the answer and nowhere else.
    pub async fn create_key(&mut self, new: NewKey<'_>) -> Result<(ApiKey, SecretString)> {
        let (public, secret) = (self.dice().text(ALPHABET, PUBLIC_LEN), self.new_secret());
        let full = format!("{}{public}_{secret}{}", new.prefix, checksum(&public, &secret));
        let digest = self.ring()?.fingerprint(&secret);
        let id = self.insert_key(&new, &public, &digest).await?;
        Ok((self.key(&id).await?, full.into()))
    }

    /// Writes a key's row; its id.
    pub(crate) async fn insert_key(&mut self, new: &NewKey<'_>, public: &str, digest: &str) -> Result<String> {
        let (id, now) = (self.new_id(), self.now);
        let sql = "insert into api_keys (id, account_id, user_id, kind, prefix, public_id, secret_hmac, scopes, service, description, created_at, expires_at) \
                   values ($1, $2, coalesce($3, (select user_id from members where account_id = $2 and role = 'owner' order by user_id limit 1)), \
                   $4, $5, $6, $7, $8, $9, $10, $11, $12)";
        let (account, service, kind) = (new.account.map(AccountId::as_str), new.service.map(Service::as_str), new.kind.as_str());
        let values = args![&id, account, new.user, kind, new.prefix, public, digest, new.scopes, service, new.description, now, new.expires_at];
        self.exec_one(sql, values).await?;
        Ok(id)
    }

    /// The key with this public id, whatever its state.
    pub(crate) async fn key_named(&mut self, public: &str) -> Result<Option<ApiKey>> {
        self.optional(concat!("select ", listed!(), " from api_keys where public_id = $1"), args![public]).await
    }

    /// One key.
    pub async fn key(&mut self, id: &str) -> Result<ApiKey> {
        let sql = concat!("select ", listed!(), " from api_keys where id = $1 or public_id = $1");
        self.optional(sql, args![id]).await?.ok_or_else(|| StoreError::not_found("key", id))
    }

    /// A key of an account; another's is not found.
    pub async fn key_of(&mut self, account: &AccountId, id: &str) -> Result<ApiKey> {
        let sql = concat!("select ", listed!(), " from api_keys where id = $1 and account_id = $2");
        self.optional(sql, args![id, account]).await?.ok_or_else(|| StoreError::not_found("API key", id))
    }

    /// The key that somebody presents, if it is whole, known, and neither revoked nor expired. Compared in constant time.
    pub async fn key_presented(&mut self, text: &str) -> Result<Option<ApiKey>> {
        let Some(Presented { prefix, public, secret }) = Presented::read(text) else { return Ok(None) };
        let ring = self.ring()?;
        let sql = concat!("select ", listed!(), ", secret_hmac from api_keys where public_id = $1");
        let Some(Kept { key, secret_hmac }) = self.optional(sql, args![public]).await? else { return Ok(None) };
        let same = bool::from(ring.fingerprint(secret).as_bytes().ct_eq(secret_hmac.as_bytes())) && key.prefix == prefix;
        let active = key.is_active(self.now);
        Ok(Some(key).filter(|_| same && active))
    }

    /// Notes that a key was used, at most once a minute.
    pub async fn key_used(&mut self, id: &str) -> Result<()> {
        let now = self.now;
        let sql = "update api_keys set last_used_at = $1 where id = $2 and (last_used_at is null or last_used_at <= $3)";
        self.exec(sql, args![now, id, now - USED]).await?;
        Ok(())
    }

    /// The keys of an account, or the operators'.
    pub async fn keys(&mut self, account: Option<&AccountId>) -> Result<Vec<ApiKey>> {
        let sql = concat!("select ", listed!(), " from api_keys where ($1 is null and account_id is null) or account_id = $1 order by id");
        self.all(sql, args![account.map(AccountId::as_str)]).await
    }

    /// Has a key speak for another member of its account.
    pub async fn give_key(&mut self, id: &str, user: &str) -> Result<()> {
        self.exec_one("update api_keys set user_id = $1 where id = $2", args![user, id]).await
    }

    /// Ends a key at once.
    pub async fn revoke_key(&mut self, id: &str) -> Result<()> {
        let now = self.now;
        self.exec("update api_keys set revoked_at = $1 where id = $2 and revoked_at is null", args![now, id]).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_whole_or_not_at_all() {
        let (public, secret) = ("0123456789AB", "0".repeat(SECRET_LEN));
        let full = format!("lsh_{public}_{secret}{}", checksum(public, &secret));
        let read = Presented::read(&full).unwrap();
        assert_eq!((read.prefix, read.public, read.secret), ("lsh_", public, secret.as_str()));
        for broken in [&full[..full.len() - 1], &full[1..20], "", "_", "lsh_", &full.replace('1', "2"), "ä_ä", &format!("{full}x")] {
            assert!(Presented::read(broken).is_none(), "{broken}");
        }
    }
}
