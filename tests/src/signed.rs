//! Requests as e24cloud's clients sign them.

use std::{
    process::Command,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use leasehold_api::Api;
use leasehold_domain::Timestamp;
use serde_json::Value;
use sha2::Sha256;

use crate::web::{Answer, send_with};

/// A pair that signs.
#[derive(Clone, Debug)]
pub struct Signer {
    /// Its key.
    pub key: String,
    /// Its secret.
    pub secret: String,
}

/// The host that requests are sent to.
pub const HOST: &str = "cloud.example.org";

/// Sends `$1 $2` with the body `$3` by curl, signed by a program that is not ours.
const SIGNED: &str = r#"
date=$(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S GMT')
signature=$(printf '%s\n%s\n%s\n%s\n%s' "$1" "$HOST" "$date" "$2" "$3" | openssl dgst -sha256 -hmac "$SECRET" -binary | base64)
exec curl -s -w '\n%{http_code}' -X "$1" -H "X-Date: $date" -H "Authorization: $PAIR:$signature" -H 'Content-Type: application/json' -d "$3" "http://$HOST$2"
"#;

/// A date as HTTP writes it.
pub fn http_date(at: Timestamp) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_millis(at.as_millis() as u64))
}

/// The status and the body of what curl was answered, which was told to end with the status.
pub fn read(curl: &mut Command) -> (u16, Value) {
    let said = String::from_utf8(curl.output().unwrap().stdout).unwrap();
    let (body, status) = said.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

impl Signer {
    /// The pair of a `key create --kind e24 --json`.
    pub fn shown(made: &Value) -> Self {
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        Self { key: text("publicId"), secret: text("key") }
    }

    /// Sends a signed request to a daemon with curl.
    pub fn curl(&self, at: &str, method: &str, target: &str, body: &str) -> (u16, Value) {
        let mut sh = Command::new("sh");
        sh.args(["-c", SIGNED, "signed", method, target, body]).env("HOST", at).env("PAIR", &self.key).env("SECRET", &self.secret);
        read(&mut sh)
    }

    /// What stands behind the key for these lines and this body.
    pub fn signature(&self, [method, host, date, target]: [&str; 4], body: &str) -> String {
        let text = format!("{method}\n{host}\n{date}\n{target}\n{body}");
        STANDARD.encode(Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap().chain_update(text).finalize().into_bytes())
    }

    /// Sends a signed request.
    pub async fn send(&self, api: &Api, method: &str, target: &str, body: &str, now: Timestamp) -> Answer {
        let date = http_date(now);
        let authorization = format!("{}:{}", self.key, self.signature([method, HOST, &date, target], body));
        let headers = [("host", HOST), ("x-date", &date), ("authorization", &authorization), ("content-type", "application/json")];
        send_with(api, method, target, "", &headers, body.to_owned()).await
    }
}
