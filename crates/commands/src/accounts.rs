//! Accounts and their money.

use leasehold_domain::{AccountId, Money, Reference, VatId, names, notice::NoticeKind, percent::BadPercent, role::Role, tax::TaxStatus};
use leasehold_store::{
    Store, Tx,
    accounts::{Account, AccountState, Contact, NewAccount, Tier},
    activity::Actor,
    books::Booked,
    crash,
    mails::NewMail,
    members::Member,
};
use serde_json::json;

use crate::{CommandError, Result, commit};

/// Creates an account with its owner and its empty wallet.
pub async fn create(store: &Store, actor: &Actor, new: &NewAccount) -> Result<Account> {
    let mut tx = store.begin().await?;
    let account = add(&mut tx, actor, new).await?;
    commit(tx).await?;
    Ok(account)
}

/// As [`create`], in a transaction that is open.
pub async fn add(tx: &mut Tx, actor: &Actor, new: &NewAccount) -> Result<Account> {
    names::email(&new.email)?;
    for name in [Some(&new.first_name), Some(&new.last_name), new.company.as_ref()].into_iter().flatten() {
        names::person(name)?;
    }
    new.country.as_deref().map_or(Ok(()), names::country)?;
    let account = tx.create_account(new).await?;
    tx.log(actor, "account.create", Some(&account.id), None, &format!("number {}", account.number)).await?;
    Ok(account)
}

/// What of an account is to be another; what is not given stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edit<'a> {
    /// Where its mails go. Its owner of the old address signs in with the new one.
    pub email: Option<&'a str>,
    /// Given name.
    pub first_name: Option<&'a str>,
    /// Family name.
    pub last_name: Option<&'a str>,
    /// Language of its mails.
    pub locale: Option<&'a str>,
}

/// Changes how an account is called and where its mails go; documents that were issued stay as they are.
pub async fn edit(store: &Store, actor: &Actor, account: &str, edit: Edit<'_>) -> Result<Account> {
    let mut tx = store.begin().await?;
    let id = tx.find_account(account).await?.id;
    tx.books(&id).await?;
    // As it is under the lock: another edit may have come before.
    let a = tx.account(&id).await?;
    let new = |new: Option<&str>, old: &str| new.unwrap_or(old).trim().to_owned();
    let before = Contact { email: a.email.clone(), first_name: a.first_name.clone(), last_name: a.last_name.clone(), locale: a.locale.clone() };
    let to = Contact {
        email: new(edit.email, &before.email),
        first_name: new(edit.first_name, &before.first_name),
        last_name: new(edit.last_name, &before.last_name),
        locale: new(edit.locale, &before.locale),
    };
    if to == before {
        return Ok(a);
    }
    names::email(&to.email)?;
    names::person(&to.first_name)?;
    names::person(&to.last_name)?;
    let owner = |member: &Member, of: &str| member.role == Role::Owner && member.email == of.to_lowercase();
    let members = tx.members(&a.id).await?;
    let moved = to.email.to_lowercase() != a.email.to_lowercase();
    if moved && !members.iter().any(|m| owner(m, &to.email)) && tx.person_called(&to.email).await?.is_some() {
        return Err(CommandError::Refused(format!("{} is somebody who does not own account {}; invite them: leasehold member invite", to.email, a.number)));
    }
    if let Some(before) = members.iter().find(|m| owner(m, &a.email))
        && !members.iter().any(|m| moved && owner(m, &to.email))
    {
        let others = tx.accounts_of(&before.user_id).await?.len() > 1;
        if moved && others {
            let why = format!("{} signs in to other accounts with this address, too; invite the new one as an owner, then remove the old", a.email);
            return Err(CommandError::Refused(why));
        }
        // Who acts for other accounts, too, keeps the name that they gave themselves.
        if !others {
            tx.rename_person(&before.user_id, &to.email, &to.first_name, &to.last_name).await?;
        }
    }
    tx.set_contact(&a.id, &to).await?;
    let what = if moved { format!("mails go to {}, no more to {}", to.email, a.email) } else { format!("{} {}, {}", to.first_name, to.last_name, to.locale) };
    tx.log(actor, "account.edit", Some(&a.id), None, &what).await?;
    if moved {
        // Whoever has the old address knows whether that was meant.
        let subject = format!("{}:{}", a.id, tx.new_id());
        let data = json!({ "name": a.first_name, "account": a.number, "email": to.email });
        let (kind, locale) = (NoticeKind::AddressChanged, a.locale.as_str());
        tx.notify(NewMail { kind, subject: &subject, account: Some(&a.id), server: None, recipient: &a.email, locale, data, charge: None }).await?;
    }
    let a = tx.account(&a.id).await?;
    commit(tx).await?;
    Ok(a)
}

