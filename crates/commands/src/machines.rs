//! Machines that customers have elsewhere.

use leasehold_domain::AccountId;
use leasehold_store::{
    Store, Tx,
    activity::Actor,
    machines::{Machine, Registration},
};

use crate::{CommandError, Result, commit};

/// Machines of one account at most: whoever has the line could run it anywhere.
const MOST: i64 = 1000;
/// The longest word of what a machine says.
const LONGEST: usize = 1000;

fn check(what: &str, text: &str) -> Result<()> {
    if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
        return Err(CommandError::Invalid(format!("'{what}' has 1 to {LONGEST} characters, and no line breaks")));
    }
    Ok(())
}

/// The line for a machine's shell that has it listed: `url` is where the daemon is called from outside.
pub fn line(url: &str, token: &str) -> String {
    format!("curl -fsSL {url}/register/{token} | sh")
}

/// Writes what a machine says of itself, of the account whose token it has; true where it was not known.
pub async fn register(store: &Store, origin: &str, token: &str, new: &Registration<'_>) -> Result<bool> {
    check("id", new.machine)?;
    check("hostname", new.name)?;
    check("vendor", new.vendor)?;
    if !new.addresses.is_empty() {
        check("addresses", new.addresses)?;
    }
    let mut tx = store.begin().await?;
    let account = tx.registers(token).await?.ok_or_else(|| CommandError::NotFound("no account has this token".into()))?;
    let (known, all) = tx.machine_known(&account, new.machine).await?;
    if !known && all >= MOST {
        return Err(CommandError::Refused(format!("the account has {MOST} machines; forget one first")));
    }
    tx.register_machine(&account, new).await?;
    if !known {
        let actor = Actor { name: "machine".into(), origin: origin.to_owned() };
        tx.log(&actor, "machine.register", Some(&account), None, new.name).await?;
    }
    commit(tx).await?;
    Ok(!known)
}

/// Gives an account another line; the one before lists nothing any more.
pub async fn renew(tx: &mut Tx, actor: &Actor, account: &AccountId) -> Result<()> {
    tx.renew_registration(account).await?;
    tx.log(actor, "machine.renew_line", Some(account), None, "").await?;
    Ok(())
}

/// Forgets a machine (id or name) until it tells of itself again.
pub async fn forget(store: &Store, actor: &Actor, account: &AccountId, id: &str) -> Result<Machine> {
    let mut tx = store.begin().await?;
    let machine = tx.forget_machine(account, id).await?;
    tx.log(actor, "machine.forget", Some(account), None, &machine.name).await?;
    commit(tx).await?;
    Ok(machine)
}
