//! What was decided, as rows: gathered for all accounts of a batch, written with one statement a table.

use std::time::Duration;

use leasehold_domain::{
    AccountId, LeaseId, Money, ServerId, Timestamp,
    books::Books,
    decision::{Decision, Permits},
    dunning::{Enforcement, Why},
    lease::{Lease, LeaseState},
    ledger::{Code, House, wallet_account},
    notice::NoticeKind,
    server::{Goal, HoldKind, Means, Status},
    standing::Charge,
};
use serde_json::json;

use super::{Page, Settled, Tenant};
use crate::{Result, Rows, Tx, activity::Actor, args, invoices::Sale, leases::charge_key, mails::Letter};

/// A machine that is to be off is looked for no longer than this without a word.
const LONG: Duration = Duration::from_hours(24);

/// What happens to a server besides its lease.
enum Effect {
    Suspend(Means),
    Reactivate,
    End(&'static str),
}

struct Affected {
    account: AccountId,
    server: ServerId,
    lease: LeaseId,
    found: Status,
    effect: Effect,
    detail: String,
}

/// Whom a receipt goes to.
#[derive(Clone)]
pub(super) struct Payer {
    pub(super) email: String,
    pub(super) name: String,
    pub(super) locale: String,
    pub(super) balance: Money,
}

/// The rows of a batch.
pub(super) struct Sheet {
    wallets: Rows,
    leases: Rows,
    transfers: Rows,
    taxes: Vec<(String, Money)>,
    charges: Rows,
    closed: Rows,
    letters: Vec<Letter>,
    /// Charges that nothing more is to be told about.
    told_enough: Vec<String>,
    proposed: Rows,
    done: Rows,
    withdrawn: Rows,
    affected: Vec<Affected>,
    /// What needs a person: kind, server, detail.
    matters: Vec<(&'static str, ServerId, String)>,
    sales: Vec<(Sale, Payer)>,
}

impl Default for Sheet {
    fn default() -> Self {
        Self {
            wallets: Rows::new("v_id:t v_spent:i v_settle:i"),
            leases: Rows::new(
                "v_id:t v_was:t v_was_no:i v_state:t v_no:i v_paid:i v_decide:i v_anchor:i v_anchor_no:i v_suspended:i v_off:i v_waived:i v_ended:i",
            ),
            transfers: Rows::new("v_reference:t v_id:t v_wallet:t v_debit:t v_credit:t v_amount:i v_currency:t v_code:t v_at:i"),
            taxes: Vec::new(),
            charges: Rows::new("v_lease:t v_no:i v_from:i v_until:i v_full:i v_amount:i v_tax:i v_rate:i v_currency:t v_state:t v_transfer:t v_at:i v_paid:i"),
            closed: Rows::new("v_lease:t v_no:i v_until:i v_full:i v_amount:i v_tax:i v_rate:i v_state:t v_transfer:t v_paid:i"),
            letters: Vec::new(),
            told_enough: Vec::new(),
            proposed: Rows::new("v_lease:t v_no:i v_step:t v_at:i"),
            done: Rows::new("v_lease:t v_no:i v_step:t v_at:i"),
            withdrawn: Rows::new("v_id:t"),
            affected: Vec::new(),
            matters: Vec::new(),
            sales: Vec::new(),
        }
    }
}

fn ms(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_millis)
}

impl Sheet {
    /// Enters what was decided for one account.
    pub(super) fn enter(&mut self, tx: &Tx, page: Page, decisions: &[Decision]) -> Result<()> {
        let now = tx.now;
        let mut books = page.books.clone();
        let mut sold = Vec::new();
        for decision in decisions {
            self.letters.extend(super::tell::letter(&page, &books, decision, now));
            self.enter_one(tx, &page, &books, decision, &mut sold);
            books.apply(decision, now)?;
        }
        for (lease, before) in page.books.leases.iter().enumerate() {
            let owes = matches!(before.lease.state, LeaseState::PastDue | LeaseState::Suspended);
            let taken = |d: &Decision| matches!(d, Decision::Propose { lease: l, .. } | Decision::Suspend { lease: l } | Decision::Terminate { lease: l } if *l == lease);
            if owes && !decisions.iter().any(taken) {
                // Whatever was proposed is not due any more.
                self.withdrawn.push(&[json!(before.lease.id)]);
            }
        }
        for (before, after) in page.books.leases.iter().zip(&books.leases).filter(|(b, a)| b.lease != a.lease) {
            self.enter_lease(&before.lease, &after.lease, now);
        }
        let spent = page.books.wallet.posted.minor - books.wallet.posted.minor;
        self.wallets.push(&[json!(page.account), json!(spent), json!(ms(books.settle_at()))]);
        let payer = Payer { email: page.email, name: page.name, locale: page.locale, balance: books.wallet.available() };
        let sales = Sale { account: page.account, buyer: page.buyer, charges: sold }.split();
        self.sales.extend(sales.into_iter().map(|sale| (sale, payer.clone())));
        Ok(())
    }

