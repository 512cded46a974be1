//! Invoices: what was paid, numbered without a gap. Written once and never changed.

use leasehold_domain::{
    AccountId, LeaseId, Money, Timestamp,
    bill::Bill,
    document::{Document, DocumentKind, DocumentLine, Taxed},
    standing::Charge,
};
use serde::Serialize;
use serde_json::json;
use sqlx::FromRow;

use crate::{Page, Result, Rows, StoreError, Tx, accounts::Account, args, restoration::Restoration, witness::Committed};

/// How a buyer is named and taxed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buyer {
    /// The party, as it stands on documents.
    pub party: Option<String>,
    /// The buyer owes the tax.
    pub reverse_charge: bool,
}

impl From<&Account> for Buyer {
    fn from(a: &Account) -> Self {
        Self { party: a.party.clone(), reverse_charge: a.reverse_charge }
    }
}

/// What one account paid for in one transaction, all of one currency.
#[derive(Clone, Debug)]
pub struct Sale {
    /// Who paid.
    pub account: AccountId,
    /// Who that is, on documents.
    pub buyer: Buyer,
    /// For which spans of which leases.
    pub charges: Vec<(LeaseId, Charge)>,
}

impl Sale {
    /// As many invoices as it takes for the tax on each to be the rate of its sum, rounded once; none for what costs nothing.
    pub(crate) fn split(self) -> Vec<Self> {
        let (mut sales, mut bill): (Vec<Self>, Bill) = (Vec::new(), Bill::default());
        for (lease, charge) in self.charges {
            if sales.is_empty() || !bill.takes(&charge.price) {
                sales.push(Self { account: self.account.clone(), buyer: self.buyer.clone(), charges: Vec::new() });
                bill = Bill::default();
            }
            bill.add(&charge.price);
            sales.last_mut().into_iter().for_each(|sale| sale.charges.push((lease.clone(), charge.clone())));
        }
        sales.retain(|sale| sale.sum(|c| c.price.total) > 0);
        sales
    }

    fn taxes(&self) -> serde_json::Value {
        let mut bill = Bill::default();
        self.charges.iter().for_each(|(_, c)| bill.add(&c.price));
        json!(bill.rates())
    }

    fn sum(&self, of: impl Fn(&Charge) -> Money) -> i64 {
        self.charges.iter().map(|(_, c)| of(c).minor).sum()
    }
}

/// An invoice as it was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Its id.
    pub id: String,
    /// Its number as people write it: `2026-000042`.
    pub number: String,
    /// What it is for.
    pub sale: Sale,
}

impl Tx {
    /// Issues one invoice a sale, with numbers in the order given. The last writes of a transaction: the series is locked until its end.
    pub async fn issue_invoices(&mut self, sales: Vec<Sale>) -> Result<Vec<Issued>> {
        if sales.is_empty() {
            return Ok(Vec::new());
        }
        let (now, zone, seller) = (self.now, self.house_zone().await?, self.seller().await?);
        let (series, first) = self.next_document_numbers(INVOICES, &zone, sales.len() as i64).await?;
        let mut heads = Rows::new("id:t series:t number:i account:t currency:t net:i tax:i total:i at:i seller:t buyer:t taxes:t reverse:i zone:t");
        let mut lines = Rows::new("id:t no:i lease:t charge:i description:t from:i until:i amount:i zone:t");
        let mut issued = Vec::with_capacity(sales.len());
        for (number, sale) in (first..).zip(sales) {
            let id = self.new_id();
            let currency = sale.charges.first().map_or("", |(_, c)| c.price.total.currency.code());
            let (net, tax, total) = (sale.sum(|c| c.price.net), sale.sum(|c| c.price.tax), sale.sum(|c| c.price.total));
            heads.push(&[
                json!(id),
                json!(series),
                json!(number),
                json!(sale.account),
                json!(currency),
                json!(net),
                json!(tax),
                json!(total),
                json!(now.as_millis()),
                json!(seller),
                json!(sale.buyer.party),
                json!(sale.taxes().to_string()),
                json!(i64::from(sale.buyer.reverse_charge && tax == 0)),
                json!(zone),
            ]);
            let each = sale.charges.iter().flat_map(|(lease, c)| c.price.lines.iter().map(move |line| (lease, c, line)));
            for (no, (lease, c, line)) in each.enumerate() {
                let (from, until) = (c.from.as_millis(), c.until.as_millis());
                lines.push(&[
                    json!(id),
                    json!(no + 1),
                    json!(lease),
                    json!(c.no),
                    json!(line.description),
                    json!(from),
                    json!(until),
                    json!(line.amount.minor),
                    json!(c.zone),
                ]);
            }
            issued.push(Issued { number: format!("{series}-{number:06}"), id, sale });
        }
        let sql = "with v(v_id, v_series, v_number, v_account, v_currency, v_net, v_tax, v_total, v_at, v_seller, v_buyer, v_taxes, v_reverse, v_zone) as ({rows}) \
                   insert into invoices (id, series, number, account_id, currency, net, tax, total, created_at, seller, buyer, taxes, reverse_charge, zone) \
                   select v_id, v_series, v_number, v_account, v_currency, v_net, v_tax, v_total, v_at, v_seller, v_buyer, v_taxes, v_reverse <> 0, v_zone from v";
        self.exec_all(sql, heads, &[]).await?;
        let sql = "with v(v_id, v_no, v_lease, v_charge, v_description, v_from, v_until, v_amount, v_zone) as ({rows}) \
                   insert into invoice_lines (invoice_id, no, lease_id, charge_no, description, from_at, until_at, amount, zone) \
                   select v_id, v_no, v_lease, v_charge, v_description, v_from, v_until, v_amount, v_zone from v";
        self.exec_all(sql, lines, &[]).await?;
        issued.iter().for_each(|one| self.will_have(Committed::Document { id: one.id.clone(), name: one.number.clone() }));
        Ok(issued)
    }

