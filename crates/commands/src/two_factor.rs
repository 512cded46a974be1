//! A second factor: codes of six digits that change every 30 seconds (RFC 6238), from a secret that an app on a phone has.

use leasehold_domain::{AccountId, Timestamp};
use leasehold_store::{Tx, activity::Actor, people::Person};
use secrecy::{ExposeSecret, SecretString};
use totp_rs::{Builder, Secret, Totp};

use crate::{CommandError, Result};

/// 160 bits, as RFC 4226 asks for.
const SECRET_LEN: usize = 20;

fn totp(secret: &SecretString, of: Option<(&str, &Person)>) -> Result<Totp> {
    let broken = |e: String| CommandError::TryAgain(format!("the second factor cannot be computed: {e}"));
    let bytes = Secret::try_from_base32(secret.expose_secret()).map_err(|e| broken(e.to_string()))?;
    let mut builder = Builder::new().with_secret(bytes);
    if let Some((issuer, person)) = of {
        builder = builder.with_issuer(Some(issuer.replace(':', " "))).with_account_name(person.email.as_str());
    }
    builder.build().map_err(|e| broken(e.to_string()))
}

/// The 30 seconds that a code is of, those before and after the present ones included; none where it is of no others.
pub(crate) fn step(secret: &SecretString, code: &str, now: Timestamp) -> Result<Option<i64>> {
    let seconds = u64::try_from(now.as_millis() / 1000).unwrap_or_default();
    Ok(totp(secret, None)?.check(code.trim(), seconds).and_then(|step| i64::try_from(step).ok()))
}

/// What an app is given to make codes with: shown once.
#[derive(Clone, Debug)]
pub struct Proposed {
    /// In base32.
    pub secret: SecretString,
    /// The same as an address `otpauth://…`, for a QR code.
    pub url: SecretString,
}

/// Proposes a second factor to a person; it is on once a code was shown.
pub async fn propose(tx: &mut Tx, issuer: &str, user: &str) -> Result<Proposed> {
    let person = tx.person(user).await?;
    if tx.totp(user).await?.is_some() {
        return Err(CommandError::Refused("a second factor is on already; turn it off first".into()));
    }
    let secret: SecretString = Secret::new_stack(tx.dice().bytes::<SECRET_LEN>()).to_base32().into();
    let url = totp(&secret, Some((issuer, &person)))?.to_url().map_err(|e| CommandError::TryAgain(e.to_string()))?;
    tx.propose_totp(user, &secret).await?;
    Ok(Proposed { secret, url: url.into() })
}

/// Turns a person's second factor on, by a code of it.
pub async fn confirm(tx: &mut Tx, actor: &Actor, account: &AccountId, user: &str, code: &str) -> Result<()> {
    let secret = tx.new_totp(user).await?.ok_or_else(|| CommandError::Refused("no second factor waits for its first code".into()))?;
    let step = step(&secret, code, tx.now)?.ok_or_else(|| CommandError::Invalid("the code is wrong; is the clock of the phone right?".into()))?;
    tx.confirm_totp(user, step).await?;
    tx.log(actor, "user.two_factor", Some(account), None, "on").await?;
    Ok(())
}

/// Turns a person's second factor off, by a code of it; the host's staff needs none.
pub async fn end(tx: &mut Tx, actor: &Actor, account: &AccountId, user: &str, code: Option<&str>) -> Result<()> {
    let secret = tx.totp(user).await?.ok_or_else(|| CommandError::NotFound("no second factor is on".into()))?;
    if let Some(code) = code {
        let step = step(&secret, code, tx.now)?.ok_or_else(|| CommandError::Invalid("the code is wrong".into()))?;
        if !tx.use_code(user, step).await? {
            return Err(CommandError::Invalid("this code was used before; wait for the next one".into()));
        }
    }
    tx.drop_totp(user).await?;
    tx.log(actor, "user.two_factor", Some(account), None, "off").await?;
    Ok(())
}