    fn enter_one(&mut self, tx: &Tx, page: &Page, books: &Books, decision: &Decision, sold: &mut Vec<(LeaseId, Charge)>) {
        let now = tx.now.as_millis();
        let of = |lease: usize| (&books.leases[lease].lease, &page.tenants[lease]);
        match decision {
            Decision::Renew { lease, charge } => {
                let (lease, _) = of(*lease);
                self.enter_charge(tx, lease, charge, true);
                sold.push((lease.id.clone(), charge.clone()));
            }
            Decision::Fail { lease, charge } => self.enter_charge(tx, of(*lease).0, charge, false),
            Decision::Pay { lease, charge } => {
                let (l, _) = of(*lease);
                self.close_charge(tx, l, charge, true);
                sold.push((l.id.clone(), charge.clone()));
                self.over(l);
            }
            Decision::Reactivate { lease, charges, .. } => {
                let (l, t) = of(*lease);
                for (nth, charge) in charges.iter().enumerate() {
                    if nth == 0 {
                        self.close_charge(tx, l, charge, true);
                    } else {
                        self.enter_charge(tx, l, charge, true);
                    }
                    sold.push((l.id.clone(), charge.clone()));
                }
                self.over(l);
                self.affect(l, t, Effect::Reactivate, "paid");
            }
            Decision::Propose { lease, step } => {
                let l = of(*lease).0;
                self.proposed.push(&[json!(l.id), json!(l.period_no), json!(step), json!(now)]);
            }
            Decision::Suspend { lease } => {
                let (l, t) = of(*lease);
                self.done.push(&[json!(l.id), json!(l.period_no), json!(Enforcement::Suspension), json!(now)]);
                self.affect(l, t, Effect::Suspend(books.leases[*lease].policy.suspend_by), &format!("period {} is not paid", l.period_no));
            }
            Decision::Terminate { lease } => {
                let (l, t) = of(*lease);
                self.done.push(&[json!(l.id), json!(l.period_no), json!(Enforcement::Termination), json!(now)]);
                if let Some(open) = &books.leases[*lease].open {
                    self.close_charge(tx, l, open, false);
                }
                self.told_enough.push(charge_key(&l.id, l.period_no));
                self.affect(l, t, Effect::End("lease.terminate"), &format!("period {} was not paid", l.period_no));
            }
            Decision::End { lease } => {
                let (l, t) = of(*lease);
                self.affect(l, t, Effect::End("lease.end"), "not renewed, as its owner wished");
            }
            Decision::Wait { lease, why: Why::Undelivered, .. } => {
                let (l, t) = of(*lease);
                let detail = format!(
                    "{}: a warning of its end could not be delivered, so it is not ended; reach its owner, then: leasehold server resolve {} --reason …",
                    t.label, l.server
                );
                self.matters.push(("undelivered", l.server.clone(), detail));
            }
            Decision::Wait { lease, why: Why::NotOff, .. } if of(*lease).0.suspended_at.is_some_and(|at| tx.now.since(at) > LONG) => {
                let (l, t) = of(*lease);
                let detail = format!("{}: held for its bill since a day, and its machine was not found off; see: leasehold server show {}", t.label, l.server);
                self.matters.push(("not_off", l.server.clone(), detail));
            }
            Decision::Wait { .. } | Decision::LowBalance { .. } | Decision::Remind { .. } | Decision::Warn { .. } => {}
        }
    }

