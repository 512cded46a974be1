//! The description of all routes, made from the routes themselves. What is true of many routes is said here once.

use std::sync::LazyLock;

use axum::{http::header::CONTENT_TYPE, response::IntoResponse};
use utoipa::{
    OpenApi,
    openapi::{
        Header, HttpMethod, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder, Type,
        content::ContentBuilder,
        header::HeaderBuilder,
        path::{Operation, PathItem},
        schema::ObjectBuilder,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::{
    admin::error::Problem, cloud::error::Failure, cloud66::error::Cloud66Failure, e24cloud::error::E24Failure, once, surface::Surface,
    wayscloud::error::WaysFailure,
};

/// What stands around the routes.
#[derive(OpenApi)]
#[openapi(
    info(title = "Leasehold", description = "Order, watch and run servers.", license(name = "MIT OR Apache-2.0")),
    components(schemas(Cloud66Failure, E24Failure, Failure, Problem, WaysFailure)),
    tags(
        (name = "account", description = "Who asks"),
        (name = "catalogue", description = "What can be ordered"),
        (name = "billing", description = "What was paid"),
        (name = "servers", description = "Servers and their power"),
        (name = "snapshots", description = "Snapshots of servers' disks"),
        (name = "members", description = "Who acts for the account"),
        (name = "machines", description = "Machines that the account has elsewhere"),
        (name = "webhooks", description = "Being told what happens"),
        (name = "operator", description = "For the host: accounts, books, queues, and what needs a person"),
        (name = "wayscloud", description = "An account and its keys, as programs for WAYSCloud ask for them"),
        (name = "e24cloud", description = "An account, the person behind it, and its keys, as programs for e24cloud ask for them"),
        (name = "cloud66", description = "Accounts, one-time passwords and machines elsewhere, as programs for Cloud 66 ask for them"),
        (name = "health", description = "For load balancers, and this reference"),
    )
)]
pub(crate) struct Frame;

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "health", responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = serde_json::Value)))]
pub(crate) async fn serve() -> impl IntoResponse {
    static TEXT: LazyLock<String> = LazyLock::new(|| serde_json::to_string(&document()).unwrap_or_default());
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str())
}

/// The document, OpenAPI 3.1.
pub fn document() -> Document {
    let mut document = crate::routes::all().split_for_parts().1;
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key, as `leasehold key create` shows it once.")).build();
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An operator's token, of `leasehold key create --kind operator`.")).build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("key", SecurityScheme::Http(key));
    let header = ApiKeyValue::with_description("X-API-Key", "The same key, as programs for WAYSCloud send it.");
    components.add_security_scheme("x_api_key", SecurityScheme::ApiKey(ApiKey::Header(header)));
    let header = ApiKeyValue::with_description(
        "Authorization",
        "KEY:SIGNATURE with a pair of `leasehold key create --kind e24`. The signature is base64 of HMAC-SHA-256, by the pair's secret, over method, \
         Host, X-Date (an HTTP date within 15 minutes of now), path with query, and body, a line each.",
    );
    components.add_security_scheme("signed", SecurityScheme::ApiKey(ApiKey::Header(header)));
    components.add_security_scheme("operator", SecurityScheme::Http(token));
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            add_common_answers(path, &method, operation);
        }
    }
    document
}

/// The operations of a path.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    let all = [
        (HttpMethod::Delete, item.delete.as_mut()),
        (HttpMethod::Get, item.get.as_mut()),
        (HttpMethod::Patch, item.patch.as_mut()),
        (HttpMethod::Post, item.post.as_mut()),
        (HttpMethod::Put, item.put.as_mut()),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation?)))
}

/// Adds what any route of its sort may answer, unless the route says more of it.
fn add_common_answers(path: &str, method: &HttpMethod, operation: &mut Operation) {
    let Some(Surface { failure: schema, kind, .. }) = Surface::of(path) else { return };
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let once = parameters.iter().any(|p| matches!(p, RefOr::T(p) if p.name.eq_ignore_ascii_case(once::KEY)));
    let body = operation.request_body.is_some();
    let asks = body || !parameters.is_empty();
    let key = operation.security.is_some();
    let common = [
        (400, "the request is wrong; the message names the field", asks),
        (401, "no key, or one that is not valid (any more)", key),
        (403, "the key lacks the scope, or the account is frozen", key),
        (404, "there is no such thing, or it is another account's", path.contains('{')),
        (409, "an equal request is being carried out", once),
        (413, "the body is too long", body || *method == HttpMethod::Post),
        (422, "the Idempotency-Key was used for another request", once),
        (429, "too many requests", true),
        (500, "something broke inside; the operator finds it under the X-Request-Id", true),
        (503, "not now; try again", true),
    ];
    let answers = &mut operation.responses.responses;
    for (status, means, may_be) in common {
        if may_be {
            answers.entry(status.to_string()).or_insert_with(|| RefOr::T(failure(means, schema, kind)));
        }
    }
    for (status, answer) in answers {
        if let RefOr::T(answer) = answer {
            if status.starts_with(['4', '5']) {
                // In the words of the surface, whatever the route has to say of it.
                *answer = failure(&answer.description, schema, kind);
            }
            add_headers(status, once, answer);
        }
    }
}

fn failure(means: &str, schema: &str, kind: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    ResponseBuilder::new().description(means).content(kind, content).build()
}

fn add_headers(status: &str, once: bool, answer: &mut Response) {
    let mut add = |name: &str, kind: Type, means: &str| {
        answer.headers.insert(name.to_owned(), RefOr::T(header(kind, means)));
    };
    add("X-Request-Id", Type::String, "the request's number, which the operator finds in the log");
    add("X-RateLimit-Limit", Type::Integer, "requests a minute");
    add("X-RateLimit-Remaining", Type::Integer, "how many are left of them");
    add("X-RateLimit-Reset", Type::Integer, "when the next minute begins, in Unix seconds");
    if matches!(status, "429" | "503") {
        add("Retry-After", Type::Integer, "when to try again, in seconds");
    }
    if once && status.starts_with('2') {
        add("Idempotent-Replayed", Type::String, "`true` where the request was carried out earlier and this is its answer");
    }
}

fn header(kind: Type, means: &str) -> Header {
    HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(kind))).description(Some(means)).build()
}