    /// What of an invoice was not given back yet, minor units.
    pub async fn left_of_invoice(&mut self, id: &str) -> Result<i64> {
        let (total,): (i64,) = self.one("select total from invoices where id = $1", args![id]).await?;
        Ok(total - self.credited(id).await?.0)
    }

    /// What credit notes gave back of an invoice: in all, and the tax in it.
    async fn credited(&mut self, id: &str) -> Result<(i64, i64)> {
        let sql = "select cast(coalesce(sum(total), 0) as bigint), cast(coalesce(sum(tax), 0) as bigint) from invoices where corrects = $1";
        self.one(sql, args![id]).await
    }

    /// The series of this year's invoices, and that of its credit notes.
    pub async fn series_now(&mut self) -> Result<[String; 2]> {
        let (zone, restoration) = (self.house_zone().await?, self.restoration().await?);
        Ok([INVOICES, CREDIT_NOTES].map(|kind| series(kind, self.now, &zone, restoration.as_ref())))
    }

    /// The series that documents of a kind are numbered in now, and the first of so many numbers; the series is locked until the transaction ends.
    /// Restored books give out none, and none that may be: the world may have seen them.
    async fn next_document_numbers(&mut self, kind: &str, zone: &str, count: i64) -> Result<(String, i64)> {
        self.trusted().await?;
        let restoration = self.restoration().await?;
        let series = series(kind, self.now, zone, restoration.as_ref());
        let sql = "insert into invoice_series (id, next_no) values ($1, $2 + 1) on conflict (id) do update set next_no = invoice_series.next_no + $2 returning next_no";
        let first = self.int(sql, args![&series, count]).await? - count;
        Ok((series, first))
    }

    /// Corrects an invoice by so much of it, tax included; never by more than is left of it. Under the account's lock.
    pub(crate) async fn issue_credit_note(&mut self, id: String, of: &Invoice, amount: Money, reason: &str) -> Result<Invoice> {
        let (total, tax) = self.credited(&of.id).await?;
        let left = Money::new(of.total - total, of.currency.parse()?);
        if of.kind != DocumentKind::Invoice || amount.minor < 1 || amount.minus(left)?.minor > 0 {
            return Err(StoreError::Broken(format!("{} can be given back of {} {}, not {amount}", left, of.kind, of.name())));
        }
        let (now, zone) = (self.now, self.house_zone().await?);
        // All notes together have the tax of their sum: rounding never adds up.
        let tax = Money::new(total + amount.minor, amount.currency).part(of.tax, of.total)?.minor - tax;
        let net = amount.minor - tax;
        // Each rate gives back its part.
        let rates = of.taxed()?;
        let split = |minor, weight: &dyn Fn(&Taxed) -> i64| {
            let weights: Vec<u64> = rates.iter().map(|t| weight(t).max(0).cast_unsigned()).collect();
            Money::new(minor, amount.currency).split(&weights)
        };
        let parts = split(net, &|t| t.net).into_iter().zip(split(tax, &|t| t.tax));
        let taxes: Vec<Taxed> = rates.iter().zip(parts).map(|(t, (net, tax))| Taxed { rate: t.rate, net: net.minor, tax: tax.minor }).collect();
        let (series, number) = self.next_document_numbers(CREDIT_NOTES, &zone, 1).await?;
        let sql = "insert into invoices (id, series, number, account_id, currency, net, tax, total, created_at, kind, corrects, reason, seller, buyer, taxes, reverse_charge, zone) \
                   select $1, $2, $3, account_id, currency, $4, $5, $6, $7, 'credit_note', id, $8, seller, buyer, $9, reverse_charge, $11 from invoices where id = $10";
        self.exec_one(sql, args![&id, &series, number, net, tax, amount.minor, now, reason, json!(taxes).to_string(), &of.id, &zone]).await?;
        let sql = "insert into invoice_lines (invoice_id, no, lease_id, charge_no, description, from_at, until_at, amount, zone) \
                   select $1, 1, lease_id, charge_no, description, from_at, until_at, $2, zone from invoice_lines where invoice_id = $3 order by no limit 1";
        self.exec_one(sql, args![&id, net, &of.id]).await?;
        let name = format!("{series}-{number:06}");
        self.will_have(Committed::Document { id, name: name.clone() });
        self.invoice(&name).await
    }

