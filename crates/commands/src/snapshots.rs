//! Snapshots of a server's disk.

use leasehold_domain::{names, server::Status};
use leasehold_store::{Store, Tx, activity::Actor, servers::Server, snapshots::SnapshotView};

use crate::{
    CommandError, Result, SLUG, commit,
    servers::{done, locked, must_be_delivered},
};

/// Snapshots that a server may have beside its nightly ones.
const MOST: usize = 2;

/// Asks for a snapshot under this name.
pub async fn take(store: &Store, actor: &Actor, server: &str, name: &str) -> Result<Server> {
    let mut tx = store.begin().await?;
    let s = locked(&mut tx, server).await?;
    add(&mut tx, actor, &s, Some(name), None).await?;
    commit(tx).await?;
    Ok(s)
}

/// As [`take`], of a server that is locked; a name is made up where none is given. Answers the snapshot's id.
pub async fn add(tx: &mut Tx, actor: &Actor, s: &Server, name: Option<&str>, description: Option<&str>) -> Result<String> {
    let made_up = format!("snapshot-{}", tx.dice().text(SLUG, 6));
    let name = name.unwrap_or(&made_up);
    names::snapshot(name)?;
    description.map_or(Ok(()), names::description)?;
    must_be_delivered(s, "given a snapshot")?;
    let there = tx.snapshots(&s.id).await?;
    if there.iter().any(|n| n.name == name) {
        return Err(CommandError::Exists(format!("server {} has a snapshot '{name}' already", s.label)));
    }
    if there.iter().filter(|n| n.keep_until.is_none()).count() >= MOST {
        return Err(CommandError::Refused(format!("server {} has {MOST} snapshots, the most that it may have; delete one first", s.label)));
    }
    let id = tx.ask_snapshot(&s.id, name, description).await?;
    tx.log(actor, "server.snapshot", Some(&s.account_id), Some(&s.id), name).await?;
    Ok(id)
}

/// Asks for the return of the disk to a snapshot: what was written since is lost.
pub async fn revert(store: &Store, actor: &Actor, server: &str, name: &str) -> Result<Server> {
    let mut tx = store.begin().await?;
    let s = locked(&mut tx, server).await?;
    put_back(&mut tx, actor, &s, name).await?;
    commit(tx).await?;
    Ok(s)
}

/// As [`revert`], of a server that is locked.
pub async fn put_back(tx: &mut Tx, actor: &Actor, s: &Server, name: &str) -> Result<()> {
    must_be_delivered(s, "reverted")?;
    let snapshot = tx.find_snapshot(&s.id, name).await?;
    if snapshot.taken_at.is_none() || snapshot.asked.is_some() {
        return Err(CommandError::Refused(format!("the snapshot '{name}' of {} is not ready; try again once it is", s.label)));
    }
    tx.ask_revert(&s.id, &snapshot.id).await?;
    Ok(tx.log(actor, "server.snapshot_revert", Some(&s.account_id), Some(&s.id), name).await?)
}

/// Asks for a snapshot's end.
pub async fn delete(store: &Store, actor: &Actor, server: &str, name: &str) -> Result<Server> {
    let mut tx = store.begin().await?;
    let s = locked(&mut tx, server).await?;
    must_be_delivered(&s, "relieved of a snapshot")?;
    let snapshot = tx.find_snapshot(&s.id, name).await?;
    tx.ask_drop(&s.id, &snapshot.id).await?;
    done(tx, actor, &s, "server.snapshot_delete", name).await
}

/// A server's snapshots, the oldest first.
pub async fn list(store: &Store, server: &str) -> Result<Vec<SnapshotView>> {
    let mut tx = store.read().await?;
    let s = tx.find_server(server).await?;
    if s.status == Status::Terminated {
        return Ok(vec![]);
    }
    Ok(tx.snapshots(&s.id).await?.into_iter().map(Into::into).collect())
}
