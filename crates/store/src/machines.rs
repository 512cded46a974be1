//! Machines that customers have elsewhere: each told of itself, by a line that its owner ran on it.

use leasehold_domain::{AccountId, Timestamp};
use serde::Serialize;
use sqlx::FromRow;
use subtle::ConstantTimeEq;

use crate::{Result, StoreError, Tx, args};

/// A machine of a customer's own.
#[derive(Clone, Debug, FromRow, Serialize)]
pub struct Machine {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Who made it, or whose cloud it is in.
    pub vendor: String,
    /// Separated by spaces.
    pub addresses: String,
    /// When it told of itself first.
    #[sqlx(try_from = "i64")]
    pub created_at: Timestamp,
    /// When it did last.
    #[sqlx(try_from = "i64")]
    pub seen_at: Timestamp,
}

/// What a machine says of itself.
#[derive(Clone, Debug)]
pub struct Registration<'a> {
    /// What it is known again by.
    pub machine: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Who made it.
    pub vendor: &'a str,
    /// Separated by spaces.
    pub addresses: &'a str,
}

/// Of the digest in a token.
const TOKEN_LEN: usize = 40;

impl Tx {
    /// What machines of an account are registered with: its number, and a digest that nobody else can make.
    pub async fn registration_token(&mut self, account: &AccountId) -> Result<String> {
        let (number, version): (i64, i64) = self.one("select number, registration from accounts where id = $1", args![account]).await?;
        let digest = self.ring()?.fingerprint(&format!("register {account} {version}"));
        Ok(format!("{number}-{}", &digest[..TOKEN_LEN]))
    }

    /// Gives an account another registration token; the one before registers nothing any more.
    pub async fn renew_registration(&mut self, account: &AccountId) -> Result<()> {
        self.exec_one("update accounts set registration = registration + 1 where id = $1", args![account]).await
    }

    /// The account that a token is of.
    pub async fn registers(&mut self, token: &str) -> Result<Option<AccountId>> {
        let number = token.split_once('-').and_then(|(number, _)| number.parse::<i64>().ok()).unwrap_or(-1);
        let found: Option<(String,)> = self.optional("select id from accounts where number = $1", args![number]).await?;
        let Some(account) = found.map(|(id,)| AccountId::from(id.as_str())) else { return Ok(None) };
        let own = self.registration_token(&account).await?;
        Ok(Some(account).filter(|_| bool::from(own.as_bytes().ct_eq(token.as_bytes()))))
    }

    /// Writes what a machine says of itself.
    pub async fn register_machine(&mut self, account: &AccountId, new: &Registration<'_>) -> Result<()> {
        let (id, now) = (self.new_id(), self.now);
        let sql = "insert into machines (id, account_id, machine, name, vendor, addresses, created_at, seen_at) values ($1, $2, $3, $4, $5, $6, $7, $7) \
                   on conflict (account_id, machine) do update set name = excluded.name, vendor = excluded.vendor, addresses = excluded.addresses, seen_at = excluded.seen_at";
        self.exec_one(sql, args![id, account, new.machine, new.name, new.vendor, new.addresses, now]).await
    }

    /// Whether an account has a machine, by what it is known again by; and how many it has.
    pub async fn machine_known(&mut self, account: &AccountId, machine: &str) -> Result<(bool, i64)> {
        let sql = "select count(*), cast(coalesce(sum(case when machine = $2 then 1 else 0 end), 0) as bigint) from machines where account_id = $1";
        let (all, known): (i64, i64) = self.one(sql, args![account, machine]).await?;
        Ok((known > 0, all))
    }

    /// The machines of an account.
    pub async fn machines(&mut self, account: &AccountId) -> Result<Vec<Machine>> {
        self.all("select id, name, vendor, addresses, created_at, seen_at from machines where account_id = $1 order by id", args![account]).await
    }

    /// Forgets a machine of an account, by its id or its name.
    pub async fn forget_machine(&mut self, account: &AccountId, id: &str) -> Result<Machine> {
        let sql = "select id, name, vendor, addresses, created_at, seen_at from machines where account_id = $1 and (id = $2 or name = $2) order by id limit 2";
        let found: Vec<Machine> = self.all(sql, args![account, id]).await?;
        match <[Machine; 1]>::try_from(found) {
            Ok([one]) => {
                self.exec_one("delete from machines where id = $1", args![&one.id]).await?;
                Ok(one)
            }
            Err(none) if none.is_empty() => Err(StoreError::not_found("machine", id)),
            Err(several) => Err(StoreError::Ambiguous {
                what: "machines",
                called: id.to_owned(),
                these: several.iter().map(|m| m.id.as_str()).collect::<Vec<_>>().join("; "),
            }),
        }
    }
}