    /// A charge is paid: nothing more is told about it, and nothing is taken away for it.
    fn over(&mut self, lease: &Lease) {
        self.told_enough.push(charge_key(&lease.id, lease.period_no));
        self.withdrawn.push(&[json!(lease.id)]);
    }

    fn affect(&mut self, lease: &Lease, tenant: &Tenant, effect: Effect, detail: &str) {
        let (account, server, lease) = (lease.account.clone(), lease.server.clone(), lease.id.clone());
        self.affected.push(Affected { account, server, lease, found: tenant.status, effect, detail: detail.to_owned() });
    }

    fn enter_lease(&mut self, before: &Lease, after: &Lease, now: Timestamp) {
        let ended = (after.state == LeaseState::Ended).then_some(now.as_millis());
        self.leases.push(&[
            json!(before.id),
            json!(before.state),
            json!(before.period_no),
            json!(after.state),
            json!(after.period_no),
            json!(ms(after.paid_until)),
            json!(ms(after.decide_at)),
            json!(ms(after.anchor_at)),
            json!(after.anchor_no),
            json!(ms(after.suspended_at)),
            json!(ms(after.off_at)),
            json!(ms(after.waived_at)),
            json!(ended),
        ]);
    }

    /// Money leaves the wallet for a charge; its reference, none where nothing moves.
    fn pay(&mut self, tx: &Tx, lease: &Lease, charge: &Charge) -> Option<String> {
        let (total, tax) = (charge.price.total, charge.price.tax);
        if total.minor == 0 {
            return None;
        }
        let reference = format!("period:{}:{}", lease.id, charge.no);
        let (debit, credit) = (wallet_account(&lease.account), House::Revenue.account(total.currency));
        self.transfers.push(&[
            json!(reference),
            json!(tx.new_id()),
            json!(lease.account),
            json!(debit),
            json!(credit),
            json!(total.minor),
            json!(total.currency),
            json!(Code::Renewal),
            json!(tx.now.as_millis()),
        ]);
        if tax.minor > 0 {
            self.taxes.push((reference.clone(), tax));
        }
        Some(reference)
    }

    fn enter_charge(&mut self, tx: &Tx, lease: &Lease, charge: &Charge, paid: bool) {
        let transfer = if paid { self.pay(tx, lease, charge) } else { None };
        let (now, total) = (tx.now.as_millis(), charge.price.total);
        self.charges.push(&[
            json!(lease.id),
            json!(charge.no),
            json!(charge.from.as_millis()),
            json!(charge.until.as_millis()),
            json!(ms(charge.full_until)),
            json!(total.minor),
            json!(charge.price.tax.minor),
            json!(charge.price.tax_rate.thousandths()),
            json!(total.currency),
            json!(if paid { "paid" } else { "open" }),
            json!(transfer),
            json!(now),
            json!(paid.then_some(now)),
        ]);
    }

