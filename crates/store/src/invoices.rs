//! Invoices: what was paid, numbered without a gap. Written once and never changed.

use leasehold_domain::{AccountId, LeaseId, Money, Timestamp, standing::Charge};
use serde::Serialize;
use serde_json::json;
use sqlx::FromRow;

use crate::{Result, Rows, StoreError, Tx, args};

/// What one account paid for in one transaction, all of one currency.
#[derive(Clone, Debug)]
pub struct Sale {
    /// Who paid.
    pub account: AccountId,
    /// For which spans of which leases.
    pub charges: Vec<(LeaseId, Charge)>,
}

impl Sale {
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
        let (series, now, count) = (self.now.jiff().strftime("%Y").to_string(), self.now, sales.len() as i64);
        let sql = "insert into invoice_series (id, next_no) values ($1, $2 + 1) on conflict (id) do update set next_no = invoice_series.next_no + $2 returning next_no";
        let first = self.int(sql, args![&series, count]).await? - count;
        let mut heads = Rows::new("id:t series:t number:i account:t currency:t net:i tax:i total:i at:i");
        let mut lines = Rows::new("id:t no:i lease:t charge:i description:t from:i until:i amount:i");
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
                ]);
            }
            issued.push(Issued { number: format!("{series}-{number:06}"), id, sale });
        }
        let sql = "with v(v_id, v_series, v_number, v_account, v_currency, v_net, v_tax, v_total, v_at) as ({rows}) \
                   insert into invoices (id, series, number, account_id, currency, net, tax, total, created_at) \
                   select v_id, v_series, v_number, v_account, v_currency, v_net, v_tax, v_total, v_at from v";
        self.exec_all(sql, heads, &[]).await?;
        let sql = "with v(v_id, v_no, v_lease, v_charge, v_description, v_from, v_until, v_amount) as ({rows}) \
                   insert into invoice_lines (invoice_id, no, lease_id, charge_no, description, from_at, until_at, amount) \
                   select v_id, v_no, v_lease, v_charge, v_description, v_from, v_until, v_amount from v";
        self.exec_all(sql, lines, &[]).await?;
        Ok(issued)
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
}

impl Invoice {
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
}

impl Tx {
    /// Invoices, newest first; of one account, or all.
    pub async fn invoices(&mut self, account: Option<&AccountId>, limit: i64) -> Result<Vec<Invoice>> {
        let sql = "select * from invoices where ($1 is null or account_id = $1) order by id desc limit $2";
        self.all(sql, args![account.map(AccountId::as_str), limit]).await
    }

    /// One invoice by its number, `2026-000042`.
    pub async fn invoice(&mut self, name: &str) -> Result<Invoice> {
        let (series, number) = name.rsplit_once('-').and_then(|(s, n)| Some((s, n.parse::<i64>().ok()?))).unwrap_or((name, 0));
        let found = self.optional("select * from invoices where series = $1 and number = $2", args![series, number]).await?;
        found.ok_or_else(|| StoreError::not_found("invoice", name))
    }

    /// The lines of an invoice.
    pub async fn invoice_lines(&mut self, id: &str) -> Result<Vec<InvoiceLine>> {
        self.all("select description, from_at, until_at, amount from invoice_lines where invoice_id = $1 order by no", args![id]).await
    }
}
