//! The key file: keys that seal secrets, and the pepper that digests of API keys are made with. The two are apart, so that sealing keys can
//! come and go while every customer's key stays what it is.
//!
//! One a line in base64: `pepper:…`, then keys; the first key seals, all open. A file of older versions has no pepper line: its oldest key is the pepper.

use std::{
    fmt, fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use chacha20poly1305::{AeadInPlace, KeyInit, XChaCha20Poly1305};
use leasehold_domain::{Dice, hex};
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::{Result, StoreError};

const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 24;
const PEPPER: &str = "pepper:";

/// The keys of a key file, read again when it changed. Cloning shares them.
#[derive(Clone)]
pub struct KeyRing(Arc<Inner>);

struct Inner {
    file: Option<PathBuf>,
    held: RwLock<Held>,
}

/// What was read, and of which file.
#[derive(Clone)]
struct Held {
    stamp: Option<Stamp>,
    keys: Arc<[Key]>,
    pepper: [u8; KEY_LEN],
}

/// Tells one state of a file from another: inode, seconds, nanoseconds, length.
type Stamp = (u64, i64, i64, u64);

struct Key {
    id: String,
    secret: [u8; KEY_LEN],
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys)", self.held().keys.len())
    }
}

impl Key {
    fn new(secret: [u8; KEY_LEN]) -> Self {
        Self { id: hex(&Sha256::digest(secret)[..4]), secret }
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    fs::metadata(file).ok().map(|m| (m.ino(), m.mtime(), m.mtime_nsec(), m.len()))
}

fn key_of(text: &str) -> Option<[u8; KEY_LEN]> {
    BASE64.decode(text.trim()).ok()?.try_into().ok()
}

fn parse(text: &str) -> Option<(Arc<[Key]>, [u8; KEY_LEN])> {
    let lines = || text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let keys: Vec<Key> = lines().filter(|l| !l.starts_with(PEPPER)).map(|l| key_of(l).map(Key::new)).collect::<Option<_>>()?;
    let pepper = match lines().find_map(|l| l.strip_prefix(PEPPER)) {
        Some(pepper) => key_of(pepper)?,
        None => keys.last()?.secret,
    };
    (!keys.is_empty()).then(|| (keys.into(), pepper))
}

fn read(file: &Path) -> Result<Held> {
    let shown = file.display();
    let missing = |e: std::io::Error| {
        StoreError::Sealed(format!("key file {shown}: {e}; a new house makes one with: leasehold secrets generate; one with secrets needs its own file back"))
    };
    let seen = stamp(file);
    let mode = fs::metadata(file).map_err(missing)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(StoreError::Sealed(format!("key file {shown} can be read by others (mode {:o}); run: chmod 600 {shown}", mode & 0o777)));
    }
    let text = fs::read_to_string(file).map_err(missing)?;
    let (keys, pepper) = parse(&text).ok_or_else(|| {
        StoreError::Sealed(format!("key file {shown} holds no key; each line is {KEY_LEN} bytes in base64, at most one of them after {PEPPER}"))
    })?;
    Ok(Held { stamp: seen, keys, pepper })
}

impl KeyRing {
    fn of(file: Option<PathBuf>, held: Held) -> Self {
        Self(Arc::new(Inner { file, held: RwLock::new(held) }))
    }

    /// A ring of one new key, which is its pepper, too, without a file.
    pub fn generate(dice: &Dice) -> Self {
        let secret = dice.bytes();
        Self::of(None, Held { stamp: None, keys: Arc::new([Key::new(secret)]), pepper: secret })
    }

