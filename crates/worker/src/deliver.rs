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
    let secret = tx.webhook_secret(&webhook.id).await?;
    let at = tx.now;
    drop(tx);
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
    let gone = answer == Some(410);
    let over = gone || now.since(d.created_at) >= TRIED_FOR;
    let failing_since = tx.webhook_fails(&webhook.id).await?;
    tx.delivery_done(d, if over { DeliveryState::Dead } else { DeliveryState::Queued }, answer, Some(&why)).await?;
    if gone || now.since(failing_since) >= TRIED_FOR {
        give_up(&mut tx, webhook, &why).await?;
    }
    let next_at = (!over).then(|| now + w.limits.backoff.wait(d.attempt + 1, tx.dice()).min(LONGEST));
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
