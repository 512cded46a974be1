//! Templates: subject, text and HTML side by side, one folder a language; a host may override each file.

use std::path::Path;

use leasehold_domain::notice::NoticeKind;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, syntax::SyntaxConfig};
use serde_json::Value;

use crate::local;

/// A notice as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// A template that cannot be used, or data that does not fill it.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The template or its data.
    #[error("template {name}: {source}")]
    Template {
        /// `en/server_ready.txt`.
        name: String,
        /// What minijinja said.
        source: minijinja::Error,
    },
    /// An override that cannot be read.
    #[error("template {name}: {source}")]
    Read {
        /// The file.
        name: String,
        /// Why.
        source: std::io::Error,
    },
}

/// The languages that customers are written to in.
pub const LANGUAGES: &[&str] = &["de", "en"];
/// The one that every notice has.
const FALLBACK: &str = "en";

macro_rules! built_in {
    ($($name:literal),+ $(,)?) => { &[$(($name, include_str!(concat!("../templates/", $name)))),+] };
}
const BUILT_IN: &[(&str, &str)] = built_in![
    "de/address_changed.html",
    "de/address_changed.subject",
    "de/address_changed.txt",
    "de/credit_note.html",
    "de/credit_note.subject",
    "de/credit_note.txt",
    "de/low_balance.html",
    "de/low_balance.subject",
    "de/low_balance.txt",
    "de/member_invitation.html",
    "de/member_invitation.subject",
    "de/member_invitation.txt",
    "de/order_confirmation.html",
    "de/order_confirmation.subject",
    "de/order_confirmation.txt",
    "de/password_changed.html",
    "de/password_changed.subject",
    "de/password_changed.txt",
    "de/payment_failed.html",
    "de/payment_failed.subject",
    "de/payment_failed.txt",
    "de/payment_reminder.html",
    "de/payment_reminder.subject",
    "de/payment_reminder.txt",
    "de/payment_short.html",
    "de/payment_short.subject",
    "de/payment_short.txt",
    "de/provisioning_failed.html",
    "de/provisioning_failed.subject",
    "de/provisioning_failed.txt",
    "de/receipt.html",
    "de/receipt.subject",
    "de/receipt.txt",
    "de/server_reactivated.html",
    "de/server_reactivated.subject",
    "de/server_reactivated.txt",
    "de/server_ready.html",
    "de/server_ready.subject",
    "de/server_ready.txt",
    "de/server_suspended.html",
    "de/server_suspended.subject",
    "de/server_suspended.txt",
    "de/server_terminated.html",
    "de/server_terminated.subject",
    "de/server_terminated.txt",
    "de/termination_warning.html",
    "de/termination_warning.subject",
    "de/termination_warning.txt",
    "de/webhook_disabled.html",
    "de/webhook_disabled.subject",
    "de/webhook_disabled.txt",
    "document.html",
    "en/address_changed.html",
    "en/address_changed.subject",
    "en/address_changed.txt",
    "en/credit_note.html",
    "en/credit_note.subject",
    "en/credit_note.txt",
    "en/low_balance.html",
    "en/low_balance.subject",
    "en/low_balance.txt",
    "en/member_invitation.html",
    "en/member_invitation.subject",
    "en/member_invitation.txt",
    "en/operator_digest.html",
    "en/operator_digest.subject",
    "en/operator_digest.txt",
    "en/order_confirmation.html",
    "en/order_confirmation.subject",
    "en/order_confirmation.txt",
    "en/password_changed.html",
    "en/password_changed.subject",
    "en/password_changed.txt",
    "en/payment_failed.html",
    "en/payment_failed.subject",
    "en/payment_failed.txt",
    "en/payment_reminder.html",
    "en/payment_reminder.subject",
    "en/payment_reminder.txt",
    "en/payment_short.html",
    "en/payment_short.subject",
    "en/payment_short.txt",
    "en/provisioning_failed.html",
    "en/provisioning_failed.subject",
    "en/provisioning_failed.txt",
    "en/receipt.html",
    "en/receipt.subject",
    "en/receipt.txt",
    "en/server_reactivated.html",
    "en/server_reactivated.subject",
    "en/server_reactivated.txt",
    "en/server_ready.html",
    "en/server_ready.subject",
    "en/server_ready.txt",
    "en/server_suspended.html",
    "en/server_suspended.subject",
    "en/server_suspended.txt",
    "en/server_terminated.html",
    "en/server_terminated.subject",
    "en/server_terminated.txt",
    "en/termination_warning.html",
    "en/termination_warning.subject",
    "en/termination_warning.txt",
    "en/webhook_disabled.html",
    "en/webhook_disabled.subject",
    "en/webhook_disabled.txt",
    "layout.html",
];

