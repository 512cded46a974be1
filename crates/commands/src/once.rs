//! A request that takes effect once, however often it is sent: its key is written with its effect, under the account's lock, so that
//! nothing is ever known to be half done.

use std::time::Duration;

use leasehold_store::{Store, Tx, accounts::Account};
use tokio::time::timeout;

use crate::{CommandError, Result, commit};

/// How long a request waits for another one of its account: an equal one that is being carried out, most of all.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// Longest key.
const KEY_MAX: usize = 255;

/// What makes two requests the same.
#[derive(Clone, Debug)]
pub struct Once {
    key: String,
    request: String,
}

impl Once {
    /// A key, 1 to 255 visible ASCII characters, and all that the request asks for: the same key never stands for two requests.
    pub fn new(key: &str, request: impl Into<String>) -> Result<Self> {
        if key.is_empty() || key.len() > KEY_MAX || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(CommandError::Invalid(format!("an idempotency key is 1 to {KEY_MAX} visible ASCII characters")));
        }
        Ok(Self { key: key.to_owned(), request: request.into() })
    }
}

/// What has come of a request so far.
pub enum Begun<A = Account> {
    /// It was carried out before; this was the answer.
    Before(String),
    /// It is to be carried out now.
    Now(Box<Open<A>>),
}

/// A transaction in which a request is carried out: an account's under its lock, or an operator's. Dropped, it changes nothing.
pub struct Open<A = Account> {
    /// The transaction.
    pub tx: Tx,
    /// Who asks.
    pub account: A,
    /// Whose keys are whose.
    owner: String,
    once: Option<Once>,
}

/// Begins to carry out a request of an account (id or number), unless that was done before.
pub async fn begin(store: &Store, account: &str, once: Option<Once>) -> Result<Begun> {
    let locked = async {
        let mut tx = store.begin().await?;
        let id = tx.find_account(account).await?.id;
        // The account's lock comes first: two requests with one key, or for the last coin, come one after the other.
        tx.books(&id).await?;
        let account = tx.account(&id).await?;
        Ok::<_, CommandError>((tx, account))
    };
    let waited = timeout(PATIENCE, Box::pin(locked)).await;
    let late = |_| match &once {
        Some(_) => CommandError::Underway("another request of this account is being carried out; try again".into()),
        None => CommandError::TryAgain("the account was not free in time; try again".into()),
    };
    let (mut tx, account) = waited.map_err(late)??;
    let owner = account.id.0.clone();
    Ok(match before(&mut tx, &owner, once.as_ref()).await? {
        Some(answer) => Begun::Before(answer),
        None => Begun::Now(Box::new(Open { tx, account, owner, once })),
    })
}

/// Begins to carry out a request of an operator, by the token's id, unless that was done before.
pub async fn begin_for_host(store: &Store, token: &str, once: Option<Once>) -> Result<Begun<()>> {
    let owner = format!("operator:{token}");
    let mut tx = store.begin().await?;
    let found = timeout(PATIENCE, Box::pin(before(&mut tx, &owner, once.as_ref()))).await;
    let found = found.map_err(|_| CommandError::Underway("an equal request is being carried out; try again".into()))?;
    Ok(match found? {
        Some(answer) => Begun::Before(answer),
        None => Begun::Now(Box::new(Open { tx, account: (), owner, once })),
    })
}

/// Writes a request's key, as the first thing of its effect's own transaction; the answer that was given where it was written before.
/// An equal request that is being carried out holds this one up until it is over.
async fn before(tx: &mut Tx, owner: &str, once: Option<&Once>) -> Result<Option<String>> {
    let Some(Once { key, request }) = once else { return Ok(None) };
    if tx.write_key(owner, key, request).await? {
        return Ok(None);
    }
    match tx.answered(owner, key).await? {
        Some((before, answer)) if before == *request => Ok(Some(answer)),
        _ => Err(CommandError::OtherRequest(format!("the key '{key}' was used for another request; use a new key for a new request"))),
    }
}

impl<A> Open<A> {
    /// Makes it so, and keeps the answer for whoever asks again.
    pub async fn end(mut self, answer: &str) -> Result<()> {
        if let Some(Once { key, .. }) = &self.once {
            self.tx.keep_answer(&self.owner, key, answer).await?;
        }
        commit(self.tx).await
    }
}
