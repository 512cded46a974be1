//! People who act for accounts: how they are called, and how they prove who they are.

use std::time::Duration;

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use leasehold_domain::{AccountId, Dice, names};
use leasehold_store::{Store, Tx, activity::Actor, people::Person};
use secrecy::{ExposeSecret, SecretString};

use crate::{CommandError, Result, commit, two_factor};

/// The shortest password.
const PASSWORD_MIN: usize = 12;
/// The longest: hashing takes time.
const PASSWORD_MAX: usize = 256;

/// After so many wrong tries in a row each further one has to wait.
const TRIES: i64 = 5;
/// How long.
const REST: Duration = Duration::from_mins(5);

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

/// What somebody shows who signs in.
#[derive(Clone, Debug)]
pub struct Shown<'a> {
    /// Their address.
    pub email: &'a str,
    /// Their password.
    pub password: &'a SecretString,
    /// The code of their second factor, where they have one.
    pub code: Option<&'a str>,
}

/// Who it is that shows this. Each try is counted before it is judged, so that many at once are no way around the count, and for addresses
/// that nobody has as for others, so that nobody learns which those are.
pub async fn prove(store: &Store, shown: &Shown<'_>) -> Result<Person> {
    let wrong = || CommandError::Forbidden("the address, the password or the code is wrong".into());
    let mut tx = store.begin().await?;
    let now = tx.now;
    if let Some(until) = tx.try_sign_in(shown.email, TRIES, now + REST).await? {
        return Err(CommandError::TooMany { text: "too many wrong tries with this address".into(), wait: until.since(now) });
    }
    let person = tx.person_called(shown.email).await?;
    let digest = match &person {
        Some(person) => tx.password_of(&person.id).await?,
        None => None,
    };
    commit(tx).await?;
    let right = verify(store.dice(), shown.password, digest).await?;
    let person = person.filter(|_| right).ok_or_else(wrong)?;
    let mut tx = store.begin().await?;
    if let Some(secret) = tx.totp(&person.id).await? {
        let code = shown.code.ok_or_else(|| CommandError::Forbidden("the code of the second factor is needed".into()))?;
        let step = two_factor::step(&secret, code, tx.now)?.ok_or_else(wrong)?;
        if !tx.use_code(&person.id, step).await? {
            return Err(CommandError::Forbidden("this code was used before; wait for the next one".into()));
        }
    }
    tx.signed_in(shown.email).await?;
    commit(tx).await?;
    Ok(person)
}

/// Whether a password is the one of a digest. Where there is none it takes as long: nobody learns who is known.
async fn verify(dice: &Dice, password: &SecretString, digest: Option<String>) -> Result<bool> {
    let Some(digest) = digest else {
        self::digest(dice, &"*".repeat(PASSWORD_MIN).into()).await?;
        return Ok(false);
    };
    let password = password.clone();
    let verified = tokio::task::spawn_blocking(move || Argon2::default().verify_password(password.expose_secret().as_bytes(), digest.as_str()).is_ok());
    verified.await.map_err(|e| CommandError::TryAgain(e.to_string()))
}
