//! Publishing what addresses resolve to: dynamic updates (RFC 2136) of reverse zones, signed with TSIG (RFC 8945), over TCP.

use std::{net::IpAddr, str::FromStr, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use domain::{
    base::{
        Message, MessageBuilder, Name, Record, Rtype, Ttl,
        iana::{Class, Opcode, Rcode},
        message_builder::PushError,
        rdata::UnknownRecordData,
    },
    rdata::{Ptr, tsig::Time48},
    tsig::{Algorithm, ClientTransaction, Key, KeyName},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The longest time for one update, from the connection to the answer.
const ANSWER: Duration = Duration::from_secs(10);

type Zone = Name<Vec<u8>>;
/// A name in a zone, and what stands there from now on.
type Change<'a> = (&'a Zone, Option<Zone>);

/// A DNS server that takes updates.
#[derive(Debug)]
pub struct Settings<'a> {
    /// `host:port`.
    pub server: &'a str,
    /// The reverse zones that it takes them for, `113.0.203.in-addr.arpa`.
    pub zones: &'a [String],
    /// The key's name there.
    pub key_name: &'a str,
    /// `hmac-sha256`, `hmac-sha384` or `hmac-sha512`.
    pub algorithm: &'a str,
    /// The key, base64.
    pub key: &'a SecretString,
    /// How long resolvers may remember a name.
    pub ttl: Duration,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadSettings(String);

/// The way out for names. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Names {
    server: String,
    zones: Vec<Zone>,
    key: Arc<Key>,
    ttl: Ttl,
}

impl Names {
    /// Reads the settings; nothing is asked yet.
    pub fn new(s: &Settings<'_>) -> Result<Self, BadSettings> {
        let bad = |what: &str, why: String| BadSettings(format!("{what}: {why}"));
        let zone = |text: &String| Zone::from_str(text).map_err(|e| bad(&format!("zones '{text}'"), e.to_string()));
        let zones: Vec<Zone> = s.zones.iter().map(zone).collect::<Result<_, _>>()?;
        if zones.is_empty() {
            return Err(bad("zones", "name the reverse zones that the server takes updates for".into()));
        }
        let algorithm = match s.algorithm {
            "hmac-sha256" => Algorithm::Sha256,
            "hmac-sha384" => Algorithm::Sha384,
            "hmac-sha512" => Algorithm::Sha512,
            other => return Err(bad("algorithm", format!("'{other}' is none of hmac-sha256, hmac-sha384, hmac-sha512"))),
        };
        let name = KeyName::from_str(s.key_name).map_err(|e| bad(&format!("key_name '{}'", s.key_name), e.to_string()))?;
        let secret = STANDARD.decode(s.key.expose_secret().trim()).map_err(|_| bad("key_file", "its text is no base64".into()))?;
        if secret.is_empty() {
            return Err(bad("key_file", "it is empty".into()));
        }
        let key = Key::new(algorithm, &secret, name, None, None).map_err(|e| bad("key_name", e.to_string()))?;
        let seconds = s.ttl.as_secs();
        // RFC 2181, section 8: a larger one means none.
        let ttl = i32::try_from(seconds).ok().and_then(|seconds| u32::try_from(seconds).ok()).ok_or_else(|| bad("ttl", format!("{seconds} s is too long")))?;
        let ttl = Ttl::from_secs(ttl);
        if !s.server.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
            return Err(bad("server", format!("'{}' is no host:port, like 127.0.0.1:53", s.server)));
        }
        Ok(Self { server: s.server.to_owned(), zones, key: Arc::new(key), ttl })
    }

    /// Whether one of the zones is that of the address.
    pub fn holds(&self, address: IpAddr) -> bool {
        Zone::reverse_from_addr(address).is_ok_and(|owner| self.zone_of(&owner).is_some())
    }

    fn zone_of(&self, owner: &Zone) -> Option<&Zone> {
        self.zones.iter().filter(|zone| owner.ends_with(zone)).max_by_key(|zone| zone.label_count())
    }

    /// Has the address resolve to this name and no other, or to nothing; what is wrong where the server did not take that.
    pub async fn publish(&self, address: IpAddr, name: Option<&str>) -> Result<(), String> {
        let owner = Zone::reverse_from_addr(address).map_err(|e| e.to_string())?;
        let zone = self.zone_of(&owner).ok_or_else(|| format!("no zone of [dns] holds {owner}"))?;
        let name = name.map(Zone::from_str).transpose().map_err(|e| e.to_string())?;
        self.ask(zone, Some((&owner, name))).await
    }

    /// Whether every zone takes updates, seen by an update of each that changes nothing; what is wrong where one does not.
    pub async fn probe(&self) -> Result<(), String> {
        for zone in &self.zones {
            self.ask(zone, None).await?;
        }
        Ok(())
    }

    async fn ask(&self, zone: &Zone, change: Option<Change<'_>>) -> Result<(), String> {
        let (request, transaction) = self.request(zone, change).map_err(|e| e.to_string())?;
        let late = |_| format!("{} did not answer within {} s", self.server, ANSWER.as_secs());
        let answer = timeout(ANSWER, self.exchange(&request)).await.map_err(late)?.map_err(|e| format!("{}: {e}", self.server))?;
        let mut answer = Message::from_octets(answer).map_err(|_| format!("{}: its answer cannot be read", self.server))?;
        let rcode = answer.header().rcode();
        // What is refused for its signature is answered without one.
        transaction.answer(&mut answer, Time48::now()).map_err(|e| format!("{}: {rcode}; its answer is not signed as it should be: {e}", self.server))?;
        if rcode == Rcode::NOERROR { Ok(()) } else { Err(format!("{} answers {rcode} for {zone}", self.server)) }
    }

    /// Whatever stood there goes, and the new name comes, in one update: it may be repeated.
    fn request(&self, zone: &Zone, change: Option<Change<'_>>) -> Result<(Vec<u8>, ClientTransaction<Arc<Key>>), PushError> {
        let mut message = MessageBuilder::new_vec();
        message.header_mut().set_random_id();
        message.header_mut().set_opcode(Opcode::UPDATE);
        let mut zones = message.question();
        zones.push((zone, Rtype::SOA))?;
        let mut updates = zones.authority();
        if let Some((owner, name)) = change {
            let nothing = UnknownRecordData::from_octets(Rtype::PTR, [0_u8; 0]).map_err(|_| PushError::ShortBuf)?;
            updates.push(Record::new(owner, Class::ANY, Ttl::ZERO, nothing))?;
            if let Some(name) = name {
                updates.push(Record::new(owner, Class::IN, self.ttl, Ptr::new(name)))?;
            }
        }
        let mut signed = updates.additional();
        let transaction = ClientTransaction::request(Arc::clone(&self.key), &mut signed, Time48::now())?;
        Ok((signed.finish(), transaction))
    }

    async fn exchange(&self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(&self.server).await?;
        let length = u16::try_from(request.len()).map_err(std::io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes(), request].concat()).await?;
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }
}