    /// An open charge is paid, for what it came to, or let go.
    fn close_charge(&mut self, tx: &Tx, lease: &Lease, charge: &Charge, paid: bool) {
        let transfer = if paid { self.pay(tx, lease, charge) } else { None };
        self.closed.push(&[
            json!(lease.id),
            json!(charge.no),
            json!(charge.until.as_millis()),
            json!(ms(charge.full_until)),
            json!(charge.price.total.minor),
            json!(charge.price.tax.minor),
            json!(charge.price.tax_rate.thousandths()),
            json!(if paid { "paid" } else { "void" }),
            json!(transfer),
            json!(paid.then_some(tx.now.as_millis())),
        ]);
    }
}

impl Tx {
    /// Writes a batch, in the order in which locks are taken.
    pub(super) async fn write_sheet(&mut self, sheet: Sheet) -> Result<()> {
        let sql = "with v(v_id, v_spent, v_settle) as ({rows}) update wallets as w set posted = w.posted - v.v_spent, settle_at = v.v_settle, last_error = null \
                   from v where w.account_id = v.v_id and w.posted - w.held >= v.v_spent";
        self.exec_all(sql, sheet.wallets, &[]).await?;
        let sql = "with v(v_id, v_was, v_was_no, v_state, v_no, v_paid, v_decide, v_anchor, v_anchor_no, v_suspended, v_off, v_waived, v_ended) as ({rows}) \
                   update leases as l set state = v.v_state, period_no = v.v_no, paid_until = v.v_paid, decide_at = v.v_decide, anchor_at = v.v_anchor, \
                   anchor_no = v.v_anchor_no, suspended_at = v.v_suspended, off_at = v.v_off, waived_at = v.v_waived, ended_at = v.v_ended \
                   from v where l.id = v.v_id and l.state = v.v_was and l.period_no = v.v_was_no";
        self.exec_all(sql, sheet.leases, &[]).await?;
        let sql = "with v(v_reference, v_id, v_wallet, v_debit, v_credit, v_amount, v_currency, v_code, v_at) as ({rows}) \
                   insert into transfers (reference, id, wallet, debit, credit, amount, currency, code, state, created_at) \
                   select v_reference, v_id, v_wallet, v_debit, v_credit, v_amount, v_currency, v_code, 'posted', v_at from v";
        self.exec_all(sql, sheet.transfers, &[]).await?;
        self.write_tax(&sheet.taxes).await?;
        let sql = "with v(v_lease, v_no, v_from, v_until, v_full, v_amount, v_tax, v_rate, v_currency, v_state, v_transfer, v_at, v_paid) as ({rows}) \
                   insert into charges (lease_id, kind, no, from_at, until_at, full_until, amount, tax, tax_rate, currency, state, transfer, created_at, paid_at) \
                   select v_lease, 'period', v_no, v_from, v_until, v_full, v_amount, v_tax, v_rate, v_currency, v_state, v_transfer, v_at, v_paid from v";
        // What was open is closed first: a lease has one open charge at most.
        let close = "with v(v_lease, v_no, v_until, v_full, v_amount, v_tax, v_rate, v_state, v_transfer, v_paid) as ({rows}) update charges as c set \
                     until_at = v.v_until, full_until = v.v_full, amount = v.v_amount, tax = v.v_tax, tax_rate = v.v_rate, state = v.v_state, transfer = v.v_transfer, paid_at = v.v_paid \
                     from v where c.lease_id = v.v_lease and c.kind = 'period' and c.no = v.v_no and c.state = 'open'";
        self.exec_all(close, sheet.closed, &[]).await?;
        self.exec_all(sql, sheet.charges, &[]).await?;
        self.write_enforcements(sheet.proposed, sheet.done, sheet.withdrawn).await?;
        self.supersede_dunning(sheet.told_enough.into_iter()).await?;
        self.write_letters(sheet.letters).await?;
        for affected in sheet.affected {
            self.carry_out(affected).await?;
        }
        for (kind, server, detail) in sheet.matters {
            self.attend(kind, &format!("server:{server}"), &detail).await?;
        }
        let (sales, payers): (Vec<Sale>, Vec<Payer>) = sheet.sales.into_iter().unzip();
        let issued = self.issue_invoices(sales).await?;
        let receipts = issued.into_iter().zip(payers).map(|(invoice, payer)| super::tell::receipt(&invoice, payer)).collect();
        self.write_letters(receipts).await
    }

    /// The tax in posted transfers goes on from revenue to its own account; that in a refund, below zero, comes back.
    pub(crate) async fn write_tax(&mut self, taxes: &[(String, Money)]) -> Result<()> {
        let mut rows = Rows::new("v_reference:t v_id:t v_debit:t v_credit:t v_amount:i v_currency:t v_at:i");
        for (reference, tax) in taxes.iter().filter(|(_, tax)| tax.minor != 0) {
            let (from, to) = if tax.minor > 0 { (House::Revenue, House::Tax) } else { (House::Tax, House::Revenue) };
            let (debit, credit) = (from.account(tax.currency), to.account(tax.currency));
            let (reference, now) = (format!("{reference}:tax"), self.now.as_millis());
            rows.push(&[json!(reference), json!(self.new_id()), json!(debit), json!(credit), json!(tax.minor.abs()), json!(tax.currency), json!(now)]);
        }
        let sql = "with v(v_reference, v_id, v_debit, v_credit, v_amount, v_currency, v_at) as ({rows}) \
                   insert into transfers (reference, id, wallet, debit, credit, amount, currency, code, state, created_at) \
                   select v_reference, v_id, null, v_debit, v_credit, v_amount, v_currency, 'tax', 'posted', v_at from v";
        self.exec_all(sql, rows, &[]).await
    }

