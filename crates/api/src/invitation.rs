//! Where an invitation leads: a page for the browser of whoever was invited. Looking at it changes nothing, since mail servers look,
//! too.

use std::sync::LazyLock;

use axum::{
    extract::{Path, Request, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use leasehold_commands::members::{self, Invited, Newcomer};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, value::Serde};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Api, failure::Failure, limit::client, request::bytes};

/// What is asked of somebody whose address is not known yet; nothing of others.
#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct Form {
    #[serde(default)]
    #[schema(max_length = 80, example = "Grace")]
    first_name: String,
    #[serde(default)]
    #[schema(max_length = 80, example = "Hopper")]
    last_name: String,
    #[serde(default)]
    #[schema(value_type = String, min_length = 12, max_length = 256)]
    password: SecretString,
}

#[derive(Serialize)]
struct About<'a> {
    by: Option<&'a str>,
    email: &'a str,
    number: i64,
    account: String,
    role: &'a str,
    new: bool,
}

impl<'a> About<'a> {
    fn of(i: &'a Invited) -> Self {
        let Invited { invitation, account, new } = i;
        let (by, email, role) = (invitation.invited_by.as_deref(), invitation.email.as_str(), invitation.role.as_str());
        Self { by, email, number: account.number, account: account.called(), role, new: *new }
    }
}

/// The page.
#[derive(Default, Serialize)]
struct Page<'a> {
    title: &'a str,
    host: &'a str,
    /// What was wrong with what was sent.
    problem: Option<String>,
    /// What is asked about, where there is a form for it.
    invited: Option<About<'a>>,
    /// What came of it.
    joined: Option<About<'a>>,
    first_name: &'a str,
    last_name: &'a str,
}

const TEMPLATE: &str = "invitation.html";

/// The page as nobody else sees or keeps it: its address holds a secret.
fn answer(status: StatusCode, page: &Page<'_>) -> Result<Response, Failure> {
    static PAGES: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
        let mut pages = Environment::new();
        pages.set_undefined_behavior(UndefinedBehavior::Strict);
        pages.set_auto_escape_callback(|_| AutoEscape::Html);
        pages.add_template(TEMPLATE, include_str!("../templates/invitation.html"))?;
        Ok(pages)
    });
    let pages = PAGES.as_ref().map_err(|e| Failure::inside(e))?;
    let text = pages.get_template(TEMPLATE).and_then(|template| template.render(Serde(page))).map_err(|e| Failure::inside(&e))?;
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"),
    ];
    Ok((status, headers, Html(text)).into_response())
}

/// A refusal on the page; what is nobody's fault is told as ever.
fn refuse(failure: Failure, page: Page<'_>) -> Result<Response, Failure> {
    if !failure.status.is_client_error() {
        return Err(failure);
    }
    answer(failure.status, &Page { title: "This did not work", problem: Some(failure.message), ..page })
}

/// What an invitation is about, and a form that accepts it.
#[utoipa::path(get, path = "/invitations/{token}", tag = "members", params(("token" = String, Path)), responses(
    (status = 200, description = "a page with a form", body = String, content_type = "text/html"),
    (status = 404, description = "it was taken up or back, or is over", body = String, content_type = "text/html"),
))]
pub(crate) async fn show(State(api): State<Api>, Path(token): Path<String>) -> Result<Response, Failure> {
    let page = Page { title: "You are invited", host: &api.settings.host, ..Page::default() };
    match members::invited(&mut api.store.read().await?, &token).await {
        Ok(invited) => answer(StatusCode::OK, &Page { invited: Some(About::of(&invited)), ..page }),
        Err(error) => refuse(error.into(), page),
    }
}

/// Accepts an invitation.
#[utoipa::path(post, path = "/invitations/{token}", tag = "members", params(("token" = String, Path)), request_body(content = Form, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 200, description = "the person acts for the account", body = String, content_type = "text/html"),
    (status = 400, description = "the name or the password is missing or wrong", body = String, content_type = "text/html"),
    (status = 404, description = "it was taken up or back, or is over", body = String, content_type = "text/html"),
))]
pub(crate) async fn accept(State(api): State<Api>, Path(token): Path<String>, request: Request) -> Result<Response, Failure> {
    let origin = client(&api, &request);
    let form: Form = serde_urlencoded::from_bytes(&bytes(request, &api).await?).map_err(|_| Failure::bad("the body is no form"))?;
    let (first_name, last_name) = (form.first_name, form.last_name);
    let asked = !first_name.is_empty() || !last_name.is_empty();
    let newcomer = Newcomer { first_name, last_name, password: form.password };
    let page = Page { host: &api.settings.host, first_name: &newcomer.first_name, last_name: &newcomer.last_name, ..Page::default() };
    match members::accept(&api.store, &origin, &token, asked.then_some(&newcomer)).await {
        Ok(joined) => answer(StatusCode::OK, &Page { title: "Welcome", joined: Some(About::of(&joined)), ..page }),
        Err(error) => {
            let still = members::invited(&mut api.store.read().await?, &token).await.ok();
            refuse(error.into(), Page { invited: still.as_ref().map(About::of), ..page })
        }
    }
}
