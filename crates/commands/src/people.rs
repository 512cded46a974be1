//! People who act for accounts: how they are called, and how they prove who they are.

use std::time::Duration;

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use leasehold_domain::{AccountId, Dice, names};
use leasehold_store::{
    Store, Tx,
    activity::Actor,
    people::{Person, Proof},
};
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

/// Who it is that shows this. Each try is counted before it is judged, so that many at once are no way around the count.
pub async fn prove(store: &Store, shown: &Shown<'_>) -> Result<Person> {
    let wrong = || CommandError::Forbidden("the address, the password or the code is wrong".into());
    let proof = begin(store, shown.email).await?;
    let digest = proof.as_ref().and_then(|p| p.password_hash.clone());
    let right = verify(store.dice(), shown.password, digest).await?;
    let proof = proof.filter(|_| right).ok_or_else(wrong)?;
    let mut tx = store.begin().await?;
    let step = match tx.totp(&proof.id).await? {
        None => None,
        Some(secret) => {
            let code = shown.code.ok_or_else(|| CommandError::Forbidden("the code of the second factor is needed".into()))?;
            Some(two_factor::step(&secret, code, tx.now)?.ok_or_else(wrong)?)
        }
    };
    if !tx.proven(&proof.id, step).await? {
        return Err(CommandError::Forbidden("this code was used before; wait for the next one".into()));
    }
    let person = tx.person(&proof.id).await?;
    commit(tx).await?;
    Ok(person)
}

/// Counts a try; refuses it where there were too many.
async fn begin(store: &Store, email: &str) -> Result<Option<Proof>> {
    let mut tx = store.begin().await?;
    let Some(proof) = tx.proof(email).await? else { return Ok(None) };
    let now = tx.now;
    if let Some(until) = proof.locked_until.filter(|until| until.0 > now) {
        return Err(CommandError::TooMany { text: "too many wrong tries for this address".into(), wait: until.0.since(now) });
    }
    let locked_until = (proof.failures + 1 >= TRIES).then_some(now + REST);
    tx.trying(&proof.id, locked_until).await?;
    commit(tx).await?;
    Ok(Some(proof))
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
