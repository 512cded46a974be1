//! The books of many accounts, in a handful of queries.

use std::collections::HashMap;

use leasehold_domain::{
    AccountId, LeaseId, Money, Percent, Timestamp,
    books::Books,
    dunning::{Notice, Word},
    lease::{Lease, LeaseLine, LeaseState},
    ledger::Wallet,
    notice::{MailState, NoticeKind},
    price::Price,
    server::Status,
    standing::{Charge, Standing},
};
use sqlx::FromRow;

use super::{Page, Tenant, broken};
use crate::{
    Result, Rows, Tx,
    accounts::Account,
    invoices::Buyer,
    leases::{LeaseRow, charge_key},
};

#[derive(Clone, Debug, FromRow)]
pub(super) struct WalletRow {
    pub(super) account_id: String,
    currency: String,
    posted: i64,
    held: i64,
}

/// A lease and its server in one row.
#[derive(FromRow)]
struct TenancyRow {
    #[sqlx(flatten)]
    lease: LeaseRow,
    product_id: String,
    label: String,
    #[sqlx(try_from = "String")]
    status: Status,
}

#[derive(FromRow)]
struct OpenRow {
    lease_id: String,
    no: i64,
    from_at: i64,
    until_at: i64,
    amount: i64,
    tax: i64,
    #[sqlx(try_from = "i64")]
    tax_rate: Percent,
    currency: String,
    created_at: i64,
}

#[derive(FromRow)]
struct NoticeRow {
    charge: String,
    #[sqlx(try_from = "String")]
    kind: NoticeKind,
    before_ms: Option<i64>,
    #[sqlx(try_from = "String")]
    state: MailState,
    sent_at: Option<i64>,
    created_at: i64,
}

impl Tx {
    pub(super) async fn wallet_rows(&mut self, accounts: &[AccountId], lock: bool) -> Result<Vec<WalletRow>> {
        let rows = Rows::ids(accounts.iter().map(AccountId::as_str));
        let sql = if lock {
            "with v(v_id) as ({rows}) select account_id, currency, posted, held from wallets where account_id in (select v_id from v) order by account_id {skip}"
        } else {
            "with v(v_id) as ({rows}) select account_id, currency, posted, held from wallets where account_id in (select v_id from v) order by account_id"
        };
        self.all_rows_on("", sql, rows, &[]).await
    }

    pub(super) async fn load_pages(&mut self, wallets: Vec<WalletRow>) -> Result<Vec<Page>> {
        let ids = || Rows::ids(wallets.iter().map(|w| w.account_id.as_str()));
        let sql = "with v(v_id) as ({rows}) select a.* from v join accounts a on a.id = v.v_id";
        let heads: Vec<Account> = self.all_rows_on("", sql, ids(), &[]).await?;
        let mut heads: HashMap<AccountId, Account> = heads.into_iter().map(|h| (h.id.clone(), h)).collect();
        let sql = "with v(v_id) as ({rows}) select l.*, s.product_id, s.label, s.status from v join leases l on l.account_id = v.v_id \
                   join servers s on s.id = l.server_id where l.state in ('active', 'past_due', 'suspended')";
        let mut tenancies: Vec<TenancyRow> = self.all_rows_on("", sql, ids(), &[]).await?;
        // Here, not there: a database would carry whole rows through its sorter.
        tenancies.sort_by(|a, b| a.lease.id.cmp(&b.lease.id));
        let tenancies = tenancies.into_iter().map(|t| Ok((t.lease.try_into()?, Tenant { product: t.product_id.into(), label: t.label, status: t.status })));
        let mut standings = self.load_standings(tenancies.collect::<Result<_>>()?).await?;
        let mut pages = Vec::with_capacity(wallets.len());
        for w in wallets {
            let (leases, tenants) = standings.remove(&w.account_id).unwrap_or_default().into_iter().unzip();
            let (account, currency) = (AccountId(w.account_id), w.currency.parse()?);
            let head = heads.remove(&account).ok_or_else(|| broken("the account of wallet", &account))?;
            let wallet = Wallet { account: account.clone(), posted: Money::new(w.posted, currency), held: Money::new(w.held, currency) };
            let (tax, buyer) = (head.tax_rate, Buyer::from(&head));
            pages.push(Page { account, email: head.email, name: head.first_name, locale: head.locale, buyer, books: Books { wallet, tax, leases }, tenants });
        }
        Ok(pages)
    }

