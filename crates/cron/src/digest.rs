//! The operator's digest: the first matter at once, then at most one mail an hour for all that came since.

use std::time::Duration;

use leasehold_domain::notice::NoticeKind;
use leasehold_store::{Result, Store, args, attention::Attention, mails::NewMail};
use serde_json::json;

/// The quiet between two digests.
const QUIET: Duration = Duration::from_hours(1);
/// Matters in one mail; the rest are counted.
const SHOWN: i64 = 50;

pub(crate) async fn run(store: &Store, operator: Option<&str>) -> Result<()> {
    let Some(operator) = operator else { return Ok(()) };
    if store.read().await?.untold_attention(1).await?.is_empty() {
        return Ok(());
    }
    let mut tx = store.begin().await?;
    let recent = tx.int("select count(*) from mails where kind = 'operator_digest' and created_at > $1", args![tx.now - QUIET]).await?;
    let untold = tx.untold_attention(SHOWN).await?;
    let Some(last) = untold.last().filter(|_| recent == 0) else { return Ok(()) };
    let matter = |a: &Attention| json!({ "kind": a.kind, "subject": a.subject, "detail": a.detail });
    let matters: Vec<_> = untold.iter().map(matter).collect();
    let open: i64 = tx.attention_counts().await?.iter().map(|c| c.open).sum();
    let data = json!({ "matters": matters, "open": open });
    tx.attention_told(&last.id).await?;
    tx.notify(NewMail {
        kind: NoticeKind::OperatorDigest,
        subject: &last.id,
        account: None,
        server: None,
        recipient: operator,
        locale: "en",
        data,
        charge: None,
    })
    .await?;
    tx.commit().await
}
