//! Settling: the books of many accounts at once. Claim accounts that are due, load their books, decide in memory, and write with
//! one statement a table, all in one short transaction.
//!
//! The account is the unit: its wallet row is locked first, so a top-up, an order or another scheduler comes before or after,
//! never between. What goes wrong in one account fails its whole batch; the caller halves the batch until the account stands alone.

mod load;
mod tell;
mod write;

use std::{collections::BTreeMap, time::Duration};

use leasehold_domain::{
    AccountId, LeaseId, ProductId, Timestamp,
    books::Books,
    decision::{Decision, Permits, Verb},
    dunning::Outlook,
    server::Status,
};

use crate::{Result, StoreError, Tx, args, breakers::fell_due, invoices::Buyer};

/// What notices and servers need to know of a lease.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// The plan.
    pub product: ProductId,
    /// The customer's name for the server.
    pub label: String,
    /// What was found of it last.
    pub status: Status,
}

/// The books of an account, and whom to tell.
#[derive(Clone, Debug)]
pub struct Page {
    /// Whose.
    pub account: AccountId,
    /// Where mail goes.
    pub email: String,
    /// Given name.
    pub name: String,
    /// Language of its mails.
    pub locale: String,
    /// How it is billed.
    pub buyer: Buyer,
    /// Wallet and leases.
    pub books: Books,
    /// What belongs to each lease of the books, in their order.
    pub tenants: Vec<Tenant>,
}

/// Accounts whose wallets this transaction has locked.
#[derive(Debug)]
pub struct Claimed(Vec<load::WalletRow>);

impl Claimed {
    /// Which.
    pub fn accounts(&self) -> Vec<AccountId> {
        self.0.iter().map(|w| w.account_id.as_str().into()).collect()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a settlement did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Accounts that were looked at.
    pub accounts: usize,
    /// How often what was decided.
    pub verbs: BTreeMap<Verb, usize>,
    /// Leases that something was taken away from.
    pub enforced: Vec<LeaseId>,
}

impl Settled {
    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.accounts += other.accounts;
        other.verbs.into_iter().for_each(|(verb, n)| *self.verbs.entry(verb).or_default() += n);
        self.enforced.extend(other.enforced);
        self
    }
}

impl Tx {
    /// Locks up to `limit` accounts that became due after `after`, those that wait longest first; on PostgreSQL without those that somebody
    /// else has locked. Only those of which no lease fell due, where renewals wait.
    pub async fn claim_due(&mut self, after: Timestamp, limit: i64, renewals: bool) -> Result<Claimed> {
        let now = self.now;
        let sql = if renewals {
            "select account_id, currency, posted, held from wallets where settle_at > $1 and settle_at <= $2 order by settle_at, account_id limit $3 {skip}"
        } else {
            concat!(
                "select account_id, currency, posted, held from wallets where settle_at > $1 and settle_at <= $2 \
                 and not exists (select 1 from leases l where l.account_id = wallets.account_id and ",
                fell_due!("$2"),
                ") order by settle_at, account_id limit $3 {skip}"
            )
        };
        Ok(Claimed(self.all(sql, args![after, now, limit]).await?))
    }

    /// Settles accounts under their locks. Nothing is written where nothing is due but the time of the next look.
    pub async fn settle(&mut self, claimed: Claimed, permits: &Permits) -> Result<Settled> {
        let mut settled = Settled { accounts: claimed.0.len(), ..Settled::default() };
        if claimed.is_empty() {
            return Ok(settled);
        }
        let now = self.now;
        let mut sheet = write::Sheet::default();
        for page in self.load_pages(claimed.0).await? {
            let decisions = page.books.decide(now, permits)?;
            for decision in &decisions {
                *settled.verbs.entry(decision.verb()).or_default() += 1;
                if let Decision::Suspend { lease } | Decision::Terminate { lease } = decision {
                    settled.enforced.push(page.books.leases[*lease].lease.id.clone());
                }
            }
            sheet.enter(self, page, &decisions)?;
        }
        self.write_sheet(sheet).await?;
        Ok(settled)
    }

