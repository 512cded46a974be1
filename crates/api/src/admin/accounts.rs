//! Accounts: who pays, and what moves their wallets.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use leasehold_commands::{
    accounts::{self, Edit, Movement},
    billing::{self, Scope},
};
use leasehold_domain::{Reference, Timestamp, policy::Key};
use leasehold_store::{
    Tx,
    accounts::{Account, AccountState, NewAccount, Tier},
    books::Booked,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Api,
    access::Operator,
    failure::Failure,
    names,
    once::{Begun, Posted, again, answer, begin_for_host},
    request::{Body, Paged},
};

/// An account with its wallet.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperatorAccount {
    id: String,
    /// For people.
    #[schema(example = 1001)]
    number: i64,
    email: String,
    first_name: String,
    last_name: String,
    company: Option<String>,
    #[schema(example = "EUR")]
    currency: String,
    locale: String,
    /// `active`, `frozen` or `closed`.
    #[schema(schema_with = names::account_state)]
    state: AccountState,
    #[schema(schema_with = names::tier)]
    tier: Tier,
    /// What can be spent, a decimal.
    #[schema(example = "50.00")]
    balance: String,
    /// What is set aside.
    #[schema(example = "9.00")]
    held: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

async fn view(tx: &mut Tx, a: Account) -> Result<OperatorAccount, Failure> {
    let wallet = tx.wallet(&a.id).await?;
    Ok(OperatorAccount {
        id: a.id.0,
        number: a.number,
        email: a.email,
        first_name: a.first_name,
        last_name: a.last_name,
        company: a.company,
        currency: a.currency,
        locale: a.locale,
        state: a.state,
        tier: a.tier,
        balance: wallet.available().decimal(),
        held: wallet.held.decimal(),
        created_at: a.created_at,
    })
}

/// An account to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AccountToBe {
    #[schema(example = "ada@example.org")]
    email: String,
    first_name: String,
    last_name: String,
    company: Option<String>,
    /// The one currency of its wallet; EUR when left out.
    #[schema(example = "EUR")]
    currency: Option<String>,
    /// The language of its mails, `en` or `de`; en when left out.
    #[schema(example = "en")]
    locale: Option<String>,
    /// Where it is taxed, ISO 3166.
    #[schema(example = "DE")]
    country: Option<String>,
}

/// Accounts by number.
#[utoipa::path(get, path = "/accounts", tag = "operator", security(("operator" = [])), params(Paged), responses((status = 200, body = [OperatorAccount])))]
pub(crate) async fn list(State(api): State<Api>, _: Operator, paged: Paged) -> Result<Json<Vec<OperatorAccount>>, Failure> {
    let mut tx = api.store.read().await?;
    let mut views = Vec::new();
    for account in tx.accounts(paged.page()).await? {
        views.push(view(&mut tx, account).await?);
    }
    Ok(Json(views))
}

/// Makes an account with its owner and its empty wallet.
#[utoipa::path(post, path = "/accounts", tag = "operator", security(("operator" = [])), params(("Idempotency-Key" = Option<String>, Header)), request_body = AccountToBe, responses((status = 201, body = OperatorAccount)))]
pub(crate) async fn create(State(api): State<Api>, operator: Operator, posted: Posted<AccountToBe>) -> Result<Response, Failure> {
    let mut open = match begin_for_host(&api, &operator, &posted).await? {
        Begun::Before(text) => return Ok(again(StatusCode::CREATED, text)),
        Begun::Now(open) => open,
    };
    let new = posted.body;
    let currency = new.currency.as_deref().unwrap_or("EUR").parse().map_err(|e| Failure::bad(format!("'currency': {e}")))?;
    let locale = new.locale.unwrap_or_else(|| "en".into());
    known_language(&locale)?;
    let new =
        NewAccount { email: new.email, first_name: new.first_name, last_name: new.last_name, company: new.company, currency, locale, country: new.country };
    let account = accounts::add(&mut open.tx, &operator, &new).await?;
    let view = view(&mut open.tx, account).await?;
    answer(open, StatusCode::CREATED, &view).await
}

/// One account, by its id or its number.
#[utoipa::path(get, path = "/accounts/{account}", tag = "operator", security(("operator" = [])), params(("account" = String, Path)), responses((status = 200, body = OperatorAccount)))]
pub(crate) async fn show(State(api): State<Api>, _: Operator, Path(account): Path<String>) -> Result<Json<OperatorAccount>, Failure> {
    one(&api, &account).await
}

