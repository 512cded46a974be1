//! Invoices: what was paid, numbered without a gap. Written once and never changed.

use leasehold_domain::{AccountId, LeaseId, Money, books::Charge};
use serde_json::json;

use crate::{Result, Rows, Tx, args};

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