    /// Leases with all that belongs to them, by account.
    async fn load_standings(&mut self, leases: Vec<(Lease, Tenant)>) -> Result<HashMap<String, Vec<(Standing, Tenant)>>> {
        let mut lines = self.lease_lines(leases.iter().map(|(l, _)| l)).await?;
        let owing: Vec<&Lease> = leases.iter().map(|(l, _)| l).filter(|l| l.state != LeaseState::Active).collect();
        let (mut open, mut notices) = (self.open_charges(&owing, &lines).await?, self.notices_about(&owing).await?);
        let policies = self.policies(leases.iter().flat_map(|(l, _)| [l.account.as_str(), l.id.as_str()])).await?;
        let mut standings: HashMap<String, Vec<(Standing, Tenant)>> = HashMap::new();
        for (lease, tenant) in leases {
            let policy = policies.of(tenant.product.as_str(), lease.account.as_str(), lease.id.as_str())?;
            let (lines, open) = (lines.remove(&lease.id).unwrap_or_default(), open.remove(&lease.id));
            let notices = notices.remove(&charge_key(&lease.id, lease.period_no)).unwrap_or_default();
            standings.entry(lease.account.to_string()).or_default().push((Standing { lease, lines, policy, open, notices }, tenant));
        }
        Ok(standings)
    }

    async fn open_charges(&mut self, owing: &[&Lease], lines: &HashMap<LeaseId, Vec<LeaseLine>>) -> Result<HashMap<LeaseId, Charge>> {
        if owing.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = "with v(v_id) as ({rows}) select c.lease_id, c.no, c.from_at, c.until_at, c.amount, c.tax, c.tax_rate, c.currency, c.created_at \
                   from v join charges c on c.lease_id = v.v_id where c.state = 'open'";
        let rows: Vec<OpenRow> = self.all_rows_on("", sql, Rows::ids(owing.iter().map(|l| l.id.as_str())), &[]).await?;
        let zones: HashMap<&LeaseId, &str> = owing.iter().map(|l| (&l.id, l.zone.as_str())).collect();
        let charge = |r: OpenRow| -> Result<(LeaseId, Charge)> {
            let (lease, currency) = (LeaseId(r.lease_id), r.currency.parse()?);
            let (total, tax) = (Money::new(r.amount, currency), Money::new(r.tax, currency));
            let lines = lines.get(&lease).into_iter().flatten().filter(|l| l.covers(r.no)).map(|l| l.line.clone()).collect();
            let price = Price { lines, net: total.minus(tax)?, tax, total, tax_rate: r.tax_rate };
            let at = Timestamp::from_millis;
            let zone = zones.get(&lease).copied().unwrap_or_default().to_owned();
            Ok((lease, Charge { no: r.no, from: at(r.from_at), until: at(r.until_at), full_until: None, zone, price, at: at(r.created_at) }))
        };
        rows.into_iter().map(charge).collect()
    }

    async fn notices_about(&mut self, owing: &[&Lease]) -> Result<HashMap<String, Vec<Notice>>> {
        if owing.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = "with v(v_id) as ({rows}) select m.charge, m.kind, m.before_ms, m.state, m.sent_at, m.created_at from v join mails m on m.charge = v.v_id order by m.id";
        let rows: Vec<NoticeRow> = self.all_rows_on("", sql, Rows::ids(owing.iter().map(|l| charge_key(&l.id, l.period_no))), &[]).await?;
        let mut notices: HashMap<String, Vec<Notice>> = HashMap::new();
        for r in rows {
            let written = Timestamp::from_millis(r.created_at);
            let word = match r.state {
                MailState::Sent => Word::Sent(r.sent_at.map_or(written, Timestamp::from_millis)),
                MailState::Queued => Word::Queued,
                MailState::Ambiguous | MailState::Dead => Word::Dead(written),
                MailState::Superseded => continue,
            };
            let before = r.before_ms.map(|ms| std::time::Duration::from_millis(ms.max(0).cast_unsigned()));
            notices.entry(r.charge).or_default().push(Notice { kind: r.kind, before, word });
        }
        Ok(notices)
    }
}
