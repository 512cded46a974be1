//! Requests as e24cloud's clients sign them.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use leasehold_api::Api;
use leasehold_domain::Timestamp;
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

/// A date as HTTP writes it.
pub fn http_date(at: Timestamp) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_millis(at.as_millis() as u64))
}

impl Signer {
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
