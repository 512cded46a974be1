//! Machines elsewhere tell of themselves: a script for `sh` and `curl`, and what it calls.

use axum::{
    extract::{Path, Request, State},
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use leasehold_commands::machines;
use leasehold_store::machines::Registration;
use serde::Deserialize;
use utoipa::ToSchema;

use super::error::Cloud66Failure;
use crate::{Api, failure::Failure, limit::client, request::bytes};

/// What a machine says of itself.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Told {
    /// What it is known again by, its `/etc/machine-id` for one.
    #[schema(min_length = 1, max_length = 1000)]
    id: String,
    #[schema(min_length = 1, max_length = 1000, example = "db-1")]
    hostname: String,
    /// Who made it, or whose cloud it is in.
    #[schema(min_length = 1, max_length = 1000, example = "QEMU")]
    vendor: String,
    /// Separated by spaces.
    #[schema(max_length = 1000, example = "192.0.2.7 2001:db8::7")]
    #[serde(default)]
    addresses: String,
}

const SHELL: &str = "text/x-shellscript; charset=utf-8";

/// The script: it asks nothing of the machine but `sh` and `curl`.
fn script(url: &str) -> String {
    format!(
        r#"#!/bin/sh
# Has this machine listed beside your servers. Running it again updates what is said of it.
set -eu
first() {{
  for file in "$@"; do
    if [ -r "$file" ] && IFS= read -r line < "$file" && [ -n "$line" ]; then
      printf '%s' "$line"
      return
    fi
  done
}}
name=$(first /proc/sys/kernel/hostname /etc/hostname)
name=${{name:-unnamed}}
id=$(first /etc/machine-id /var/lib/dbus/machine-id)
vendor=$(first /sys/class/dmi/id/sys_vendor /sys/devices/virtual/dmi/id/sys_vendor)
addresses=$(hostname -I 2>/dev/null || true)
curl -fsS --data-urlencode "id=${{id:-$name}}" --data-urlencode "hostname=$name" --data-urlencode "vendor=${{vendor:-unknown}}" --data-urlencode "addresses=${{addresses% }}" '{url}'
"#
    )
}

/// The script that a machine runs to be listed.
#[utoipa::path(get, path = "/register/{token}", tag = "cloud66", params(("token" = String, Path)), responses(
    (status = 200, description = "a script for `sh`, which needs `curl`", body = String, content_type = "text/x-shellscript"),
    (status = 404, body = Cloud66Failure, description = "no account has this token"),
))]
pub(crate) async fn show(State(api): State<Api>, Path(token): Path<String>) -> Result<Response, Failure> {
    let found = api.store.read().await?.registers(&token).await?;
    found.ok_or_else(|| Failure::not_found("no account has this token"))?;
    Ok(([(CONTENT_TYPE, SHELL)], script(&format!("{}/register/{token}", api.settings.public_url))).into_response())
}

/// Lists a machine, or updates what is said of it.
#[utoipa::path(post, path = "/register/{token}", tag = "cloud66", params(("token" = String, Path)), request_body(content = Told, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 200, description = "it is listed", body = String, content_type = "text/plain"),
    (status = 404, body = Cloud66Failure, description = "no account has this token"),
))]
pub(crate) async fn tell(State(api): State<Api>, Path(token): Path<String>, request: Request) -> Result<Response, Failure> {
    let origin = client(&api, &request);
    let body = bytes(request, &api).await?;
    let told: Told = serde_urlencoded::from_bytes(&body).map_err(|e| Failure::bad(format!("the body: {e}")))?;
    let new = Registration { machine: &told.id, name: &told.hostname, vendor: &told.vendor, addresses: &told.addresses };
    let fresh = machines::register(&api.store, &origin, &token, &new).await?;
    Ok(format!("{} is {}.\n", told.hostname, if fresh { "listed" } else { "up to date" }).into_response())
}
