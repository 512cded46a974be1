//! The names that addresses resolve to.

use leasehold_domain::{ServerId, event::EventKind, names};
use leasehold_store::{Tx, activity::Actor, webhooks::News};
use serde_json::json;

use crate::{CommandError, Result};

/// Says what an address of a server resolves to; none: nothing. Under the account's lock.
pub async fn set(tx: &mut Tx, actor: &Actor, server: &ServerId, address: &str, name: Option<&str>) -> Result<()> {
    name.map_or(Ok(()), names::domain)?;
    let s = tx.lock_server(server).await?;
    let known = tx.addresses(&s.id).await?;
    let found = known.iter().find(|a| a.address == address).ok_or_else(|| CommandError::NotFound(format!("server {} has no address '{address}'", s.label)))?;
    if found.is_block() {
        return Err(CommandError::Invalid(format!("{address} is a block, and resolves to no one name")));
    }
    // The same once more is published once more.
    tx.set_name(&s.id, address, name).await?;
    if found.ptr.as_deref() == name {
        return Ok(());
    }
    let data = json!({ "id": s.id, "ip": address, "hostname": name });
    tx.publish(vec![News { account: s.account_id.clone(), event: EventKind::PtrChanged, data }]).await?;
    tx.log(actor, "server.ptr", Some(&s.account_id), Some(&s.id), &format!("{address} {}", name.unwrap_or("-"))).await?;
    Ok(())
}