    async fn write_enforcements(&mut self, proposed: Rows, done: Rows, withdrawn: Rows) -> Result<()> {
        if withdrawn.count > 0 {
            let sql = "with v(v_id) as ({rows}) delete from enforcements where done_at is null and lease_id in (select v_id from v)";
            self.exec_rows(sql, withdrawn, &[]).await?;
        }
        if proposed.count > 0 {
            let sql = "with v(v_lease, v_no, v_step, v_at) as ({rows}) insert into enforcements (lease_id, no, step, proposed_at) \
                       select v_lease, v_no, v_step, v_at from v where true on conflict (lease_id, no, step) \
                       do update set proposed_at = excluded.proposed_at, done_at = null where enforcements.done_at is not null";
            self.exec_rows(sql, proposed, &[]).await?;
        }
        let sql = "with v(v_lease, v_no, v_step, v_at) as ({rows}) insert into enforcements (lease_id, no, step, proposed_at, done_at) \
                   select v_lease, v_no, v_step, v_at, v_at from v where true on conflict (lease_id, no, step) do update set done_at = excluded.done_at";
        self.exec_all(sql, done, &[]).await
    }

    async fn carry_out(&mut self, a: Affected) -> Result<()> {
        let action = match a.effect {
            Effect::Suspend(means) => {
                self.place_hold(&a.server, HoldKind::Billing, means, &a.detail).await?;
                if a.found == Status::Suspended {
                    // Another hold did it before: no worker will find anything to do.
                    self.suspended_for_billing(&a.server).await?;
                }
                "lease.suspend"
            }
            Effect::Reactivate => {
                self.lift_hold(&a.server, HoldKind::Billing).await?;
                "lease.reactivate"
            }
            Effect::End(action) => {
                self.set_goal(&a.server, Goal::Terminated).await?;
                self.books(&a.account).await?.end_addons(&a.server).await?;
                action
            }
        };
        for kind in ["undelivered", "not_off"] {
            self.attended(kind, &format!("server:{}", a.server), "scheduler").await?;
        }
        self.log(&Actor::daemon("scheduler"), action, Some(&a.account), Some(&a.server), &format!("lease {}: {}", a.lease, a.detail)).await
    }

    /// A server was found suspended: where that is for an unpaid charge, its grace begins and its owner is told.
    pub async fn suspended_for_billing(&mut self, server: &ServerId) -> Result<()> {
        let s = self.server(server).await?;
        if let Some(charge) = self.books(&s.account_id).await?.found_suspended(server).await? {
            self.tell(&s, NoticeKind::ServerSuspended, &charge, Some(&charge)).await?;
        }
        Ok(())
    }

    /// A server was found to be back: where it was suspended for an unpaid charge, its owner is told.
    pub async fn back_after_billing(&mut self, server: &crate::servers::Server) -> Result<()> {
        if let Some(charge) = self.books(&server.account_id).await?.found_back(&server.id).await? {
            self.tell(server, NoticeKind::ServerReactivated, &charge, None).await?;
        }
        Ok(())
    }

    /// Settles one account now, under its lock; what is due to be taken away is only proposed.
    pub async fn settle_account(&mut self, account: &AccountId) -> Result<Settled> {
        let now = self.now;
        if !self.clock_is_plain().await? || self.is_restored().await? {
            return Ok(Settled::default());
        }
        let due = self.int("select count(*) from wallets where account_id = $1 and parked_at is null and settle_at <= $2", args![account, now]).await?;
        if due == 0 || self.renewals_wait(account).await? {
            return Ok(Settled::default());
        }
        let claimed = self.claim_accounts(std::slice::from_ref(account)).await?;
        self.settle(claimed, &Permits::None).await
    }
}