async fn one(api: &Api, account: &str) -> Result<Json<OperatorAccount>, Failure> {
    let mut tx = api.store.read().await?;
    let account = tx.find_account(account).await?;
    Ok(Json(view(&mut tx, account).await?))
}

/// What changes of an account; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AccountEdit {
    /// Where its mails go; the old address is told. Its owner of that address signs in with the new one.
    #[schema(example = "ada@example.org")]
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    /// The language of its mails, `en` or `de`.
    #[schema(example = "de")]
    locale: Option<String>,
}

fn known_language(locale: &str) -> Result<(), Failure> {
    if leasehold_notifier::LANGUAGES.contains(&locale) {
        return Ok(());
    }
    Err(Failure::bad(format!("'locale': one of {}", leasehold_notifier::LANGUAGES.join(", "))))
}

/// Changes how an account is called and where its mails go; documents that were issued stay as they are.
#[utoipa::path(patch, path = "/accounts/{account}", tag = "operator", security(("operator" = [])), params(("account" = String, Path)), request_body = AccountEdit, responses(
    (status = 200, body = OperatorAccount),
    (status = 409, body = super::error::Problem, description = "the address is somebody's who does not own the account, or its owner signs in to other accounts with the old one"),
))]
pub(crate) async fn edit(
    State(api): State<Api>,
    operator: Operator,
    Path(account): Path<String>,
    Body(e): Body<AccountEdit>,
) -> Result<Json<OperatorAccount>, Failure> {
    e.locale.as_deref().map_or(Ok(()), known_language)?;
    let edit = Edit { email: e.email.as_deref(), first_name: e.first_name.as_deref(), last_name: e.last_name.as_deref(), locale: e.locale.as_deref() };
    let account = accounts::edit(&api.store, &operator, &account, edit).await?;
    one(&api, account.id.as_str()).await
}

/// Money in: a payment that came in outside.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Payment {
    /// In the account's currency, a decimal.
    #[schema(example = "25.00")]
    amount: String,
    /// The payment's own reference: the same one twice is booked once.
    #[schema(value_type = String, min_length = 1, max_length = 255, example = "psp-8f31")]
    reference: Reference,
    /// What the books say later; the reference where it is left out.
    reason: Option<String>,
}

/// Money out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Debit {
    /// In the account's currency, a decimal.
    #[schema(example = "25.00")]
    amount: String,
    /// What the books say later.
    reason: String,
    /// The same one twice is booked once.
    #[schema(value_type = String, min_length = 1, max_length = 255, example = "fee-17")]
    reference: Reference,
}

/// What a movement left.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BookedView {
    /// What can be spent now, a decimal.
    #[schema(example = "75.00")]
    balance: String,
    currency: String,
    /// The reference was booked earlier, and nothing was moved now.
    booked_before: bool,
}

impl From<(leasehold_domain::Money, Booked)> for BookedView {
    fn from((balance, booked): (leasehold_domain::Money, Booked)) -> Self {
        Self { balance: balance.decimal(), currency: balance.currency.code().to_owned(), booked_before: booked == Booked::Before }
    }
}

/// Pays money in: what is due is paid at once, oldest first, and what was suspended for it comes back.
#[utoipa::path(post, path = "/accounts/{account}/credits", tag = "operator", security(("operator" = [])), params(("account" = String, Path)), request_body = Payment, responses(
    (status = 200, body = BookedView),
    (status = 409, body = super::error::Problem, description = "the reference was used for another amount; nothing was booked"),
))]
pub(crate) async fn credit(
    State(api): State<Api>,
    operator: Operator,
    Path(account): Path<String>,
    Body(p): Body<Payment>,
) -> Result<Json<BookedView>, Failure> {
    let reason = p.reason.unwrap_or_else(|| format!("payment {}", p.reference));
    let movement = Movement { account: &account, amount: &p.amount, reason: &reason, reference: Some(&p.reference) };
    Ok(Json(accounts::credit(&api.store, &operator, &movement).await?.into()))
}

