//! The books of one account under its lock. Only what is here writes wallets, transfers, charges and leases.

mod addons;
mod refunds;

use std::time::Duration;

use leasehold_domain::{
    AccountId, Currency, LeaseId, Money, ServerId, Timestamp,
    lease::{Cycle, Lease, LeaseState},
    ledger::{Code, House, Transfer, TransferState, Wallet, wallet_account},
    movements::{self, order_reference},
    price::Price,
    standing::Charge,
    terms::Terms,
};
use sqlx::FromRow;

use crate::{Result, StoreError, Tx, args, leases::charge_key, witness::Committed};

/// The books of one account, locked until the transaction ends.
pub struct Books<'a> {
    tx: &'a mut Tx,
    wallet: Wallet,
    /// What the account owes beyond its wallet.
    owed: Money,
}

/// A transfer as it was written.
#[derive(Clone, Debug, FromRow)]
pub struct TransferRow {
    /// Unique for ever.
    pub reference: String,
    /// The ledger account that gives.
    pub debit: String,
    /// The ledger account that takes.
    pub credit: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// What for.
    pub code: String,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub state: TransferState,
    /// Why, in an operator's words.
    pub reason: Option<String>,
    /// When.
    #[sqlx(try_from = "i64")]
    pub created_at: Timestamp,
}

/// What became of a movement with a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Booked {
    /// It was written now.
    New,
    /// The same reference had moved the same money before; nothing changed.
    Before,
}

impl Tx {
    /// Takes the account's lock and loads its wallet.
    pub async fn books(&mut self, account: &AccountId) -> Result<Books<'_>> {
        let (wallet, owed) = self.load_wallet("select currency, posted, held, owed from wallets where account_id = $1 {lock}", account).await?;
        Ok(Books { tx: self, wallet, owed })
    }

    /// The wallet without its lock, for showing.
    pub async fn wallet(&mut self, account: &AccountId) -> Result<Wallet> {
        Ok(self.load_wallet("select currency, posted, held, owed from wallets where account_id = $1", account).await?.0)
    }

    async fn load_wallet(&mut self, sql: &'static str, account: &AccountId) -> Result<(Wallet, Money)> {
        let row: Option<(String, i64, i64, i64)> = self.optional(sql, args![account]).await?;
        let (currency, posted, held, owed) = row.ok_or_else(|| StoreError::not_found("account", account))?;
        let currency: Currency = currency.parse()?;
        let money = |minor| Money::new(minor, currency);
        Ok((Wallet { account: account.clone(), posted: money(posted), held: money(held) }, money(owed)))
    }

    /// What all wallets hold, by currency: posted, and how much of it is held.
    pub async fn wallet_totals(&mut self) -> Result<Vec<(String, i64, i64)>> {
        let sql = "select currency, cast(sum(posted) as bigint), cast(sum(held) as bigint) from wallets group by currency order by currency";
        self.all(sql, &[]).await
    }

    pub(crate) async fn open_wallet(&mut self, account: &AccountId, currency: Currency) -> Result<()> {
        let sql = "insert into wallets (account_id, currency, posted, held) values ($1, $2, 0, 0)";
        self.exec_one(sql, args![account, currency.code()]).await?;
        let house = House::ALL.iter().map(|h| (h.account(currency), h.as_str()));
        for (id, kind) in house.chain([(wallet_account(account), "wallet")]) {
            self.exec("insert into ledger_accounts (id, kind, currency) values ($1, $2, $3) on conflict do nothing", args![id, kind, currency.code()]).await?;
        }
        Ok(())
    }

    /// Whether a movement is known by this.
    pub async fn is_booked(&mut self, reference: &str) -> Result<bool> {
        Ok(self.transfer(reference).await?.is_some())
    }

    async fn transfer(&mut self, reference: &str) -> Result<Option<TransferRow>> {
        let sql = "select reference, debit, credit, amount, currency, code, state, reason, created_at from transfers where reference = $1";
        self.optional(sql, args![reference]).await
    }
}

