//! What happens to a server, as it happens: server-sent events, so that nobody has to ask again and again.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::{Path, State},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream;
use leasehold_domain::{
    AccountId, ServerId,
    server::{Goal, Status},
};
use leasehold_store::{Tx, servers::Server};
use serde::Serialize;
use utoipa::ToSchema;

use super::view::{ProgressView, progress};
use crate::{
    Api,
    access::{Caller, For, ServersRead},
    failure::Failure,
    names,
};

/// How often a server is looked at for whoever listens.
const LOOK: Duration = Duration::from_secs(1);
/// How long one may listen; clients come back by themselves.
const LISTEN: Duration = Duration::from_mins(10);

/// Of one account, and in all, in one process.
const LISTENERS_OF_ACCOUNT: usize = 10;
const LISTENERS: usize = 500;

/// Who listens, by account.
#[derive(Clone, Default)]
pub(crate) struct Listeners(Arc<Mutex<HashMap<AccountId, usize>>>);

/// A place among the listeners, given back when it is dropped.
struct Place {
    all: Listeners,
    account: AccountId,
}

impl Listeners {
    fn take(&self, account: &AccountId) -> Option<Place> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.values().sum::<usize>() >= LISTENERS || places.get(account).is_some_and(|taken| *taken >= LISTENERS_OF_ACCOUNT) {
            return None;
        }
        *places.entry(account.clone()).or_default() += 1;
        Some(Place { all: self.clone(), account: account.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = places.get_mut(&self.account) {
            *taken -= 1;
        }
        places.retain(|_, taken| *taken > 0);
    }
}

/// How a server stands.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerEvent {
    id: String,
    #[schema(schema_with = names::status)]
    status: Status,
    status_reason: Option<String>,
    progress: Option<ProgressView>,
}

/// Somebody who listens.
struct Listener {
    api: Api,
    caller: Caller,
    server: ServerId,
    last: Option<ServerEvent>,
    until: Instant,
    over: bool,
    _place: Place,
}

impl Listener {
    /// Waits for something to tell.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        while !self.over && Instant::now() < self.until && !self.api.stopping.is_cancelled() {
            if self.last.is_some() {
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = self.api.stopping.cancelled() => return None,
                }
            }
            // Without an answer now there may be one the next time.
            let Ok(found) = self.look().await else {
                tokio::time::sleep(LOOK).await;
                continue;
            };
            let found = found?;
            if self.last.as_ref() != Some(&found) {
                self.over = found.status == Status::Terminated;
                let event = Event::default().event("server").json_data(&found).unwrap_or_default();
                self.last = Some(found);
                return Some((Ok(event), self));
            }
        }
        None
    }

    /// How the server stands; none where the caller may not see it any more.
    async fn look(&self) -> leasehold_store::Result<Option<ServerEvent>> {
        let mut tx = self.api.store.read().await?;
        let key = tx.key(&self.caller.key).await?;
        if key.revoked_at.is_some() || key.expires_at.is_some_and(|at| at.0 <= tx.now) {
            return Ok(None);
        }
        let s = tx.server(&self.server).await?;
        event(&mut tx, s).await.map(Some)
    }
}

async fn event(tx: &mut Tx, s: Server) -> leasehold_store::Result<ServerEvent> {
    let progress = progress(tx, &s).await?;
    let status_reason = if s.goal == Goal::Terminated && s.status != Status::Terminated { Some("terminating".into()) } else { s.status_reason };
    Ok(ServerEvent { id: s.id.0, status: s.status, status_reason, progress })
}

/// Tells how a server stands, at once and whenever its status or its step changes. Each event is called `server`; after ten minutes
/// the answer ends, and clients ask again.
#[utoipa::path(get, path = "/servers/{id}/events", tag = "servers", security(("key" = ["servers:read"])), params(("id" = String, Path)), responses(
    (status = 200, content((ServerEvent = "text/event-stream"))),
))]
pub(crate) async fn listen(State(api): State<Api>, caller: For<ServersRead>, Path(id): Path<String>) -> Result<Response, Failure> {
    let server = caller.server_id(&api.store, &id).await?;
    let place = api.listeners.take(&caller.account).ok_or_else(|| Failure::later("too many listen just now; try again"))?;
    let listener = Listener { caller: caller.clone(), server, last: None, until: Instant::now() + LISTEN, over: false, _place: place, api };
    // A proxy that gathers answers would hold them back.
    let at_once = [("x-accel-buffering", "no")];
    Ok((at_once, Sse::new(stream::unfold(listener, Listener::next)).keep_alive(KeepAlive::default())).into_response())
}
