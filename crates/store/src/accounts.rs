//! Accounts, and their SSH keys.

use leasehold_domain::{AccountId, Currency, Percent, ServerId, Timestamp, names, role::Role, tax::TaxStatus};
use serde::Serialize;
use sqlx::FromRow;

use crate::{Page, Result, StoreError, Tx, args};

names! {
    /// Whether an account may order.
    AccountState {
        /// As usual.
        Active = "active",
        /// Nothing new is sold to it.
        Frozen = "frozen",
        /// Gone.
        Closed = "closed",
    }
}

names! {
    /// What a host calls its customers.
    Tier {
        /// As usual.
        Standard = "standard",
        /// More than usual.
        Pro = "pro",
        /// The largest.
        Enterprise = "enterprise",
    }
}

/// Who pays.
#[derive(Clone, Debug, FromRow, Serialize)]
pub struct Account {
    /// Its id.
    #[sqlx(try_from = "String")]
    pub id: AccountId,
    /// Its number, for people; from 1001.
    pub number: i64,
    /// Where mail goes.
    pub email: String,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// Company, if it is one.
    pub company: Option<String>,
    /// The one currency of its wallet.
    pub currency: String,
    /// Language of its mails.
    pub locale: String,
    /// Whether it may order.
    #[sqlx(try_from = "String")]
    pub state: AccountState,
    /// Tax on what it buys, basis points (1900 = 19 %).
    #[sqlx(try_from = "i64")]
    pub tax_rate: Percent,
    /// Where it lives, line by line.
    pub address: Option<String>,
    /// ISO 3166, two letters.
    pub country: Option<String>,
    /// Its number as a business.
    pub vat_id: Option<String>,
    /// It owes the tax itself.
    pub reverse_charge: bool,
    /// Why its tax is another than its country's.
    pub tax_evidence: Option<String>,
    /// Its rate was set by hand.
    pub tax_fixed: bool,
    /// How it is named on documents.
    #[serde(skip)]
    pub party: Option<String>,
    /// What the host calls it.
    #[sqlx(try_from = "String")]
    pub tier: Tier,
    /// When it came.
    #[sqlx(try_from = "i64")]
    pub created_at: Timestamp,
}

impl Account {
    /// What people call it.
    pub fn called(&self) -> String {
        self.company.clone().unwrap_or_else(|| format!("{} {}", self.first_name, self.last_name))
    }

    /// What decides about its tax.
    pub fn tax_status(&self) -> TaxStatus {
        let fixed = self.tax_fixed.then_some(self.tax_rate);
        let (country, vat_id, evidence) = (self.country.clone(), self.vat_id.clone(), self.tax_evidence.clone());
        TaxStatus { country, vat_id, reverse_charge: self.reverse_charge, fixed, evidence }
    }

    /// Whether anything is sold to it; else why not.
    pub fn may_buy(&self) -> std::result::Result<(), String> {
        match self.state {
            AccountState::Active => Ok(()),
            other => Err(format!("account {} is {other}; nothing is sold to it", self.number)),
        }
    }

    /// The currency as a type.
    pub fn currency(&self) -> Result<Currency> {
        Ok(self.currency.parse()?)
    }
}

/// What is needed for a new account.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Where mail goes; also the owner's sign-in.
    pub email: String,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// Company, if it is one.
    pub company: Option<String>,
    /// Its currency.
    pub currency: Currency,
    /// Language of its mails.
    pub locale: String,
    /// Where it is taxed, ISO 3166.
    pub country: Option<String>,
}

/// How an account is called, and where and in which language its mails go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Where mail goes.
    pub email: String,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// Language of its mails.
    pub locale: String,
}

/// What an account has running.
#[derive(Clone, Debug)]
pub struct AccountUse {
    /// Servers that have not ended.
    pub servers: i64,
    /// The backends of the nodes that they are on.
    pub backends: Vec<String>,
    /// When something was done last.
    pub changed_at: Option<Timestamp>,
}

/// An SSH key that goes onto every new server of its account.
#[derive(Clone, Debug, FromRow, Serialize)]
pub struct SshKey {
    /// Its id.
    pub id: String,
    /// Its number, for people.
    pub number: i64,
    /// Its name.
    pub name: String,
    /// `SHA256:…`.
    pub fingerprint: String,
    /// The OpenSSH line.
    pub public_key: String,
    /// When it was added.
    #[sqlx(try_from = "i64")]
    pub created_at: Timestamp,
    /// Servers that were built with it and have not ended.
    pub servers: i64,
}

impl SshKey {
    /// Its algorithm as OpenSSH names it, `ssh-ed25519`.
    pub fn key_type(&self) -> &str {
        self.public_key.split(' ').next().unwrap_or_default()
    }
}

