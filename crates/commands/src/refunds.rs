//! Money that goes back: refunds, chargebacks, what will never be paid.

use leasehold_domain::{Money, Reference, document::DocumentKind};
use leasehold_store::{Store, accounts::AccountState, activity::Actor, books::Booked, invoices::Invoice};

use crate::{
    CommandError, Result,
    accounts::{self, Movement, settle_now},
    commit,
};

fn said(reason: &str) -> Result<()> {
    if reason.trim().is_empty() {
        return Err(CommandError::Invalid("a reason is needed: it is what the books say later".into()));
    }
    Ok(())
}

/// What is to be given back.
#[derive(Clone, Copy, Debug)]
pub struct Refund<'a> {
    /// Of which invoice, by its number.
    pub invoice: &'a str,
    /// How much, tax included; none: all that is left of it.
    pub amount: Option<&'a str>,
    /// The money goes on to where it came from: out of the wallet again.
    pub payout: bool,
    /// Why; it stands on the credit note.
    pub reason: &'a str,
    /// Makes the refund happen once, however often it is asked for; a part needs one.
    pub reference: Option<&'a Reference>,
}

/// The namespace of credit notes that have a reference: the same one is the same note.
const NOTES: uuid::Uuid = uuid::Uuid::from_u128(0x6c65_6173_6568_6f6c_6420_7265_6675_6e64);

/// Gives back an invoice or a part of it, by a credit note.
pub async fn refund(store: &Store, actor: &Actor, r: &Refund<'_>) -> Result<Invoice> {
    said(r.reason)?;
    if r.amount.is_some() && r.reference.is_none() {
        return Err(CommandError::Invalid("a part of an invoice needs --reference: it must not be given back twice".into()));
    }
    let mut tx = store.begin().await?;
    let found = tx.invoice(r.invoice).await?;
    if found.kind != DocumentKind::Invoice {
        return Err(CommandError::Refused(format!("{} is a credit note; refund the invoice that it corrects", r.invoice)));
    }
    let account = tx.account(&found.account_id.as_str().into()).await?;
    // The lock first: two refunds of one invoice come one after the other.
    tx.books(&account.id).await?;
    let note = |text: &str| uuid::Uuid::new_v5(&NOTES, format!("{} {text}", account.id).as_bytes()).to_string();
    let mut id = r.reference.map_or_else(|| tx.new_id(), |reference| note(&reference.to_string()));
    // One that an earlier version wrote with white space around its reference is still that one.
    if let Some(before) = r.reference.and_then(Reference::written).map(note)
        && tx.find_invoice(&before).await?.is_some()
    {
        id = before;
    }
    let amount = match r.amount {
        Some(text) => Some(Money::parse(text, account.currency()?).map_err(|e| CommandError::Invalid(e.to_string()))?),
        None => None,
    };
    if let Some(before) = tx.find_invoice(&id).await? {
        let same = before.corrects.as_ref() == Some(&found.id) && amount.is_none_or(|a| a.minor == before.total);
        return if same { Ok(before) } else { Err(CommandError::Refused(format!("this reference was used for the credit note {}", before.name()))) };
    }
    let left = Money::new(tx.left_of_invoice(&found.id).await?, account.currency()?);
    let amount = amount.unwrap_or(left);
    if amount.minor < 1 || amount.minor > left.minor {
        return Err(CommandError::Refused(format!("{left} of invoice {} can be given back, not {amount}", r.invoice)));
    }
    let mut books = tx.books(&account.id).await?;
    let note = books.refund(id, &found, amount, r.reason).await?;
    if r.payout {
        books.debit(&format!("payout:{}", note.id), amount, r.reason).await?;
    }
    tx.log(actor, "invoice.refund", Some(&account.id), None, &format!("{amount} of {} by {}, {}", r.invoice, note.name(), r.reason)).await?;
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
    let reference = accounts::key(&mut tx, "chargeback", &account.id, reference).await?;
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

/// What an account owes beyond its wallet will never be paid; answers how much that was. With a reference it is written off once.
pub async fn write_off(store: &Store, actor: &Actor, account: &str, reason: &str, reference: Option<&Reference>) -> Result<Money> {
    said(reason)?;
    let mut tx = store.begin().await?;
    let account = tx.find_account(account).await?;
    let reference = match reference {
        Some(reference) => accounts::key(&mut tx, "write_off", &account.id, reference).await?,
        None => format!("write_off:{}", tx.new_id()),
    };
    let (booked, owed) = tx.books(&account.id).await?.write_off(reference, reason).await?;
    if owed.minor == 0 {
        return Err(CommandError::Refused(format!("account {} owes nothing beyond its wallet", account.number)));
    }
    if booked == Booked::Before {
        return Ok(owed);
    }
    tx.log(actor, "account.write_off", Some(&account.id), None, &format!("{owed}, {reason}")).await?;
    commit(tx).await?;
    Ok(owed)
}
