//! Add-ons in the books: held at the request, paid when attached, given back when that fails.

use leasehold_domain::{
    LeaseId, ServerId, Timestamp,
    addon::AddonState,
    lease::{Cycle, Lease, LeaseLine, LeaseState},
    ledger::{Code, TransferState},
    movements::addon_reference,
    price::Price,
    standing::Charge,
};

use super::Books;
use crate::{Result, StoreError, addons::ServerAddon, args};

impl Books<'_> {
    /// Sets the price of an add-on aside until it is attached.
    pub async fn hold_addon(&mut self, a: &ServerAddon) -> Result<()> {
        let price = held_price(a)?;
        self.hold(addon_reference(&a.id), Code::Addon, price.total).await
    }

    /// An add-on is attached: its hold is posted, what is left of the period is charged and invoiced, renewals carry its full price.
    /// Where the period that it was quoted for is over by then it is given back instead, and its addresses rest until `addresses_free_at`.
    pub async fn attach_addon(&mut self, a: &ServerAddon, addresses_free_at: Timestamp) -> Result<()> {
        let lease = self.lease(&a.server_id).await?;
        if lease.state != LeaseState::Active || lease.paid_until != a.until_at.map(|at| at.0) {
            self.give_addon_back(a, "the period that it was quoted for was over before it was attached; order it again", addresses_free_at).await?;
            return self.tx.ask_addresses(&a.server_id).await.map(drop);
        }
        let (hold, price, now) = (self.pending(&addon_reference(&a.id)).await?, held_price(a)?, self.tx.now);
        if hold.as_ref().map_or(0, |h| h.amount.minor) != price.total.minor {
            return Err(StoreError::Broken(format!("the add-on {} is to cost {}, which is not what was set aside", a.id, price.total)));
        }
        self.post(hold.as_ref()).await?;
        self.tx.move_addon(&a.id, AddonState::Held, AddonState::Active, None).await?;
        let no = self.add_lines(&lease.id, a, lease.period_no + 1).await?;
        let (from, until) = (a.from_at.map_or(now, |at| at.0), a.until_at.map_or(now, |at| at.0));
        let charge = Charge { no, from, until, full_until: None, zone: lease.zone.clone(), price, at: now };
        self.pay_charge(&lease.id, "addon", charge, hold.map(|h| h.reference)).await?;
        self.tx.look_at_lease(&lease, now).await
    }

    /// An add-on cannot be attached: the money comes back, its addresses rest until `addresses_free_at`.
    pub async fn give_addon_back(&mut self, a: &ServerAddon, why: &str, addresses_free_at: Timestamp) -> Result<()> {
        let hold = self.pending(&addon_reference(&a.id)).await?;
        self.void(hold.as_ref()).await?;
        self.money_came(&addon_reference(&a.id)).await?;
        self.tx.release_addon_addresses(a, addresses_free_at).await?;
        self.tx.move_addon(&a.id, AddonState::Held, AddonState::Failed, Some(why)).await
    }

    /// An add-on ends with the period: the next one is not charged for it. Answers when that is.
    pub async fn cancel_addon(&mut self, a: &ServerAddon) -> Result<Timestamp> {
        let lease = self.lease(&a.server_id).await?;
        let charged = self.tx.charged_span(&lease).await?.1;
        let until = lease.paid_until.map_or(charged, |at| at.max(charged));
        self.tx
            .exec(
                "update lease_lines set until_period = $1 where lease_id = $2 and addon = $3 and (until_period is null or until_period > $1)",
                args![lease.period_no, &lease.id, &a.id],
            )
            .await?;
        let sql = "update server_addons set state = 'ending', until_at = $1 where id = $2 and state = 'active'";
        self.tx.exec_one(sql, args![until, &a.id]).await?;
        let now = self.tx.now;
        self.tx.look_at_lease(&lease, now).await?;
        Ok(until)
    }

    /// The period is over, and with it an add-on that was to end then; its addresses rest until `addresses_free_at`.
    pub async fn end_addon(&mut self, id: &str, addresses_free_at: Timestamp) -> Result<()> {
        let a = self.tx.server_addon(id).await?;
        if a.state != AddonState::Ending {
            return Ok(());
        }
        self.tx.move_addon(id, AddonState::Ending, AddonState::Ended, None).await?;
        if self.tx.release_addon_addresses(&a, addresses_free_at).await? > 0 {
            self.tx.ask_addresses(&a.server_id).await?;
        }
        Ok(())
    }

    /// Another cycle from the next period on: these lines in the place of those that go on, counted from the end of what is paid.
    /// `prices` are what its add-ons cost then: id, price, margin.
    pub async fn change_cycle(&mut self, lease: &Lease, cycle: Cycle, lines: &[LeaseLine], prices: &[(String, i64, i64)]) -> Result<()> {
        let (last, now) = (lease.period_no, self.tx.now);
        // Also what an earlier change had written for then: it counts for no period any more, and keeps its number.
        let sql = "update lease_lines set until_period = $1 where lease_id = $2 and (until_period is null or until_period > $1)";
        self.tx.exec(sql, args![last, &lease.id]).await?;
        self.tx.append_lease_lines(&lease.id, lines).await?;
        for (id, price, margin) in prices {
            self.tx.exec_one("update server_addons set price = $1, margin = $2 where id = $3", args![*price, *margin, id]).await?;
        }
        let sql = "update leases set cycle = $1, anchor_at = paid_until, anchor_no = period_no + 1 where id = $2 and state = 'active' and period_no = $3";
        self.tx.exec_one(sql, args![cycle.as_str(), &lease.id, last]).await?;
        self.tx.look_at_lease(lease, now).await
    }

    /// The server of an order runs: so do its add-ons.
    pub(super) async fn deliver_addons(&mut self, server: &ServerId) -> Result<()> {
        self.tx.exec("update server_addons set state = 'active' where server_id = $1 and state = 'ordered'", args![server]).await.map(drop)
    }

    /// A failed order is built again, with its add-ons.
    pub(super) async fn reorder_addons(&mut self, server: &ServerId) -> Result<()> {
        let sql = "update server_addons set state = 'ordered', ended_at = null where server_id = $1 and state = 'ended' and from_at is null";
        self.tx.exec(sql, args![server]).await.map(drop)
    }

    /// The lease is over: what is not attached yet is given back, what is attached ends. The addresses go with the machine.
    pub(crate) async fn end_addons(&mut self, server: &ServerId) -> Result<()> {
        let now = self.tx.now;
        for a in self.tx.live_addons(server).await? {
            if a.state == AddonState::Held {
                self.give_addon_back(&a, "the server ended", now).await?;
            } else {
                self.tx.move_addon(&a.id, a.state, AddonState::Ended, None).await?;
            }
        }
        Ok(())
    }

    /// What an add-on costs from a period on; the number of its first line.
    async fn add_lines(&mut self, lease: &LeaseId, a: &ServerAddon, from_period: i64) -> Result<i64> {
        let line = |line| LeaseLine { line, from_period, until_period: None, addon: Some(a.id.clone()) };
        let lines: Vec<LeaseLine> = a.lines(true)?.into_iter().map(line).collect();
        self.tx.append_lease_lines(lease, &lines).await
    }

    async fn post(&mut self, hold: Option<&leasehold_domain::ledger::Transfer>) -> Result<()> {
        if let Some(hold) = hold {
            self.wallet.post(hold.amount)?;
        }
        self.resolve(hold, TransferState::Posted).await
    }

    async fn void(&mut self, hold: Option<&leasehold_domain::ledger::Transfer>) -> Result<()> {
        if let Some(hold) = hold {
            self.wallet.void(hold.amount)?;
        }
        self.resolve(hold, TransferState::Voided).await
    }

    /// Invoices what was paid, where it cost anything.
    pub(super) async fn sell(&mut self, charges: Vec<(LeaseId, Charge)>) -> Result<()> {
        if charges.iter().any(|(_, c)| c.price.total.minor > 0) {
            self.tx.issue_with_receipt(&self.wallet.account, charges, self.wallet.available()).await?;
        }
        Ok(())
    }
}

/// What was set aside: the quote.
fn held_price(a: &ServerAddon) -> Result<Price> {
    let (net, tax) = (a.money(a.held)?.plus(a.money(a.held_margin)?)?, a.money(a.held_tax)?);
    Ok(Price { lines: a.lines(false)?, net, tax, total: net.plus(tax)?, tax_rate: a.held_tax_rate })
}
