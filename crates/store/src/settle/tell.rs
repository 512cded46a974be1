//! What is written to customers about their leases.

use leasehold_domain::{AccountId, LeaseId, Money, Timestamp, books::Books, decision::Decision, notice::NoticeKind, standing::Charge};
use serde_json::{Value, json};

use super::{Page, write::Payer};
use crate::{
    Result, Tx, args,
    invoices::{Buyer, Invoice, Issued, Sale},
    leases::charge_key,
    mails::Letter,
};

/// The notice that a decision means, if any. `books` are those before it.
pub(super) fn letter(page: &Page, books: &Books, decision: &Decision, now: Timestamp) -> Option<Letter> {
    let about = |lease: usize, kind: NoticeKind, no: i64, before: Option<std::time::Duration>, mut data: Value| {
        let (s, tenant) = (&books.leases[lease], &page.tenants[lease]);
        let charge = charge_key(&s.lease.id, no);
        let before_ms = before.map(|b| b.as_millis() as i64);
        let subject = before_ms.map_or_else(|| charge.clone(), |ms| format!("{charge}:{ms}"));
        data["name"] = page.name.as_str().into();
        data["label"] = tenant.label.as_str().into();
        data["balance"] = books.wallet.available().to_string().into();
        Letter { server: Some(s.lease.server.clone()), charge: Some(charge), before_ms, ..to(page, kind, subject, data) }
    };
    let zone = |lease: usize| books.leases[lease].lease.zone.as_str();
    let owed = |lease: usize| books.leases[lease].price_to_go_on(books.tax, now).map(|m| m.to_string());
    match decision {
        Decision::Fail { lease, charge } => {
            let (policy, zone) = (&books.leases[*lease].policy, zone(*lease));
            let suspends = (!policy.never_suspend).then(|| (now + policy.suspend_after.max(policy.min_notice)).day_in(zone));
            let data = json!({ "owed": charge.price.total.to_string(), "since": charge.from.day_in(zone), "at": suspends });
            Some(about(*lease, NoticeKind::PaymentFailed, charge.no, None, data))
        }
        Decision::Remind { lease, before, at } => {
            let data = json!({ "owed": owed(*lease), "at": at.day_in(zone(*lease)) });
            Some(about(*lease, NoticeKind::PaymentReminder, books.leases[*lease].lease.period_no, Some(*before), data))
        }
        Decision::Warn { lease, before, at } => {
            let data = json!({ "owed": owed(*lease), "at": at.day_in(zone(*lease)) });
            Some(about(*lease, NoticeKind::TerminationWarning, books.leases[*lease].lease.period_no, Some(*before), data))
        }
        Decision::LowBalance { due, missing } => {
            let one = |(lease, at, amount): &(usize, Timestamp, Money)| json!({ "label": page.tenants[*lease].label, "at": at.day_in(zone(*lease)), "amount": amount.to_string() });
            let due: Vec<Value> = due.iter().map(one).collect();
            let data = json!({ "name": page.name, "due": due, "missing": missing.to_string(), "balance": books.wallet.available().to_string() });
            Some(to(page, NoticeKind::LowBalance, format!("{}:{}", page.account, now.day()), data))
        }
        _ => None,
    }
}

fn to(page: &Page, kind: NoticeKind, subject: String, data: Value) -> Letter {
    let (account, recipient, locale) = (Some(page.account.clone()), page.email.clone(), page.locale.clone());
    Letter { kind, subject, account, server: None, recipient, locale, data, charge: None, before_ms: None }
}

impl Tx {
    /// Invoices one account's purchase, and writes the receipt. Under the account's lock, as the last thing that it is needed for.
    pub(crate) async fn issue_with_receipt(&mut self, account: &AccountId, charges: Vec<(LeaseId, Charge)>, balance: Money) -> Result<()> {
        let account = self.account(account).await?;
        let sale = Sale { account: account.id.clone(), buyer: Buyer::from(&account), charges };
        let payer = Payer { email: account.email, name: account.first_name, locale: account.locale, balance };
        let issued = self.issue_invoices(vec![sale]).await?;
        let receipts = issued.iter().map(|invoice| receipt(invoice, payer.clone())).collect();
        self.write_letters(receipts).await
    }

