//! So many requests a minute a key, or an address without one. On PostgreSQL all processes count together, in one row a minute.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};
use leasehold_domain::Timestamp;
use leasehold_store::Store;

use crate::{
    Api,
    access::{Caller, Operator},
    failure::Failure,
};

const MINUTE_MS: i64 = 60_000;

/// Counts requests by the minute.
pub(crate) struct Limiter {
    per_minute: i64,
    /// Where one process serves all: the minute, and who asked how often in it.
    here: Mutex<(i64, HashMap<String, i64>)>,
}

impl Limiter {
    pub(crate) fn new(per_minute: i64) -> Self {
        Self { per_minute, here: Mutex::default() }
    }

    /// Takes one of what a bucket holds for this minute.
    pub(crate) async fn take(&self, store: &Store, bucket: Bucket, key: &str) -> Result<(), Failure> {
        let now = store.clock().now();
        let minute = now.as_millis().div_euclid(MINUTE_MS);
        let n = self.one_more(store, &format!("{}:{key}", bucket.name()), minute).await?;
        if n > bucket.per_minute() {
            return Err(Failure::too_many(Timestamp::from_millis((minute + 1) * MINUTE_MS).since(now)));
        }
        Ok(())
    }

    /// Counts one more request; how many that makes in this minute.
    async fn one_more(&self, store: &Store, who: &str, minute: i64) -> leasehold_store::Result<i64> {
        if store.is_sqlite() {
            let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
            if here.0 != minute {
                *here = (minute, HashMap::new());
            }
            let n = here.1.entry(who.to_owned()).or_default();
            *n += 1;
            return Ok(*n);
        }
        let mut tx = store.begin().await?;
        let n = tx.count_call(who, minute).await?;
        tx.commit().await?;
        Ok(n)
    }
}

/// What is counted beside all requests, since it could be used for guessing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bucket {
    /// Looking at coupons.
    Coupons,
}

impl Bucket {
    const fn name(self) -> &'static str {
        match self {
            Self::Coupons => "coupons",
        }
    }

    const fn per_minute(self) -> i64 {
        match self {
            Self::Coupons => 20,
        }
    }
}

/// Where a request came from.
pub(crate) fn client(api: &Api, request: &Request) -> String {
    let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() else { return "unknown".into() };
    let trusted = |ip: &IpAddr| api.settings.trusted_proxies.contains(ip);
    let forwarded = request.headers().get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    let forwarded: Vec<IpAddr> = forwarded.filter_map(|ip| ip.trim().parse().ok()).collect();
    // Each proxy adds whom it saw at the end: what stands before the last that is not ours could have been made up.
    let hops = std::iter::once(peer.ip()).chain(forwarded.into_iter().rev());
    let mut last = peer.ip();
    for hop in hops {
        last = hop;
        if !trusted(&hop) {
            break;
        }
    }
    last.to_string()
}

/// Never counted: whoever floods the rest must not have a load balancer take the process for dead.
const HEALTH: &[&str] = &["/healthz", "/metrics", "/readyz"];

/// Counts a request, refuses what is too much, and says on every answer how much is left.
pub(crate) async fn count(State(api): State<Api>, request: Request, next: Next) -> Response {
    if HEALTH.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let extensions = request.extensions();
    let key = extensions.get::<Caller>().map(|caller| &caller.key).or(extensions.get::<Operator>().map(|operator| &operator.key));
    let who = key.map_or_else(|| format!("address:{}", client(&api, &request)), |key| format!("key:{key}"));
    let now = api.store.clock().now();
    let minute = now.as_millis().div_euclid(MINUTE_MS);
    let n = match api.limiter.one_more(&api.store, &who, minute).await {
        Ok(n) => n,
        Err(error) => return Failure::from(error).into_response(),
    };
    let (most, reset) = (api.limiter.per_minute, (minute + 1) * MINUTE_MS);
    let mut response = if n > most { Failure::too_many(Timestamp::from_millis(reset).since(now)).into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    say(headers, "x-ratelimit-limit", most);
    say(headers, "x-ratelimit-remaining", (most - n).max(0));
    say(headers, "x-ratelimit-reset", reset / 1000);
    response
}

fn say(headers: &mut HeaderMap, name: &'static str, value: i64) {
    headers.insert(name, HeaderValue::from(value));
}