    /// Books as they are, without a lock, for showing.
    pub async fn pages(&mut self, accounts: &[AccountId]) -> Result<Vec<Page>> {
        let wallets = self.wallet_rows(accounts, false).await?;
        self.load_pages(wallets).await
    }

    /// Locks these accounts where nobody else has.
    pub async fn claim_accounts(&mut self, accounts: &[AccountId]) -> Result<Claimed> {
        Ok(Claimed(self.wallet_rows(accounts, true).await?))
    }

    /// When and why what comes next comes, for the lease of a server that runs.
    pub async fn outlook(&mut self, account: &AccountId, lease: &LeaseId) -> Result<Option<Outlook>> {
        let now = self.now;
        let pages = self.pages(std::slice::from_ref(account)).await?;
        let found = pages.iter().find_map(|p| Some((p, p.books.leases.iter().find(|s| s.lease.id == *lease)?)));
        Ok(found.map(|(p, s)| s.outlook(p.books.tax, now)))
    }

    /// Puts an account aside until an operator looks.
    pub async fn park_account(&mut self, account: &AccountId, error: &str) -> Result<()> {
        let now = self.now;
        let sql = "update wallets set settle_at = null, parked_at = $1, last_error = $2 where account_id = $3";
        self.exec_one(sql, args![now, error, account]).await?;
        let detail = format!("its books cannot be settled: {error}; after mending the cause: leasehold account resume {account}");
        self.attend("account_parked", &format!("account:{account}"), &detail).await
    }

    /// Settles an account later, whose settlement took longer than a statement may.
    pub async fn put_off_account(&mut self, account: &AccountId, wait: Duration, error: &str) -> Result<()> {
        let at = self.now + wait;
        self.exec_one("update wallets set settle_at = $1, last_error = $2 where account_id = $3", args![at, error, account]).await?;
        let detail = format!(
            "its books take too long to settle ({error}); it is tried again in an hour, everybody else's are settled: look at the database, what holds or slows it"
        );
        self.attend("account_slow", &format!("account:{account}"), &detail).await
    }

    /// Accounts that took too long and were settled since are nobody's matter any more.
    pub async fn slow_accounts_settled(&mut self) -> Result<u64> {
        let now = self.now;
        let sql = "update attention set closed_at = $1, closed_by = 'scheduler' where kind = 'account_slow' and closed_at is null \
                   and (select last_error from wallets where account_id = substr(subject, 9)) is null";
        self.exec(sql, args![now]).await
    }

    /// Takes an account up again that was put aside.
    pub async fn unpark_account(&mut self, account: &AccountId) -> Result<bool> {
        let now = self.now;
        let sql = "update wallets set settle_at = $1, parked_at = null, last_error = null where account_id = $2 and parked_at is not null";
        Ok(self.exec(sql, args![now, account]).await? == 1)
    }

    /// When an account becomes due next after `after`; those that were due by then wait for somebody.
    pub async fn next_settle(&mut self, after: Timestamp) -> Result<Option<Timestamp>> {
        let row: Option<(Option<i64>,)> = self.optional("select min(settle_at) from wallets where settle_at > $1", args![after]).await?;
        Ok(row.and_then(|(at,)| at).map(Timestamp::from_millis))
    }

    /// When the account that is due longest became due; none while none is.
    pub async fn oldest_due_account(&mut self) -> Result<Option<Timestamp>> {
        let now = self.now;
        let row: Option<(Option<i64>,)> = self.optional("select min(settle_at) from wallets where settle_at <= $1", args![now]).await?;
        Ok(row.and_then(|(at,)| at).map(Timestamp::from_millis))
    }
}

fn broken(what: &str, id: &impl ToString) -> StoreError {
    StoreError::Broken(format!("{what} of {} is missing", id.to_string()))
}
