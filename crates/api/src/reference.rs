//! The reference for people and programs, written from the description of the routes: as Markdown, as a page, and as an index.

use std::{fmt::Write, sync::LazyLock};

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{Html, IntoResponse, Response},
};
use serde_json::Value;

use crate::{Api, openapi::document};

/// What a field or an answer is, as far as one line tells.
struct Shape<'a> {
    root: &'a Value,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// One line of it, fit for a table.
fn line(value: &Value) -> String {
    text(value).split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

impl<'a> Shape<'a> {
    /// What a reference leads to, and its name.
    fn named(&self, schema: &'a Value) -> Option<(&'a str, &'a Value)> {
        let name = schema["$ref"].as_str()?.strip_prefix("#/components/schemas/")?;
        Some((name, &self.root["components"]["schemas"][name]))
    }

    /// `string`, `list of Server`, `integer or null`, …
    fn kind(&self, schema: &'a Value) -> String {
        if let Some((name, _)) = self.named(schema) {
            return name.to_owned();
        }
        if let Some(any) = schema["oneOf"].as_array() {
            let kinds: Vec<String> = any.iter().map(|one| self.kind(one)).collect();
            return kinds.join(" or ");
        }
        let plain = |kind: &str| match kind {
            "array" => format!("list of {}", self.kind(&schema["items"])),
            other => other.to_owned(),
        };
        match &schema["type"] {
            Value::String(kind) => plain(kind),
            Value::Array(kinds) => kinds.iter().map(|kind| plain(text(kind))).collect::<Vec<_>>().join(" or "),
            _ => "any".into(),
        }
    }

    /// All fields of a schema, those of what it includes too: name, schema, whether it is always there.
    fn fields(&self, schema: &'a Value) -> Vec<(&'a str, &'a Value, bool)> {
        let schema = self.named(schema).map_or(schema, |(_, schema)| schema);
        let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|r| r == name));
        let own = schema["properties"].as_object().into_iter().flatten().map(|(name, field)| (name.as_str(), field, required(name)));
        let included = schema["allOf"].as_array().into_iter().flatten().flat_map(|part| self.fields(part));
        included.chain(own).collect()
    }

    fn write_fields(&self, out: &mut String, schema: &'a Value) {
        let fields = self.fields(schema);
        if fields.is_empty() {
            return;
        }
        out.push_str("\n| field | type | |\n|---|---|---|\n");
        for (name, field, always) in fields {
            let example = field.get("example").map_or_else(String::new, |e| format!(" For example `{e}`."));
            let may_lack = if always { "" } else { " May be missing or null." };
            let _ = writeln!(out, "| `{name}` | {} | {}{example}{may_lack} |", self.kind(field), line(&field["description"]));
        }
    }

    fn write_operation(&self, out: &mut String, method: &str, path: &str, operation: &'a Value) {
        let _ = writeln!(out, "\n### {} {path}\n\n{}", method.to_uppercase(), text(&operation["summary"]));
        let more = text(&operation["description"]);
        if !more.is_empty() {
            let _ = writeln!(out, "\n{more}");
        }
        let security = &operation["security"][0];
        match (security["key"][0].as_str(), security.get("operator")) {
            (Some(scope), _) => drop(writeln!(out, "\nNeeds a key with the scope `{scope}`.")),
            (None, Some(_)) => out.push_str("\nNeeds an operator's token.\n"),
            (None, None) => out.push_str("\nNeeds no key.\n"),
        }
        let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        if !parameters.is_empty() {
            out.push_str("\n| parameter | in | type | |\n|---|---|---|---|\n");
            for p in parameters {
                let _ = writeln!(out, "| `{}` | {} | {} | {} |", text(&p["name"]), text(&p["in"]), self.kind(&p["schema"]), line(&p["description"]));
            }
        }
        for (kind, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
            let _ = writeln!(out, "\nBody, `{kind}`: {}", self.kind(&content["schema"]));
            self.write_fields(out, &content["schema"]);
        }
        out.push_str("\n| answer | |\n|---|---|\n");
        for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
            let body = answer["content"].as_object().into_iter().flatten().map(|(_, content)| self.kind(&content["schema"])).collect::<Vec<_>>().join(" or ");
            let _ = writeln!(out, "| {status} | {} {} |", line(&answer["description"]), if body.is_empty() { String::new() } else { format!("`{body}`") });
        }
    }
}

