//! Who asks, and what they may do. The key is looked up once a request; each handler names the scope that it needs by the type of
//! its argument, so that no handler of an account's things can be written without one.

use std::{marker::PhantomData, ops::Deref};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderName, StatusCode, header::AUTHORIZATION, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use leasehold_commands::members::By;
use leasehold_domain::{AccountId, ServerId};
use leasehold_store::{
    Store, Tx,
    activity::Actor,
    keys::{ApiKey, KeyKind, USED},
    servers::Server,
};

use crate::{
    Api,
    e24cloud::signed,
    failure::Failure,
    limit::client,
    surface::{Auth, Surface},
};

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

    /// The person that the key speaks for.
    pub(crate) fn user(&self) -> Result<&str, Failure> {
        self.row.user_id.as_deref().ok_or_else(|| Failure::new(StatusCode::FORBIDDEN, "the key speaks for nobody; use one that was made for a person"))
    }

    /// The same, as whoever changes something about members.
    pub(crate) fn as_member(&self) -> Result<By<'_>, Failure> {
        self.user().map(By::Member)
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
    let header = || text(KEY_HEADER).filter(|_| auth_of(request) == Auth::KeyHeader);
    bearer.or_else(header)
}

fn auth_of(request: &Request) -> Auth {
    Surface::of(request.uri().path()).map_or(Auth::Bearer, |surface| surface.auth)
}

const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");

/// Finds the key that a request was sent with, if there is one, and leaves it with the request.
pub(crate) async fn find_out_who(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (mut request, found) = match find(&api, request).await {
        Ok(found) => found,
        Err(failure) => return failure.into_response(),
    };
    if let Some(key) = found {
        let origin = client(&api, &request);
        if key.kind == KeyKind::Operator {
            let actor = Actor { name: format!("operator:{}", key.public_id), origin };
            request.extensions_mut().insert(Operator { key: key.id, actor });
        } else if let Some(caller) = Caller::of(key, origin) {
            request.extensions_mut().insert(caller);
        }
    }
    next.run(request).await
}

/// The key, and the request whole; that the key was used is noted.
async fn find(api: &Api, request: Request) -> Result<(Request, Option<ApiKey>), Failure> {
    let (request, key) = if auth_of(&request) == Auth::Signed {
        signed::key_of(api, request).await?
    } else {
        let key = match presented(&request) {
            Some(text) => api.store.read().await?.key_presented(text.trim()).await?,
            None => None,
        };
        (request, key)
    };
    let now = api.store.clock().now();
    if let Some(key) = &key
        && key.last_used_at.is_none_or(|at| now.since(at.0) >= USED)
    {
        let mut tx = api.store.begin().await?;
        tx.key_used(&key.id).await?;
        tx.commit().await?;
    }
    Ok((request, key))
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
    /// Everything on the signed surface, and nothing elsewhere.
    E24 = "e24",
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
    /// The people behind it, and their accounts.
    Users = "users",
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
        if !caller.row.carries(S::NAME) {
            return Err(Failure::lacks(S::NAME));
        }
        if !caller.row.role_may(S::NAME) {
            return Err(Failure::role_lacks(S::NAME));
        }
        Ok(Self { caller, scope: PhantomData })
    }
}
