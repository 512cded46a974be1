//! People who act for accounts: how they are called, and how they sign in.

use argon2::{Argon2, PasswordHasher};
use leasehold_domain::{AccountId, Dice, names};
use leasehold_store::{Tx, activity::Actor};
use secrecy::{ExposeSecret, SecretString};

use crate::{CommandError, Result};

/// The shortest password.
const PASSWORD_MIN: usize = 12;
/// The longest: hashing takes time.
const PASSWORD_MAX: usize = 256;

/// What is said of a person.
#[derive(Clone, Debug)]
pub struct Changes<'a> {
    /// Given name.
    pub first_name: &'a str,
    /// Family name.
    pub last_name: &'a str,
    /// Where to call back.
    pub phone: &'a str,
    /// The digest of a new password, as [`digest`] makes it.
    pub digest: Option<&'a str>,
}

/// The digest of a password (Argon2id), made off the threads that serve.
pub async fn digest(dice: &Dice, password: &SecretString) -> Result<String> {
    let length = password.expose_secret().chars().count();
    if !(PASSWORD_MIN..=PASSWORD_MAX).contains(&length) {
        return Err(CommandError::Invalid(format!("a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters")));
    }
    let (password, salt) = (password.clone(), dice.bytes::<16>());
    let hashed = tokio::task::spawn_blocking(move || {
        Argon2::default().hash_password_with_salt(password.expose_secret().as_bytes(), &salt).map(|hash| hash.to_string()).map_err(|e| e.to_string())
    });
    let hashed = hashed.await.map_err(|e| CommandError::TryAgain(e.to_string()))?;
    hashed.map_err(CommandError::TryAgain)
}

/// Changes what is said of a person, and of the account that is theirs.
pub async fn change(tx: &mut Tx, actor: &Actor, account: &AccountId, user: &str, new: &Changes<'_>) -> Result<()> {
    names::person(new.first_name)?;
    names::person(new.last_name)?;
    names::phone(new.phone)?;
    tx.set_person(account, user, [new.first_name, new.last_name, new.phone], new.digest).await?;
    let what = if new.digest.is_some() { "name, phone, password" } else { "name, phone" };
    tx.log(actor, "user.change", Some(account), None, what).await?;
    Ok(())
}