/// The columns of an SSH key, of the table `k`.
macro_rules! ssh_key {
    () => {
        "k.id, k.number, k.name, k.fingerprint, k.public_key, k.created_at, \
         (select count(*) from built_ssh_keys b join servers t on t.id = b.server_id where b.ssh_key_id = k.id and t.status <> 'terminated') as servers"
    };
}

const FIRST_NUMBER: i64 = 1001;

impl Tx {
    /// The next number of a series that people see.
    pub async fn next_number(&mut self, series: &str, first: i64) -> Result<i64> {
        let sql = "insert into counters (name, value) values ($1, $2) on conflict (name) do update set value = counters.value + 1 returning value";
        self.int(sql, args![series, first]).await
    }

    /// Creates an account with its owner and its empty wallet.
    pub async fn create_account(&mut self, new: &NewAccount) -> Result<Account> {
        let (id, number, now) = (AccountId(self.new_id()), self.next_number("account", FIRST_NUMBER).await?, self.now);
        let sql = "insert into accounts (id, number, email, first_name, last_name, company, currency, locale, state, created_at) \
                   values ($1, $2, $3, $4, $5, $6, $7, $8, 'active', $9)";
        self.exec_one(sql, args![&id, number, &new.email, &new.first_name, &new.last_name, new.company.clone(), new.currency.code(), &new.locale, now]).await?;
        let owner = self.add_person(&new.email, &new.first_name, &new.last_name, None).await?;
        self.add_member(&id, &owner, Role::Owner).await?;
        self.open_wallet(&id, new.currency).await?;
        let tax = TaxStatus { country: new.country.clone(), ..TaxStatus::default() };
        self.set_billed(&id, new.company.as_deref(), None, &tax).await?;
        self.account(&id).await
    }

    /// Changes how an account is called, and where and in which language its mails go.
    pub async fn set_contact(&mut self, id: &AccountId, c: &Contact) -> Result<()> {
        let sql = "update accounts set email = $1, first_name = $2, last_name = $3, locale = $4 where id = $5";
        self.exec_one(sql, args![&c.email, &c.first_name, &c.last_name, &c.locale, id]).await?;
        self.name_buyer(id).await
    }

    /// Accounts that buy without a country, which no rate of tax is known for.
    pub async fn accounts_without_country(&mut self) -> Result<i64> {
        let sql = "select count(*) from accounts where country is null and not tax_fixed and state <> 'closed'";
        self.int(sql, &[]).await
    }

    /// One account.
    pub async fn account(&mut self, id: &AccountId) -> Result<Account> {
        self.optional("select * from accounts where id = $1", args![id]).await?.ok_or_else(|| StoreError::not_found("account", id))
    }

    /// One account by its id, its number or where its mails go, in capitals or not.
    pub async fn find_account(&mut self, called: &str) -> Result<Account> {
        let number = called.parse::<i64>().unwrap_or(-1);
        if let Some(account) = self.optional("select * from accounts where id = $1 or number = $2", args![called, number]).await? {
            return Ok(account);
        }
        let mut found: Vec<Account> = self.all("select * from accounts where lower(email) = lower($1) order by number limit 20", args![called]).await?;
        match found.len() {
            0 => Err(StoreError::not_found("account", called)),
            1 => Ok(found.remove(0)),
            _ => Err(StoreError::Ambiguous {
                what: "accounts",
                called: called.to_owned(),
                these: found.iter().map(|a| format!("{} ({}, {})", a.number, a.called(), a.state)).collect::<Vec<_>>().join("; "),
            }),
        }
    }

    /// Accounts by number.
    pub async fn accounts(&mut self, page: impl Into<Page>) -> Result<Vec<Account>> {
        let page = page.into();
        self.all("select * from accounts order by number limit $1 offset $2", args![page.most(), page.skip]).await
    }

    /// What an account has running, and on what.
    pub async fn account_use(&mut self, account: &AccountId) -> Result<AccountUse> {
        let servers = self.int("select count(*) from servers where account_id = $1 and status <> 'terminated'", args![account]).await?;
        let sql = "select distinct n.backend from servers s join nodes n on n.id = s.node_id where s.account_id = $1 and s.status <> 'terminated' order by 1";
        let backends: Vec<(String,)> = self.all(sql, args![account]).await?;
        let last = "select created_at from activity where account_id = $1 order by id desc limit 1";
        let changed_at: Option<(i64,)> = self.optional(last, args![account]).await?;
        let changed_at = changed_at.map(|(at,)| Timestamp::from_millis(at));
        Ok(AccountUse { servers, backends: backends.into_iter().map(|(backend,)| backend).collect(), changed_at })
    }

    /// Gives an account another tier.
    pub async fn set_account_tier(&mut self, id: &AccountId, tier: Tier) -> Result<()> {
        self.exec_one("update accounts set tier = $1 where id = $2", args![tier.as_str(), id]).await
    }