    /// Reads a key file that nobody but its owner can read.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Self::of(Some(path.to_owned()), read(path)?))
    }

    /// The text of a new key file.
    pub fn new_file(dice: &Dice) -> String {
        format!("{PEPPER}{}\n{}\n", BASE64.encode(dice.bytes::<KEY_LEN>()), BASE64.encode(dice.bytes::<KEY_LEN>()))
    }

    /// The text of its file with a new key, which seals from then on.
    pub fn with_new_key(&self, dice: &Dice) -> String {
        let held = self.held();
        let kept = held.keys.iter().map(|key| BASE64.encode(key.secret) + "\n");
        format!("{PEPPER}{}\n{}\n{}", BASE64.encode(held.pepper), BASE64.encode(dice.bytes::<KEY_LEN>()), kept.collect::<String>())
    }

    /// The text of its file with the key that seals, and no other.
    pub fn with_first_key_only(&self) -> String {
        let held = self.held();
        let kept = held.keys.iter().take(1).map(|key| BASE64.encode(key.secret) + "\n");
        format!("{PEPPER}{}\n{}", BASE64.encode(held.pepper), kept.collect::<String>())
    }

    /// The ids of its keys; the first seals.
    pub fn ids(&self) -> Vec<String> {
        self.held().keys.iter().map(|k| k.id.clone()).collect()
    }

    fn held(&self) -> Held {
        self.0.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the file says now; where it cannot be read, what it said before.
    fn fresh(&self) -> Held {
        let held = self.held();
        let Some(file) = &self.0.file else { return held };
        if stamp(file) == held.stamp {
            return held;
        }
        match read(file) {
            Ok(new) => {
                tracing::info!(file = %file.display(), keys = new.keys.len(), "the key file changed and was read again");
                *self.0.held.write().unwrap_or_else(PoisonError::into_inner) = new.clone();
                new
            }
            Err(error) => {
                tracing::warn!(%error, "the key file changed and cannot be read; the keys from before go on");
                held
            }
        }
    }

    /// A keyed digest of `text` for comparing secrets without storing them, hex.
    pub fn fingerprint(&self, text: &str) -> String {
        use hmac::{Hmac, KeyInit, Mac};
        let mac = Hmac::<Sha256>::new_from_slice(&self.held().pepper);
        mac.map_or_else(|_| String::new(), |mac| hex(&mac.chain_update(text).finalize().into_bytes()))
    }

    /// Seals with the first key that the file has now; the key's id and the box.
    pub(crate) fn seal(&self, aad: &str, plain: &str, dice: &Dice) -> Result<(String, String)> {
        let (held, nonce) = (self.fresh(), dice.bytes::<NONCE_LEN>());
        let key = held.keys.first().ok_or_else(|| StoreError::Sealed("the key ring is empty".into()))?;
        let mut sealed = plain.as_bytes().to_vec();
        let cipher = XChaCha20Poly1305::new(&key.secret.into());
        cipher.encrypt_in_place(&nonce.into(), aad.as_bytes(), &mut sealed).map_err(|_| StoreError::Sealed("sealing failed".into()))?;
        Ok((key.id.clone(), BASE64.encode([nonce.as_slice(), &sealed].concat())))
    }

    /// Opens with the key of that id, which may have come into the file meanwhile.
    pub(crate) fn open(&self, aad: &str, key_id: &str, sealed: &str) -> Result<SecretString> {
        let broken = || StoreError::Sealed(format!("the secret of {aad} cannot be opened: it was changed, moved, or sealed with another key file"));
        let known = |held: Held| held.keys.iter().find(|k| k.id == key_id).map(|k| k.secret);
        let secret = known(self.held()).or_else(|| known(self.fresh())).ok_or_else(|| {
            StoreError::Sealed(format!(
                "the key file has no key '{key_id}', with which {aad} was sealed; put the line of that key back, from a copy of the file"
            ))
        })?;
        let bytes = BASE64.decode(sealed).map_err(|_| broken())?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(broken)?;
        let mut plain = sealed.to_vec();
        XChaCha20Poly1305::new(&secret.into()).decrypt_in_place(&(*nonce).into(), aad.as_bytes(), &mut plain).map_err(|_| broken())?;
        String::from_utf8(plain).map(Into::into).map_err(|_| broken())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_secret_opens_only_where_it_was_sealed_and_with_its_key() {
        let ring = KeyRing::generate(&Dice::seeded(1));
        let (key, sealed) = ring.seal("servers.password:1", "s3cret", &Dice::seeded(7)).unwrap();
        assert_eq!(ring.open("servers.password:1", &key, &sealed).unwrap().expose_secret(), "s3cret");
        assert!(ring.open("servers.password:2", &key, &sealed).is_err(), "moved to another row");
        assert!(KeyRing::generate(&Dice::seeded(2)).open("servers.password:1", &key, &sealed).is_err(), "another key file");
        assert!(!sealed.contains("s3cret") && format!("{ring:?}") == "KeyRing(1 keys)");
    }

    #[test]
    fn the_pepper_outlives_every_key() {
        let ring = |text: &str| {
            let (keys, pepper) = parse(text).unwrap();
            KeyRing::of(None, Held { stamp: None, keys, pepper })
        };
        let key = |byte: u8| BASE64.encode([byte; KEY_LEN]);
        // A file of an older version: the oldest key is the pepper, also when it is gone.
        let old = ring(&format!("{}\n{}\n", key(2), key(1)));
        let more = ring(&old.with_new_key(&Dice::seeded(1)));
        let last = ring(&more.with_first_key_only());
        assert_eq!((old.ids().len(), more.ids().len(), last.ids().len()), (2, 3, 1));
        assert_eq!(more.ids()[0], last.ids()[0], "the new key seals");
        assert!(old.fingerprint("x") == more.fingerprint("x") && more.fingerprint("x") == last.fingerprint("x"));
        assert_ne!(ring(&KeyRing::new_file(&Dice::seeded(3))).fingerprint("x"), last.fingerprint("x"));
        for bad in ["", "# none\n", "pepper:\n", "short\n", "pepper:AAAA\n"] {
            assert!(parse(bad).is_none(), "{bad:?}");
        }
    }
}
