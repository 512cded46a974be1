//! Notices as rows: written with their cause, sent by the mails queue.

use std::collections::HashSet;

use leasehold_domain::{
    AccountId, MailId, ServerId, Timestamp,
    event::EventKind,
    notice::{MailState, NoticeKind},
};
use serde_json::{Map, Value, json};
use sqlx::FromRow;

use crate::{Page, Queue, Result, Rows, StoreError, Tx, When, args, webhooks::News};

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
    /// The charge that it is about, where it is part of dunning.
    pub charge: Option<String>,
    /// When it is due.
    pub next_at: Option<When>,
    /// The fence.
    pub epoch: i64,
    /// Requests so far.
    pub wants: i64,
}

/// A notice as the books write it: many at once.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) kind: NoticeKind,
    pub(crate) subject: String,
    pub(crate) account: Option<AccountId>,
    pub(crate) server: Option<ServerId>,
    pub(crate) recipient: String,
    pub(crate) locale: String,
    pub(crate) data: serde_json::Value,
    /// The charge that it is about.
    pub(crate) charge: Option<String>,
    /// How long before the step that it tells of.
    pub(crate) before_ms: Option<i64>,
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
    /// The charge that it is about, where it is part of dunning.
    pub charge: Option<&'a str>,
}

const COLUMNS_OF_NEW: &str = "insert into mails (id, kind, dedup_key, account_id, server_id, recipient, locale, data, message_id, state, charge, created_at, next_at) \
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'queued', $10, $11, $11) on conflict (dedup_key) do nothing";

impl Tx {
    /// Writes a notice; false when the same one was written before.
    pub async fn notify(&mut self, new: NewMail<'_>) -> Result<bool> {
        let (id, now) = (self.new_id(), self.now);
        let (account, server) = (new.account.map(AccountId::as_str), new.server.map(ServerId::as_str));
        let key = new.kind.dedup_key(new.subject);
        let args =
            args![&id, new.kind.as_str(), key, account, server, new.recipient, new.locale, new.data.to_string(), format!("<{id}@leasehold>"), new.charge, now];
        let written = self.exec(COLUMNS_OF_NEW, args).await? == 1;
        if written {
            self.wake(Queue::Mails);
        }
        Ok(written)
    }

    /// Writes many notices; those that were written before are left alone.
    pub(crate) async fn write_letters(&mut self, letters: Vec<Letter>) -> Result<()> {
        let mut rows = Rows::new("v_id:t v_kind:t v_key:t v_account:t v_server:t v_to:t v_locale:t v_data:t v_message:t v_charge:t v_before:i");
        let mut news = Vec::new();
        for l in letters {
            let (id, key) = (self.new_id(), l.kind.dedup_key(&l.subject));
            if let (Some((event, fields)), Some(account)) = (EventKind::of_notice(l.kind), &l.account) {
                let mut data: Map<String, Value> = fields.iter().map(|field| ((*field).to_owned(), l.data[*field].clone())).collect();
                data.extend(l.server.as_ref().map(|server| ("id".to_owned(), json!(server))));
                news.push((id.clone(), News { account: account.clone(), event, data: data.into() }));
            }
            let message = format!("<{id}@leasehold>");
            let data = l.data.to_string();
            rows.push(&[
                json!(id),
                json!(l.kind),
                json!(key),
                json!(l.account),
                json!(l.server),
                json!(l.recipient),
                json!(l.locale),
                json!(data),
                json!(message),
                json!(l.charge),
                json!(l.before_ms),
            ]);
        }
        if rows.count > 0 {
            let sql = "with v(v_id, v_kind, v_key, v_account, v_server, v_to, v_locale, v_data, v_message, v_charge, v_before) as ({rows}) \
                       insert into mails (id, kind, dedup_key, account_id, server_id, recipient, locale, data, message_id, state, charge, before_ms, created_at, next_at) \
                       select v_id, v_kind, v_key, v_account, v_server, v_to, v_locale, v_data, v_message, 'queued', v_charge, v_before, \
                       cast($2 as bigint), cast($2 as bigint) from v where true on conflict (dedup_key) do nothing returning id";
            let now = self.now;
            let written: Vec<(String,)> = self.all_rows_on("", sql, rows, args![now]).await?;
            let written: HashSet<String> = written.into_iter().map(|(id,)| id).collect();
            self.publish(news.into_iter().filter(|(id, _)| written.contains(id)).map(|(_, n)| n).collect()).await?;
            self.wake(Queue::Mails);
        }
        Ok(())
    }