    /// Opens or closes an account's purse for new orders.
    pub async fn set_account_state(&mut self, id: &AccountId, state: AccountState) -> Result<()> {
        self.exec_one("update accounts set state = $1 where id = $2", args![state.as_str(), id]).await
    }

    /// Adds an SSH key; none where the account has it already.
    pub async fn add_ssh_key(&mut self, account: &AccountId, name: &str, fingerprint: &str, public_key: &str) -> Result<Option<SshKey>> {
        let (id, number, now) = (self.new_id(), self.next_number("ssh_key", 1).await?, self.now);
        let sql = "insert into ssh_keys (id, number, account_id, name, fingerprint, public_key, created_at) values ($1, $2, $3, $4, $5, $6, $7) \
                   on conflict (account_id, fingerprint) do nothing";
        match self.exec(sql, args![&id, number, account, name, fingerprint, public_key, now]).await? {
            0 => Ok(None),
            _ => self.ssh_key_of(account, &id).await.map(Some),
        }
    }

    /// An SSH key of an account by its id or its number; another's is not found.
    pub async fn ssh_key_of(&mut self, account: &AccountId, id: &str) -> Result<SshKey> {
        let number = id.parse::<i64>().unwrap_or(-1);
        let sql = concat!("select ", ssh_key!(), " from ssh_keys k where k.account_id = $1 and (k.id = $2 or k.number = $3)");
        self.optional(sql, args![account, id, number]).await?.ok_or_else(|| StoreError::not_found("SSH key", id))
    }

    /// Forgets an SSH key. A server that it was chosen for is built with none of the others instead.
    pub async fn remove_ssh_key(&mut self, id: &str) -> Result<()> {
        self.exec("delete from built_ssh_keys where ssh_key_id = $1", args![id]).await?;
        self.exec_one("delete from ssh_keys where id = $1", args![id]).await
    }

    /// Notes which SSH keys a server was built with.
    pub async fn built_with(&mut self, server: &ServerId, keys: &[String]) -> Result<()> {
        self.exec("delete from built_ssh_keys where server_id = $1", args![server]).await?;
        for key in keys {
            // One that was removed while it was built with is nobody's any more.
            let sql = "insert into built_ssh_keys (server_id, ssh_key_id) select $1, id from ssh_keys where id = $2";
            self.exec(sql, args![server, key]).await?;
        }
        Ok(())
    }

    /// Writes the key of a request, whose answer follows in the same transaction; false when it was written before.
    pub async fn write_key(&mut self, owner: &str, key: &str, request: &str) -> Result<bool> {
        let now = self.now;
        let sql = "insert into idempotency (account_id, key, request, answer, created_at) values ($1, $2, $3, '', $4) on conflict do nothing";
        Ok(self.exec(sql, args![owner, key, request, now]).await? == 1)
    }

    /// The answer to an earlier request with this key, and the request: nothing when there was none.
    pub async fn answered(&mut self, owner: &str, key: &str) -> Result<Option<(String, String)>> {
        self.optional("select request, answer from idempotency where account_id = $1 and key = $2", args![owner, key]).await
    }

    /// Keeps the answer to a request.
    pub async fn keep_answer(&mut self, owner: &str, key: &str, answer: &str) -> Result<()> {
        self.exec_one("update idempotency set answer = $1 where account_id = $2 and key = $3", args![answer, owner, key]).await
    }

    /// Forgets answers older than `before`.
    pub async fn prune_answers(&mut self, before: Timestamp) -> Result<u64> {
        self.exec("delete from idempotency where created_at < $1", args![before]).await
    }

    /// Says that a server is built with this key, and with no others but those said likewise.
    pub async fn choose_ssh_key(&mut self, server: &ServerId, key: &str) -> Result<()> {
        self.exec("insert into server_ssh_keys (server_id, ssh_key_id) values ($1, $2) on conflict do nothing", args![server, key]).await?;
        Ok(())
    }

    /// The SSH keys that a server is built with: those that were chosen for it, or all of its account.
    pub async fn ssh_keys_for(&mut self, server: &ServerId) -> Result<Vec<SshKey>> {
        let sql = concat!(
            "select ",
            ssh_key!(),
            " from servers s join ssh_keys k on k.account_id = s.account_id \
             where s.id = $1 and (not exists (select 1 from server_ssh_keys c where c.server_id = $1) \
             or exists (select 1 from server_ssh_keys c where c.server_id = $1 and c.ssh_key_id = k.id)) order by k.number"
        );
        self.all(sql, args![server]).await
    }

    /// The SSH keys of an account.
    pub async fn ssh_keys(&mut self, account: &AccountId) -> Result<Vec<SshKey>> {
        self.all(concat!("select ", ssh_key!(), " from ssh_keys k where k.account_id = $1 order by k.number"), args![account]).await
    }
}
