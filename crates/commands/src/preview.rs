//! What will happen to whom until a date: the code of the real run, on books in memory. Mails count as sent and machines as
//! switched off at once, nobody pays in, no breaker opens.

use std::time::Duration;

use leasehold_domain::{
    AccountId, Money, Timestamp,
    decision::{Decision, Permits, Verb},
    dunning::Word,
    lease::LeaseState,
};
use leasehold_store::{Store, args, settle::Page};
use serde::Serialize;

use crate::Result;

/// Something that will happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// When, at the earliest.
    pub at: Timestamp,
    /// To whom.
    pub account: AccountId,
    /// To which server, by its label; none for what concerns the whole account.
    pub server: Option<String>,
    /// What.
    pub what: Verb,
    /// What is paid, owed or missing.
    #[serde(serialize_with = "as_text")]
    pub amount: Option<Money>,
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn as_text<S: serde::Serializer>(amount: &Option<Money>, s: S) -> std::result::Result<S::Ok, S::Error> {
    match amount {
        Some(amount) => s.collect_str(amount),
        None => s.serialize_none(),
    }
}

/// Accounts that are read at once.
const PAGE: i64 = 500;

/// Everything that happens until `until`, in order; what is only due now with `until` in the past.
pub async fn preview(store: &Store, until: Timestamp) -> Result<Vec<Forecast>> {
    let (mut forecasts, mut after) = (Vec::new(), String::new());
    loop {
        let mut tx = store.read().await?;
        let sql = "select account_id from wallets where account_id > $1 and settle_at is not null order by account_id limit $2";
        let ids: Vec<(String,)> = tx.all(sql, args![&after, PAGE]).await?;
        let Some((last,)) = ids.last() else { break };
        after.clone_from(last);
        let ids: Vec<AccountId> = ids.into_iter().map(|(id,)| id.into()).collect();
        for page in tx.pages(&ids).await? {
            forecasts.extend(of_account(page, tx.now, until)?);
        }
    }
    forecasts.sort_by(|a, b| (a.at, &a.account).cmp(&(b.at, &b.account)));
    Ok(forecasts)
}

fn of_account(mut page: Page, mut now: Timestamp, until: Timestamp) -> Result<Vec<Forecast>> {
    let mut forecasts = Vec::new();
    loop {
        let decisions = page.books.decide(now, &Permits::All).map_err(leasehold_store::StoreError::from)?;
        for decision in &decisions {
            forecasts.extend(forecast(&page, decision, now));
            page.books.apply(decision, now).map_err(leasehold_store::StoreError::from)?;
        }
        for s in &mut page.books.leases {
            s.notices.iter_mut().filter(|n| n.word == Word::Queued).for_each(|n| n.word = Word::Sent(now));
            if s.lease.state == LeaseState::Suspended && s.lease.off_at.is_none() {
                (s.lease.off_at, s.lease.decide_at) = (Some(now), Some(now));
            }
        }
        match page.books.settle_at().map(|at| at.max(now + Duration::from_secs(1))) {
            Some(at) if at <= until => now = at,
            _ => return Ok(forecasts),
        }
    }
}

fn forecast(page: &Page, decision: &Decision, at: Timestamp) -> Option<Forecast> {
    let (lease, amount) = match decision {
        Decision::Renew { lease, .. } | Decision::Pay { lease, .. } | Decision::Reactivate { lease, .. } => (Some(*lease), decision.cost().ok()),
        Decision::Fail { lease, charge } => (Some(*lease), Some(charge.price.total)),
        Decision::LowBalance { missing, .. } => (None, Some(*missing)),
        Decision::Remind { lease, .. } | Decision::Warn { lease, .. } => (Some(*lease), page.books.leases[*lease].price_to_go_on(page.books.tax, at)),
        Decision::Suspend { lease } | Decision::Terminate { lease } | Decision::End { lease } => (Some(*lease), None),
        Decision::Propose { .. } | Decision::Wait { .. } => return None,
    };
    let server = lease.map(|lease| page.tenants[lease].label.clone());
    Some(Forecast { at, account: page.account.clone(), server, what: decision.verb(), amount })
}
