//! Notices as rows: written with their cause, sent by the mails queue.

use leasehold_domain::{
    AccountId, MailId, ServerId, Timestamp,
    notice::{MailState, NoticeKind},
};
use sqlx::FromRow;

use crate::{Queue, Result, StoreError, Tx, When, args};

/// A mail.
#[derive(Clone, Debug, FromRow)]
pub struct Mail {
    /// Its id.
    #[sqlx(try_from = "String")]
    pub id: MailId,
    /// What it tells.
    #[sqlx(try_from = "String")]
    pub kind: NoticeKind,
    /// Whose.
    pub account_id: Option<String>,
    /// About which server.
    pub server_id: Option<String>,
    /// To whom.
    pub recipient: String,
    /// In which language.
    pub locale: String,
    /// What its template needs, JSON.
    pub data: String,
    /// The same for every attempt.
    pub message_id: String,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub state: MailState,
    /// The mail that this one repeats.
    pub resend_of: Option<String>,
    /// Set while a worker hands it over: found set, the answer was lost.
    pub sending_at: Option<When>,
    /// When the mail server took it.
    pub sent_at: Option<When>,
    /// When it was written.
    #[sqlx(try_from = "i64")]
    pub created_at: Timestamp,
    /// Attempts so far.
    pub attempt: i64,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When it is due.
    pub next_at: Option<When>,
    /// The fence.
    pub epoch: i64,
    /// Requests so far.
    pub wants: i64,
}

/// What is needed to write a notice.
#[derive(Clone, Debug)]
pub struct NewMail<'a> {
    /// What it tells.
    pub kind: NoticeKind,
    /// The rest of its dedup key.
    pub subject: &'a str,
    /// Whose.
    pub account: Option<&'a AccountId>,
    /// About which server.
    pub server: Option<&'a ServerId>,
    /// To whom.
    pub recipient: &'a str,
    /// In which language.
    pub locale: &'a str,
    /// What its template needs.
    pub data: serde_json::Value,
}

const COLUMNS_OF_NEW: &str = "insert into mails (id, kind, dedup_key, account_id, server_id, recipient, locale, data, message_id, state, created_at, next_at) \
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'queued', $10, $10) on conflict (dedup_key) do nothing";

impl Tx {
    /// Writes a notice; false when the same one was written before.
    pub async fn notify(&mut self, new: NewMail<'_>) -> Result<bool> {
        let (id, now) = (self.new_id(), self.now);
        let (account, server) = (new.account.map(AccountId::as_str), new.server.map(ServerId::as_str));
        let key = new.kind.dedup_key(new.subject);
        let args = args![&id, new.kind.as_str(), key, account, server, new.recipient, new.locale, new.data.to_string(), format!("<{id}@leasehold>"), now];
        let written = self.exec(COLUMNS_OF_NEW, args).await? == 1;
        if written {
            self.wake(Queue::Mails);
        }
        Ok(written)
    }

    /// Writes the same notice once more under a new Message-ID; answers the new id.
    pub async fn resend_mail(&mut self, id: &MailId) -> Result<String> {
        let (new, now) = (self.new_id(), self.now);
        let sql = "insert into mails (id, kind, dedup_key, account_id, server_id, recipient, locale, data, message_id, state, resend_of, created_at, next_at) \
                   select $1, kind, 'resend:' || $1, account_id, server_id, recipient, locale, data, $2, 'queued', id, $3, $3 from mails where id = $4";
        match self.exec(sql, args![&new, format!("<{new}@leasehold>"), now, id]).await? {
            0 => return Err(StoreError::not_found("mail", id)),
            _ => self.wake(Queue::Mails),
        }
        Ok(new)
    }

    /// One mail.
    pub async fn mail(&mut self, id: &MailId) -> Result<Mail> {
        self.optional("select * from mails where id = $1", args![id]).await?.ok_or_else(|| StoreError::not_found("mail", id))
    }

    /// Mails, newest first; of one state, one server, or all.
    pub async fn mails(&mut self, state: Option<MailState>, server: Option<&ServerId>, limit: i64) -> Result<Vec<Mail>> {
        let sql = "select * from mails where ($1 is null or state = $1) and ($2 is null or server_id = $2) order by id desc limit $3";
        self.all(sql, args![state.map(MailState::as_str), server.map(ServerId::as_str), limit]).await
    }

    /// A mail that this worker holds.
    pub async fn claimed_mail(&mut self, id: &str, epoch: i64) -> Result<Mail> {
        let lost = StoreError::Lost { id: id.into(), epoch };
        self.optional("select * from mails where id = $1 and epoch = $2 {lock}", args![id, epoch]).await?.ok_or(lost)
    }

    /// The intent: from here on a lost answer means that it may have been delivered.
    pub async fn mail_sending(&mut self, mail: &Mail) -> Result<()> {
        let now = self.now;
        let sql = "update mails set sending_at = $1, attempt = attempt + 1 where id = $2 and epoch = $3 and state = 'queued'";
        self.fenced(sql, args![now, &mail.id, mail.epoch], mail.id.as_str(), mail.epoch).await
    }

    /// Not taken this time: the intent is withdrawn, the row stays queued.
    pub async fn mail_retry(&mut self, mail: &Mail, error: &str) -> Result<()> {
        let sql = "update mails set sending_at = null, last_error = $1 where id = $2 and epoch = $3 and state = 'queued'";
        self.fenced(sql, args![error, &mail.id, mail.epoch], mail.id.as_str(), mail.epoch).await
    }

    /// The outcome.
    pub async fn mail_done(&mut self, mail: &Mail, state: MailState, error: Option<&str>) -> Result<()> {
        let sent_at = (state == MailState::Sent).then_some(self.now);
        let sql = "update mails set state = $1, sending_at = null, sent_at = $2, last_error = $3 where id = $4 and epoch = $5 and state = 'queued'";
        self.fenced(sql, args![state.as_str(), sent_at, error, &mail.id, mail.epoch], mail.id.as_str(), mail.epoch).await
    }
}
