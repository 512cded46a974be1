//! Money that goes back: refunds by credit note, payments that were taken back outside, and what is owed beyond the wallet.

use leasehold_domain::{Money, ledger::Transfer, movements};

use super::{Booked, Books, reference_used};
use crate::{Result, args, invoices::Invoice};

impl Books<'_> {
    /// Gives back (a part of) what an invoice came to: a credit note with this id, and the money in the wallet; what is owed is paid of it first.
    pub async fn refund(&mut self, note: String, invoice: &Invoice, amount: Money, reason: &str) -> Result<Invoice> {
        let currency = self.wallet.posted.currency;
        let note = self.tx.issue_credit_note(note, invoice, amount, reason).await?;
        let (now, tax) = (self.tx.now, Money::new(-note.tax, currency));
        let transfer = movements::refund(&mut self.wallet, format!("refund:{}", note.id), amount, now)?;
        self.write_transfer(&transfer, Some(reason)).await?;
        self.tx.write_tax(&[(transfer.reference.clone(), tax)]).await?;
        self.money_came(&transfer.reference).await?;
        self.tx.tell_credit(&note, reason, self.wallet.available()).await?;
        Ok(note)
    }

    /// A payment was taken back outside: what can be spent goes, the rest is owed. The same reference twice is once.
    pub async fn charge_back(&mut self, reference: &str, amount: Money, reason: &str) -> Result<(Booked, Money)> {
        let (mut before, mut at) = (0, self.tx.now);
        for reference in [reference.to_owned(), format!("{reference}:owed")] {
            if let Some(moved) = self.tx.transfer(&reference).await? {
                (before, at) = (before + moved.amount, moved.created_at);
            }
        }
        if before == amount.minor {
            return Ok((Booked::Before, self.owed));
        }
        if before > 0 {
            return Err(reference_used(reference, Money::new(before, amount.currency), at));
        }
        let (moved, debt) = movements::charge_back(&mut self.wallet, reference, amount, self.tx.now)?;
        for transfer in moved.iter().chain(&debt) {
            self.write_transfer(transfer, Some(reason)).await?;
        }
        self.change_debt(debt.map_or(0, |d| d.amount.minor)).await?;
        Ok((Booked::New, self.owed))
    }

    /// What is owed will never be paid. Answers how much that was; the same reference twice is once.
    pub async fn write_off(&mut self, reference: String, reason: &str) -> Result<(Booked, Money)> {
        let (owed, now) = (self.owed, self.tx.now);
        if let Some(before) = self.tx.transfer(&reference).await? {
            let was = Money::new(before.amount, owed.currency);
            // What is owed now came later, and is another thing.
            return if owed.minor > 0 { Err(reference_used(&reference, was, before.created_at)) } else { Ok((Booked::Before, was)) };
        }
        if owed.minor > 0 {
            let transfer = movements::write_off(&self.wallet.account, reference, owed, now);
            self.write_transfer(&transfer, Some(reason)).await?;
            self.change_debt(-owed.minor).await?;
        }
        Ok((Booked::New, owed))
    }

    /// Money came in by this movement: what is owed is paid of it first, and what is due is looked at at once.
    pub(super) async fn money_came(&mut self, reference: &str) -> Result<()> {
        let (owed, now) = (self.owed, self.tx.now);
        let paid: Option<Transfer> = movements::pay_debt(&mut self.wallet, format!("{reference}:debt"), owed, now)?;
        if let Some(paid) = paid {
            self.write_transfer(&paid, None).await?;
            self.change_debt(-paid.amount.minor).await?;
        }
        self.tx.exec("update wallets set settle_at = $1 where account_id = $2 and settle_at > $1", args![now, &self.wallet.account]).await.map(drop)
    }

    async fn change_debt(&mut self, by: i64) -> Result<()> {
        self.owed.minor += by;
        self.tx.exec_one("update wallets set owed = owed + $1 where account_id = $2", args![by, &self.wallet.account]).await
    }
}
