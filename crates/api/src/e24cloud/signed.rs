//! Signed requests: `Authorization: KEY:SIGNATURE` and `X-Date`. What is wrong with one is never said: whoever tries learns nothing.

use std::time::{Duration, SystemTime};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{
        header::{AUTHORIZATION, HOST},
        request::Parts,
    },
};
use leasehold_commands::signatures::signs_e24;
use leasehold_domain::Timestamp;
use leasehold_store::keys::{ApiKey, KeyKind};
use secrecy::ExposeSecret;

use crate::{Api, failure::Failure, request::bytes};

/// How far the date of a request may be from now.
const AWAY: Duration = Duration::from_mins(15);

/// The key that a request is signed with, if it is; the request is given back whole.
pub(crate) async fn key_of(api: &Api, request: Request) -> Result<(Request, Option<ApiKey>), Failure> {
    let (parts, body) = request.into_parts();
    if !parts.headers.contains_key(AUTHORIZATION) {
        return Ok((Request::from_parts(parts, body), None));
    }
    let body = bytes(Request::from_parts(parts.clone(), body), api).await?;
    let key = find(api, &parts, &body).await?;
    Ok((Request::from_parts(parts, Body::from(body)), key))
}

async fn find(api: &Api, parts: &Parts, body: &Bytes) -> Result<Option<ApiKey>, Failure> {
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let named = header(AUTHORIZATION.as_str()).and_then(|text| text.split_once(':'));
    let (Some((public, signature)), Some(date), Some(host)) = (named, header("x-date"), header(HOST.as_str())) else { return Ok(None) };
    if !is_now(date, api.store.clock().now()) {
        return Ok(None);
    }
    let Some((key, secret)) = api.store.read().await?.pair(KeyKind::E24, public).await? else { return Ok(None) };
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let signs = signs_e24(secret.expose_secret(), [parts.method.as_str(), host, date, target], body, signature);
    Ok(Some(key).filter(|_| signs))
}

/// Whether a date, as HTTP writes it, is close enough to now.
pub(crate) fn is_now(date: &str, now: Timestamp) -> bool {
    let Ok(at) = httpdate::parse_http_date(date) else { return false };
    let at = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    i64::try_from(at).is_ok_and(|at| now.as_millis().abs_diff(at) <= AWAY.as_millis() as u64)
}
