//! Webhooks: where an account's programs are told what happens to it.

use base64::{Engine, engine::general_purpose::STANDARD};
use leasehold_domain::{AccountId, event::EventKind};
use leasehold_store::{Store, Tx, activity::Actor, webhooks::Webhook};
use secrecy::SecretString;
use url::Url;

use crate::{CommandError, Result, commit};

/// Webhooks that an account may have.
const MOST: usize = 10;
/// The longest address of one.
const URL_MAX: usize = 2000;

/// A new webhook.
#[derive(Clone, Copy, Debug)]
pub struct NewWebhook<'a> {
    /// Where.
    pub url: &'a str,
    /// What it is told, by name.
    pub events: &'a [String],
    /// Whether it may be plain HTTP.
    pub plain: bool,
}

/// What is wrong with an address, if anything. Where it leads is checked when it is called.
fn check_url(text: &str, plain: bool) -> Result<()> {
    let invalid = |why: &str| Err(CommandError::Invalid(format!("'url': {why}")));
    let Ok(url) = Url::parse(text) else { return invalid("it is no URL, like https://example.org/hook") };
    match url.scheme() {
        "https" => {}
        "http" if plain => {}
        _ => return invalid("it must begin with https://"),
    }
    if text.len() > URL_MAX {
        return invalid("it is longer than 2000 characters");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return invalid("it must hold no user and no password; deliveries are signed");
    }
    Ok(())
}

/// Makes a webhook of an account whose lock is held; its id and the secret that its deliveries are signed with.
pub async fn add(tx: &mut Tx, actor: &Actor, account: &AccountId, new: &NewWebhook<'_>) -> Result<(String, SecretString)> {
    check_url(new.url, new.plain)?;
    if new.events.is_empty() {
        return Err(CommandError::Invalid(format!("'events': name at least one of {}", known())));
    }
    let mut events = Vec::new();
    for name in new.events {
        let event: EventKind = name.parse().map_err(|_| CommandError::Invalid(format!("'events': unknown event '{name}' (known: {})", known())))?;
        events.push(event);
    }
    events.sort_unstable();
    events.dedup();
    if tx.webhooks(account).await?.len() >= MOST {
        return Err(CommandError::Refused(format!("the account has {MOST} webhooks, the most that it may have; delete one first")));
    }
    let secret = SecretString::from(format!("whsec_{}", STANDARD.encode(tx.dice().bytes::<32>())));
    let events = events.iter().map(|e| e.as_str()).collect::<Vec<_>>().join(",");
    let id = tx.insert_webhook(account, new.url, &events, &secret).await?;
    tx.log(actor, "webhook.create", Some(account), None, &id).await?;
    Ok((id, secret))
}

fn known() -> String {
    EventKind::ALL.iter().map(|e| e.as_str()).collect::<Vec<_>>().join(", ")
}

/// Forgets a webhook of an account.
pub async fn delete(store: &Store, actor: &Actor, account: &AccountId, id: &str) -> Result<()> {
    let mut tx = store.begin().await?;
    let webhook: Webhook = tx.webhook_of(account, id).await?;
    tx.delete_webhook(&webhook.id).await?;
    tx.log(actor, "webhook.delete", Some(account), None, id).await?;
    commit(tx).await
}

/// Tells something once more.
pub async fn redeliver(store: &Store, actor: &Actor, delivery: &str) -> Result<()> {
    let mut tx = store.begin().await?;
    if !tx.redeliver(delivery).await? {
        return Err(CommandError::NotFound(format!("no delivery '{delivery}'")));
    }
    tx.log(actor, "webhook.redeliver", None, None, delivery).await?;
    commit(tx).await
}