    /// Everything that stands on an invoice or a credit note.
    pub async fn document(&mut self, i: &Invoice) -> Result<Document> {
        let (account, currency) = (self.account(&i.account_id.as_str().into()).await?, i.currency.parse()?);
        let money = |minor| Money::new(minor, currency);
        let seller = self.party(i.seller.as_deref()).await?;
        let buyer = match &i.buyer {
            Some(id) => self.party(Some(id)).await?,
            // Issued before buyers were written down.
            None => crate::parties::buyer(&account),
        };
        let line = |l: InvoiceLine| {
            let zone = l.zone().to_owned();
            DocumentLine { description: l.description, zone, from: l.from_at, until: l.until_at, amount: money(l.amount) }
        };
        let lines = self.invoice_lines(&i.id).await?.into_iter().map(line).collect();
        let corrects = match &i.corrects {
            Some(id) => Some(self.invoice_by_id(id).await?.name()),
            None => None,
        };
        Ok(Document {
            kind: i.kind,
            number: i.name(),
            issued_at: i.created_at,
            zone: i.zone().to_owned(),
            locale: account.locale,
            seller,
            buyer,
            lines,
            net: money(i.net),
            tax: money(i.tax),
            total: money(i.total),
            taxes: i.taxed()?,
            reverse_charge: i.reverse_charge,
            corrects,
            reason: i.reason.clone(),
        })
    }
}

/// An invoice as it is listed.
#[derive(Clone, Debug, FromRow)]
pub struct Invoice {
    /// Its id.
    pub id: String,
    /// The series that its number belongs to.
    pub series: String,
    /// Its place there, from 1.
    pub number: i64,
    /// Who paid.
    pub account_id: String,
    /// ISO 4217.
    pub currency: String,
    /// Minor units, before tax.
    pub net: i64,
    /// Minor units.
    pub tax: i64,
    /// Minor units, tax included.
    pub total: i64,
    /// When it was issued.
    #[sqlx(try_from = "i64")]
    pub created_at: Timestamp,
    /// What it is.
    #[sqlx(try_from = "String")]
    pub kind: DocumentKind,
    /// Of a credit note: the invoice that it corrects, by id.
    pub corrects: Option<String>,
    /// Of a credit note: why.
    pub reason: Option<String>,
    /// The party that sells.
    pub seller: Option<String>,
    /// The party that buys.
    pub buyer: Option<String>,
    /// What was taxed at which rate, JSON.
    pub taxes: String,
    /// The buyer owes the tax.
    pub reverse_charge: bool,
    /// See [`Invoice::zone`].
    zone: Option<String>,
}

/// Before the years of invoices, and of credit notes.
const INVOICES: &str = "";
const CREDIT_NOTES: &str = "CN";

/// `2026`, `CN2026`; after a restoration that began a new series, `2026B`.
fn series(kind: &str, now: Timestamp, zone: &str, restoration: Option<&Restoration>) -> String {
    format!("{kind}{}{}", year(now, zone), restoration.map_or("", |r| r.series.as_str()))
}

/// The year of a number, as the house counts it.
fn year(now: Timestamp, zone: &str) -> String {
    now.day_in(zone).split('-').next().unwrap_or_default().to_owned()
}

