//! `leasehold activity`

use leasehold_domain::{AccountId, ServerId};
use serde_json::json;

use super::Context;
use crate::{
    exit::Failure,
    output::{show, table},
};

pub(super) async fn run(c: &Context, account: Option<String>, server: Option<String>, limit: i64) -> Result<(), Failure> {
    let app = c.app().await?;
    let mut tx = app.store.read().await?;
    let account = match account {
        Some(text) => Some(tx.find_account(&text).await?.id),
        None => None,
    };
    let server = match server {
        Some(text) => Some(tx.find_server(&text).await?.id),
        None => None,
    };
    let lines = tx.activity(account.as_ref().map(AccountId::as_str), server.as_ref().map(ServerId::as_str), limit).await?;
    let rows = lines.iter().map(|l| vec![l.created_at.human(), l.actor.clone(), l.action.clone(), l.server_id.clone().unwrap_or_default(), l.detail.clone()]);
    show(c.json(), &json!(lines), || table(&["WHEN", "WHO", "WHAT", "SERVER", "DETAIL"], rows));
    Ok(())
}
