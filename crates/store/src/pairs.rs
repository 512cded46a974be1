//! Pairs of a key and a secret that signs: the secret must be known to check a signature, so it is sealed, not digested.

use leasehold_domain::AccountId;
use secrecy::SecretString;

use crate::{
    Result, StoreError, Tx,
    keys::{ApiKey, KeyKind, NewKey},
    sealed::Place,
};

/// What such a key is called, before its secret.
const PUBLIC_LEN: usize = 20;

fn place(id: &str) -> Place<'_> {
    Place { table: "api_keys", column: "secret", id }
}

impl Tx {
    /// Makes a pair. Its secret can be read again, by [`Tx::pair_secret`].
    pub async fn create_pair(&mut self, account: &AccountId, user: Option<&str>, kind: KeyKind, scopes: &str) -> Result<(ApiKey, SecretString)> {
        let public = self.dice().text("ABCDEFGHJKMNPQRSTUVWXYZ23456789", PUBLIC_LEN);
        let new = NewKey { account: Some(account), user, kind, prefix: "", scopes, service: None, description: None, expires_at: None };
        // No text is such a key by itself.
        let id = self.insert_key(&new, &public, "").await?;
        let secret = self.renew_pair(&id).await?;
        Ok((self.key(&id).await?, secret))
    }

    /// Gives a pair another secret; the one before signs nothing any more.
    pub async fn renew_pair(&mut self, id: &str) -> Result<SecretString> {
        let secret: SecretString = self.new_secret().into();
        self.put_secret(place(id), &secret).await?;
        Ok(secret)
    }

    /// The secret of a pair.
    pub async fn pair_secret(&mut self, id: &str) -> Result<SecretString> {
        self.secret(place(id)).await?.ok_or_else(|| StoreError::Broken(format!("the secret of the pair {id} is missing")))
    }

    /// The pair of this kind that a signature names, and its secret, if it is neither revoked nor expired.
    pub async fn pair(&mut self, kind: KeyKind, public: &str) -> Result<Option<(ApiKey, SecretString)>> {
        let now = self.now;
        let Some(key) = self.key_named(public).await?.filter(|key| key.kind == kind && key.is_active(now)) else { return Ok(None) };
        let secret = self.pair_secret(&key.id).await?;
        Ok(Some((key, secret)))
    }
}
