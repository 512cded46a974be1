//! SSH keys of accounts: every server that is built afterwards lets them in.

use leasehold_domain::{AccountId, Dice, names};
use leasehold_store::{Store, Tx, accounts::SshKey, activity::Actor};

use ssh_key::private::Ed25519Keypair;

use crate::{CommandError, Result, commit};

/// Adds an OpenSSH public key.
pub async fn add(tx: &mut Tx, actor: &Actor, account: &AccountId, name: &str, public_key: &str) -> Result<SshKey> {
    names::person(name)?;
    let key = parse(public_key)?;
    let line = key.to_openssh().map_err(|e| CommandError::Invalid(e.to_string()))?;
    let fingerprint = key.fingerprint(ssh_key::HashAlg::Sha256).to_string();
    let added = tx.add_ssh_key(account, name, &fingerprint, &line).await?;
    let key = added.ok_or_else(|| CommandError::Exists(format!("the account has this key already ({fingerprint})")))?;
    tx.log(actor, "ssh_key.add", Some(account), None, &fingerprint).await?;
    Ok(key)
}

/// As [`add`], to an account by its id or number, in a transaction of its own.
pub async fn add_to(store: &Store, actor: &Actor, account: &str, name: &str, public_key: &str) -> Result<SshKey> {
    let mut tx = store.begin().await?;
    let account = tx.find_account(account).await?.id;
    let key = add(&mut tx, actor, &account, name, public_key).await?;
    commit(tx).await?;
    Ok(key)
}

/// Builds no more servers with a key (id or number); those that were built with it keep it.
pub async fn remove(store: &Store, actor: &Actor, account: &AccountId, id: &str) -> Result<SshKey> {
    let mut tx = store.begin().await?;
    let key = tx.ssh_key_of(account, id).await?;
    tx.remove_ssh_key(&key.id).await?;
    tx.log(actor, "ssh_key.remove", Some(account), None, &key.fingerprint).await?;
    commit(tx).await?;
    Ok(key)
}

/// A pair that was made here.
pub struct Generated {
    /// The public line.
    pub public: String,
    /// The private half, as OpenSSH keeps it: shown once, kept nowhere.
    pub private: String,
}

/// Makes an Ed25519 pair.
pub fn generate(dice: &Dice, name: &str) -> Result<Generated> {
    names::person(name)?;
    let broken = |e: ssh_key::Error| CommandError::TryAgain(e.to_string());
    let pair = Ed25519Keypair::from_seed(&dice.bytes());
    let key = ssh_key::PrivateKey::new(pair.into(), name).map_err(broken)?;
    let private = key.to_openssh(ssh_key::LineEnding::LF).map_err(broken)?.to_string();
    Ok(Generated { public: key.public_key().to_openssh().map_err(broken)?, private })
}

const RSA_MIN_BITS: usize = 2048;

fn parse(text: &str) -> Result<ssh_key::PublicKey> {
    let text = text.trim();
    if text.contains("PRIVATE KEY") {
        return Err(CommandError::Invalid("this is a private key; keep it to yourself and give the .pub file".into()));
    }
    if text.contains('\n') || text.contains('\r') {
        return Err(CommandError::Invalid("an SSH key is one line".into()));
    }
    let key = ssh_key::PublicKey::from_openssh(text)
        .map_err(|e| CommandError::Invalid(format!("not an OpenSSH public key ({e}); it looks like: ssh-ed25519 AAAA… name")))?;
    let short_rsa = key.key_data().rsa().is_some_and(|rsa| rsa.n.as_positive_bytes().map_or(0, |n| n.len() * 8) < RSA_MIN_BITS);
    if short_rsa {
        return Err(CommandError::Invalid(format!("RSA keys need at least {RSA_MIN_BITS} bits; better: ssh-keygen -t ed25519")));
    }
    Ok(key)
}
