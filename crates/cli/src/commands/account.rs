//! `leasehold account …`

use clap::{Args, Subcommand, builder::PossibleValuesParser};
use leasehold_commands::{
    accounts,
    billing::{self, Scope},
    partners::{self, Terms},
    refunds,
};
use leasehold_domain::{Money, Reference, Timestamp, policy::Key};
use leasehold_notifier::LANGUAGES;
use leasehold_store::{
    accounts::{AccountState, NewAccount, Tier},
    books::Booked,
};
use serde_json::json;

use super::Context;
use crate::{
    exit::Failure,
    output::{show, table},
};

/// `leasehold account …`
#[derive(Debug, Subcommand)]
pub enum Account {
    /// How it is billed: company, address, tax; what is not given stays as it is, an empty text takes it away.
    Billing(BillingArgs),
    /// A payment was taken back outside: what can be spent goes, the rest is owed, and the account is frozen.
    Chargeback(Movement),
    /// An account and its owner.
    Create {
        /// Where mail goes.
        #[arg(long)]
        email: String,
        /// Given name.
        #[arg(long)]
        first_name: String,
        /// Family name.
        #[arg(long)]
        last_name: String,
        /// Company.
        #[arg(long)]
        company: Option<String>,
        /// The currency of its wallet.
        #[arg(long, default_value = "EUR")]
        currency: String,
        /// The language of its mails: en or de.
        #[arg(long, default_value = "en", value_parser = PossibleValuesParser::new(LANGUAGES))]
        locale: String,
        /// Where it is taxed: two letters of ISO 3166, like DE.
        #[arg(long)]
        country: Option<String>,
    },
    /// How it is called, and where and in which language its mails go; what is not given stays as it is.
    Edit(EditArgs),
    /// Pay money in (a top-up).
    Credit(Movement),
    /// Take money out.
    Debit(Movement),
    /// Sell nothing more to it.
    Freeze {
        /// Account id or number.
        account: String,
    },
    /// All accounts.
    List,
    /// How it stands as a partner, who buys for less; or make it one.
    Partner {
        /// Account id or number.
        account: String,
        /// With what its tier gives.
        #[arg(long)]
        by_tier: bool,
        /// With an agreed percentage.
        #[arg(long, conflicts_with = "by_tier")]
        percent: Option<String>,
        /// A customer like any other.
        #[arg(long, conflicts_with_all = ["by_tier", "percent"])]
        off: bool,
    },
    /// The rules of dunning as they apply to it or to one of its servers; with a key and a value, set one.
    Policy {
        /// Account id or number.
        account: String,
        /// A rule, like suspend_after.
        key: Option<String>,
        /// What it shall say, like 5d.
        #[arg(requires = "key")]
        value: Option<String>,
        /// Only for this server: id, label, hostname or address.
        #[arg(long)]
        server: Option<String>,
        /// Take the rule away: the wider level says it again.
        #[arg(long, requires = "key", conflicts_with = "value")]
        clear: bool,
    },
    /// Sell to it again; one whose books were put aside is settled again.
    Resume {
        /// Account id or number.
        account: String,
    },
    /// One account, its wallet, keys and servers.
    Show {
        /// Account id or number.
        account: String,
    },
    /// What it owes beyond its wallet will never be paid.
    WriteOff {
        /// Account id or number.
        account: String,
        /// Why; it is what the books say later.
        #[arg(long)]
        reason: String,
        /// The same one twice is written off once.
        #[arg(long)]
        reference: Option<Reference>,
    },
    /// Give it another tier.
    Tier {
        /// Account id or number.
        account: String,
        /// `standard`, `pro` or `enterprise`.
        tier: Tier,
    },
    /// What moved its wallet, with the balance before and after.
    Statement(StatementArgs),
}

/// Of which time a statement is.
#[derive(Debug, Args)]
pub struct StatementArgs {
    /// Account id or number.
    account: String,
    /// From when on.
    #[arg(long, value_name = "DATE")]
    from: Option<Timestamp>,
    /// Until when, exclusive.
    #[arg(long, value_name = "DATE")]
    until: Option<Timestamp>,
    /// Movements at most; the last ones are listed.
    #[arg(long, default_value_t = 100)]
    limit: i64,
}

/// How an account is called, and where its mails go.
#[derive(Debug, Args)]
#[group(required = true, multiple = true, args = ["email", "first_name", "last_name", "locale"])]
pub struct EditArgs {
    /// Account id or number.
    account: String,
    /// Where mail goes; its owner signs in with it, too.
    #[arg(long)]
    email: Option<String>,
    /// Given name.
    #[arg(long)]
    first_name: Option<String>,
    /// Family name.
    #[arg(long)]
    last_name: Option<String>,
    /// The language of its mails: en or de.
    #[arg(long, value_parser = PossibleValuesParser::new(LANGUAGES))]
    locale: Option<String>,
}