/// Takes money out.
#[utoipa::path(post, path = "/accounts/{account}/debits", tag = "operator", security(("operator" = [])), params(("account" = String, Path)), request_body = Debit, responses(
    (status = 200, body = BookedView),
    (status = 402, body = super::error::Problem, description = "the wallet does not hold so much"),
    (status = 409, body = super::error::Problem, description = "the reference was used for another amount; nothing was booked"),
))]
pub(crate) async fn debit(State(api): State<Api>, operator: Operator, Path(account): Path<String>, Body(d): Body<Debit>) -> Result<Json<BookedView>, Failure> {
    let movement = Movement { account: &account, amount: &d.amount, reason: &d.reason, reference: Some(&d.reference) };
    Ok(Json(accounts::debit(&api.store, &operator, &movement).await?.into()))
}

/// Sells nothing more to an account.
#[utoipa::path(post, path = "/accounts/{account}/freeze", tag = "operator", security(("operator" = [])), params(("account" = String, Path)), responses((status = 200, body = OperatorAccount)))]
pub(crate) async fn freeze(State(api): State<Api>, operator: Operator, Path(account): Path<String>) -> Result<Json<OperatorAccount>, Failure> {
    accounts::set_state(&api.store, &operator, &account, AccountState::Frozen).await?;
    one(&api, &account).await
}

/// Sells to an account again. One whose books were put aside is settled again, and stays frozen if it was: ask once more.
#[utoipa::path(post, path = "/accounts/{account}/resume", tag = "operator", security(("operator" = [])), params(("account" = String, Path)), responses((status = 200, body = OperatorAccount)))]
pub(crate) async fn resume(State(api): State<Api>, operator: Operator, Path(account): Path<String>) -> Result<Json<OperatorAccount>, Failure> {
    billing::resume(&api.store, &operator, &account).await?;
    one(&api, &account).await
}

/// A rule as it applies to an account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleView {
    #[schema(example = "suspend_after")]
    key: String,
    #[schema(example = "3d")]
    value: String,
    /// Which level says so: `system` or `account`; none: built in.
    level: Option<String>,
}

/// What a rule shall say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRule {
    #[schema(example = "5d")]
    value: String,
}

async fn rules(api: &Api, account: &str) -> Result<Json<Vec<RuleView>>, Failure> {
    let rules = billing::rules(&api.store, &Scope::Account(account)).await?;
    let view = |r: billing::Effective| RuleView { key: r.key.to_string(), value: r.value, level: r.level.map(|l| l.to_string()) };
    Ok(Json(rules.into_iter().map(view).collect()))
}

fn known(key: &str) -> Result<Key, Failure> {
    key.parse().map_err(|_| Failure::not_found(format!("no rule '{key}'")))
}

/// The rules of dunning as they apply to an account.
#[utoipa::path(get, path = "/accounts/{account}/policy", tag = "operator", security(("operator" = [])), params(("account" = String, Path)), responses((status = 200, body = [RuleView])))]
pub(crate) async fn policy(State(api): State<Api>, _: Operator, Path(account): Path<String>) -> Result<Json<Vec<RuleView>>, Failure> {
    rules(&api, &account).await
}

/// Has a rule say something else for an account.
#[utoipa::path(put, path = "/accounts/{account}/policy/{key}", tag = "operator", security(("operator" = [])), params(("account" = String, Path), ("key" = String, Path, example = "suspend_after")), request_body = NewRule, responses((status = 200, body = [RuleView])))]
pub(crate) async fn set_rule(
    State(api): State<Api>,
    operator: Operator,
    Path((account, key)): Path<(String, String)>,
    Body(new): Body<NewRule>,
) -> Result<Json<Vec<RuleView>>, Failure> {
    billing::set_rule(&api.store, &operator, &Scope::Account(&account), known(&key)?, Some(&new.value)).await?;
    rules(&api, &account).await
}

/// Takes an account's own rule away: the house's holds again.
#[utoipa::path(delete, path = "/accounts/{account}/policy/{key}", tag = "operator", security(("operator" = [])), params(("account" = String, Path), ("key" = String, Path, example = "suspend_after")), responses((status = 200, body = [RuleView])))]
pub(crate) async fn clear_rule(
    State(api): State<Api>,
    operator: Operator,
    Path((account, key)): Path<(String, String)>,
) -> Result<Json<Vec<RuleView>>, Failure> {
    billing::set_rule(&api.store, &operator, &Scope::Account(&account), known(&key)?, None).await?;
    rules(&api, &account).await
}
