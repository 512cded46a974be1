//! `leasehold drift`

use serde_json::json;

use super::Context;
use crate::{
    exit::Failure,
    output::{show, table},
};

pub(super) async fn run(c: &Context) -> Result<(), Failure> {
    let app = c.app().await?;
    let drift = app.store.read().await?.drift().await?;
    let value = json!(
        drift
            .iter()
            .map(|d| json!({ "node": d.node_id, "subject": d.subject, "kind": d.kind, "mark": d.mark, "firstSeenAt": d.first_seen_at, "seenAt": d.seen_at }))
            .collect::<Vec<_>>()
    );
    show(c.json(), &value, || {
        if drift.is_empty() {
            say!("nothing: every machine has its server and every server its machine, as of the last look (leasehold node list)");
        } else {
            table(
                &["NODE", "WHAT", "KIND", "MARK", "SINCE"],
                drift.iter().map(|d| vec![d.node_id.clone(), d.subject.clone(), d.kind.clone(), d.mark.clone().unwrap_or_default(), d.first_seen_at.human()]),
            );
        }
    });
    Ok(())
}
