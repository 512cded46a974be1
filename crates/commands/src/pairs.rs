//! Pairs of a key and a secret that signs: for e24cloud's API, and for the host's S3 gateway.

use leasehold_domain::AccountId;
use leasehold_store::{
    Tx,
    activity::Actor,
    keys::{ApiKey, KeyKind},
};
use secrecy::SecretString;

use crate::{CommandError, Result};

/// What a pair of e24cloud's API may do: that, and nothing on the other surfaces.
pub const E24_SCOPE: &str = "e24";
/// What a pair of the S3 gateway may do.
pub const S3_SCOPES: &str = "storage:read,storage:write";
/// Pairs that an account may have at once.
const MOST: usize = 50;

/// Makes a pair for e24cloud's API, and one for the S3 gateway where the account has none.
pub async fn create(tx: &mut Tx, actor: &Actor, account: &AccountId, user: Option<&str>) -> Result<(ApiKey, SecretString)> {
    let pairs = active(tx, account).await?;
    if pairs.iter().filter(|k| k.kind == KeyKind::E24).count() >= MOST {
        return Err(CommandError::Refused(format!("the account has {MOST} keys of this kind; delete one first")));
    }
    if !pairs.iter().any(|k| k.kind == KeyKind::S3) {
        let (s3, _) = tx.create_pair(account, user, KeyKind::S3, S3_SCOPES).await?;
        tx.log(actor, "key.create", Some(account), None, &format!("s3 {}", s3.public_id)).await?;
    }
    let made = tx.create_pair(account, user, KeyKind::E24, E24_SCOPE).await?;
    tx.log(actor, "key.create", Some(account), None, &format!("e24 {}", made.0.public_id)).await?;
    Ok(made)
}

/// The pairs of an account that sign something.
pub async fn active(tx: &mut Tx, account: &AccountId) -> Result<Vec<ApiKey>> {
    let now = tx.now;
    let all = tx.keys(Some(account)).await?;
    Ok(all.into_iter().filter(|k| k.kind.signs() && k.is_active(now)).collect())
}

/// One of them, by its key; another account's is not found.
async fn find(tx: &mut Tx, account: &AccountId, kind: KeyKind, public: &str) -> Result<ApiKey> {
    let found = active(tx, account).await?.into_iter().find(|k| k.kind == kind && k.public_id == public);
    found.ok_or_else(|| CommandError::NotFound(format!("no key '{public}'")))
}

/// Gives a pair another secret; the one before signs nothing from now on. Whoever sees the secret acts as its person: a pair for e24cloud's
/// API is renewed by that one only, the account's pair for the S3 gateway becomes that of whoever renews it.
pub async fn renew(tx: &mut Tx, actor: &Actor, account: &AccountId, user: &str, kind: KeyKind, public: &str) -> Result<(ApiKey, SecretString)> {
    let key = find(tx, account, kind, public).await?;
    if kind == KeyKind::S3 {
        tx.give_key(&key.id, user).await?;
    } else if key.user_id.as_deref() != Some(user) {
        return Err(CommandError::Forbidden(format!("the key '{public}' is another member's; make one of your own")));
    }
    let secret = tx.renew_pair(&key.id).await?;
    tx.log(actor, "key.renew", Some(account), None, &format!("{kind} {public}")).await?;
    Ok((key, secret))
}

/// Ends a pair at once.
pub async fn delete(tx: &mut Tx, actor: &Actor, account: &AccountId, public: &str) -> Result<()> {
    let key = find(tx, account, KeyKind::E24, public).await?;
    tx.revoke_key(&key.id).await?;
    tx.drop_secrets("api_keys", &key.id, None).await?;
    tx.log(actor, "key.revoke", Some(account), None, public).await?;
    Ok(())
}
