//! `leasehold coupon …`

use clap::{Args, Subcommand};
use leasehold_commands::coupons::{self, NewCoupon};
use leasehold_domain::{Money, Timestamp, coupon::Coupon as Row, price::Discount};
use serde_json::{Value, json};

use super::Context;
use crate::{
    exit::Failure,
    output::{show, table},
};

/// `leasehold coupon …`
#[derive(Debug, Subcommand)]
pub enum Coupon {
    /// Make one.
    Create(New),
    /// No further order may use it.
    Disable {
        /// Its code.
        code: String,
    },
    /// All coupons; with a code, who used it.
    List {
        /// One coupon.
        code: Option<String>,
    },
}

/// What it takes off.
#[derive(Debug, Args)]
pub struct New {
    /// 3 to 32 letters, digits, - and _.
    code: String,
    /// Whole per cent off the plan's price.
    #[arg(long, conflicts_with = "amount")]
    percent: Option<String>,
    /// An amount off it, like 5.00.
    #[arg(long, requires = "currency")]
    amount: Option<String>,
    /// The amount's currency.
    #[arg(long, requires = "amount")]
    currency: Option<String>,
    /// Periods that it counts for, from the first.
    #[arg(long, default_value_t = 1)]
    periods: i64,
    /// It counts for every period.
    #[arg(long, conflicts_with = "periods")]
    forever: bool,
    /// Orders that may use it, in all.
    #[arg(long)]
    uses: Option<i64>,
    /// Orders of one account that may use it; 0: any number.
    #[arg(long, default_value_t = 1)]
    uses_per_account: i64,
    /// Not before this day.
    #[arg(long)]
    from: Option<Timestamp>,
    /// Not from this day on.
    #[arg(long)]
    until: Option<Timestamp>,
    /// Only for this plan, by key; may be given several times.
    #[arg(long = "product")]
    products: Vec<String>,
}

fn off(c: &Row) -> String {
    match c.discount {
        Discount::Percent(percent) => format!("{percent} %"),
        Discount::Fixed(amount) => amount.to_string(),
    }
}

fn value(c: &Row) -> Value {
    let (percent, fixed) = c.discount.parts();
    let (amount, currency) = (fixed.map(Money::decimal), fixed.map(|m| m.currency));
    json!({
        "code": c.code, "percent": percent, "amount": amount, "currency": currency, "periods": c.periods, "uses": c.uses,
        "usesPerAccount": c.uses_per_account, "used": c.used, "from": c.from, "until": c.until, "products": c.products, "disabled": c.disabled,
    })
}

/// For how long it counts, and what that means for who pays for a year at once.
fn how_long(c: &Row) -> String {
    match c.periods {
        None => "for ever".into(),
        Some(1) => "in the first period, which is a month or as much as is paid at once: of 12m, a year".into(),
        Some(n) => format!("in the first {n} periods, each a month or as much as is paid at once: of 12m, {n} years"),
    }
}

pub(super) async fn run(c: &Context, command: Coupon) -> Result<(), Failure> {
    let app = c.app().await?;
    let (store, me) = (&app.store, &app.actor);
    match command {
        Coupon::Create(n) => {
            let new = NewCoupon {
                code: &n.code,
                percent: super::percent(n.percent)?,
                amount: n.amount.as_deref(),
                currency: n.currency.as_deref(),
                periods: (!n.forever).then_some(n.periods),
                uses: n.uses,
                uses_per_account: (n.uses_per_account != 0).then_some(n.uses_per_account),
                from: n.from,
                until: n.until,
                products: &n.products,
            };
            let coupon = coupons::create(store, me, &new).await?;
            show(c.json(), &value(&coupon), || {
                say!("coupon {} takes off {} {}; order with: leasehold server order … --coupon {0}", coupon.code, off(&coupon), how_long(&coupon));
            });
        }
        Coupon::Disable { code } => {
            let coupon = coupons::disable(store, me, &code).await?;
            show(c.json(), &value(&coupon), || say!("coupon {} is disabled; what it takes off leases that run stays", coupon.code));
        }
        Coupon::List { code: None } => {
            let all = store.read().await?.coupons(false).await?;
            let number = |n: Option<i64>| n.map_or_else(|| "∞".to_owned(), |n| n.to_string());
            let day = |at: Option<Timestamp>| at.map_or_else(String::new, Timestamp::day);
            let row = |c: &Row| {
                let state = if c.disabled { "disabled" } else { "" };
                vec![
                    c.code.clone(),
                    off(c),
                    number(c.periods),
                    format!("{} of {}", c.used, number(c.uses)),
                    day(c.from),
                    day(c.until),
                    c.products.join(" "),
                    state.into(),
                ]
            };
            let head = ["COUPON", "OFF", "PERIODS", "USED", "FROM", "UNTIL", "PLANS", ""];
            show(c.json(), &json!(all.iter().map(value).collect::<Vec<_>>()), || table(&head, all.iter().map(row)));
        }
        Coupon::List { code: Some(code) } => {
            let mut tx = store.read().await?;
            let coupon = tx.coupon(&code.to_ascii_uppercase()).await?;
            let uses = tx.redemptions(&coupon.code).await?;
            let mut whole = value(&coupon);
            whole["redemptions"] =
                uses.iter().map(|(account, server, at)| json!({ "account": account, "server": server, "at": Timestamp::from_millis(*at) })).collect();
            show(c.json(), &whole, || {
                say!("coupon {} takes off {}, used {} time(s)", coupon.code, off(&coupon), coupon.used);
                table(&["ACCOUNT", "SERVER", "WHEN"], uses.iter().map(|(a, s, at)| vec![a.clone(), s.clone(), Timestamp::from_millis(*at).human()]));
            });
        }
    }
    Ok(())
}
