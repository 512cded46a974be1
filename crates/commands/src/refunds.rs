//! Money that goes back: refunds, chargebacks, what will never be paid.

use leasehold_domain::{Money, document::DocumentKind};
use leasehold_store::{Store, accounts::AccountState, activity::Actor, books::Booked, invoices::Invoice};

use crate::{
    CommandError, Result,
    accounts::{Movement, settle_now},
    commit,
};

fn said(reason: &str) -> Result<()> {
    if reason.trim().is_empty() {
        return Err(CommandError::Invalid("a reason is needed: it is what the books say later".into()));
    }
    Ok(())
}

/// Gives back an invoice or a part of it, by a credit note. The money goes into the wallet, or with `payout` on to where it came from.
pub async fn refund(store: &Store, actor: &Actor, invoice: &str, amount: Option<&str>, payout: bool, reason: &str) -> Result<Invoice> {
    said(reason)?;
    let mut tx = store.begin().await?;
    let found = tx.invoice(invoice).await?;
    if found.kind != DocumentKind::Invoice {
        return Err(CommandError::Refused(format!("{invoice} is a credit note; refund the invoice that it corrects")));
    }
    let account = tx.account(&found.account_id.as_str().into()).await?;
    // The lock first: two refunds of one invoice come one after the other.
    tx.books(&account.id).await?;
    let left = Money::new(tx.left_of_invoice(&found.id).await?, account.currency()?);
    let amount = match amount {
        Some(text) => Money::parse(text, account.currency()?).map_err(|e| CommandError::Invalid(e.to_string()))?,
        None => left,
    };
    if amount.minor < 1 || amount.minor > left.minor {
        return Err(CommandError::Refused(format!("{left} of invoice {invoice} can be given back, not {amount}")));
    }
    let mut books = tx.books(&account.id).await?;
    let note = books.refund(&found, amount, reason).await?;
    if payout {
        books.debit(&format!("payout:{}", note.id), amount, reason).await?;
    }
    tx.log(actor, "invoice.refund", Some(&account.id), None, &format!("{amount} of {invoice} by {}, {reason}", note.name())).await?;
    commit(tx).await?;
    settle_now(store, &account.id).await;
    Ok(note)
}

/// A payment was taken back outside. What can be spent goes, the rest is owed; the account is frozen until an operator resumes it.
pub async fn charge_back(store: &Store, actor: &Actor, m: &Movement<'_>) -> Result<(Booked, Money)> {
    said(m.reason)?;
    let reference = m.reference.ok_or_else(|| CommandError::Invalid("a chargeback needs --reference: it must not be booked twice".into()))?;
    let mut tx = store.begin().await?;
    let account = tx.find_account(m.account).await?;
    let amount = Money::parse(m.amount, account.currency()?).map_err(|e| CommandError::Invalid(e.to_string()))?;
    let reference = format!("chargeback:{}:{reference}", account.id);
    let (booked, owed) = tx.books(&account.id).await?.charge_back(&reference, amount, m.reason).await?;
    if booked == Booked::New {
        if account.state == AccountState::Active {
            tx.set_account_state(&account.id, AccountState::Frozen).await?;
        }
        let detail = format!(
            "a payment of {amount} was taken back; the account is frozen and owes {owed}; when that is settled: leasehold account resume {}",
            account.number
        );
        tx.attend("chargeback", &format!("account:{}", account.id), &detail).await?;
        tx.log(actor, "account.chargeback", Some(&account.id), None, &format!("{amount}, {}", m.reason)).await?;
    }
    commit(tx).await?;
    Ok((booked, owed))
}

/// What an account owes beyond its wallet will never be paid; answers how much that was.
pub async fn write_off(store: &Store, actor: &Actor, account: &str, reason: &str) -> Result<Money> {
    said(reason)?;
    let mut tx = store.begin().await?;
    let account = tx.find_account(account).await?;
    let owed = tx.books(&account.id).await?.write_off(reason).await?;
    if owed.minor == 0 {
        return Err(CommandError::Refused(format!("account {} owes nothing beyond its wallet", account.number)));
    }
    tx.log(actor, "account.write_off", Some(&account.id), None, &format!("{owed}, {reason}")).await?;
    commit(tx).await?;
    Ok(owed)
}
