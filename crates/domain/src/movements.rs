//! What an order, its delivery and its failure do to wallet and lease, and money that comes in or goes out by hand.
//!
//! These are the rules; `store::Books` loads the rows under the account's lock, asks here, and writes what comes back.

use std::time::Duration;

use crate::{
    AccountId, Money, Percent, ServerId, Timestamp,
    lease::{Lease, LeaseLine, LeaseState},
    ledger::{Code, House, Refused, Transfer, TransferState, Wallet, wallet_account},
    money::MoneyError,
    period::{Anchor, BadPeriod},
    price::Price,
    standing::{self, Charge},
};

/// The reference of the hold for an add-on, by its id at the server.
pub fn addon_reference(addon: &str) -> String {
    format!("addon:{addon}")
}

/// The reference of the hold for one build of an order.
pub fn order_reference(server: &ServerId, generation: i64) -> String {
    format!("order:{server}:{generation}")
}

fn spend(wallet: &Wallet, reference: String, amount: Money, (credit, code, state): (House, Code, TransferState), at: Timestamp) -> Transfer {
    let (debit, credit) = (wallet_account(&wallet.account), credit.account(amount.currency));
    Transfer { reference, wallet: wallet.account.clone(), debit, credit, amount, code, state, at }
}

/// Sets the price of an order or an add-on aside. What costs nothing needs no transfer.
pub fn hold(wallet: &mut Wallet, reference: String, code: Code, price: Money, now: Timestamp) -> Result<Option<Transfer>, Refused> {
    if price.minor == 0 {
        return Ok(None);
    }
    wallet.hold(price)?;
    Ok(Some(spend(wallet, reference, price, (House::Revenue, code, TransferState::Pending), now)))
}

/// What was used of an order is paid. What costs nothing needs no transfer.
pub fn pay_order(wallet: &mut Wallet, reference: String, price: Money, now: Timestamp) -> Result<Option<Transfer>, Refused> {
    if price.minor == 0 {
        return Ok(None);
    }
    wallet.debit(price)?;
    Ok(Some(spend(wallet, reference, price, (House::Revenue, Code::Order, TransferState::Posted), now)))
}

/// Money paid in.
pub fn top_up(wallet: &mut Wallet, reference: String, amount: Money, now: Timestamp) -> Result<Transfer, Refused> {
    wallet.credit(amount)?;
    let (debit, credit) = (House::Clearing.account(amount.currency), wallet_account(&wallet.account));
    Ok(Transfer { reference, wallet: wallet.account.clone(), debit, credit, amount, code: Code::TopUp, state: TransferState::Posted, at: now })
}

/// Money taken out by an operator.
pub fn debit(wallet: &mut Wallet, reference: String, amount: Money, now: Timestamp) -> Result<Transfer, Refused> {
    wallet.debit(amount)?;
    Ok(spend(wallet, reference, amount, (House::Clearing, Code::Debit, TransferState::Posted), now))
}

/// What was paid for an invoice comes back into the wallet.
pub fn refund(wallet: &mut Wallet, reference: String, amount: Money, now: Timestamp) -> Result<Transfer, Refused> {
    wallet.credit(amount)?;
    let (debit, credit) = (House::Revenue.account(amount.currency), wallet_account(&wallet.account));
    Ok(Transfer { reference, wallet: wallet.account.clone(), debit, credit, amount, code: Code::Refund, state: TransferState::Posted, at: now })
}

/// A payment was taken back outside: what can be spent goes, the rest is owed. Answers both movements.
pub fn charge_back(wallet: &mut Wallet, reference: &str, amount: Money, now: Timestamp) -> Result<(Option<Transfer>, Option<Transfer>), Refused> {
    if amount.minor <= 0 {
        return Err(Refused::Zero);
    }
    let (available, currency) = (wallet.available(), amount.currency);
    let paid = Money::new(available.minor.clamp(0, amount.minor), currency);
    let owed = amount.minus(paid)?;
    let moved = if paid.minor > 0 {
        wallet.debit(paid)?;
        Some(spend(wallet, reference.to_owned(), paid, (House::Clearing, Code::Chargeback, TransferState::Posted), now))
    } else {
        None
    };
    let (debit, credit) = (House::Receivable.account(currency), House::Clearing.account(currency));
    let debt = |amount| Transfer {
        reference: format!("{reference}:owed"),
        wallet: wallet.account.clone(),
        debit,
        credit,
        amount,
        code: Code::Receivable,
        state: TransferState::Posted,
        at: now,
    };
    Ok((moved, (owed.minor > 0).then(|| debt(owed))))
}

