//! Partners: who buys for less, and by how much.

use std::time::Duration;

use leasehold_domain::{AccountId, Money, Percent, Timestamp};
use serde::Serialize;
use sqlx::FromRow;

use crate::{Result, Tx, accounts::Account, args};

/// What was bought within this time counts for a tier.
const COUNTS: Duration = Duration::from_hours(30 * 24);

/// A step of the partner programme, in one currency.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, Serialize)]
pub struct Tier {
    /// Its name.
    pub name: String,
    /// ISO 4217.
    pub currency: String,
    /// What was bought within 30 days to reach it, minor units.
    pub amount: i64,
    /// What is taken off.
    #[sqlx(try_from = "i64")]
    pub percent: Percent,
}

/// How a partner stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partner {
    /// What is taken off its next orders.
    pub percent: Percent,
    /// Whether that was agreed, and not reached.
    pub agreed: bool,
    /// The tier reached.
    pub tier: Option<Tier>,
    /// The next one.
    pub next: Option<Tier>,
    /// What it bought within 30 days.
    pub bought: Money,
    /// Since when it is one.
    pub since: Timestamp,
}

impl Tx {
    /// How an account stands as a partner; none when it is none.
    pub async fn partner(&mut self, account: &Account) -> Result<Option<Partner>> {
        let row: Option<(Option<i64>, i64)> =
            self.optional("select percent * 1000 + thousandths, since_at from partners where account_id = $1", args![&account.id]).await?;
        let Some((agreed, since)) = row else { return Ok(None) };
        let from = self.now - COUNTS;
        let sql = "select cast(coalesce(sum(amount), 0) as bigint) from transfers where wallet = $1 and state = 'posted' and code in ('order', 'renewal', 'addon') and created_at >= $2";
        let bought = Money::new(self.int(sql, args![&account.id, from]).await?, account.currency()?);
        let tiers: Vec<Tier> = self.tiers().await?.into_iter().filter(|t| t.currency == account.currency).collect();
        let tier = tiers.iter().rfind(|t| t.amount <= bought.minor).cloned();
        let next = tiers.into_iter().find(|t| t.amount > bought.minor);
        let agreed = agreed.map(|thousandths| Percent::from_thousandths(thousandths).unwrap_or(Percent::WHOLE));
        let percent = agreed.or_else(|| tier.as_ref().map(|t| t.percent)).unwrap_or_default();
        Ok(Some(Partner { percent, agreed: agreed.is_some(), tier, next, bought, since: Timestamp::from_millis(since) }))
    }

    /// The steps of the partner programme, by currency, the lowest first.
    pub async fn tiers(&mut self) -> Result<Vec<Tier>> {
        self.all("select name, currency, amount, percent * 1000 + thousandths as percent from tiers order by currency, amount, name", &[]).await
    }

    /// Puts these steps in the place of those before.
    pub async fn put_tiers(&mut self, tiers: &[Tier]) -> Result<()> {
        self.exec("delete from tiers", &[]).await?;
        for t in tiers {
            let sql = "insert into tiers (name, currency, amount, percent, thousandths) values ($1, $2, $3, $4, $5)";
            let (whole, part) = t.percent.parts();
            self.exec_one(sql, args![&t.name, &t.currency, t.amount, whole, part]).await?;
        }
        Ok(())
    }

    /// Makes an account a partner, by tier or at an agreed percentage.
    pub async fn put_partner(&mut self, account: &AccountId, percent: Option<Percent>) -> Result<()> {
        let (now, (whole, part)) = (self.now, percent.map(Percent::parts).map_or((None, 0), |(whole, part)| (Some(whole), part)));
        let sql = "insert into partners (account_id, percent, since_at, thousandths) values ($1, $2, $3, $4) \
                   on conflict (account_id) do update set percent = excluded.percent, thousandths = excluded.thousandths";
        self.exec_one(sql, args![account, whole, now, part]).await
    }

    /// Makes an account a customer like any other; false when it was one.
    pub async fn drop_partner(&mut self, account: &AccountId) -> Result<bool> {
        Ok(self.exec("delete from partners where account_id = $1", args![account]).await? == 1)
    }
}
