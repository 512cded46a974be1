//! Coupons and their use.

use leasehold_domain::{AccountId, Money, Percent, ServerId, coupon::Coupon, price::Discount};
use sqlx::FromRow;

use crate::{Result, StoreError, Tx, When, args};

#[derive(FromRow)]
struct CouponRow {
    code: String,
    percent: Option<i64>,
    thousandths: i64,
    amount: Option<i64>,
    currency: Option<String>,
    periods: Option<i64>,
    uses: Option<i64>,
    uses_per_account: Option<i64>,
    used: i64,
    from_at: Option<When>,
    until_at: Option<When>,
    products: String,
    disabled_at: Option<When>,
}

impl TryFrom<CouponRow> for Coupon {
    type Error = StoreError;
    fn try_from(r: CouponRow) -> Result<Self> {
        let discount = match (r.percent, r.amount, &r.currency) {
            (Some(percent), ..) => Discount::Percent(Percent::from_parts(percent, r.thousandths)),
            (None, Some(minor), Some(currency)) => Discount::Fixed(Money::new(minor, currency.parse()?)),
            _ => return Err(StoreError::Broken(format!("coupon {} takes nothing off", r.code))),
        };
        let at = |when: Option<When>| when.map(|at| at.0);
        let products = serde_json::from_str(&r.products).map_err(|e| StoreError::Broken(format!("plans of coupon {}: {e}", r.code)))?;
        Ok(Self {
            code: r.code,
            discount,
            periods: r.periods,
            uses: r.uses,
            uses_per_account: r.uses_per_account,
            used: r.used,
            from: at(r.from_at),
            until: at(r.until_at),
            products,
            disabled: r.disabled_at.is_some(),
        })
    }
}

impl Tx {
    /// One coupon by its code.
    pub async fn coupon(&mut self, code: &str) -> Result<Coupon> {
        let found: Option<CouponRow> = self.optional("select * from coupons where code = $1", args![code]).await?;
        found.ok_or_else(|| StoreError::not_found("coupon", code))?.try_into()
    }

    /// All coupons, by code; of a catalogue only, or all.
    pub async fn coupons(&mut self, imported_only: bool) -> Result<Vec<Coupon>> {
        let rows: Vec<CouponRow> = self.all("select * from coupons where imported or not $1 order by code", args![imported_only]).await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Writes a coupon; how often it was used stays.
    pub async fn put_coupon(&mut self, c: &Coupon, imported: bool) -> Result<()> {
        let (percent, fixed) = c.discount.parts();
        let (percent, thousandths) = percent.map(Percent::parts).map_or((None, 0), |(whole, part)| (Some(whole), part));
        let (now, currency) = (self.now, fixed.map(|m| m.currency.code()));
        let products = serde_json::to_string(&c.products).map_err(|e| StoreError::Broken(e.to_string()))?;
        let sql = "insert into coupons (code, percent, amount, currency, periods, uses, uses_per_account, from_at, until_at, products, imported, disabled_at, created_at, thousandths) \
                   values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) on conflict (code) do update set percent = excluded.percent, \
                   amount = excluded.amount, currency = excluded.currency, periods = excluded.periods, uses = excluded.uses, \
                   uses_per_account = excluded.uses_per_account, from_at = excluded.from_at, until_at = excluded.until_at, products = excluded.products, \
                   imported = excluded.imported, disabled_at = excluded.disabled_at, thousandths = excluded.thousandths";
        let disabled = c.disabled.then_some(now);
        let (amount, (from, until)) = (fixed.map(|m| m.minor), (c.from, c.until));
        self.exec_one(
            sql,
            args![&c.code, percent, amount, currency, c.periods, c.uses, c.uses_per_account, from, until, products, imported, disabled, now, thousandths],
        )
        .await
    }

    /// No further order may use a coupon, whatever a catalogue says.
    pub async fn disable_coupon(&mut self, code: &str) -> Result<()> {
        let now = self.now;
        self.exec_one("update coupons set disabled_at = $1, imported = false where code = $2", args![now, code]).await
    }

    /// How often an account uses a coupon.
    pub async fn coupon_uses(&mut self, code: &str, account: &AccountId) -> Result<i64> {
        self.int("select count(*) from redemptions where coupon = $1 and account_id = $2 and returned_at is null", args![code, account]).await
    }

    /// Who used a coupon for which server, newest first; uses that were given back left out.
    pub async fn redemptions(&mut self, code: &str) -> Result<Vec<(String, String, i64)>> {
        let sql = "select account_id, server_id, redeemed_at from redemptions where coupon = $1 and returned_at is null order by redeemed_at desc limit 1000";
        self.all(sql, args![code]).await
    }

    /// Counts an order as a use of a coupon; false when the last use went to somebody else. Under the account's lock.
    pub async fn redeem(&mut self, code: &str, account: &AccountId, server: &ServerId) -> Result<bool> {
        let now = self.now;
        let sql = "update coupons set used = used + 1 where code = $1 and disabled_at is null and (uses is null or used < uses)";
        if self.exec(sql, args![code]).await? == 0 {
            return Ok(false);
        }
        let sql = "insert into redemptions (server_id, coupon, account_id, redeemed_at) values ($1, $2, $3, $4)";
        self.exec_one(sql, args![server, code, account, now]).await?;
        Ok(true)
    }

    /// An order never ran: the use of its coupon, if it has one, is free for another. Under the account's lock.
    pub(crate) async fn return_coupon(&mut self, server: &ServerId) -> Result<()> {
        let now = self.now;
        if self.exec("update redemptions set returned_at = $1 where server_id = $2 and returned_at is null", args![now, server]).await? == 1 {
            self.exec_one("update coupons set used = used - 1 where code = (select coupon from redemptions where server_id = $1)", args![server]).await?;
        }
        Ok(())
    }

    /// A failed order is built again, as agreed: its coupon counts, even if it is used up by now. Under the account's lock.
    pub(crate) async fn redeem_again(&mut self, server: &ServerId) -> Result<()> {
        if self.exec("update redemptions set returned_at = null where server_id = $1 and returned_at is not null", args![server]).await? == 1 {
            self.exec_one("update coupons set used = used + 1 where code = (select coupon from redemptions where server_id = $1)", args![server]).await?;
        }
        Ok(())
    }
}
