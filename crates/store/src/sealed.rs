//! Secrets that must be read again: sealed with XChaCha20-Poly1305, bound to the table, column and row they belong to,
//! so that a sealed value copied elsewhere does not open.

use std::{fmt, fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use chacha20poly1305::{AeadInPlace, KeyInit, XChaCha20Poly1305};
use leasehold_domain::{Dice, hex};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::{Result, StoreError, Tx, args};

const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 24;

/// The keys of the key file: the first seals, all open. One key a line, base64.
#[derive(Clone)]
pub struct KeyRing(Arc<[Key]>);

struct Key {
    id: String,
    secret: [u8; KEY_LEN],
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys)", self.0.len())
    }
}

impl Key {
    fn new(secret: [u8; KEY_LEN]) -> Self {
        Self { id: hex(&Sha256::digest(secret)[..4]), secret }
    }
}

impl KeyRing {
    /// A ring of one new key.
    pub fn generate(dice: &Dice) -> Self {
        Self(Arc::new([Key::new(dice.bytes())]))
    }

    /// Reads a key file that nobody but its owner can read.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let missing = |e: std::io::Error| StoreError::Sealed(format!("key file {shown}: {e}; make one with: leasehold secrets generate"));
        let mode = fs::metadata(path).map_err(missing)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(StoreError::Sealed(format!("key file {shown} can be read by others (mode {:o}); run: chmod 600 {shown}", mode & 0o777)));
        }
        let text = fs::read_to_string(path).map_err(missing)?;
        let key = |line: &str| BASE64.decode(line.trim()).ok().and_then(|bytes| bytes.try_into().ok()).map(Key::new);
        let keys: Option<Vec<Key>> = text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')).map(key).collect();
        match keys {
            Some(keys) if !keys.is_empty() => Ok(Self(keys.into())),
            _ => Err(StoreError::Sealed(format!("key file {shown} holds no key; each line is {KEY_LEN} bytes in base64"))),
        }
    }

    /// The text of a key file with a new key before the old ones.
    pub fn file_with_new_key(old: Option<&Self>, dice: &Dice) -> String {
        let new = BASE64.encode(dice.bytes::<KEY_LEN>());
        let kept = old.iter().flat_map(|ring| ring.0.iter()).map(|key| BASE64.encode(key.secret) + "\n");
        format!("{new}\n{}", kept.collect::<String>())
    }

    /// A keyed digest of `text` for comparing secrets without storing them, hex.
    pub fn fingerprint(&self, text: &str) -> String {
        use hmac::{Hmac, KeyInit, Mac};
        let mac = self.0.last().and_then(|oldest| Hmac::<Sha256>::new_from_slice(&oldest.secret).ok());
        mac.map_or_else(String::new, |mac| hex(&mac.chain_update(text).finalize().into_bytes()))
    }

    fn seal(&self, aad: &str, plain: &str, nonce: [u8; NONCE_LEN]) -> Result<(String, String)> {
        let key = self.0.first().ok_or_else(|| StoreError::Sealed("the key ring is empty".into()))?;
        let mut sealed = plain.as_bytes().to_vec();
        let cipher = XChaCha20Poly1305::new(&key.secret.into());
        cipher.encrypt_in_place(&nonce.into(), aad.as_bytes(), &mut sealed).map_err(|_| StoreError::Sealed("sealing failed".into()))?;
        Ok((key.id.clone(), BASE64.encode([nonce.as_slice(), &sealed].concat())))
    }

    fn open(&self, aad: &str, key_id: &str, sealed: &str) -> Result<SecretString> {
        let broken = || StoreError::Sealed(format!("the secret of {aad} cannot be opened: it was changed, moved, or sealed with another key file"));
        let key = self
            .0
            .iter()
            .find(|k| k.id == key_id)
            .ok_or_else(|| StoreError::Sealed(format!("the key file has no key '{key_id}', with which {aad} was sealed")))?;
        let bytes = BASE64.decode(sealed).map_err(|_| broken())?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(broken)?;
        let mut plain = sealed.to_vec();
        XChaCha20Poly1305::new(&key.secret.into()).decrypt_in_place(&(*nonce).into(), aad.as_bytes(), &mut plain).map_err(|_| broken())?;
        String::from_utf8(plain).map(Into::into).map_err(|_| broken())
    }
}