/// Money in or out, by an operator's word.
#[derive(Clone, Debug)]
pub struct Movement<'a> {
    /// Which account: its id or number.
    pub account: &'a str,
    /// How much, as written.
    pub amount: &'a str,
    /// Why.
    pub reason: &'a str,
    /// Makes the movement happen once, however often it is asked for; without one, each call moves money.
    pub reference: Option<&'a Reference>,
}

/// Pays money into a wallet; answers the account's balance afterwards and whether this was the first time.
pub async fn credit(store: &Store, actor: &Actor, movement: &Movement<'_>) -> Result<(Money, Booked)> {
    book(store, actor, movement, "top_up").await
}

/// Takes money out of a wallet.
pub async fn debit(store: &Store, actor: &Actor, movement: &Movement<'_>) -> Result<(Money, Booked)> {
    book(store, actor, movement, "debit").await
}

/// What a movement of an account is known by in the books. One that an earlier version booked with white space around its reference is still that one;
/// none is booked so any more, so this needs no lock.
pub(crate) async fn key(tx: &mut Tx, what: &str, account: &AccountId, reference: &Reference) -> Result<String> {
    let key = |text: &str| format!("{what}:{account}:{text}");
    if let Some(before) = reference.written().map(key)
        && tx.is_booked(&before).await?
    {
        return Ok(before);
    }
    Ok(key(&reference.to_string()))
}

async fn book(store: &Store, actor: &Actor, m: &Movement<'_>, what: &str) -> Result<(Money, Booked)> {
    let mut tx = store.begin().await?;
    let account = tx.find_account(m.account).await?;
    let amount = Money::parse(m.amount, account.currency()?).map_err(|e| CommandError::Invalid(e.to_string()))?;
    if m.reason.trim().is_empty() {
        return Err(CommandError::Invalid("a reason is needed: it is what the books say later".into()));
    }
    let reference = match m.reference {
        Some(reference) => key(&mut tx, what, &account.id, reference).await?,
        None => format!("{what}:{}", tx.new_id()),
    };
    let mut books = tx.books(&account.id).await?;
    let booked = if what == "debit" { books.debit(&reference, amount, m.reason).await? } else { books.top_up(&reference, amount, m.reason).await? };
    let balance = books.available();
    if booked == Booked::New {
        tx.log(actor, &format!("account.{what}"), Some(&account.id), None, &format!("{amount}, {}", m.reason)).await?;
    }
    commit(tx).await?;
    if what == "debit" {
        return Ok((balance, booked));
    }
    settle_now(store, &account.id).await;
    if booked == Booked::New {
        tell_short(store, &account.id, amount, &reference).await;
    }
    let balance = store.read().await?.wallet(&account.id).await?.available();
    Ok((balance, booked))
}

/// Money heals at once: what is due is paid, and what was suspended for it comes back. What goes wrong in it is the scheduler's,
/// which finds the account due.
pub(crate) async fn settle_now(store: &Store, account: &AccountId) {
    let settle = async {
        let mut tx = store.begin().await?;
        let settled = tx.settle_account(account).await?;
        if settled.accounts > 0 {
            tx.commit().await?;
            crash::point("settle.account_committed").await;
        }
        Ok::<_, CommandError>(())
    };
    if let Err(error) = settle.await {
        tracing::warn!(%account, %error, "the account could not be settled at once; the scheduler will");
    }
}

