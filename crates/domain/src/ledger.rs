//! Double entry: every movement of money is a transfer between two ledger accounts.
//!
//! A wallet's `posted` is the sum of its posted transfers and `held` the sum of its pending ones;
//! what can be spent is the difference and never below zero.

use crate::{AccountId, Currency, Money, Timestamp, money::MoneyError, names};

names! {
    /// Where a transfer stands. Pending goes to posted or voided, once.
    TransferState {
        /// Reserved: it counts against what can be spent.
        Pending = "pending",
        /// Moved.
        Posted = "posted",
        /// Given back.
        Voided = "voided",
    }
}

names! {
    /// What a transfer is for.
    Code {
        /// Money paid in from outside.
        TopUp = "top_up",
        /// The first period of an order.
        Order = "order",
        /// A later period.
        Renewal = "renewal",
        /// An add-on, from when it is attached to the end of what is paid.
        Addon = "addon",
        /// The tax on what was bought.
        Tax = "tax",
        /// What was paid is given back, by a credit note.
        Refund = "refund",
        /// A payment from outside was taken back there.
        Chargeback = "chargeback",
        /// What is owed beyond a wallet: made by a chargeback, paid by the next money that comes in.
        Receivable = "receivable",
        /// What is owed will never be paid.
        WriteOff = "write_off",
        /// Taken out by an operator.
        Debit = "debit",
    }
}

names! {
    /// The ledger accounts of the house; a wallet is the ledger account of its owner.
    House {
        /// Money on its way in from a payment provider, or out to one.
        Clearing = "clearing",
        /// What was earned.
        Revenue = "revenue",
        /// What was given away.
        Promotions = "promotions",
        /// Tax collected for the state.
        Tax = "tax",
        /// What customers owe beyond their wallets.
        Receivable = "receivable",
        /// What will never be paid.
        WriteOffs = "write_offs",
    }
}

impl House {
    /// The ledger account's id: one a currency.
    pub fn account(self, currency: Currency) -> String {
        format!("{self}:{currency}")
    }
}

/// The ledger account id of a wallet.
pub fn wallet_account(account: &AccountId) -> String {
    format!("wallet:{account}")
}

/// Money moved, or about to be moved, between two ledger accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Unique for ever: the same reference never moves money twice.
    pub reference: String,
    /// The wallet that it changes.
    pub wallet: AccountId,
    /// The ledger account that gives.
    pub debit: String,
    /// The ledger account that takes.
    pub credit: String,
    /// How much; above zero.
    pub amount: Money,
    /// What for.
    pub code: Code,
    /// Where it stands.
    pub state: TransferState,
    /// When it was written.
    pub at: Timestamp,
}

/// What an account can spend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wallet {
    /// Whose.
    pub account: AccountId,
    /// Sum of posted transfers.
    pub posted: Money,
    /// Sum of pending ones.
    pub held: Money,
}

/// Why the ledger refuses a movement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not enough to spend.
    #[error("the wallet holds {available} to spend, {wanted} is needed; top it up with: leasehold account credit")]
    Funds {
        /// What could be spent.
        available: Money,
        /// What was asked.
        wanted: Money,
    },
    /// A movement of nothing.
    #[error("the amount must be above zero")]
    Zero,
    /// Amounts that do not fit together.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl Wallet {
    /// What can be spent: posted minus held.
    pub fn available(&self) -> Money {
        Money::new(self.posted.minor - self.held.minor, self.posted.currency)
    }

    fn spendable(&self, amount: Money) -> Result<(), Refused> {
        let left = self.available().minus(amount)?;
        if amount.minor <= 0 {
            return Err(Refused::Zero);
        }
        if left.minor < 0 { Err(Refused::Funds { available: self.available(), wanted: amount }) } else { Ok(()) }
    }

    /// Adds money.
    pub fn credit(&mut self, amount: Money) -> Result<(), Refused> {
        if amount.minor <= 0 {
            return Err(Refused::Zero);
        }
        self.posted = self.posted.plus(amount)?;
        Ok(())
    }

    /// Takes money that can be spent.
    pub fn debit(&mut self, amount: Money) -> Result<(), Refused> {
        self.spendable(amount)?;
        self.posted = self.posted.minus(amount)?;
        Ok(())
    }

    /// Sets money aside.
    pub fn hold(&mut self, amount: Money) -> Result<(), Refused> {
        self.spendable(amount)?;
        self.held = self.held.plus(amount)?;
        Ok(())
    }

    /// Takes what was set aside.
    pub fn post(&mut self, amount: Money) -> Result<(), Refused> {
        self.held = self.held.minus(amount)?;
        self.posted = self.posted.minus(amount)?;
        Ok(())
    }

    /// Gives back what was set aside.
    pub fn void(&mut self, amount: Money) -> Result<(), Refused> {
        self.held = self.held.minus(amount)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_sequence_of_movements_spends_what_is_not_there(moves in prop::collection::vec((0u8..5, 1i64..500), 0..60)) {
            let eur: Currency = "EUR".parse().unwrap();
            let mut wallet = Wallet { account: "a".into(), posted: Money::zero(eur), held: Money::zero(eur) };
            let mut holds = Vec::new();
            for (kind, minor) in moves {
                let amount = Money::new(minor, eur);
                match kind {
                    0 => wallet.credit(amount).unwrap(),
                    1 => { let _ = wallet.debit(amount); }
                    2 => if wallet.hold(amount).is_ok() { holds.push(amount) },
                    3 => if let Some(held) = holds.pop() { wallet.post(held).unwrap() },
                    _ => if let Some(held) = holds.pop() { wallet.void(held).unwrap() },
                }
                prop_assert!(wallet.available().minor >= 0 && wallet.held.minor >= 0);
                prop_assert_eq!(wallet.held.minor, holds.iter().map(|h| h.minor).sum::<i64>());
            }
        }
    }
}