/// Every operation: tag, method, path, description.
fn operations(root: &Value) -> Vec<(&str, &str, &str, &Value)> {
    let mut all = Vec::new();
    for (path, methods) in root["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            all.push((text(&operation["tags"][0]), method.as_str(), path.as_str(), operation));
        }
    }
    all
}

/// The description, made once: the routes do not change while the process runs.
static ROOT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(document()).unwrap_or_default());

static MARKDOWN: LazyLock<String> = LazyLock::new(markdown);

/// The reference as Markdown.
pub fn markdown() -> String {
    let root = &*ROOT;
    let shape = Shape { root };
    let mut out = format!("# {}\n\n{}\n", text(&root["info"]["title"]), text(&root["info"]["description"]));
    let all = operations(root);
    for tag in root["tags"].as_array().into_iter().flatten() {
        let name = text(&tag["name"]);
        let _ = writeln!(out, "\n## {name}\n\n{}", text(&tag["description"]));
        for (_, method, path, operation) in all.iter().filter(|(of, ..)| *of == name) {
            shape.write_operation(&mut out, method, path, operation);
        }
    }
    out.push_str("\n## Shapes\n");
    for (name, schema) in root["components"]["schemas"].as_object().into_iter().flatten() {
        let _ = writeln!(out, "\n### {name}\n\n{}", text(&schema["description"]));
        shape.write_fields(&mut out, schema);
    }
    out
}

/// The index for programs that read: what there is, one line a route.
pub fn index(url: &str) -> String {
    let root = &*ROOT;
    let mut out = format!("# {}\n\n> {}\n\n", text(&root["info"]["title"]), text(&root["info"]["description"]));
    let _ = writeln!(out, "- [Reference]({url}/docs.md): every route, field, error and scope\n- [OpenAPI 3.1]({url}/openapi.json)\n\n## Routes\n");
    for (_, method, path, operation) in operations(root) {
        let _ = writeln!(out, "- `{} {path}`: {}", method.to_uppercase(), text(&operation["summary"]));
    }
    out
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
    table{border-collapse:collapse;width:100%;margin:.5rem 0}th,td{border:1px solid #ddd;padding:.25rem .5rem;text-align:left;vertical-align:top}\
    code{background:#f4f4f4;padding:0 .2em}h2{border-bottom:2px solid #ddd;margin-top:3rem}h3{margin-top:2rem}\
    @media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}th,td{border-color:#444}code{background:#2a2a2a}h2{border-color:#444}}";

/// The reference as a page.
#[utoipa::path(get, path = "/docs", tag = "health", responses((status = 200, description = "a page", body = String, content_type = "text/html")))]
pub(crate) async fn page() -> Html<&'static str> {
    static PAGE: LazyLock<String> = LazyLock::new(|| {
        let parser = pulldown_cmark::Parser::new_ext(&MARKDOWN, pulldown_cmark::Options::ENABLE_TABLES);
        let mut page = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Leasehold API</title><style>{STYLE}</style>"
        );
        pulldown_cmark::html::push_html(&mut page, parser);
        page
    });
    Html(PAGE.as_str())
}

/// The reference as Markdown.
#[utoipa::path(get, path = "/docs.md", tag = "health", responses((status = 200, description = "Markdown", body = String, content_type = "text/markdown")))]
pub(crate) async fn in_markdown() -> Response {
    ([(CONTENT_TYPE, "text/markdown; charset=utf-8")], MARKDOWN.as_str()).into_response()
}

/// The index for programs that read.
#[utoipa::path(get, path = "/llms.txt", tag = "health", responses((status = 200, description = "an index", body = String, content_type = "text/plain")))]
pub(crate) async fn llms(State(api): State<Api>) -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], index(&api.settings.public_url)).into_response()
}
