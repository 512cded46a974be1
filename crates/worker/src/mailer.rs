//! One mail: intent, hand-over, outcome. A lost answer is never followed by a second message.

use leasehold_domain::{
    notice::{MailState, NoticeKind},
    server::Status,
};
use leasehold_notifier::{Parcel, Sent};
use leasehold_store::{Result, Tx, crash, mails::Mail, work::Claim};

use crate::{Worker, run::Rest};

pub(crate) async fn run(w: &Worker, claim: &Claim) -> Result<Rest> {
    crash::point("mail.before_intent").await;
    let mut tx = w.store.begin().await?;
    let mut mail = tx.claimed_mail(&claim.id, claim.epoch).await?;
    let rest = Rest::until(None, mail.wants);
    if mail.state != MailState::Queued {
        return Ok(rest);
    }
    let over = if mail.sending_at.is_some() {
        Some((MailState::Ambiguous, "the worker was cut off while it handed the mail over"))
    } else if is_stale(&mut tx, &mail).await? {
        Some((MailState::Superseded, "its cause was gone before it was sent"))
    } else {
        None
    };
    if let Some((state, why)) = over {
        tx.mail_done(&mail, state, Some(why)).await?;
        tx.commit().await?;
        return Ok(rest);
    }
    tx.mail_sending(&mail).await?;
    tx.commit().await?;
    mail.attempt += 1;
    crash::point("mail.intent_committed").await;
    let sent = hand_over(w, &mail).await;
    crash::point("mail.answered").await;
    let next_at = record(w, &mail, &sent).await?;
    crash::point("mail.outcome_committed").await;
    let error = match sent {
        Sent::Retry(why) => Some(why),
        _ => None,
    };
    Ok(Rest { next_at, error, ..rest })
}

/// "Ready" and "failed" are news only while the server is still there.
async fn is_stale(tx: &mut Tx, mail: &Mail) -> Result<bool> {
    let over: &[Status] = match mail.kind {
        NoticeKind::ServerReady | NoticeKind::PasswordChanged => &[Status::Terminated],
        NoticeKind::ProvisioningFailed => &[Status::Terminated, Status::Running],
        _ => return Ok(false),
    };
    let Some(server) = &mail.server_id else { return Ok(false) };
    Ok(over.contains(&tx.server(&server.as_str().into()).await?.status))
}

async fn hand_over(w: &Worker, mail: &Mail) -> Sent {
    let mut data: serde_json::Value = match serde_json::from_str(&mail.data) {
        Ok(data) => data,
        Err(error) => return Sent::Refused(format!("its data cannot be read: {error}")),
    };
    data["host"] = w.post.host.as_str().into();
    match w.post.renderer.render(mail.kind, &mail.locale, &data) {
        Ok(rendered) => w.post.outbox.send(&Parcel { to: mail.recipient.clone(), message_id: mail.message_id.clone(), date: mail.created_at, rendered }).await,
        Err(error) => Sent::Refused(error.to_string()),
    }
}

async fn record(w: &Worker, mail: &Mail, sent: &Sent) -> Result<Option<leasehold_domain::Timestamp>> {
    let mut tx = w.store.begin().await?;
    let now = tx.now;
    let mut next_at = None;
    match sent {
        Sent::Accepted => tx.mail_done(mail, MailState::Sent, None).await?,
        Sent::Ambiguous(why) => tx.mail_done(mail, MailState::Ambiguous, Some(why)).await?,
        Sent::Retry(why) if now.since(mail.created_at) < w.limits.mail_for => {
            tx.mail_retry(mail, why).await?;
            next_at = Some(now + w.limits.backoff.wait(mail.attempt, tx.dice()));
        }
        Sent::Retry(why) | Sent::Refused(why) => {
            tx.mail_done(mail, MailState::Dead, Some(why)).await?;
            let detail = format!("{} could not be delivered: {why}; after mending the cause: leasehold mail resend {}", mail.kind, mail.id);
            tx.attend("mail_dead", &format!("mail:{}", mail.id), &detail).await?;
        }
    }
    tx.commit().await?;
    Ok(next_at)
}
