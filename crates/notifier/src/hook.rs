//! Handing news to webhooks, signed as Standard Webhooks (<https://www.standardwebhooks.com>). A customer chooses where they go, so
//! the address is checked when it is connected to: nothing inside the host's own networks is ever called.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use leasehold_domain::Timestamp;
use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    header::CONTENT_TYPE,
    redirect::Policy,
};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use url::{Host, Url};

use crate::smtp::chain;

/// The longest time for one call, from the name to the answer.
const CALL: Duration = Duration::from_secs(15);
/// The longest time to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// A client for webhooks.
#[derive(Clone, Debug)]
pub struct Hooks {
    client: Client,
    private_too: bool,
}

/// One call of a webhook.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// Where.
    pub url: &'a str,
    /// What the receiver knows it again by.
    pub id: &'a str,
    /// When it is called.
    pub at: Timestamp,
    /// JSON.
    pub body: &'a str,
    /// What it is signed with, `whsec_` and base64.
    pub secret: &'a SecretString,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Called {
    /// A status was answered.
    Answered(u16),
    /// None was, in words.
    Failed(String),
}

/// Webhooks cannot be called at all.
#[derive(Debug, thiserror::Error)]
#[error("webhooks: {0}")]
pub struct BadClient(#[from] reqwest::Error);

impl Hooks {
    /// A client; with `private_too` it calls private addresses as well, for trials on one machine.
    pub fn new(private_too: bool) -> Result<Self, BadClient> {
        // Says that there is one already where another part of this process was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(CALL)
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(0)
            .user_agent(concat!("leasehold/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Names { private_too })
            .build()?;
        Ok(Self { client, private_too })
    }

    /// Calls a webhook once.
    pub async fn call(&self, call: &Call<'_>) -> Called {
        let url = match Url::parse(call.url) {
            Ok(url) => url,
            Err(error) => return Called::Failed(error.to_string()),
        };
        // A name is checked when it is resolved; what is an address already is not.
        let literal = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            _ => None,
        };
        if let Some(ip) = literal.filter(|ip| !self.private_too && !is_public(*ip)) {
            return Called::Failed(refused(ip));
        }
        let Some(secret) = call.secret.expose_secret().strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok()) else {
            return Called::Failed("its secret cannot be read".into());
        };
        let seconds = call.at.as_millis() / 1000;
        let sent = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", call.id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature(&secret, call.id, seconds, call.body))
            .body(call.body.to_owned())
            .send();
        match sent.await {
            Ok(answer) => Called::Answered(answer.status().as_u16()),
            Err(error) => Called::Failed(chain(&error.without_url())),
        }
    }
}

/// `v1,` and the HMAC-SHA-256 over id, time and body, as the standard has it.
fn signature(secret: &[u8], id: &str, seconds: i64, body: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret).map(|mac| mac.chain_update(format!("{id}.{seconds}.{body}")).finalize().into_bytes());
    // A key of any length will do.
    mac.map_or_else(|_| String::new(), |mac| format!("v1,{}", STANDARD.encode(mac)))
}

fn refused(ip: IpAddr) -> String {
    format!("{ip} is no public address; webhooks call nothing else")
}

/// Resolves names, and answers no address that must not be called.
#[derive(Clone, Copy, Debug)]
struct Names {
    private_too: bool,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let private_too = self.private_too;
        Box::pin(async move {
            let all: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if let Some(bad) = all.iter().find(|at| !private_too && !is_public(at.ip())) {
                return Err(refused(bad.ip()).into());
            }
            Ok(Box::new(all.into_iter()) as Addrs)
        })
    }
}

/// Whether an address belongs to the public internet: none of the special ones of RFC 6890 and its registry.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or_else(|| is_public_v6(ip), is_public_v4),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = matches!((a, b, c), (0 | 240..=255, ..) | (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18..=19, _));
    !(special || ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || ip.is_documentation())
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    // Global unicast is 2000::/3; of it Teredo and 6to4 lead elsewhere, and 2001:db8::/32 and 3fff::/20 are for documents.
    a & 0xe000 == 0x2000 && !(a == 0x2001 && (b == 0 || b == 0xdb8)) && a != 0x2002 && !(a == 0x3fff && b < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_the_standard() {
        // The example of the specification.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn only_the_public_internet_is_called() {
        for ip in
            ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1"]
        {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in
            ["::1", "::", "fe80::1", "fd00::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001::1", "2001:db8::1", "ff02::1"]
        {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450:4001::200e"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[tokio::test]
    async fn an_inner_address_is_not_called_by_name_or_number() {
        let hooks = Hooks::new(false).unwrap();
        for url in ["http://127.0.0.1:9/", "http://localhost:9/", "http://[::1]:9/", "http://[::ffff:127.0.0.1]:9/", "http://2130706433:9/", "http://0x7f.1:9/"]
        {
            let call = Call { url, id: "msg_1", at: Timestamp::default(), body: "{}", secret: &"whsec_eA==".into() };
            let Called::Failed(why) = hooks.call(&call).await else { panic!("{url} was called") };
            assert!(why.contains("is no public address"), "{url}: {why}");
        }
    }
}
