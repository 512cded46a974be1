//! API keys.

use std::time::Duration;

use leasehold_domain::AccountId;
use leasehold_store::{
    Store, Tx,
    activity::Actor,
    keys::{ApiKey, KeyKind, NewKey, Service},
};
use secrecy::SecretString;

use crate::{CommandError, Result, commit, pairs};

/// Every scope that a key can carry, beside those of services.
pub const SCOPES: &[&str] = &[
    "*",
    "account:read",
    "api_keys:read",
    "api_keys:write",
    "billing:read",
    "servers:destroy",
    "servers:read",
    "servers:write",
    "services:read",
    "ssh_keys:read",
    "ssh_keys:write",
    "users",
    "webhooks:read",
    "webhooks:write",
];

/// What a key gets when nothing is said: everything but destroying servers.
pub const DEFAULT_SCOPES: &str = "account:read,billing:read,servers:read,servers:write,ssh_keys:read,ssh_keys:write";

/// The longest description.
const DESCRIPTION_MAX: usize = 200;
/// The longest life that a key can be given.
const LIFE_MAX: Duration = Duration::from_hours(24 * 3650);

/// What a key is to be.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// What for.
    pub kind: KeyKind,
    /// What it may do, separated by commas.
    pub scopes: String,
    /// The service that it is for, of that kind.
    pub service: Option<Service>,
    /// In its owner's words.
    pub description: Option<&'a str>,
    /// How long it lasts; none: until it is revoked.
    pub lasts: Option<Duration>,
    /// The member that an operator makes it for, by id or address; none: the account's owner.
    pub member: Option<&'a str>,
}

/// A word that some key can carry.
fn is_scope(text: &str) -> bool {
    SCOPES.contains(&text) || Service::ALL.iter().any(|service| service.scopes().split(',').any(|scope| scope == text))
}

fn check(wanted: &Wanted<'_>) -> Result<()> {
    if let Some(unknown) = wanted.scopes.split(',').find(|scope| !is_scope(scope)) {
        return Err(CommandError::Invalid(format!("unknown scope '{unknown}' (known: {})", SCOPES.join(", "))));
    }
    if wanted.description.is_some_and(|text| text.chars().count() > DESCRIPTION_MAX || text.chars().any(char::is_control)) {
        return Err(CommandError::Invalid(format!("a description has {DESCRIPTION_MAX} characters at most, and no line breaks")));
    }
    if wanted.lasts.is_some_and(|lasts| lasts.is_zero() || lasts > LIFE_MAX) {
        return Err(CommandError::Invalid(format!("a key lasts between a moment and {} days", LIFE_MAX.as_secs() / 86_400)));
    }
    Ok(())
}

/// Makes a key as an operator; the text in the answer is shown once.
pub async fn create(store: &Store, actor: &Actor, account: Option<&str>, prefix: &str, wanted: &Wanted<'_>) -> Result<(ApiKey, SecretString)> {
    check(wanted)?;
    if wanted.kind == KeyKind::S3 {
        return Err(CommandError::Invalid("an S3 pair comes with the first key of the kind e24".into()));
    }
    if (wanted.kind == KeyKind::Service) != wanted.service.is_some() {
        return Err(CommandError::Invalid("a key of the kind service needs --service, and no other has one".into()));
    }
    if account.is_none() != (wanted.kind == KeyKind::Operator) {
        return Err(CommandError::Invalid("an operator's key has no account, every other key needs --account".into()));
    }
    let mut tx = store.begin().await?;
    let account = match account {
        Some(text) => Some(tx.find_account(text).await?.id),
        None => None,
    };
    let user = match (&account, wanted.member) {
        (Some(account), Some(member)) => Some(tx.member_of(account, member).await?.user_id),
        _ => None,
    };
    let made = match (&account, wanted.kind) {
        (Some(account), KeyKind::E24) => pairs::create(&mut tx, actor, account, user.as_deref()).await?,
        _ => make(&mut tx, actor, account.as_ref(), user.as_deref(), prefix, wanted).await?,
    };
    commit(tx).await?;
    Ok(made)
}

/// Makes a key as another key asks for it: it has no scope that one lacks, and does not outlive it.
pub async fn mint(tx: &mut Tx, actor: &Actor, asks: &ApiKey, prefix: &str, wanted: &Wanted<'_>) -> Result<(ApiKey, SecretString)> {
    check(wanted)?;
    if let Some(lacking) = wanted.scopes.split(',').find(|scope| !asks.may(scope)) {
        return Err(CommandError::Forbidden(format!("the key lacks the scope '{lacking}', so it can make none that has it")));
    }
    let left = asks.expires_at.map(|at| at.0.since(tx.now));
    if let (Some(left), Some(lasts)) = (left, wanted.lasts)
        && lasts > left
    {
        return Err(CommandError::Invalid(format!("the key that asks ends in {} days, and can make none that lasts longer", left.as_secs() / 86_400)));
    }
    let account: Option<AccountId> = asks.account_id.clone().map(Into::into);
    let wanted = Wanted { lasts: wanted.lasts.or(left), ..wanted.clone() };
    make(tx, actor, account.as_ref(), asks.user_id.as_deref(), prefix, &wanted).await
}

async fn make(
    tx: &mut Tx,
    actor: &Actor,
    account: Option<&AccountId>,
    user: Option<&str>,
    prefix: &str,
    wanted: &Wanted<'_>,
) -> Result<(ApiKey, SecretString)> {
    let Wanted { kind, scopes, service, description, lasts, .. } = wanted;
    let expires_at = lasts.map(|lasts| tx.now + lasts);
    let new = NewKey { account, user, kind: *kind, prefix, scopes, service: *service, description: *description, expires_at };
    let made = tx.create_key(new).await?;
    tx.log(actor, "key.create", account, None, &format!("{kind} {}", made.0.public_id)).await?;
    Ok(made)
}

/// Ends a key at once, as an operator.
pub async fn revoke(store: &Store, actor: &Actor, id: &str) -> Result<ApiKey> {
    let mut tx = store.begin().await?;
    let key = tx.key(id).await?;
    end(tx, actor, key).await
}

/// Ends a key of an account at once.
pub async fn revoke_of(store: &Store, actor: &Actor, account: &AccountId, id: &str) -> Result<ApiKey> {
    let mut tx = store.begin().await?;
    let key = tx.key_of(account, id).await?;
    end(tx, actor, key).await
}

async fn end(mut tx: Tx, actor: &Actor, key: ApiKey) -> Result<ApiKey> {
    tx.revoke_key(&key.id).await?;
    tx.log(actor, "key.revoke", key.account_id.clone().map(Into::into).as_ref(), None, &key.public_id).await?;
    commit(tx).await?;
    Ok(key)
}
