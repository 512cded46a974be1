//! One delivery to a webhook: it is tried for a day, and may arrive twice under one id where an answer was lost.

use std::time::Duration;

use leasehold_domain::notice::NoticeKind;
use leasehold_notifier::{Call, Called};
use leasehold_store::{
    Result, Tx, crash,
    mails::NewMail,
    webhooks::{Delivery, DeliveryState, Webhook},
    work::Claim,
};
use serde_json::json;

use crate::{Worker, run::Rest};

/// How long a delivery is tried, and how long a webhook may take nothing before it is given up.
const TRIED_FOR: Duration = Duration::from_hours(24);
/// How long one call is waited for, by whom else there is something to tell to the same webhook.
const ONE_AT_A_TIME: Duration = Duration::from_secs(20);
/// The shortest wait for a turn.
const SOON: Duration = Duration::from_secs(1);
/// The longest wait between two tries.
const LONGEST: Duration = Duration::from_hours(1);

pub(crate) async fn run(w: &Worker, claim: &Claim) -> Result<Rest> {
    let mut tx = w.store.begin().await?;
    let delivery = tx.claimed_delivery(&claim.id, claim.epoch).await?;
    let rest = Rest::until(None, delivery.wants);
    if delivery.state != DeliveryState::Queued {
        return Ok(rest);
    }
    let Some(webhook) = tx.webhook(&delivery.webhook_id).await?.filter(|webhook| webhook.disabled_at.is_none()) else {
        tx.delivery_done(&delivery, DeliveryState::Dead, None, Some("the webhook is disabled or deleted")).await?;
        tx.commit().await?;
        return Ok(rest);
    };
    let at = tx.now;
    let secret = tx.webhook_secret(&webhook.id).await?;
    if webhook.failing_since.is_some() {
        // One that takes nothing holds up one call at a time, not all that there are.
        if !tx.try_webhook(&webhook.id, at + ONE_AT_A_TIME).await? {
            let next = webhook.next_try_at.map_or(at, |next| next.0).max(at + SOON);
            return Ok(Rest { next_at: Some(next), ..rest });
        }
        tx.commit().await?;
    } else {
        drop(tx);
    }
    crash::point("webhook.before_call").await;
    let called = w.hooks.call(&Call { url: &webhook.url, id: &delivery.id, at, body: &delivery.body, secret: &secret }).await;
    crash::point("webhook.answered").await;
    let outcome = if matches!(called, Called::Answered(200..=299)) { "delivered" } else { "failed" };
    metrics::counter!("leasehold_webhook_calls_total", "outcome" => outcome).increment(1);
    record(w, &webhook, &delivery, &called).await
}

async fn record(w: &Worker, webhook: &Webhook, d: &Delivery, called: &Called) -> Result<Rest> {
    let rest = Rest::until(None, d.wants);
    let mut tx = w.store.begin().await?;
    let now = tx.now;
    let (answer, why) = match called {
        Called::Answered(status @ 200..=299) => {
            tx.delivery_done(d, DeliveryState::Delivered, Some(*status), None).await?;
            tx.webhook_works(&webhook.id).await?;
            tx.commit().await?;
            return Ok(rest);
        }
        Called::Answered(status) => (Some(*status), format!("it answered {status}")),
        Called::Failed(why) => (None, why.clone()),
    };
    let (gone, believed) = (answer == Some(410), tx.believed_now().await?);
    let over = gone || believed.since(d.tried_at.map_or(now, |at| at.0)) >= TRIED_FOR;
    let next = now + w.limits.backoff.wait(d.attempt + 1, tx.dice()).min(LONGEST);
    tx.delivery_done(d, if over { DeliveryState::Dead } else { DeliveryState::Queued }, answer, Some(&why)).await?;
    let failing_since = tx.webhook_fails(&webhook.id, next).await?;
    if gone || failing_since.is_some_and(|since| believed.since(since) >= TRIED_FOR) {
        give_up(&mut tx, webhook, &why).await?;
    } else if over {
        // Others were taken meanwhile: what comes next is judged anew.
        tx.webhook_works(&webhook.id).await?;
    }
    let next_at = (!over).then_some(next);
    tx.commit().await?;
    Ok(Rest { next_at, error: Some(why), ..rest })
}

/// Nothing more is told to a webhook; its owner is.
async fn give_up(tx: &mut Tx, webhook: &Webhook, why: &str) -> Result<()> {
    if !tx.disable_webhook(&webhook.id).await? {
        return Ok(());
    }
    let account = tx.account(&webhook.account_id.as_str().into()).await?;
    let data = json!({ "name": account.first_name, "url": webhook.url, "reason": why });
    let (kind, subject) = (NoticeKind::WebhookDisabled, webhook.id.as_str());
    let (recipient, locale) = (account.email.as_str(), account.locale.as_str());
    tx.notify(NewMail { kind, subject, account: Some(&account.id), server: None, recipient, locale, data, charge: None }).await?;
    Ok(())
}