    /// Tells an account at once that a payment does not do for what is suspended for want of money alone, and what is missing: the next warning may be days
    /// away. After the payment was settled; false: there is nothing to tell.
    pub async fn tell_short(&mut self, account: &AccountId, paid: Money, movement: &str) -> Result<bool> {
        let now = self.now;
        let of = "select l.server_id from leases l where l.account_id = $1 and l.state = 'suspended' \
                  and not exists (select 1 from holds h where h.server_id = l.server_id and h.kind <> 'billing')";
        let servers: Vec<(String,)> = self.all(of, args![account]).await?;
        if servers.is_empty() {
            return Ok(false);
        }
        self.books(account).await?;
        let pages = self.pages(std::slice::from_ref(account)).await?;
        let Some(page) = pages.first() else { return Ok(false) };
        let balance = page.books.wallet.available();
        let needed = page
            .books
            .leases
            .iter()
            .zip(&page.tenants)
            .filter(|(s, _)| servers.iter().any(|(id,)| *id == s.lease.server.0))
            .filter_map(|(s, t)| Some((s.least_to_come_back(page.books.tax, now)?, s, t)));
        let Some((owed, s, tenant)) = needed.min_by_key(|(owed, ..)| owed.minor).filter(|(owed, ..)| owed.minor > balance.minor) else { return Ok(false) };
        let data = json!({
            "name": page.name, "label": tenant.label, "paid": paid.to_string(), "owed": owed.to_string(), "balance": balance.to_string(),
            "missing": owed.minus(balance)?.to_string(),
        });
        let charge = charge_key(&s.lease.id, s.lease.period_no);
        let letter = Letter { server: Some(s.lease.server.clone()), charge: Some(charge), ..to(page, NoticeKind::PaymentShort, movement.to_owned(), data) };
        self.write_letters(vec![letter]).await.map(|()| true)
    }

    /// Tells an account that money came back.
    pub(crate) async fn tell_credit(&mut self, note: &Invoice, reason: &str, balance: Money) -> Result<()> {
        let account = self.account(&note.account_id.as_str().into()).await?;
        let (currency, of) = (account.currency()?, self.invoice_by_id(note.corrects.as_deref().unwrap_or_default()).await?);
        let total = Money::new(note.total, currency).to_string();
        let data = json!({
            "name": account.first_name, "number": note.name(), "corrects": of.name(), "total": total, "reason": reason, "balance": balance.to_string(),
        });
        let (kind, subject, account_id) = (NoticeKind::CreditNote, note.id.clone(), Some(account.id));
        let letter =
            Letter { kind, subject, account: account_id, server: None, recipient: account.email, locale: account.locale, data, charge: None, before_ms: None };
        self.write_letters(vec![letter]).await
    }
}

/// The notice about an invoice.
pub(super) fn receipt(invoice: &Issued, payer: Payer) -> Letter {
    let charges = &invoice.sale.charges;
    let lines: Vec<Value> = charges
        .iter()
        .flat_map(|(_, c)| c.price.lines.iter().map(move |l| (c, l)))
        .map(|(c, l)| json!({ "description": l.description, "from": c.from.day_in(&c.zone), "until": c.until.day_in(&c.zone), "amount": l.amount.to_string() }))
        .collect();
    let zero = Money::zero(payer.balance.currency);
    let sum = |of: &dyn Fn(&leasehold_domain::price::Price) -> i64| Money::new(charges.iter().map(|(_, c)| of(&c.price)).sum(), zero.currency);
    let tax = sum(&|p| p.tax.minor);
    let data = json!({
        "name": payer.name, "number": invoice.number, "lines": lines, "net": sum(&|p| p.net.minor).to_string(),
        "tax": (tax.minor > 0).then(|| tax.to_string()), "total": sum(&|p| p.total.minor).to_string(), "balance": payer.balance.to_string(),
    });
    Letter {
        kind: NoticeKind::Receipt,
        subject: invoice.id.clone(),
        account: Some(invoice.sale.account.clone()),
        server: None,
        recipient: payer.email,
        locale: payer.locale,
        data,
        charge: None,
        before_ms: None,
    }
}