/// How an account is billed.
#[derive(Debug, Args)]
pub struct BillingArgs {
    /// Account id or number.
    account: String,
    /// The company.
    #[arg(long)]
    company: Option<String>,
    /// Street and place; a semicolon begins a new line.
    #[arg(long)]
    address: Option<String>,
    /// Two letters of ISO 3166, like DE.
    #[arg(long)]
    country: Option<String>,
    /// Its number as a business, like DE123456789.
    #[arg(long)]
    vat_id: Option<String>,
    /// Whether it owes the tax itself.
    #[arg(long)]
    reverse_charge: Option<bool>,
    /// A rate set by hand, per cent.
    #[arg(long)]
    rate: Option<String>,
    /// Why its tax is another than its country's: a register's answer, a document.
    #[arg(long)]
    evidence: Option<String>,
}

/// Money in or out.
#[derive(Debug, Args)]
pub struct Movement {
    /// Account id or number.
    pub account: String,
    /// How much, like 9.99, in the account's currency.
    #[arg(allow_hyphen_values = true)]
    pub amount: String,
    /// Why; it is what the books say later.
    #[arg(long)]
    pub reason: String,
    /// The payment's own reference, 1 to 255 visible characters: the same one twice is booked once.
    #[arg(long)]
    pub reference: Option<Reference>,
}

pub(super) async fn run(c: &Context, command: Account) -> Result<(), Failure> {
    match command {
        Account::Billing(b) => billed(c, &b).await,
        Account::Chargeback(m) => charge_back(c, &m).await,
        Account::WriteOff { account, reason, reference } => {
            let app = c.app().await?;
            let owed = refunds::write_off(&app.store, &app.actor, &account, &reason, reference.as_ref()).await?;
            show(c.json(), &json!({ "writtenOff": owed.decimal(), "currency": owed.currency }), || say!("{owed} are written off"));
            Ok(())
        }
        Account::Create { email, first_name, last_name, company, currency, locale, country } => {
            let currency = currency.parse().map_err(|e| Failure::Usage(format!("{e}")))?;
            let country = country.map(|text| text.to_ascii_uppercase());
            create(c, NewAccount { email, first_name, last_name, company, currency, locale, country }).await
        }
        Account::Edit(e) => edited(c, &e).await,
        Account::Credit(m) => book(c, &m, true).await,
        Account::Debit(m) => book(c, &m, false).await,
        Account::Freeze { account } => {
            let app = c.app().await?;
            accounts::set_state(&app.store, &app.actor, &account, AccountState::Frozen).await?;
            show_state(c, &account, AccountState::Frozen);
            Ok(())
        }
        Account::Partner { account, by_tier, percent, off } => partner(c, &account, by_tier, percent, off).await,
        Account::Policy { account, key, value, server, clear } => policy(c, &account, key, value, server, clear).await,
        Account::Resume { account } => {
            let app = c.app().await?;
            let state = billing::resume(&app.store, &app.actor, &account).await?;
            show_state(c, &account, state);
            Ok(())
        }
        Account::List => list(c).await,
        Account::Show { account } => one(c, &account).await,
        Account::Tier { account, tier } => {
            let app = c.app().await?;
            accounts::set_tier(&app.store, &app.actor, &account, tier).await?;
            show(c.json(), &json!({ "account": account, "tier": tier }), || say!("account {account} is {tier}"));
            Ok(())
        }
        Account::Statement(args) => statement(c, &args).await,
    }
}

async fn create(c: &Context, new: NewAccount) -> Result<(), Failure> {
    let app = c.app().await?;
    let account = accounts::create(&app.store, &app.actor, &new).await?;
    show(c.json(), &json!(account), || say!("account {} created; pay money in with: leasehold account credit {0} AMOUNT --reason …", account.number));
    Ok(())
}

async fn edited(c: &Context, e: &EditArgs) -> Result<(), Failure> {
    let app = c.app().await?;
    let edit =
        accounts::Edit { email: e.email.as_deref(), first_name: e.first_name.as_deref(), last_name: e.last_name.as_deref(), locale: e.locale.as_deref() };
    let a = accounts::edit(&app.store, &app.actor, &e.account, edit).await?;
    show(c.json(), &json!(a), || {
        say!("account {} is {} {}; its mails go to {}, in {}", a.number, a.first_name, a.last_name, a.email, a.locale);
        if e.email.is_some() {
            say!("password, second factor and keys stay what they are; for another person invite them (leasehold member invite) and remove the one before");
        }
    });
    Ok(())
}