/// Money came in: what is owed is paid first, as far as it goes.
pub fn pay_debt(wallet: &mut Wallet, reference: String, owed: Money, now: Timestamp) -> Result<Option<Transfer>, Refused> {
    let amount = Money::new(owed.minor.min(wallet.available().minor), owed.currency);
    if amount.minor <= 0 {
        return Ok(None);
    }
    wallet.debit(amount)?;
    Ok(Some(spend(wallet, reference, amount, (House::Receivable, Code::Receivable, TransferState::Posted), now)))
}

/// What is owed will never be paid.
pub fn write_off(account: &AccountId, reference: String, owed: Money, now: Timestamp) -> Transfer {
    let (debit, credit) = (House::WriteOffs.account(owed.currency), House::Receivable.account(owed.currency));
    Transfer { reference, wallet: account.clone(), debit, credit, amount: owed, code: Code::WriteOff, state: TransferState::Posted, at: now }
}

/// The server runs for the first time: the hold is posted, the lease begins, period 1 is paid.
pub fn deliver(wallet: &mut Wallet, lease: &mut Lease, hold: Option<&Transfer>, price: Price, now: Timestamp) -> Result<Charge, BadDelivery> {
    if lease.state != LeaseState::Pending {
        return Err(BadDelivery::Lease(lease.state));
    }
    let held = hold.map_or(0, |h| h.amount.minor);
    if held != price.total.minor {
        return Err(BadDelivery::Price { price: price.total, held: Money::new(held, price.total.currency) });
    }
    lease.activate(now)?;
    if let Some(hold) = hold {
        wallet.post(hold.amount)?;
    }
    let (until, zone) = (lease.paid_until.unwrap_or(now), lease.zone.clone());
    Ok(Charge { no: lease.period_no, from: now, until, full_until: None, zone, price, at: now })
}

/// What is paid for an order that its owner ends after its machine was booted and before it was delivered: the time since then, up to a hold that is
/// free, but at least this long, and at least a unit of what costs anything; never more than the first period.
pub fn end_early(lease: &Lease, lines: &[LeaseLine], tax: Percent, booted: Timestamp, least: Duration, now: Timestamp) -> Result<Charge, BadDelivery> {
    let anchor = Anchor { at: booted, no: 1, cycle: lease.cycle, zone: lease.zone.clone() };
    let (full_until, whole) = (anchor.end_of(1)?, |part| standing::price_of(lines, 1, part, tax).map_err(BadDelivery::Money));
    let none = || BadDelivery::Lease(lease.state);
    let full = whole(None)?.ok_or_else(none)?;
    let over = lease.free_at.map_or(now, |free| free.min(now));
    let (most, mut used) = (full_until.since(booted), over.since(booted).max(least).max(Duration::from_millis(1)));
    while used < most {
        let part = (used.as_millis() as i64, most.as_millis() as i64);
        let price = whole(Some(part))?.ok_or_else(none)?;
        if price.net.minor > 0 || full.net.minor == 0 {
            let until = booted + used;
            return Ok(Charge { no: 1, from: booted, until, full_until: Some(full_until), zone: lease.zone.clone(), price, at: now });
        }
        used *= 2;
    }
    Ok(Charge { no: 1, from: booted, until: full_until, full_until: None, zone: lease.zone.clone(), price: full, at: now })
}

