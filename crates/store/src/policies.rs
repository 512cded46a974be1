//! The rules of dunning as rows, and what applies to a lease.

use std::{collections::HashMap, sync::Arc};

use leasehold_domain::policy::{Key, Level, Policy};
use serde::Serialize;
use sqlx::FromRow;

use crate::{Result, Rows, Tx, args};

/// One rule that differs from the built-in one.
#[derive(Clone, Debug, FromRow, Serialize, PartialEq, Eq)]
pub struct Rule {
    /// How far it reaches.
    #[sqlx(try_from = "String")]
    pub level: Level,
    /// For which plan (its key), account or lease (their ids); empty for the whole house.
    pub subject: String,
    /// Which rule.
    #[sqlx(try_from = "String")]
    pub key: Key,
    /// What it says.
    pub value: String,
}

/// The rules that apply to some leases.
#[derive(Debug)]
pub struct Policies {
    system: Arc<Policy>,
    narrower: HashMap<(Level, String), Vec<Rule>>,
}

impl Policies {
    fn new(rules: Vec<Rule>) -> Result<Self> {
        let mut system = Policy::default();
        let mut narrower: HashMap<(Level, String), Vec<Rule>> = HashMap::new();
        for rule in rules {
            match rule.level {
                Level::System => system.set(rule.key, &rule.value)?,
                _ => narrower.entry((rule.level, rule.subject.clone())).or_default().push(rule),
            }
        }
        Ok(Self { system: Arc::new(system), narrower })
    }

    /// What applies to a lease: the narrower level wins.
    pub fn of(&self, plan: &str, account: &str, lease: &str) -> Result<Arc<Policy>> {
        let rules = [(Level::Plan, plan), (Level::Account, account), (Level::Lease, lease)].map(|(level, subject)| (level, subject.to_owned()));
        let rules: Vec<&Rule> = rules.iter().filter_map(|key| self.narrower.get(key)).flatten().collect();
        if rules.is_empty() {
            return Ok(self.system.clone());
        }
        let mut policy = (*self.system).clone();
        rules.into_iter().try_for_each(|r| policy.set(r.key, &r.value))?;
        Ok(Arc::new(policy))
    }

    /// What applies to the whole house.
    pub fn system(&self) -> Arc<Policy> {
        self.system.clone()
    }
}

impl Tx {
    /// The rules for these accounts and leases.
    pub async fn policies(&mut self, subjects: impl Iterator<Item = &str>) -> Result<Policies> {
        // Few houses have rules of their own for accounts or leases: then nobody is asked for one by one.
        let mut rules: Vec<Rule> = self
            .all(
                "select * from policies where level in ('system', 'plan') union all \
            select * from (select * from policies where level in ('account', 'lease') limit 1) one",
                &[],
            )
            .await?;
        let narrow = rules.iter().any(|r| matches!(r.level, Level::Account | Level::Lease));
        rules.retain(|r| matches!(r.level, Level::System | Level::Plan));
        if !narrow {
            return Policies::new(rules);
        }
        let rows = Rows::ids(subjects);
        let sql = "with v(v_id) as ({rows}) select p.level, p.subject, p.key, p.value from v join policies p on p.subject = v.v_id and p.level in ('account', 'lease')";
        rules.extend(self.all_rows_on::<Rule>("", sql, rows, &[]).await?);
        Policies::new(rules)
    }

    /// What applies to a server.
    pub async fn policy_of(&mut self, s: &crate::servers::Server) -> Result<Arc<Policy>> {
        let lease = self.lease_of(&s.id).await?.map_or_else(String::new, |l| l.id.to_string());
        self.policies([s.account_id.as_str(), lease.as_str()].into_iter()).await?.of(s.product_id.as_str(), s.account_id.as_str(), &lease)
    }

    /// The zone whose days and years count for the house.
    pub async fn house_zone(&mut self) -> Result<String> {
        Ok(self.policies(std::iter::empty()).await?.system().zone.clone())
    }

    /// The rules of one subject.
    pub async fn rules(&mut self, level: Level, subject: &str) -> Result<Vec<Rule>> {
        self.all("select * from policies where level = $1 and subject = $2 order by key", args![level.as_str(), subject]).await
    }

    /// Sets a rule, or takes it away; whoever it may concern now is looked at.
    pub async fn set_rule(&mut self, level: Level, subject: &str, key: Key, value: Option<&str>) -> Result<()> {
        if let Some(value) = value {
            let sql = "insert into policies (level, subject, key, value) values ($1, $2, $3, $4) on conflict (level, subject, key) do update set value = excluded.value";
            self.exec_one(sql, args![level.as_str(), subject, key.as_str(), value]).await?;
        } else {
            let sql = "delete from policies where level = $1 and subject = $2 and key = $3";
            self.exec(sql, args![level.as_str(), subject, key.as_str()]).await?;
        }
        let now = self.now;
        let sql = "update wallets set settle_at = $1 where parked_at is null and settle_at > $1 and account_id in \
                   (select account_id from leases where state in ('active', 'past_due', 'suspended') and ($2 in ('system', 'plan') and state <> 'active' \
                    or ($2 = 'account' and account_id = $3) or ($2 = 'lease' and id = $3)))";
        self.exec(sql, args![now, level.as_str(), subject]).await?;
        Ok(())
    }
}
