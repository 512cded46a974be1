//! Partners: who buys for less.

use leasehold_domain::Percent;
use leasehold_store::{Store, activity::Actor, partners::Partner};

use crate::{CommandError, Result, commit};

/// What an operator says of an account.
#[derive(Clone, Copy, Debug)]
pub enum Terms {
    /// A customer like any other.
    None,
    /// A partner with what its tier gives.
    ByTier,
    /// A partner with an agreed percentage.
    Agreed(Percent),
}

/// How an account stands as a partner; none when it is none.
pub async fn show(store: &Store, account: &str) -> Result<Option<Partner>> {
    let mut tx = store.read().await?;
    let account = tx.find_account(account).await?;
    Ok(tx.partner(&account).await?)
}

/// Makes an account a partner or takes that back. Leases that run keep what was agreed.
pub async fn set(store: &Store, actor: &Actor, account: &str, terms: Terms) -> Result<Option<Partner>> {
    let mut tx = store.begin().await?;
    let account = tx.find_account(account).await?;
    let said = match terms {
        Terms::None => {
            if !tx.drop_partner(&account.id).await? {
                return Err(CommandError::Refused(format!("account {} is no partner", account.number)));
            }
            "none".to_owned()
        }
        Terms::ByTier => {
            tx.put_partner(&account.id, None).await?;
            "by tier".to_owned()
        }
        Terms::Agreed(percent) => {
            tx.put_partner(&account.id, Some(percent)).await?;
            format!("{percent} %")
        }
    };
    tx.log(actor, "account.partner", Some(&account.id), None, &said).await?;
    let partner = tx.partner(&account).await?;
    commit(tx).await?;
    Ok(partner)
}
