//! Who asks, and what they may do. The key is looked up once a request; each handler names the scope that it needs by the type of
//! its argument, so that no handler of an account's things can be written without one.

use std::{marker::PhantomData, ops::Deref};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderName, StatusCode, header::AUTHORIZATION, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use leasehold_domain::{AccountId, ServerId};
use leasehold_store::{
    Store, Tx,
    activity::Actor,
    keys::{ApiKey, KeyKind, USED},
    servers::Server,
};

use crate::{Api, failure::Failure, limit::client, surface::Surface};

/// An account's program, by its key.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Whose key it is.
    pub(crate) account: AccountId,
    /// The key's id.
    pub(crate) key: String,
    row: ApiKey,
    /// For the activity log.
    pub(crate) actor: Actor,
}

impl Caller {
    fn of(key: ApiKey, origin: String) -> Option<Self> {
        let account: AccountId = key.account_id.clone()?.into();
        let actor = Actor { name: format!("key:{}", key.public_id), origin };
        Some(Self { account, key: key.id.clone(), row: key, actor })
    }

    /// The key itself.
    pub(crate) fn key(&self) -> &ApiKey {
        &self.row
    }

    /// One of its servers; another account's is not found. One that has ended is not shown.
    pub(crate) async fn server(&self, tx: &mut Tx, id: &str) -> Result<Server, Failure> {
        Ok(tx.server_of(&self.account, id).await?)
    }

    /// The id of one of its servers, by that id alone: labels are for people.
    pub(crate) async fn server_id(&self, store: &Store, id: &str) -> Result<ServerId, Failure> {
        Ok(self.server(&mut store.read().await?, id).await?.id)
    }
}

/// A program or a person of the host, by their token.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    /// The token's id.
    pub(crate) key: String,
    actor: Actor,
}

impl Deref for Operator {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.actor
    }
}

impl FromRequestParts<Api> for Operator {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Failure> {
        match parts.extensions.get::<Self>() {
            Some(operator) => Ok(operator.clone()),
            None if parts.extensions.get::<Caller>().is_some() => {
                Err(Failure::new(StatusCode::FORBIDDEN, "this is an account's key; an operator's token is needed"))
            }
            None => Err(Failure::new(StatusCode::UNAUTHORIZED, "a valid operator token is needed: Authorization: Bearer TOKEN")),
        }
    }
}

/// The key that a request comes with.
fn presented(request: &Request) -> Option<&str> {
    let text = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let bearer = text(AUTHORIZATION).and_then(|text| text.strip_prefix("Bearer "));
    let header = || text(KEY_HEADER).filter(|_| Surface::of(request.uri().path()).is_some_and(|surface| surface.key_header));
    bearer.or_else(header)
}

const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");

/// Looks the key up, if there is one, and leaves what was found with the request.
pub(crate) async fn find_out_who(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    if let Some(text) = presented(&request) {
        match look_up(&api.store, text.trim()).await {
            Ok(key) => {
                let origin = client(&api, &request);
                match key {
                    Some(key) if key.kind == KeyKind::Operator => {
                        let actor = Actor { name: format!("operator:{}", key.public_id), origin };
                        request.extensions_mut().insert(Operator { key: key.id, actor });
                    }
                    key => drop(key.and_then(|key| Caller::of(key, origin)).and_then(|caller| request.extensions_mut().insert(caller))),
                }
            }
            Err(error) => return Failure::from(error).into_response(),
        }
    }
    next.run(request).await
}

/// The key behind a text, if it is one; that it was used is noted.
async fn look_up(store: &Store, text: &str) -> leasehold_store::Result<Option<ApiKey>> {
    let mut tx = store.read().await?;
    let key = tx.key_presented(text).await?;
    let now = tx.now;
    drop(tx);
    if let Some(key) = &key
        && key.last_used_at.is_none_or(|at| now.since(at.0) >= USED)
    {
        let mut tx = store.begin().await?;
        tx.key_used(&key.id).await?;
        tx.commit().await?;
    }
    Ok(key)
}

/// What a handler needs the key for.
pub trait Scope: Send + Sync {
    /// Its name, as keys carry it.
    const NAME: &'static str;
}

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;
        impl Scope for $name { const NAME: &'static str = $text; }
    )+ };
}

scopes! {
    /// Its account and the catalogue.
    AccountRead = "account:read",
    /// Its keys.
    ApiKeysRead = "api_keys:read",
    /// Making and revoking keys.
    ApiKeysWrite = "api_keys:write",
    /// Invoices and movements.
    BillingRead = "billing:read",
    /// Ending and reinstalling servers.
    ServersDestroy = "servers:destroy",
    /// Its servers.
    ServersRead = "servers:read",
    /// Ordering and changing servers.
    ServersWrite = "servers:write",
    /// What it has running.
    ServicesRead = "services:read",
    /// Its SSH keys.
    SshKeysRead = "ssh_keys:read",
    /// Adding and removing SSH keys.
    SshKeysWrite = "ssh_keys:write",
    /// Its webhooks.
    WebhooksRead = "webhooks:read",
    /// Making and deleting webhooks.
    WebhooksWrite = "webhooks:write",
}

/// A caller that has the scope `S`.
pub(crate) struct For<S> {
    caller: Caller,
    scope: PhantomData<S>,
}

impl<S> Deref for For<S> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl<S: Scope> FromRequestParts<Api> for For<S> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Failure> {
        let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(Failure::unknown_key)?;
        if caller.row.may(S::NAME) { Ok(Self { caller, scope: PhantomData }) } else { Err(Failure::lacks(S::NAME)) }
    }
}
