//! The guest agent: one connection and one command at a time, in step by a sync with a number of our own.

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::timeout,
};

use crate::{Error, GuestAddress, Result};

/// The longest wait for a guest's answer. Short: a guest that starts does not answer at all.
const ANSWER: Duration = Duration::from_secs(3);
/// The longest answer that is read, bytes: a guest may write for ever.
const ANSWER_MAX: u64 = 256 << 10;
/// Before a message it makes the agent forget half a message; after it, it marks the sync's answer.
const DELIMITER: u8 = 0xff;

/// As much of a guest's words as anybody reads, characters.
const WORDS: usize = 300;

/// A guest's words, which may be anything, in one line that does no harm to a terminal, a mail or a database.
pub(super) fn one_line(words: &str) -> String {
    let safe = |c: char| if c.is_ascii_graphic() { c } else { ' ' };
    words.chars().take(WORDS).map(safe).collect::<String>().trim().to_owned()
}

pub(super) struct Agent(BufReader<UnixStream>);

/// How a script in the guest ended.
pub(super) struct Ran {
    pub(super) code: i64,
    /// What it printed; what is not UTF-8 is replaced.
    pub(super) out: String,
}

impl Agent {
    pub(super) async fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).await.map_err(|e| Error::Transient(format!("the agent's socket: {e}")))?;
        let mut agent = Self(BufReader::new(stream));
        agent.within(async |a| a.sync().await).await?;
        Ok(agent)
    }

    async fn within<T>(&mut self, work: impl AsyncFnOnce(&mut Self) -> std::io::Result<T>) -> Result<T> {
        match timeout(ANSWER, work(self)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(e)) => Err(Error::Unknown(format!("the agent hung up ({e})"))),
            Err(_) => Err(Error::Unknown(format!("the agent did not answer within {} s", ANSWER.as_secs()))),
        }
    }

    async fn sync(&mut self) -> std::io::Result<()> {
        // Unlike every sync before it, so that a late answer is not taken for ours.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let id = u64::from(std::process::id()) << 32 | u64::from(COUNT.fetch_add(1, Relaxed));
        let message = json!({ "execute": "guest-sync-delimited", "arguments": { "id": id } });
        self.0.write_all(&[&[DELIMITER], format!("{message}\n").as_bytes()].concat()).await?;
        loop {
            self.until(DELIMITER).await?;
            if self.read().await?["return"] == id {
                return Ok(());
            }
        }
    }

    /// Everything up to this byte.
    async fn until(&mut self, byte: u8) -> std::io::Result<Vec<u8>> {
        let mut read = Vec::new();
        (&mut self.0).take(ANSWER_MAX).read_until(byte, &mut read).await?;
        match read.last() {
            None => Err(std::io::ErrorKind::UnexpectedEof.into()),
            Some(last) if *last != byte => Err(std::io::Error::other(format!("it writes more than {ANSWER_MAX} bytes"))),
            Some(_) => Ok(read),
        }
    }

    async fn read(&mut self) -> std::io::Result<Value> {
        Ok(serde_json::from_slice(&self.until(b'\n').await?)?)
    }

    async fn call(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let message = json!({ "execute": command, "arguments": arguments });
        let answer = self
            .within(async |a| {
                a.0.write_all(format!("{message}\n").as_bytes()).await?;
                a.read().await
            })
            .await?;
        match answer.get("error") {
            None => Ok(answer["return"].clone()),
            Some(error) => Err(Error::Permanent(format!("the guest refuses {command}: {}", one_line(error["desc"].as_str().unwrap_or("no reason given"))))),
        }
    }

    /// Runs a shell script in the guest, with arguments; none when it has not ended in time.
    pub(super) async fn shell(&mut self, script: &str, arguments: &[&str]) -> Result<Option<Ran>> {
        let arguments = [&["-c", script, "sh"], arguments].concat();
        let started = self.call("guest-exec", json!({ "path": "/bin/sh", "arg": arguments, "capture-output": true })).await?;
        for _ in 0..20 {
            let status = self.call("guest-exec-status", json!({ "pid": started["pid"] })).await?;
            if status["exited"] == true {
                let out = status["out-data"].as_str().and_then(|data| STANDARD.decode(data).ok()).unwrap_or_default();
                return Ok(Some(Ran { code: status["exitcode"].as_i64().unwrap_or(-1), out: String::from_utf8_lossy(&out).into_owned() }));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(None)
    }
}

/// For the network card with the first argument's address: takes the addresses before `--` away, then adds those behind it (taking
/// one away may take others of its network along).
const ADDRESSES: &str = r#"
for card in /sys/class/net/*; do [ -e "$card/device" ] && [ "$(cat "$card/address")" = "$1" ] && dev=${card##*/}; done
[ -n "$dev" ] || exit 1
shift
has() { ip addr show dev "$dev" | grep -qF " $1 "; }
while [ "$1" != -- ]; do ! has "$1" || ip addr del "$1" dev "$dev" || exit 1; shift; done
shift
for new in "$@"; do has "$new" || ip addr add "$new" dev "$dev" || exit 1; done
"#;
/// The longest time for the guest to change its addresses.
const CHANGE: Duration = Duration::from_secs(8);

/// Changes the addresses of a running guest.
pub(super) async fn set_addresses(socket: &Path, mac: &str, add: &[GuestAddress], remove: &[GuestAddress]) -> Result<()> {
    let written = |a: &GuestAddress| format!("{}/{}", a.address, a.prefix);
    let (first, end) = (std::iter::once(mac.to_owned()), std::iter::once("--".to_owned()));
    let arguments: Vec<String> = first.chain(remove.iter().map(written)).chain(end).chain(add.iter().map(written)).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let changed = async { Agent::connect(socket).await?.shell(ADDRESSES, &arguments).await };
    match timeout(CHANGE, changed).await {
        Ok(Ok(Some(Ran { code: 0, .. }))) => Ok(()),
        Ok(Ok(_)) => Err(Error::Transient("the guest did not take the addresses".into())),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(Error::Unknown(format!("the guest did not answer within {} s", CHANGE.as_secs()))),
    }
}

pub(super) async fn set_password(socket: &Path, user: &str, password: &SecretString) -> Result<()> {
    let mut agent = Agent::connect(socket).await?;
    let arguments = json!({ "username": user, "password": STANDARD.encode(password.expose_secret()), "crypted": false });
    agent.call("guest-set-user-password", arguments).await.map(drop)
}