async fn billed(c: &Context, b: &BillingArgs) -> Result<(), Failure> {
    let app = c.app().await?;
    let address = b.address.as_deref().map(|text| text.split(';').map(str::trim).collect::<Vec<_>>().join("\n"));
    let new = accounts::Billing {
        company: b.company.as_deref(),
        address: address.as_deref(),
        country: b.country.as_deref(),
        vat_id: b.vat_id.as_deref(),
        reverse_charge: b.reverse_charge,
        rate: b.rate.as_deref(),
        evidence: b.evidence.as_deref(),
    };
    let a = accounts::set_billing(&app.store, &app.actor, &b.account, new).await?;
    let rate = a.tax_rate;
    show(c.json(), &json!(a), || {
        let reverse = if a.reverse_charge { ", it owes the tax itself" } else { "" };
        say!(
            "account {} is billed with {rate} % tax{reverse}; country {}, VAT id {}",
            a.number,
            a.country.as_deref().unwrap_or("-"),
            a.vat_id.as_deref().unwrap_or("-")
        );
    });
    Ok(())
}

async fn charge_back(c: &Context, m: &Movement) -> Result<(), Failure> {
    let app = c.app().await?;
    let movement = accounts::Movement { account: &m.account, amount: &m.amount, reason: &m.reason, reference: m.reference.as_ref() };
    let (booked, owed) = refunds::charge_back(&app.store, &app.actor, &movement).await?;
    let value = json!({ "owed": owed.decimal(), "currency": owed.currency, "bookedBefore": booked == Booked::Before });
    show(c.json(), &value, || match booked {
        Booked::New => say!("booked; the account is frozen and owes {owed} beyond its wallet"),
        Booked::Before => say!("this reference was booked before, nothing was moved; it owes {owed} beyond its wallet"),
    });
    Ok(())
}

async fn book(c: &Context, m: &Movement, credit: bool) -> Result<(), Failure> {
    let app = c.app().await?;
    let movement = accounts::Movement { account: &m.account, amount: &m.amount, reason: &m.reason, reference: m.reference.as_ref() };
    let booked = if credit { accounts::credit(&app.store, &app.actor, &movement).await } else { accounts::debit(&app.store, &app.actor, &movement).await };
    let (balance, booked) = booked?;
    let value = json!({ "balance": balance.decimal(), "currency": balance.currency, "bookedBefore": booked == Booked::Before });
    show(c.json(), &value, || match booked {
        Booked::New => say!("booked; {balance} can be spent"),
        Booked::Before => say!("this reference was booked before, nothing was moved; {balance} can be spent"),
    });
    Ok(())
}

fn show_state(c: &Context, account: &str, state: AccountState) {
    show(c.json(), &json!({ "account": account, "state": state }), || say!("account {account} is {state}"));
}

async fn partner(c: &Context, account: &str, by_tier: bool, percent: Option<String>, off: bool) -> Result<(), Failure> {
    let percent = super::percent(percent)?;
    let app = c.app().await?;
    let terms = match (by_tier, percent, off) {
        (true, ..) => Some(Terms::ByTier),
        (_, Some(percent), _) => Some(Terms::Agreed(percent)),
        (_, _, true) => Some(Terms::None),
        _ => None,
    };
    let partner = match terms {
        Some(terms) => partners::set(&app.store, &app.actor, account, terms).await?,
        None => partners::show(&app.store, account).await?,
    };
    let value = partner.as_ref().map(|p| {
        json!({ "percent": p.percent, "agreed": p.agreed, "tier": p.tier, "nextTier": p.next, "bought30d": p.bought.decimal(), "currency": p.bought.currency, "since": p.since })
    });
    show(c.json(), &json!(value), || match &partner {
        None => say!("account {account} is no partner; make it one with: leasehold account partner {account} --by-tier"),
        Some(p) => {
            let by = p.tier.as_ref().map_or_else(|| "no tier".to_owned(), |t| format!("tier {}", t.name));
            let by = if p.agreed { "agreed".to_owned() } else { by };
            say!("account {account} gets {} % off what it orders ({by}); it bought {} within 30 days", p.percent, p.bought);
            if let Some(next) = &p.next {
                say!("{} from {} on: {} %", next.name, Money::new(next.amount, p.bought.currency), next.percent);
            }
        }
    });
    Ok(())
}