/// Where a secret belongs.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The table.
    pub table: &'a str,
    /// The column that it would be.
    pub column: &'a str,
    /// The row.
    pub id: &'a str,
}

impl Place<'_> {
    fn aad(self) -> String {
        format!("{}.{}:{}", self.table, self.column, self.id)
    }
}

impl Tx {
    pub(crate) fn ring(&self) -> Result<crate::KeyRing> {
        self.store.keys().cloned().ok_or_else(|| StoreError::Sealed("no key file is open; set [secrets] key_file".into()))
    }

    /// Seals a secret in the place of the one before it.
    pub async fn put_secret(&mut self, place: Place<'_>, secret: &SecretString) -> Result<()> {
        let nonce = self.dice().bytes();
        let (key, sealed) = self.ring()?.seal(&place.aad(), secret.expose_secret(), nonce)?;
        let sql = "insert into sealed (owner_table, owner_column, owner_id, key_id, box) values ($1, $2, $3, $4, $5) \
                   on conflict (owner_table, owner_column, owner_id) do update set key_id = excluded.key_id, box = excluded.box";
        self.exec_one(sql, args![place.table, place.column, place.id, key, sealed]).await
    }

    /// Opens a secret.
    pub async fn secret(&mut self, place: Place<'_>) -> Result<Option<SecretString>> {
        let sql = "select key_id, box from sealed where owner_table = $1 and owner_column = $2 and owner_id = $3";
        let row: Option<(String, String)> = self.optional(sql, args![place.table, place.column, place.id]).await?;
        row.map(|(key, sealed)| self.ring()?.open(&place.aad(), &key, &sealed)).transpose()
    }

    /// Moves a secret to another column of the same row (a proposed password becomes the confirmed one).
    pub async fn move_secret(&mut self, from: Place<'_>, to: &str) -> Result<()> {
        if let Some(secret) = self.secret(from).await? {
            self.put_secret(Place { column: to, ..from }, &secret).await?;
            self.drop_secrets(from.table, from.id, Some(from.column)).await?;
        }
        Ok(())
    }

    /// Forgets the secrets of a row, or one of them.
    pub async fn drop_secrets(&mut self, table: &str, id: &str, column: Option<&str>) -> Result<()> {
        let sql = "delete from sealed where owner_table = $1 and owner_id = $2 and ($3 is null or owner_column = $3)";
        self.exec(sql, args![table, id, column]).await?;
        Ok(())
    }

    /// Seals everything anew with the first key of the ring; answers how many secrets were moved.
    pub async fn reseal(&mut self) -> Result<u64> {
        let rows: Vec<(String, String, String)> =
            self.all("select owner_table, owner_column, owner_id from sealed order by owner_table, owner_id", &[]).await?;
        let count = rows.len() as u64;
        for (table, column, id) in rows {
            let place = Place { table: &table, column: &column, id: &id };
            if let Some(secret) = self.secret(place).await? {
                self.put_secret(place, &secret).await?;
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_only_where_it_was_sealed_and_with_its_key() {
        let ring = KeyRing::generate(&Dice::seeded(1));
        let (key, sealed) = ring.seal("servers.password:1", "s3cret", [7; NONCE_LEN]).unwrap();
        assert_eq!(ring.open("servers.password:1", &key, &sealed).unwrap().expose_secret(), "s3cret");
        assert!(ring.open("servers.password:2", &key, &sealed).is_err(), "moved to another row");
        assert!(KeyRing::generate(&Dice::seeded(2)).open("servers.password:1", &key, &sealed).is_err(), "another key file");
        assert!(!sealed.contains("s3cret") && format!("{ring:?}") == "KeyRing(1 keys)");
    }
}