/// `2026-000042` in its parts; what is no number finds nothing.
fn series_and_number(name: &str) -> (&str, i64) {
    name.rsplit_once('-').and_then(|(series, number)| Some((series, number.parse().ok()?))).unwrap_or((name, 0))
}

impl Invoice {
    /// The zone whose day stands on it.
    pub fn zone(&self) -> &str {
        self.zone.as_deref().unwrap_or("UTC")
    }

    /// What was taxed at which rate.
    pub fn taxed(&self) -> Result<Vec<Taxed>> {
        serde_json::from_str(&self.taxes).map_err(|e| StoreError::Broken(format!("taxes of {}: {e}", self.name())))
    }

    /// Whether its tax is that of the sum; documents of older versions, whose rates are numbers, added up the tax of each charge.
    pub(crate) fn taxed_once(&self) -> bool {
        self.taxes.contains(r#""rate":""#)
    }

    /// Its number as people write it: `2026-000042`.
    pub fn name(&self) -> String {
        format!("{}-{:06}", self.series, self.number)
    }
}

/// One line of an invoice.
#[derive(Clone, Debug, FromRow, Serialize)]
pub struct InvoiceLine {
    /// What was paid for.
    pub description: String,
    /// From when.
    #[sqlx(try_from = "i64")]
    pub from_at: Timestamp,
    /// Until when (exclusive).
    #[sqlx(try_from = "i64")]
    pub until_at: Timestamp,
    /// Minor units, before tax.
    pub amount: i64,
    /// See [`InvoiceLine::zone`].
    zone: Option<String>,
}

impl InvoiceLine {
    /// The zone whose days it counts.
    pub fn zone(&self) -> &str {
        self.zone.as_deref().unwrap_or("UTC")
    }
}

impl Tx {
    /// Invoices, newest first; of one account, or all.
    pub async fn invoices(&mut self, account: Option<&AccountId>, limit: i64) -> Result<Vec<Invoice>> {
        let sql = "select * from invoices where ($1 is null or account_id = $1) order by id desc limit $2";
        self.all(sql, args![account.map(AccountId::as_str), limit]).await
    }

    /// A part of an account's invoices and credit notes, newest first.
    pub async fn invoices_of(&mut self, account: &AccountId, page: Page) -> Result<Vec<Invoice>> {
        let sql = "select * from invoices where account_id = $1 order by id desc limit $2 offset $3";
        self.all(sql, args![account, page.limit.unwrap_or(i64::MAX), page.skip]).await
    }

    /// An invoice of an account by its id or its number.
    pub async fn invoice_of(&mut self, account: &AccountId, id_or_number: &str) -> Result<Invoice> {
        let (series, number) = series_and_number(id_or_number);
        let sql = "select * from invoices where account_id = $1 and (id = $2 or (series = $3 and number = $4))";
        self.optional(sql, args![account, id_or_number, series, number]).await?.ok_or_else(|| StoreError::not_found("invoice", id_or_number))
    }

    /// One invoice by its number, `2026-000042`.
    pub async fn invoice(&mut self, name: &str) -> Result<Invoice> {
        let (series, number) = series_and_number(name);
        let found = self.optional("select * from invoices where series = $1 and number = $2", args![series, number]).await?;
        found.ok_or_else(|| StoreError::not_found("invoice", name))
    }

    /// One invoice by its id.
    pub async fn invoice_by_id(&mut self, id: &str) -> Result<Invoice> {
        self.find_invoice(id).await?.ok_or_else(|| StoreError::not_found("invoice", id))
    }

    /// One invoice by its id, if there is one.
    pub async fn find_invoice(&mut self, id: &str) -> Result<Option<Invoice>> {
        self.optional("select * from invoices where id = $1", args![id]).await
    }

    /// The numbers of the invoices and credit notes about a lease, newest first.
    pub async fn invoices_of_lease(&mut self, account: &AccountId, lease: &LeaseId) -> Result<Vec<String>> {
        let sql = "select i.* from invoices i where i.account_id = $1 and exists (select 1 from invoice_lines n where n.invoice_id = i.id and n.lease_id = $2) order by i.id desc limit 100";
        let found: Vec<Invoice> = self.all(sql, args![account, lease]).await?;
        Ok(found.iter().map(Invoice::name).collect())
    }

    /// The lines of an invoice.
    pub async fn invoice_lines(&mut self, id: &str) -> Result<Vec<InvoiceLine>> {
        self.all("select description, from_at, until_at, amount, zone from invoice_lines where invoice_id = $1 order by no", args![id]).await
    }
}
