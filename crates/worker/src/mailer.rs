//! One mail: intent, hand-over, outcome. A lost answer is never followed by a second message.

use std::time::Duration;

use leasehold_domain::{
    notice::{MailState, NoticeKind},
    server::Status,
};
use leasehold_notifier::{Attachment, Parcel, Sent};
use leasehold_store::{Result, StoreError, Tx, crash, mails::Mail, work::Claim};

use crate::{Worker, run::Rest};

/// How often, and after which wait, an outcome is written once more while the database is away.
const RECORDS: u32 = 10;
const AGAIN: Duration = Duration::from_secs(2);

const DAY: Duration = Duration::from_hours(24);
/// Longer than the longest wait between two tries: a mail server that came back has taken a mail by then.
const HOUR: Duration = Duration::from_hours(1);

pub(crate) async fn run(w: &Worker, claim: &Claim) -> Result<Rest> {
    // A mail that only waits for its turn is not on its way: cut off now, it is simply sent later.
    let _turn = w.post.outbox.turn().await;
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
        if state == MailState::Ambiguous {
            tell_ambiguous(&mut tx, &mail, why).await?;
        }
        tx.commit().await?;
        return Ok(rest);
    }
    tx.mail_sending(&mail).await?;
    tx.commit().await?;
    mail.attempt += 1;
    crash::point("mail.intent_committed").await;
    let sent = hand_over(w, &mail).await;
    crash::point("mail.answered").await;
    metrics::counter!("leasehold_mails_total", "outcome" => outcome(&sent)).increment(1);
    let next_at = record_through_outages(w, &mail, &sent).await?;
    crash::point("mail.outcome_committed").await;
    let error = match sent {
        Sent::Retry(why) => Some(why),
        _ => None,
    };
    Ok(Rest { next_at, error, ..rest })
}

/// "Ready" and "failed" are news only while the server is still there, dunning while its charge is owed.
async fn is_stale(tx: &mut Tx, mail: &Mail) -> Result<bool> {
    if let Some(charge) = &mail.charge {
        return Ok(!tx.charge_is_open(charge).await?);
    }
    if mail.kind == NoticeKind::MemberInvitation {
        return Ok(tx.invitation_token(&invitation(mail)).await?.is_none());
    }
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
    if mail.kind == NoticeKind::MemberInvitation {
        match link(w, mail).await {
            Ok(link) => data["link"] = link.into(),
            Err(error) => return Sent::Retry(error.to_string()),
        }
    }
    let rendered = match w.post.renderer.render(mail.kind, &mail.locale, &data) {
        Ok(rendered) => rendered,
        Err(error) => return Sent::Refused(error.to_string()),
    };
    let attachment = match attachment(w, mail, &data).await {
        Ok(attachment) => attachment,
        Err(error) if error.is_outage() => return Sent::Retry(error.to_string()),
        Err(error) => return Sent::Refused(error.to_string()),
    };
    w.post.outbox.send(&Parcel { to: mail.recipient.clone(), message_id: mail.message_id.clone(), date: mail.created_at, rendered, attachment }).await
}

/// The invitation that a mail is about.
fn invitation(mail: &Mail) -> String {
    let data: serde_json::Value = serde_json::from_str(&mail.data).unwrap_or_default();
    data["invitation"].as_str().unwrap_or_default().to_owned()
}

/// Where an invitation is taken up. The link is made when it is sent, and kept nowhere.
async fn link(w: &Worker, mail: &Mail) -> Result<String> {
    let token = w.store.read().await?.invitation_token(&invitation(mail)).await?;
    let token = token.ok_or_else(|| StoreError::not_found("invitation", &mail.id))?;
    Ok(format!("{}/invitations/{token}", w.post.public_url))
}

/// The document that a receipt or a credit note is about.
async fn attachment(w: &Worker, mail: &Mail, data: &serde_json::Value) -> Result<Option<Attachment>> {
    let number = data["number"].as_str().filter(|_| w.post.attach_documents && matches!(mail.kind, NoticeKind::Receipt | NoticeKind::CreditNote));
    let Some(number) = number else { return Ok(None) };
    let mut tx = w.store.read().await?;
    let invoice = tx.invoice(number).await?;
    let document = tx.document(&invoice).await?;
    drop(tx);
    let pdf = tokio::task::spawn_blocking(move || leasehold_notifier::pdf(&document)).await;
    let pdf = pdf.map_err(|e| StoreError::Broken(e.to_string()))?;
    // The mail says what matters, also without its document.
    Ok(pdf
        .inspect_err(|error| tracing::error!(number, %error, "the receipt goes out without its document"))
        .ok()
        .map(|pdf| Attachment { name: format!("{number}.pdf"), pdf }))
}

const fn outcome(sent: &Sent) -> &'static str {
    match sent {
        Sent::Accepted => "sent",
        Sent::Retry(_) => "retry",
        Sent::Refused(_) => "dead",
        Sent::Ambiguous(_) => "ambiguous",
    }
}

/// What the mail server said must not be lost to a short outage of the database: then nobody would know it any more.
async fn record_through_outages(w: &Worker, mail: &Mail, sent: &Sent) -> Result<Option<leasehold_domain::Timestamp>> {
    for _ in 0..RECORDS {
        match record(w, mail, sent).await {
            Err(error) if error.is_outage() => tokio::time::sleep(AGAIN).await,
            recorded => return recorded,
        }
    }
    record(w, mail, sent).await
}

async fn tell_ambiguous(tx: &mut Tx, mail: &Mail, why: &str) -> Result<()> {
    let detail = format!(
        "{} may or may not have been delivered: {why}; if it matters, ask the mail server for {}, or: leasehold mail resend {}",
        mail.kind, mail.message_id, mail.id
    );
    tx.attend("mail_ambiguous", &format!("mail:{}", mail.id), &detail).await
}

/// Whether a mail that is put off is not tried any more. What a customer must know before anything is taken away is tried on while it may
/// be the mail server's fault: until others were sent while this one was not.
async fn given_up(w: &Worker, tx: &mut Tx, mail: &Mail) -> Result<bool> {
    let now = tx.believed_now().await?;
    if now.since(mail.created_at) < w.limits.mail_for {
        return Ok(false);
    }
    Ok(mail.charge.is_none() || tx.mail_went_out(now - DAY, now - HOUR).await?)
}

async fn record(w: &Worker, mail: &Mail, sent: &Sent) -> Result<Option<leasehold_domain::Timestamp>> {
    let mut tx = w.store.begin().await?;
    let now = tx.now;
    let mut next_at = None;
    match sent {
        Sent::Accepted => {
            tx.mail_done(mail, MailState::Sent, None).await?;
            tx.attended("mail_waiting", &format!("mail:{}", mail.id), "worker").await?;
        }
        Sent::Ambiguous(why) => {
            tx.mail_done(mail, MailState::Ambiguous, Some(why)).await?;
            tell_ambiguous(&mut tx, mail, why).await?;
        }
        Sent::Retry(why) if !given_up(w, &mut tx, mail).await? => {
            tx.mail_retry(mail, why).await?;
            if now.since(mail.created_at) >= w.limits.mail_for {
                let detail =
                    format!("{} is not taken: {why}; nothing is taken away from its owner before he knows; reach him, or mend the mail server", mail.kind);
                tx.attend("mail_waiting", &format!("mail:{}", mail.id), &detail).await?;
            }
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