/// The templates. A value that is missing is an error, never an empty place in a mail.
#[derive(Debug)]
pub struct Renderer {
    env: Environment<'static>,
}

impl Renderer {
    /// The built-in templates, each replaced by the file of the same name in `overrides` where there is one.
    pub fn new(overrides: Option<&Path>) -> Result<Self, RenderError> {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_auto_escape_callback(|name| if Path::new(name).extension().is_some_and(|e| e == "html") { AutoEscape::Html } else { AutoEscape::None });
        env.set_syntax(SyntaxConfig::builder().trim_blocks(true).build().map_err(|source| RenderError::Template { name: "syntax".into(), source })?);
        for (name, text) in BUILT_IN {
            let file = overrides.map(|dir| dir.join(name)).filter(|file| file.is_file());
            let text = match file {
                Some(file) => std::fs::read_to_string(file).map_err(|source| RenderError::Read { name: (*name).into(), source })?,
                None => (*text).to_owned(),
            };
            env.add_template_owned(*name, text).map_err(|source| RenderError::Template { name: (*name).into(), source })?;
        }
        Ok(Self { env })
    }

    /// Fills the three templates of a notice; a language without templates falls back to English.
    pub fn render(&self, kind: NoticeKind, locale: &str, data: &Value) -> Result<Rendered, RenderError> {
        let data = local::data(data, locale);
        let part = |extension: &str| {
            let own = format!("{locale}/{kind}.{extension}");
            let name = if self.env.get_template(&own).is_ok() { own } else { format!("{FALLBACK}/{kind}.{extension}") };
            let text = self.env.get_template(&name).and_then(|t| t.render(minijinja::value::Serde(&data)));
            text.map_err(|source| RenderError::Template { name, source })
        };
        let one_line = |s: String| s.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Rendered { subject: one_line(part("subject")?), text: part("txt")?, html: part("html")? })
    }
}

impl Renderer {
    /// Fills one template.
    pub(crate) fn page(&self, name: &str, data: &impl serde::Serialize) -> Result<String, RenderError> {
        let text = self.env.get_template(name).and_then(|t| t.render(minijinja::value::Serde(data)));
        text.map_err(|source| RenderError::Template { name: name.into(), source })
    }
}

/// What every notice is shown with in `leasehold mail preview`: made-up data for all of their places.
pub fn sample() -> Value {
    serde_json::from_str(include_str!("../templates/sample.json")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_notice_reads_well() {
        let renderer = Renderer::new(None).unwrap();
        for (kind, language) in NoticeKind::ALL.iter().flat_map(|kind| LANGUAGES.iter().map(move |language| (*kind, *language))) {
            let r = renderer.render(kind, language, &sample()).unwrap();
            let name = if language == FALLBACK { kind.to_string() } else { format!("{language}_{kind}") };
            insta::assert_snapshot!(name, format!("Subject: {}\n\n{}\n---\n{}", r.subject, r.text, r.html));
        }
    }

    #[test]
    fn a_missing_value_is_an_error_and_markup_stays_text() {
        let renderer = Renderer::new(None).unwrap();
        assert!(renderer.render(NoticeKind::ServerReady, "en", &json!({})).is_err());
        let mut data = sample();
        data["label"] = "<b>x</b>\r\nBcc: y".into();
        let r = renderer.render(NoticeKind::ServerReady, "en", &data).unwrap();
        assert!(r.html.contains("&lt;b&gt;x") && !r.html.contains("<b>x"));
        assert!(!r.subject.contains('\n') && !r.subject.contains('\r'));
    }
}