/// Why a delivery cannot be booked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDelivery {
    /// The lease is not waiting for one.
    #[error("the lease is {0}, only a pending one begins")]
    Lease(LeaseState),
    /// What was set aside is not the price.
    #[error("the price is {price}, set aside were {held}")]
    Price {
        /// By the lease's lines.
        price: Money,
        /// By the hold.
        held: Money,
    },
    /// Its first period cannot be computed.
    #[error(transparent)]
    Period(#[from] BadPeriod),
    /// The wallet refuses.
    #[error(transparent)]
    Wallet(#[from] Refused),
    /// An amount beyond all bounds.
    #[error(transparent)]
    Money(MoneyError),
}

/// The order failed or was ended before it ran: what was set aside is given back, the lease is over.
pub fn give_back(wallet: &mut Wallet, lease: &mut Lease, hold: Option<&Transfer>) -> Result<(), Refused> {
    lease.state = LeaseState::Ended;
    hold.map_or(Ok(()), |hold| wallet.void(hold.amount))
}

/// An empty wallet.
pub fn new_wallet(account: AccountId, currency: crate::Currency) -> Wallet {
    Wallet { account, posted: Money::zero(currency), held: Money::zero(currency) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lease::Cycle,
        price::{Line, LineKind, price},
    };

    fn eur(minor: i64) -> Money {
        Money::new(minor, "EUR".parse().unwrap())
    }

    fn nine() -> Price {
        price(vec![Line { kind: LineKind::Plan, description: "Small".into(), amount: eur(900) }], crate::Percent::ZERO).unwrap()
    }

    fn funded(minor: i64) -> Wallet {
        let mut wallet = new_wallet("a".into(), "EUR".parse().unwrap());
        wallet.credit(eur(minor)).unwrap();
        wallet
    }

    #[test]
    fn an_order_ends_delivered_or_with_the_money_back() {
        let now = Timestamp::from_millis(1_790_000_000_000);
        let (mut wallet, mut l) = (funded(1000), Lease::for_tests("s", Cycle::Month));
        let held = hold(&mut wallet, order_reference(&l.server, 1), Code::Order, eur(900), now).unwrap().unwrap();
        assert_eq!(wallet.available(), eur(100));
        assert!(matches!(deliver(&mut wallet, &mut l, None, nine(), now), Err(BadDelivery::Price { .. })), "nothing was set aside");
        let charge = deliver(&mut wallet, &mut l, Some(&held), nine(), now).unwrap();
        assert_eq!((wallet.available(), wallet.held, charge.price.total, l.state), (eur(100), eur(0), eur(900), LeaseState::Active));
        assert!(matches!(deliver(&mut wallet, &mut l, Some(&held), nine(), now), Err(BadDelivery::Lease(LeaseState::Active))));

        let (mut wallet, mut l) = (funded(1000), Lease::for_tests("s", Cycle::Month));
        let held = hold(&mut wallet, order_reference(&l.server, 1), Code::Order, eur(900), now).unwrap().unwrap();
        give_back(&mut wallet, &mut l, Some(&held)).unwrap();
        assert_eq!((wallet.available(), l.state), (eur(1000), LeaseState::Ended));
    }

    #[test]
    fn a_chargeback_takes_what_is_there_and_the_rest_is_paid_first() {
        let now = Timestamp::default();
        let mut wallet = funded(1000);
        let (moved, owed) = charge_back(&mut wallet, "c", eur(1500), now).unwrap();
        assert_eq!((moved.unwrap().amount, owed.unwrap().amount, wallet.available()), (eur(1000), eur(500), eur(0)));
        assert_eq!(pay_debt(&mut wallet, "d".into(), eur(500), now).unwrap(), None, "nothing came in");
        wallet.credit(eur(700)).unwrap();
        assert_eq!(pay_debt(&mut wallet, "d".into(), eur(500), now).unwrap().unwrap().amount, eur(500));
        assert_eq!(wallet.available(), eur(200));
        assert!(charge_back(&mut wallet, "c", eur(0), now).is_err());
    }

    #[test]
    fn a_wallet_too_small_is_refused_with_both_amounts() {
        let refused = hold(&mut funded(100), "r".into(), Code::Order, eur(900), Timestamp::default()).unwrap_err();
        assert!(refused.to_string().starts_with("the wallet holds 1.00 EUR to spend, 9.00 EUR is needed"), "{refused}");
    }
}
