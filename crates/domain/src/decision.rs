//! What can be decided about a lease.

use std::{collections::HashSet, time::Duration};

use crate::{
    LeaseId, Money, Timestamp,
    bill::Bill,
    dunning::{Enforcement, Why},
    money::MoneyError,
    names,
    standing::Charge,
};

/// What may be taken away in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permits {
    /// Nothing: whatever is due is proposed, and counted before it is done.
    None,
    /// Everything, for a preview.
    All,
    /// This step, from these leases.
    Only(Enforcement, HashSet<LeaseId>),
}

impl Permits {
    pub(crate) fn allow(&self, step: Enforcement, lease: &LeaseId) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(allowed, leases) => *allowed == step && leases.contains(lease),
        }
    }
}

/// What is to be done. `lease` is an index into the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The next period is paid.
    Renew {
        /// Whose.
        lease: usize,
        /// What is paid.
        charge: Charge,
    },
    /// The next period cannot be paid.
    Fail {
        /// Whose.
        lease: usize,
        /// What is owed from now on.
        charge: Charge,
    },
    /// What is owed is paid; the server was not taken away.
    Pay {
        /// Whose.
        lease: usize,
        /// What is paid: the open charge.
        charge: Charge,
    },
    /// What is owed is paid, and the server comes back.
    Reactivate {
        /// Whose.
        lease: usize,
        /// What is paid; the first takes the place of the open charge.
        charges: Vec<Charge>,
        /// The end of what is paid then.
        paid_until: Timestamp,
        /// Where periods are counted from then, and the number of the one that begins there; none: as before.
        anchor: Option<(Timestamp, i64)>,
    },
    /// The wallet will not do for what falls due soon.
    LowBalance {
        /// What will not be paid: whose, when, how much.
        due: Vec<(usize, Timestamp, Money)>,
        /// How much is missing for all of it.
        missing: Money,
    },
    /// The owner is reminded of what is owed.
    Remind {
        /// Whose.
        lease: usize,
        /// How long before the suspension.
        before: Duration,
        /// When it comes, at the earliest.
        at: Timestamp,
    },
    /// The owner is warned of the end.
    Warn {
        /// Whose.
        lease: usize,
        /// How long before it.
        before: Duration,
        /// When it comes, at the earliest.
        at: Timestamp,
    },
    /// Something is due to be taken away; it waits for the count of all that is.
    Propose {
        /// Whose.
        lease: usize,
        /// What.
        step: Enforcement,
    },
    /// The server is held.
    Suspend {
        /// Whose.
        lease: usize,
    },
    /// The server is ended, unpaid.
    Terminate {
        /// Whose.
        lease: usize,
    },
    /// The server is ended as its owner wished: what is paid is over.
    End {
        /// Whose.
        lease: usize,
    },
    /// Nothing now.
    Wait {
        /// Whose.
        lease: usize,
        /// When to look again.
        until: Timestamp,
        /// What for.
        why: Why,
    },
}

names! {
    /// What a decision is called in logs and lists.
    Verb {
        /// See [`Decision::Renew`].
        Renew = "renew",
        /// See [`Decision::Fail`].
        Fail = "fail",
        /// See [`Decision::Pay`].
        Pay = "pay",
        /// See [`Decision::Reactivate`].
        Reactivate = "reactivate",
        /// See [`Decision::LowBalance`].
        LowBalance = "low_balance",
        /// See [`Decision::Remind`].
        Remind = "remind",
        /// See [`Decision::Warn`].
        Warn = "warn",
        /// See [`Decision::Propose`].
        Propose = "propose",
        /// See [`Decision::Suspend`].
        Suspend = "suspend",
        /// See [`Decision::Terminate`].
        Terminate = "terminate",
        /// See [`Decision::End`].
        End = "end",
        /// See [`Decision::Wait`].
        Wait = "wait",
    }
}

impl Decision {
    /// Its name.
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Renew { .. } => Verb::Renew,
            Self::Fail { .. } => Verb::Fail,
            Self::Pay { .. } => Verb::Pay,
            Self::Reactivate { .. } => Verb::Reactivate,
            Self::LowBalance { .. } => Verb::LowBalance,
            Self::Remind { .. } => Verb::Remind,
            Self::Warn { .. } => Verb::Warn,
            Self::Propose { .. } => Verb::Propose,
            Self::Suspend { .. } => Verb::Suspend,
            Self::Terminate { .. } => Verb::Terminate,
            Self::End { .. } => Verb::End,
            Self::Wait { .. } => Verb::Wait,
        }
    }

    /// The charges that it pays.
    pub fn paid(&self) -> &[Charge] {
        match self {
            Self::Renew { charge, .. } | Self::Pay { charge, .. } => std::slice::from_ref(charge),
            Self::Reactivate { charges, .. } => charges,
            _ => &[],
        }
    }

    /// What that payment costs.
    pub fn cost(&self) -> Result<Money, MoneyError> {
        let currency = self.paid().first().ok_or(MoneyError::Overflow)?.price.total.currency;
        self.paid().iter().try_fold(Money::zero(currency), |sum, c| sum.plus(c.price.total))
    }

    /// The payment with the tax that its charges have on this bill, and the bill with them; without one, as it is.
    pub(crate) fn billed(mut self, mut bill: Option<Bill>) -> Result<(Self, Option<Bill>), MoneyError> {
        let charges = match &mut self {
            Self::Renew { charge, .. } | Self::Pay { charge, .. } => std::slice::from_mut(charge),
            Self::Reactivate { charges, .. } => charges,
            _ => &mut [],
        };
        if let Some(bill) = &mut bill {
            for charge in charges {
                charge.price = bill.price(&charge.price)?;
                bill.add(&charge.price);
            }
        }
        Ok((self, bill))
    }
}
