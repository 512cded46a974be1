//! Coupons of a catalogue. What is gone from it is disabled; those made by hand are left alone.

use leasehold_domain::coupon::Coupon;
use leasehold_store::Tx;

use super::{Catalog, differs, entries::CouponEntry};
use crate::{Result, coupons::NewCoupon};

fn row(e: &CouponEntry) -> Result<Coupon> {
    NewCoupon {
        code: &e.code,
        percent: e.percent,
        amount: e.amount.as_deref(),
        currency: e.currency.as_deref(),
        periods: (!e.forever).then_some(e.periods),
        uses: e.uses,
        uses_per_account: e.uses_per_account,
        from: e.from,
        until: e.until,
        products: &e.products,
    }
    .check()
}

pub(super) async fn import(tx: &mut Tx, c: &Catalog) -> Result<()> {
    let (before, imported) = (tx.coupons(false).await?, tx.coupons(true).await?);
    for e in &c.coupon {
        let row = row(e)?;
        let old = before.iter().find(|b| b.code == row.code);
        // How often it was used is not the file's, and what an operator disabled stays so.
        let by_hand = old.is_some_and(|b| b.disabled) && !imported.iter().any(|i| i.code == row.code);
        let row = Coupon { used: old.map_or(0, |b| b.used), disabled: by_hand, ..row };
        if differs(old, &row) {
            tx.put_coupon(&row, !by_hand).await?;
        }
    }
    for gone in imported.into_iter().filter(|b| !b.disabled && !c.coupon.iter().any(|e| e.code.eq_ignore_ascii_case(&b.code))) {
        tx.put_coupon(&Coupon { disabled: true, ..gone }, true).await?;
    }
    Ok(())
}