async fn policy(c: &Context, account: &str, key: Option<String>, value: Option<String>, server: Option<String>, clear: bool) -> Result<(), Failure> {
    let known = |text: String| text.parse::<Key>().map_err(|e| Failure::Usage(format!("no such rule: {e}")));
    let key = key.map(known).transpose()?;
    let app = c.app().await?;
    let scope = server.as_deref().map_or(Scope::Account(account), Scope::Server);
    if let Some(server) = &server {
        let mut tx = app.store.read().await?;
        let (owner, asked) = (tx.find_server(server).await?.account_id, tx.find_account(account).await?);
        if owner != asked.id {
            return Err(Failure::Usage(format!("server {server} does not belong to account {}", asked.number)));
        }
    }
    if let Some(key) = key.filter(|_| clear || value.is_some()) {
        billing::set_rule(&app.store, &app.actor, &scope, key, value.as_deref()).await?;
    }
    let rules = billing::rules(&app.store, &scope).await?;
    let rules: Vec<_> = rules.into_iter().filter(|r| key.is_none_or(|key| r.key == key)).collect();
    show(c.json(), &json!(rules), || {
        let from = |level: Option<leasehold_domain::policy::Level>| level.map_or_else(|| "built in".to_owned(), |l| l.to_string());
        table(&["RULE", "VALUE", "FROM"], rules.iter().map(|r| vec![r.key.to_string(), r.value.clone(), from(r.level)]));
    });
    Ok(())
}

async fn list(c: &Context) -> Result<(), Failure> {
    let app = c.app().await?;
    let mut tx = app.store.read().await?;
    let accounts = tx.accounts(1000).await?;
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for a in &accounts {
        let balance = tx.wallet(&a.id).await?.available();
        rows.push(vec![a.number.to_string(), format!("{} {}", a.first_name, a.last_name), a.email.clone(), balance.to_string(), a.state.to_string()]);
        values.push(json!({ "id": a.id, "number": a.number, "email": a.email, "balance": balance.decimal(), "currency": a.currency, "state": a.state }));
    }
    show(c.json(), &json!(values), || table(&["NUMBER", "NAME", "E-MAIL", "BALANCE", "STATE"], rows));
    Ok(())
}

async fn one(c: &Context, account: &str) -> Result<(), Failure> {
    let app = c.app().await?;
    let mut tx = app.store.read().await?;
    let a = tx.find_account(account).await?;
    let wallet = tx.wallet(&a.id).await?;
    let servers = tx.servers(None, Some(&a.id), 1000).await?;
    let keys = tx.ssh_keys(&a.id).await?;
    let live: Vec<String> = servers.iter().map(|s| format!("{} ({})", s.label, s.status)).collect();
    let value = json!({
        "account": a, "balance": wallet.available().decimal(), "held": wallet.held.decimal(), "sshKeys": keys,
        "servers": servers.iter().map(|s| json!({ "id": s.id, "label": s.label, "status": s.status })).collect::<Vec<_>>(),
    });
    show(c.json(), &value, || {
        say!("account {} ({})\n{} {} <{}>", a.number, a.state, a.first_name, a.last_name, a.email);
        say!("balance  {} to spend, {} set aside for orders", wallet.available(), wallet.held);
        say!("ssh keys {}\nservers  {}", keys.iter().map(|k| k.name.as_str()).collect::<Vec<_>>().join(", "), live.join(", "));
    });
    Ok(())
}

async fn statement(c: &Context, args: &StatementArgs) -> Result<(), Failure> {
    let app = c.app().await?;
    let mut tx = app.store.read().await?;
    let account = tx.find_account(&args.account).await?;
    let (from, until) = (args.from.unwrap_or_default(), args.until.unwrap_or(Timestamp::from_millis(i64::MAX)));
    let s = tx.statement(&account.id, from, until, args.limit).await?;
    let line = |what: &str, balance: Money| vec![String::new(), what.to_owned(), String::new(), balance.to_string()];
    let mut rows = vec![line("opening balance", s.opening)];
    let mut values = Vec::new();
    for m in &s.movements {
        let reason = m.description().unwrap_or_default();
        rows.push(vec![m.at.human(), m.code.clone(), m.amount.to_string(), m.balance.to_string(), reason, m.reference.clone()]);
        values.push(json!({
            "at": m.at, "code": m.code, "amount": m.amount.decimal(), "balance": m.balance.decimal(), "reason": m.reason, "reference": m.reference, "description": m.description(),
            "server": m.paid.as_ref().map(|p| &p.label), "invoice": m.paid.as_ref().and_then(|p| p.invoice.as_ref()),
        }));
    }
    rows.push(line("closing balance", s.closing));
    let value = json!({
        "account": account.number, "from": args.from, "until": args.until, "currency": s.closing.currency,
        "opening": s.opening.decimal(), "movements": values, "closing": s.closing.decimal(),
    });
    show(c.json(), &value, || table(&["WHEN", "WHAT", "AMOUNT", "BALANCE", "FOR", "REFERENCE"], rows));
    Ok(())
}