impl Books<'_> {
    /// What can be spent.
    pub fn available(&self) -> Money {
        self.wallet.available()
    }

    /// Pays money in. The same reference twice is one payment; with another amount it is refused.
    pub async fn top_up(&mut self, reference: &str, amount: Money, reason: &str) -> Result<Booked> {
        if let Some(before) = self.tx.transfer(reference).await? {
            return same_movement(&before, amount, &wallet_account(&self.wallet.account), Code::TopUp);
        }
        let now = self.tx.now;
        let transfer = movements::top_up(&mut self.wallet, reference.into(), amount, now)?;
        self.tx.supersede_low_balance(&self.wallet.account).await?;
        self.write_transfer(&transfer, Some(reason)).await?;
        self.money_came(reference).await?;
        Ok(Booked::New)
    }

    /// Takes money out.
    pub async fn debit(&mut self, reference: &str, amount: Money, reason: &str) -> Result<Booked> {
        if let Some(before) = self.tx.transfer(reference).await? {
            return same_movement(&before, amount, &House::Clearing.account(amount.currency), Code::Debit);
        }
        let transfer = movements::debit(&mut self.wallet, reference.into(), amount, self.tx.now)?;
        self.write_transfer(&transfer, Some(reason)).await
    }

    /// Opens the lease of an order and sets its price aside.
    pub async fn open_lease(&mut self, server: &ServerId, cycle: Cycle, terms: &Terms, zone: &str) -> Result<LeaseId> {
        let (id, now, price) = (LeaseId(self.tx.new_id()), self.tx.now, &terms.price);
        let currency = price.total.currency.code();
        let sql = "insert into leases (id, account_id, server_id, state, cycle, price, tax, tax_rate, currency, zone, anchor_no, period_no, auto_renew, created_at) \
                   values ($1, $2, $3, 'pending', $4, $5, $6, $7, $8, $9, 1, 0, true, $10)";
        let account = &self.wallet.account;
        self.tx
            .exec_one(sql, args![&id, account, server, cycle.as_str(), price.total.minor, price.tax.minor, price.tax_rate.thousandths(), currency, zone, now])
            .await?;
        self.tx.append_lease_lines(&id, &terms.lines).await?;
        self.hold(order_reference(server, 1), Code::Order, price.total).await?;
        Ok(id)
    }

    /// Sets the price of another build of a failed order aside; its lease waits again.
    pub async fn reopen_lease(&mut self, server: &ServerId, generation: i64) -> Result<()> {
        let lease = self.lease(server).await?;
        self.hold(order_reference(server, generation), Code::Order, lease.price).await?;
        self.tx.redeem_again(server).await?;
        self.reorder_addons(server).await?;
        let sql = "update leases set state = 'pending', ended_at = null where id = $1 and state = 'ended' and period_no = 0";
        self.tx.exec_one(sql, args![&lease.id]).await
    }

    /// The server runs for the first time: the hold is posted, the lease begins, period 1 is paid and invoiced.
    pub async fn deliver(&mut self, server: &ServerId, generation: i64) -> Result<Charge> {
        let mut lease = self.lease(server).await?;
        let hold = self.pending(&order_reference(server, generation)).await?;
        let price = self.price_as_ordered(&lease).await?;
        let now = self.tx.now;
        let charge = movements::deliver(&mut self.wallet, &mut lease, hold.as_ref(), price, now)?;
        self.resolve(hold.as_ref(), TransferState::Posted).await?;
        self.deliver_addons(server).await?;
        let sql = "update leases set state = 'active', anchor_at = $1, anchor_no = $2, period_no = $3, paid_until = $4 where id = $5 and state = 'pending'";
        self.tx.exec_one(sql, args![lease.anchor_at, lease.anchor_no, lease.period_no, lease.paid_until, &lease.id]).await?;
        self.tx.look_at_lease(&lease, now).await?;
        self.pay_charge(&lease.id, "period", charge.clone(), hold.map(|h| h.reference)).await?;
        Ok(charge)
    }

    /// Writes a charge that a transfer paid, its tax and its invoice.
    async fn pay_charge(&mut self, lease: &LeaseId, kind: &str, charge: Charge, transfer: Option<String>) -> Result<()> {
        let (price, rate) = (&charge.price, charge.price.tax_rate.thousandths());
        let (total, currency) = (price.total.minor, price.total.currency.code());
        let sql = "insert into charges (lease_id, kind, no, from_at, until_at, amount, tax, tax_rate, currency, state, transfer, created_at, paid_at, full_until) \
                   values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'paid', $10, $11, $11, $12)";
        let args =
            args![lease, kind, charge.no, charge.from, charge.until, total, price.tax.minor, rate, currency, transfer.clone(), charge.at, charge.full_until];
        self.tx.exec_one(sql, args).await?;
        self.tx.write_tax(transfer.map(|reference| (reference, price.tax)).as_slice()).await?;
        self.sell(vec![(lease.clone(), charge)]).await
    }

    /// What was agreed for the first period, tax included, whatever the tax is now.
    async fn price_as_ordered(&mut self, lease: &Lease) -> Result<Price> {
        let lines = self.tx.lease_lines(std::iter::once(lease)).await?.remove(&lease.id).unwrap_or_default();
        let (tax, rate): (i64, i64) = self.tx.one("select tax, tax_rate from leases where id = $1", args![&lease.id]).await?;
        let tax = Money::new(tax, lease.price.currency);
        let lines = lines.into_iter().filter(|l| l.covers(1)).map(|l| l.line).collect();
        Ok(Price { lines, net: lease.price.minus(tax)?, tax, total: lease.price, tax_rate: crate::leases::rate(rate)? })
    }

    /// Its owner ends an order after its machine was booted: what was set aside comes back, and what was used of it is paid, at least this long.
    pub async fn end_ordered(&mut self, server: &ServerId, generation: i64, booted: Timestamp, least: Duration) -> Result<()> {
        let (lease, now) = (self.lease(server).await?, self.tx.now);
        let lines = self.tx.lease_lines(std::iter::once(&lease)).await?.remove(&lease.id).unwrap_or_default();
        let (rate,): (i64,) = self.tx.one("select tax_rate from leases where id = $1", args![&lease.id]).await?;
        let charge = movements::end_early(&lease, &lines, crate::leases::rate(rate)?, booted, least, now)?;
        let hold = self.pending(&order_reference(server, generation)).await?;
        movements::give_back(&mut self.wallet, &mut lease.clone(), hold.as_ref())?;
        self.resolve(hold.as_ref(), TransferState::Voided).await?;
        let paid = format!("{}:used", order_reference(server, generation));
        let transfer = movements::pay_order(&mut self.wallet, paid, charge.price.total, now)?;
        if let Some(transfer) = &transfer {
            self.write_transfer(transfer, Some("ended by its owner before it was delivered")).await?;
        }
        self.money_came(&order_reference(server, generation)).await?;
        let sql = "update leases set anchor_at = $1, anchor_no = 1, period_no = 1, paid_until = $2 where id = $3 and state = 'pending'";
        self.tx.exec_one(sql, args![charge.from, charge.until, &lease.id]).await?;
        self.close_lease(server, &lease).await?;
        self.pay_charge(&lease.id, "period", charge, transfer.map(|t| t.reference)).await
    }

    /// The lease ends: before the first run the money comes back, later nothing more is charged and what is owed is let go. Ending twice is ending once.
    pub async fn end_lease(&mut self, server: &ServerId, generation: i64) -> Result<()> {
        let mut lease = self.lease(server).await?;
        if lease.state == LeaseState::Ended {
            return Ok(());
        }
        if lease.state == LeaseState::Pending {
            let hold = self.pending(&order_reference(server, generation)).await?;
            movements::give_back(&mut self.wallet, &mut lease, hold.as_ref())?;
            self.resolve(hold.as_ref(), TransferState::Voided).await?;
            self.money_came(&order_reference(server, generation)).await?;
            self.tx.return_coupon(server).await?;
        }
        self.close_lease(server, &lease).await
    }

    async fn close_lease(&mut self, server: &ServerId, lease: &Lease) -> Result<()> {
        let now = self.tx.now;
        self.end_addons(server).await?;
        let sql = "update leases set state = 'ended', ended_at = $1, decide_at = null where id = $2 and state <> 'ended'";
        self.tx.exec_one(sql, args![now, &lease.id]).await?;
        self.tx.exec("update charges set state = 'void' where lease_id = $1 and state = 'open'", args![&lease.id]).await?;
        self.tx.exec("delete from enforcements where lease_id = $1 and done_at is null", args![&lease.id]).await?;
        self.tx.supersede_dunning(std::iter::once(charge_key(&lease.id, lease.period_no))).await
    }

    /// A server is down by a fault of ours: nothing is charged, and nothing taken away, until it runs again.
    pub async fn found_down(&mut self, server: &ServerId) -> Result<()> {
        let lease = self.lease(server).await?;
        let now = self.tx.now;
        self.tx.exec("update leases set down_at = $1 where id = $2 and down_at is null and state <> 'ended'", args![now, &lease.id]).await?;
        self.tx.look_at_lease(&lease, now).await
    }

    /// A server that was down by a fault of ours runs again.
    pub async fn found_up(&mut self, server: &ServerId) -> Result<()> {
        let lease = self.lease(server).await?;
        self.tx.exec_one("update leases set down_at = null where id = $1", args![&lease.id]).await?;
        self.after_rest(&lease).await
    }

    /// A hold was placed, changed or lifted: while one stands that is free, nothing is charged, and nothing taken away.
    pub async fn holds_changed(&mut self, server: &ServerId) -> Result<()> {
        let lease = self.lease(server).await?;
        let now = self.tx.now;
        let sql = "update leases set free_at = case when exists (select 1 from holds h where h.server_id = leases.server_id and h.free) then coalesce(free_at, $1) end \
                   where id = $2";
        self.tx.exec_one(sql, args![now, &lease.id]).await?;
        self.after_rest(&lease).await
    }

    /// Where a lease rested and does no longer, and what was paid is over, a new period begins now.
    async fn after_rest(&mut self, before: &Lease) -> Result<()> {
        let lease = self.lease(&before.server).await?;
        if before.rests() == lease.rests() {
            return Ok(());
        }
        let now = self.tx.now;
        let over = lease.state == LeaseState::Active && lease.paid_until.is_some_and(|at| at < now);
        if !lease.rests() && over {
            let sql = "update leases set anchor_at = $1, anchor_no = $2, paid_until = $1 where id = $3 and state = 'active'";
            self.tx.exec_one(sql, args![now, lease.period_no + 1, &lease.id]).await?;
        }
        self.tx.look_at_lease(&lease, now).await
    }

    /// The machine of a server that is held for an unpaid charge was found suspended: its grace begins. The charge, the first time.
    pub async fn found_suspended(&mut self, server: &ServerId) -> Result<Option<String>> {
        let lease = self.lease(server).await?;
        if lease.state != LeaseState::Suspended || lease.off_at.is_some() {
            return Ok(None);
        }
        let now = self.tx.now;
        self.tx.exec_one("update leases set off_at = $1 where id = $2 and state = 'suspended'", args![now, &lease.id]).await?;
        self.tx.attended("not_off", &format!("server:{server}"), "worker").await?;
        self.tx.look_at_lease(&lease, now).await?;
        Ok(Some(charge_key(&lease.id, lease.period_no)))
    }

    /// The machine of a server was found back after its suspension for an unpaid charge: the last charge, the first time.
    pub async fn found_back(&mut self, server: &ServerId) -> Result<Option<String>> {
        let lease = self.lease(server).await?;
        if lease.state != LeaseState::Active || lease.off_at.is_none() {
            return Ok(None);
        }
        self.tx.exec_one("update leases set off_at = null where id = $1 and state = 'active'", args![&lease.id]).await?;
        Ok(Some(charge_key(&lease.id, lease.period_no)))
    }

    async fn lease(&mut self, server: &ServerId) -> Result<Lease> {
        let lease = self.tx.lease_of(server).await?;
        lease.filter(|l| l.account == self.wallet.account).ok_or_else(|| StoreError::not_found("lease of server", server))
    }

    async fn hold(&mut self, reference: String, code: Code, price: Money) -> Result<()> {
        if let Some(transfer) = movements::hold(&mut self.wallet, reference, code, price, self.tx.now)? {
            self.write_transfer(&transfer, None).await?;
        }
        Ok(())
    }

    async fn pending(&mut self, reference: &str) -> Result<Option<Transfer>> {
        let Some(row) = self.tx.transfer(reference).await?.filter(|t| t.state == TransferState::Pending) else { return Ok(None) };
        let amount = Money::new(row.amount, row.currency.parse()?);
        Ok(Some(Transfer {
            reference: row.reference,
            wallet: self.wallet.account.clone(),
            debit: row.debit,
            credit: row.credit,
            amount,
            code: row.code.parse()?,
            state: row.state,
            at: row.created_at,
        }))
    }

    async fn write_transfer(&mut self, t: &Transfer, reason: Option<&str>) -> Result<Booked> {
        let id = self.tx.new_id();
        let sql = "insert into transfers (reference, id, wallet, debit, credit, amount, currency, code, state, reason, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        let args =
            args![&t.reference, id, &t.wallet, &t.debit, &t.credit, t.amount.minor, t.amount.currency.code(), t.code.as_str(), t.state.as_str(), reason, t.at];
        self.tx.exec_one(sql, args).await?;
        self.tx.will_have(Committed::Transfer { reference: t.reference.clone() });
        self.write_wallet().await?;
        Ok(Booked::New)
    }

    async fn resolve(&mut self, transfer: Option<&Transfer>, to: TransferState) -> Result<()> {
        let Some(transfer) = transfer else { return Ok(()) };
        let now = self.tx.now;
        let sql = "update transfers set state = $1, resolved_at = $2 where reference = $3 and state = 'pending'";
        self.tx.exec_one(sql, args![to.as_str(), now, &transfer.reference]).await?;
        self.write_wallet().await
    }

    async fn write_wallet(&mut self) -> Result<()> {
        let sql = "update wallets set posted = $1, held = $2 where account_id = $3";
        self.tx.exec_one(sql, args![self.wallet.posted.minor, self.wallet.held.minor, &self.wallet.account]).await
    }
}

fn same_movement(before: &TransferRow, amount: Money, credit: &str, code: Code) -> Result<Booked> {
    let same = before.amount == amount.minor && before.currency == amount.currency.code() && before.credit == credit && before.code == code.as_str();
    if same {
        return Ok(Booked::Before);
    }
    let was = Money::new(before.amount, before.currency.parse()?);
    Err(reference_used(&before.reference, was, before.created_at))
}

/// A reference that stands for another movement, as whoever uses it knows it: what kind of movement and whose stands before it.
fn reference_used(whole: &str, was: Money, at: Timestamp) -> StoreError {
    StoreError::ReferenceUsed { reference: whole.splitn(3, ':').last().unwrap_or(whole).to_owned(), was, at }
}
