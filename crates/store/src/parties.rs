//! Buyers and the seller as documents name them. A party is named by what it says, so a document keeps what stood on it.

use leasehold_domain::{AccountId, Percent, document::Party, tax::TaxStatus};
use uuid::Uuid;

use crate::{Result, StoreError, Tx, accounts::Account, args, leases::rate};

/// The namespace of party ids.
const PARTIES: Uuid = Uuid::from_u128(0x6c65_6173_6568_6f6c_6420_7061_7274_6965);
const SELLER: &str = "seller";

/// The buyer that an account is.
pub(crate) fn buyer(a: &Account) -> Party {
    Party {
        name: format!("{} {}", a.first_name, a.last_name),
        company: a.company.clone(),
        address: a.address.as_deref().map(|text| text.lines().map(ToOwned::to_owned).collect()).unwrap_or_default(),
        country: a.country.clone(),
        vat_id: a.vat_id.clone(),
        ..Party::default()
    }
}

impl Tx {
    /// Writes a party where it is not written yet; its id.
    pub async fn put_party(&mut self, party: &Party) -> Result<String> {
        let details = serde_json::to_string(party).map_err(|e| StoreError::Broken(e.to_string()))?;
        let (id, now) = (Uuid::new_v5(&PARTIES, details.as_bytes()).to_string(), self.now);
        self.exec("insert into parties (id, details, created_at) values ($1, $2, $3) on conflict do nothing", args![&id, details, now]).await?;
        Ok(id)
    }

    /// A party by its id; an empty one for none.
    pub async fn party(&mut self, id: Option<&str>) -> Result<Party> {
        let Some(id) = id else { return Ok(Party::default()) };
        let (details,): (String,) =
            self.optional("select details from parties where id = $1", args![id]).await?.ok_or_else(|| StoreError::not_found("party", id))?;
        serde_json::from_str(&details).map_err(|e| StoreError::Broken(format!("party {id}: {e}")))
    }

    /// The id of the party that sells now.
    pub async fn seller(&mut self) -> Result<Option<String>> {
        self.house(SELLER).await
    }

    /// Who sells from now on.
    pub async fn set_seller(&mut self, party: &Party) -> Result<()> {
        let id = self.put_party(party).await?;
        self.set_house(SELLER, &id).await
    }

    /// What the house has to say under a key, if anything.
    pub async fn house(&mut self, key: &str) -> Result<Option<String>> {
        let row: Option<(String,)> = self.optional("select value from house where key = $1", args![key]).await?;
        Ok(row.map(|(value,)| value))
    }

    /// What the house says from now on.
    pub async fn set_house(&mut self, key: &str, value: &str) -> Result<()> {
        let sql = "insert into house (key, value) values ($1, $2) on conflict (key) do update set value = excluded.value";
        self.exec_one(sql, args![key, value]).await
    }

    /// The rate of a country.
    pub async fn tax_rate(&mut self, country: &str) -> Result<Option<Percent>> {
        let row: Option<(i64,)> = self.optional("select rate from tax_rates where country = $1", args![country]).await?;
        row.map(|(thousandths,)| rate(thousandths)).transpose()
    }

    /// All rates, by country.
    pub async fn tax_rates(&mut self) -> Result<Vec<(String, Percent)>> {
        let rows: Vec<(String, i64)> = self.all("select country, rate from tax_rates order by country", &[]).await?;
        rows.into_iter().map(|(country, thousandths)| Ok((country, rate(thousandths)?))).collect()
    }

    /// Puts these rates in the place of those before; what accounts buy from now on is taxed by them.
    pub async fn put_tax_rates(&mut self, rates: &[(String, Percent)]) -> Result<()> {
        self.exec("delete from tax_rates", &[]).await?;
        for (country, rate) in rates {
            self.exec_one("insert into tax_rates (country, rate) values ($1, $2)", args![country, rate.thousandths()]).await?;
        }
        let sql = "update accounts set tax_rate = coalesce((select r.rate from tax_rates r where r.country = accounts.country), 0) \
                   where country is not null and not reverse_charge and not tax_fixed \
                   and tax_rate <> coalesce((select r.rate from tax_rates r where r.country = accounts.country), 0)";
        self.exec(sql, &[]).await.map(drop)
    }

    /// Countries with accounts that are taxed as the table says.
    pub async fn countries_taxed(&mut self) -> Result<Vec<String>> {
        let sql = "select distinct country from accounts where country is not null and not reverse_charge and not tax_fixed";
        Ok(self.all::<(String,)>(sql, &[]).await?.into_iter().map(|(country,)| country).collect())
    }

    /// Writes how an account is billed: company, address, tax; the rate that follows.
    pub async fn set_billed(&mut self, id: &AccountId, company: Option<&str>, address: Option<&str>, tax: &TaxStatus) -> Result<Percent> {
        let by_country = match &tax.country {
            Some(country) => self.tax_rate(country).await?,
            None => None,
        };
        let rate = tax.rate(by_country);
        let sql = "update accounts set company = $1, address = $2, country = $3, vat_id = $4, reverse_charge = $5, tax_evidence = $6, tax_fixed = $7, tax_rate = $8 \
                   where id = $9";
        let (country, vat_id, evidence) = (tax.country.clone(), tax.vat_id.clone(), tax.evidence.clone());
        let args = args![company, address, country, vat_id, tax.reverse_charge, evidence, tax.fixed.is_some(), rate.thousandths(), id];
        self.exec_one(sql, args).await?;
        self.name_buyer(id).await?;
        Ok(rate)
    }

    /// From now on an account is billed as it is written now.
    pub(crate) async fn name_buyer(&mut self, id: &AccountId) -> Result<()> {
        let account = self.account(id).await?;
        let party = self.put_party(&buyer(&account)).await?;
        self.exec_one("update accounts set party = $1 where id = $2", args![party, id]).await
    }
}
