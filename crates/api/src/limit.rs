//! So many requests a minute a key, or an address without one. On PostgreSQL all processes count together, in one row a minute.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
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
            if minute > here.0 {
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
    let forwarded = request.headers().get_all("x-forwarded-for").iter().map(|value| value.to_str().unwrap_or_default());
    origin(peer.ip(), &forwarded.collect::<Vec<_>>().join(","), &api.settings.trusted_proxies).to_string()
}

/// The last hop before those that are ours. Each proxy adds whom it saw at the end: what stands before the last that is not ours, or
/// before something that is no address, could have been made up.
fn origin(peer: IpAddr, forwarded: &str, trusted: &[IpAddr]) -> IpAddr {
    let mut last = peer.to_canonical();
    for hop in forwarded.rsplit(',').map(str::trim).filter(|hop| !hop.is_empty()) {
        let Ok(hop) = hop.parse::<IpAddr>() else { break };
        if !trusted.contains(&last) {
            break;
        }
        last = hop.to_canonical();
    }
    last
}

/// Who counts as one: a household has a whole network of IPv6.
fn household(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V6(ip)) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).to_string(),
        _ => address.to_owned(),
    }
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
    let who = key.map_or_else(|| format!("address:{}", household(&client(&api, &request))), |key| format!("key:{key}"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_makes_up_where_he_comes_from() {
        let ours: &[IpAddr] = &["127.0.0.1".parse().unwrap(), "10.0.0.1".parse().unwrap()];
        let from = |peer: &str, forwarded: &str| origin(peer.parse().unwrap(), forwarded, ours).to_string();
        assert_eq!(from("192.0.2.1", ""), "192.0.2.1");
        assert_eq!(from("192.0.2.1", "198.51.100.9"), "192.0.2.1", "a stranger's word");
        assert_eq!(from("127.0.0.1", "198.51.100.9"), "198.51.100.9");
        assert_eq!(from("::ffff:127.0.0.1", "198.51.100.9"), "198.51.100.9");
        assert_eq!(from("127.0.0.1", "203.0.113.7, 198.51.100.9, 10.0.0.1"), "198.51.100.9", "the last that is not ours");
        assert_eq!(from("127.0.0.1", "203.0.113.7, 198.51.100.9:1234"), "127.0.0.1", "what is no address ends it");
        assert_eq!((household("2001:db8:1:2:3:4:5:6"), household("192.0.2.1")), ("2001:db8:1:2::".into(), "192.0.2.1".into()));
    }
}