    /// Notices about these charges that nobody has begun to send are not sent any more.
    pub(crate) async fn supersede_dunning(&mut self, charges: impl Iterator<Item = String>) -> Result<()> {
        let rows = Rows::ids(charges);
        if rows.count > 0 {
            let sql = "with v(v_id) as ({rows}) update mails set {superseded} where charge in (select v_id from v) and state = 'queued' and sending_at is null";
            self.exec_rows(sql, rows, &[]).await?;
        }
        Ok(())
    }

    /// Whether a charge (`lease:no`) is still owed.
    pub async fn charge_is_open(&mut self, charge: &str) -> Result<bool> {
        let (lease, no) = charge.rsplit_once(':').and_then(|(lease, no)| Some((lease, no.parse::<i64>().ok()?))).unwrap_or((charge, 0));
        let sql = "select count(*) from charges where lease_id = $1 and kind = 'period' and no = $2 and state = 'open'";
        Ok(self.int(sql, args![lease, no]).await? > 0)
    }

    /// What was told of a charge's suspension is over: what comes of it next is told, and warned of, anew.
    pub(crate) async fn tell_suspension_anew(&mut self, charge: &str) -> Result<()> {
        let sql = "update mails set {superseded} where charge = $1 and kind in ('payment_reminder', 'server_suspended', 'termination_warning') \
                   and state = 'queued' and sending_at is null";
        self.exec(sql, args![charge]).await?;
        let sql = "update mails set charge = null, dedup_key = dedup_key || ':' || id \
                   where charge = $1 and kind in ('payment_reminder', 'server_suspended', 'termination_warning')";
        self.exec(sql, args![charge]).await?;
        Ok(())
    }

    /// Notices about the balance of an account that nobody has begun to send are not sent any more.
    pub(crate) async fn supersede_low_balance(&mut self, account: &AccountId) -> Result<()> {
        let sql = "update mails set {superseded} where account_id = $1 and kind = 'low_balance' and state = 'queued' and sending_at is null";
        self.exec(sql, args![account]).await?;
        Ok(())
    }

    /// Writes the same notice once more under a new Message-ID; answers the new id.
    pub async fn resend_mail(&mut self, id: &MailId) -> Result<String> {
        let (new, now) = (self.new_id(), self.now);
        let sql = "insert into mails (id, kind, dedup_key, account_id, server_id, recipient, locale, data, message_id, state, resend_of, charge, before_ms, created_at, next_at) \
                   select $1, kind, 'resend:' || $1, account_id, server_id, recipient, locale, data, $2, 'queued', id, charge, before_ms, $3, $3 from mails where id = $4";
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
    pub async fn mails(&mut self, state: Option<MailState>, server: Option<&ServerId>, page: impl Into<Page>) -> Result<Vec<Mail>> {
        let page = page.into();
        let sql = "select * from mails where ($1 is null or state = $1) and ($2 is null or server_id = $2) order by id desc limit $3 offset $4";
        self.all(sql, args![state.map(MailState::as_str), server.map(ServerId::as_str), page.most(), page.skip]).await
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

    /// Whether one of the newest mails was taken by the mail server in this time.
    pub async fn mail_went_out(&mut self, from: Timestamp, until: Timestamp) -> Result<bool> {
        let sql = "select count(*) from (select sent_at from mails order by id desc limit 1000) newest where sent_at between $1 and $2";
        Ok(self.int(sql, args![from, until]).await? > 0)
    }

    /// How many mails of a kind an account has had written since then.
    pub async fn mails_of_kind_since(&mut self, account: &AccountId, kind: NoticeKind, since: Timestamp) -> Result<i64> {
        self.int("select count(*) from mails where account_id = $1 and kind = $2 and created_at > $3", args![account, kind.as_str(), since]).await
    }

    /// The outcome.
    pub async fn mail_done(&mut self, mail: &Mail, state: MailState, error: Option<&str>) -> Result<()> {
        let sent_at = (state == MailState::Sent).then_some(self.now);
        let sql = "update mails set state = $1, sending_at = null, sent_at = $2, last_error = $3 where id = $4 and epoch = $5 and state = 'queued'";
        self.fenced(sql, args![state.as_str(), sent_at, error, &mail.id, mail.epoch], mail.id.as_str(), mail.epoch).await
    }
}