/// Says at once what is missing, where a payment did not do for what is suspended. The payment is booked, whatever comes of this.
async fn tell_short(store: &Store, account: &AccountId, paid: Money, movement: &str) {
    let tell = async {
        let mut tx = store.begin().await?;
        if tx.tell_short(account, paid, movement).await? {
            tx.commit().await?;
        }
        Ok::<_, CommandError>(())
    };
    if let Err(error) = tell.await {
        tracing::warn!(%account, %error, "the account could not be told what is missing still; the next warning will");
    }
}

/// How an account is billed; what is not given stays as it is, an empty text takes it away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Billing<'a> {
    /// The company.
    pub company: Option<&'a str>,
    /// Street and place, line by line.
    pub address: Option<&'a str>,
    /// ISO 3166, two letters.
    pub country: Option<&'a str>,
    /// Its number as a business.
    pub vat_id: Option<&'a str>,
    /// It owes the tax itself.
    pub reverse_charge: Option<bool>,
    /// A rate set by hand, per cent like `7.7`.
    pub rate: Option<&'a str>,
    /// Why its tax is another than its country's.
    pub evidence: Option<&'a str>,
}

/// Changes how an account is billed from now on; documents that were issued stay as they are.
pub async fn set_billing(store: &Store, actor: &Actor, account: &str, new: Billing<'_>) -> Result<Account> {
    let mut tx = store.begin().await?;
    let a = tx.find_account(account).await?;
    // What is charged meanwhile is charged before or after, never half.
    tx.books(&a.id).await?;
    let text = |new: Option<&str>, old: Option<&String>| new.map_or_else(|| old.cloned(), |new| (!new.trim().is_empty()).then(|| new.trim().to_owned()));
    let upper = |new: Option<String>| new.map(|text| text.to_ascii_uppercase());
    let (company, address) = (text(new.company, a.company.as_ref()), text(new.address, a.address.as_ref()));
    company.as_deref().map_or(Ok(()), names::person)?;
    address.as_deref().map_or(Ok(()), names::address)?;
    let old = a.tax_status();
    let status = TaxStatus {
        country: upper(text(new.country, old.country.as_ref())),
        vat_id: match new.vat_id.map(str::trim) {
            None => old.vat_id.clone(),
            Some("") => None,
            Some(number) => Some(number.parse::<VatId>()?.to_string()),
        },
        reverse_charge: new.reverse_charge.unwrap_or(old.reverse_charge),
        fixed: match new.rate {
            None => old.fixed,
            Some("") => None,
            Some(rate) => Some(rate.parse().map_err(|e: BadPercent| CommandError::Invalid(format!("rate: {e}")))?),
        },
        evidence: text(new.evidence, old.evidence.as_ref()),
    };
    // What was accepted once does not stand in the way of another address.
    if status != old {
        let seller = tx.seller().await?;
        let seller = tx.party(seller.as_deref()).await?;
        status.check(seller.country.as_deref()).map_err(|e| CommandError::Invalid(e.to_string()))?;
    }
    let rate = tx.set_billed(&a.id, company.as_deref(), address.as_deref(), &status).await?;
    tx.log(actor, "account.billing", Some(&a.id), None, &format!("tax {rate} %")).await?;
    let a = tx.account(&a.id).await?;
    commit(tx).await?;
    Ok(a)
}

/// Gives an account another tier.
pub async fn set_tier(store: &Store, actor: &Actor, account: &str, tier: Tier) -> Result<()> {
    let mut tx = store.begin().await?;
    let account = tx.find_account(account).await?;
    tx.set_account_tier(&account.id, tier).await?;
    tx.log(actor, "account.tier", Some(&account.id), None, tier.as_str()).await?;
    commit(tx).await
}

/// Freezes an account or makes it active again.
pub async fn set_state(store: &Store, actor: &Actor, account: &str, state: AccountState) -> Result<()> {
    let mut tx = store.begin().await?;
    let account = tx.find_account(account).await?;
    if account.state == AccountState::Closed {
        return Err(CommandError::Refused(format!("account {} is closed", account.number)));
    }
    tx.set_account_state(&account.id, state).await?;
    tx.log(actor, &format!("account.{state}"), Some(&account.id), None, "").await?;
    commit(tx).await
}
