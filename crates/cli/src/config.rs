//! The configuration: embedded defaults, then files in order, then `LEASEHOLD__SECTION__KEY`. Unknown keys are refused with
//! the nearest known one.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use config::{ConfigBuilder, Environment, File, FileFormat, Value, ValueKind, builder::DefaultState};
use leasehold_api::Settings;
use leasehold_notifier::{Names, NamesSettings, Outbox, Sender};
use secrecy::SecretString;
use serde::Deserialize;

use crate::exit::Failure;

/// Every key with its default and one comment.
pub const DEFAULT: &str = include_str!("../../../config/leasehold.toml");
const PREFIX: &str = "LEASEHOLD";

/// The effective configuration.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// The database.
    pub database: Database,
    /// Keys of the HTTP API.
    pub api: Api,
    /// Mail.
    pub mail: Mail,
    /// Webhooks.
    pub webhooks: Webhooks,
    /// Where names are published.
    pub dns: Dns,
    /// The worker.
    pub worker: Worker,
    /// Builds.
    pub provision: Provision,
    /// Time.
    pub clock: Clock,
    /// Secrets.
    pub secrets: Secrets,
    /// Logs.
    pub log: Log,
}

/// `[database]`
#[derive(Clone, Debug, Deserialize)]
pub struct Database {
    /// `sqlite:PATH` or `postgres://…`.
    pub url: String,
    /// A file that holds the url.
    pub url_file: Option<PathBuf>,
    /// For `LISTEN` and migrations where `url` is a pooler.
    pub direct_url: Option<String>,
    /// Connections at most.
    pub connections: u32,
}

/// `[api]`
#[derive(Clone, Debug, Deserialize)]
pub struct Api {
    /// Where the HTTP APIs are served.
    pub listen: std::net::SocketAddr,
    /// Requests a minute of one key.
    pub rate_limit_per_minute: i64,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<std::net::IpAddr>,
    /// What the HTTP APIs are called from outside, for links; none: where they are served.
    pub public_url: Option<String>,
    /// What every key begins with.
    pub key_prefix: String,
    /// Where this process serves its metrics.
    pub metrics_listen: Option<std::net::SocketAddr>,
}

/// `[mail]`
#[derive(Clone, Debug, Deserialize)]
pub struct Mail {
    /// `stdout`, `file:DIRECTORY`, `smtp://…`.
    pub transport: String,
    /// A file that holds the SMTP password.
    pub password_file: Option<PathBuf>,
    /// Who mail comes from.
    pub from: String,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// Where the digest goes.
    pub operator: Option<String>,
    /// Whether receipts carry their invoice as PDF.
    pub attach_documents: bool,
    /// A folder with templates that replace the built-in ones.
    pub templates: Option<PathBuf>,
}

/// `[webhooks]`
#[derive(Clone, Debug, Deserialize)]
pub struct Webhooks {
    /// Whether private addresses are called, too, and over plain HTTP.
    pub allow_private_targets: bool,
}

/// `[dns]`
#[derive(Clone, Debug, Deserialize)]
pub struct Dns {
    /// A DNS server that takes updates of reverse zones, `host:port`; none: names are not published.
    pub server: Option<String>,
    /// Those zones.
    pub zones: Vec<String>,
    /// The name of the key that updates are signed with.
    pub key_name: String,
    /// `hmac-sha256`, `hmac-sha384` or `hmac-sha512`.
    pub algorithm: String,
    /// A file that holds the key, base64.
    pub key_file: Option<PathBuf>,
    /// How long resolvers may remember a name.
    #[serde(with = "leasehold_domain::time::duration")]
    pub ttl: Duration,
}

/// `[worker]`
#[derive(Clone, Debug, Deserialize)]
pub struct Worker {
    /// Part of the worker's name.
    pub label: String,
    /// Runs at once, a queue.
    pub concurrency: usize,
    /// How long a claim lasts without a sign of life.
    #[serde(with = "leasehold_domain::time::duration")]
    pub claim: Duration,
    /// The wait behind all wakes.
    #[serde(with = "leasehold_domain::time::duration")]
    pub poll: Duration,
    /// How long runs may take to end at a stop.
    #[serde(with = "leasehold_domain::time::duration")]
    pub shutdown_grace: Duration,
}

/// `[provision]`
#[derive(Clone, Debug, Deserialize)]
pub struct Provision {
    /// Attempts a step.
    pub attempts: i64,
    /// How long a build may take.
    #[serde(with = "leasehold_domain::time::duration")]
    pub deadline: Duration,
    /// The shortest wait between attempts.
    #[serde(with = "leasehold_domain::time::duration")]
    pub backoff_min: Duration,
    /// The longest.
    #[serde(with = "leasehold_domain::time::duration")]
    pub backoff_max: Duration,
    /// How long an address rests.
    #[serde(with = "leasehold_domain::time::duration")]
    pub ip_quarantine: Duration,
    /// How long a guest agent may take to answer.
    #[serde(with = "leasehold_domain::time::duration")]
    pub agent_wait: Duration,
    /// Builds at once for one account.
    pub builds_per_account: i64,
}

/// `[clock]`
#[derive(Clone, Debug, Deserialize)]
pub struct Clock {
    /// `system` or `simulated`.
    pub mode: String,
}

/// `[secrets]`
#[derive(Clone, Debug, Deserialize)]
pub struct Secrets {
    /// What secrets are sealed with.
    pub key_file: PathBuf,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
pub struct Log {
    /// `pretty` or `json`.
    pub format: String,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter.
    pub level: String,
}

/// One effective value and where it came from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// `section.key`.
    pub key: String,
    /// The value; secrets are hidden.
    pub value: String,
    /// `default`, a file, or a variable.
    pub from: String,
}

/// The layers of a configuration, weakest first.
struct Layer {
    name: String,
    values: Vec<(String, Value)>,
}

fn bad(error: impl std::fmt::Display) -> Failure {
    Failure::Usage(format!("configuration: {error}"))
}

fn flatten(prefix: &str, value: &Value, out: &mut Vec<(String, Value)>) {
    match &value.kind {
        ValueKind::Table(table) => {
            let mut keys: Vec<_> = table.iter().collect();
            keys.sort_by_key(|(k, _)| (*k).clone());
            keys.into_iter().for_each(|(key, value)| flatten(&if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") }, value, out));
        }
        _ => out.push((prefix.to_owned(), value.clone())),
    }
}

fn layer(name: String, source: ConfigBuilder<DefaultState>) -> Result<Layer, Failure> {
    let table = source.build().map_err(bad)?.cache;
    let mut values = Vec::new();
    flatten("", &table, &mut values);
    Ok(Layer { name, values })
}

/// Keys that have no default value and are off until they are set.
const OPTIONAL: &[&str] = &[
    "api.metrics_listen",
    "database.url_file",
    "database.direct_url",
    "dns.server",
    "dns.key_file",
    "mail.password_file",
    "mail.reply_to",
    "mail.operator",
    "mail.templates",
];

/// Where a configuration is looked for when none is named; the first that is there counts.
const SEARCHED: [&str; 2] = ["leasehold.toml", "/etc/leasehold/leasehold.toml"];
/// Keys whose values are paths, behind these letters. In a file a relative one counts from the file's folder, so that everybody means the same by it.
const PATHS: &[(&str, &str)] = &[
    ("database.url", "sqlite:"),
    ("database.url_file", ""),
    ("dns.key_file", ""),
    ("mail.password_file", ""),
    ("mail.templates", ""),
    ("mail.transport", "file:"),
    ("secrets.key_file", ""),
];

/// Of these a new one is made where there is none.
const MOVED: [&str; 2] = ["database.url", "secrets.key_file"];

/// A value of a file in this folder, with its path as seen from where we are.
fn from_folder(folder: &Path, key: &str, value: Value) -> Result<Value, Failure> {
    let ValueKind::String(text) = &value.kind else { return Ok(value) };
    let path = PATHS.iter().find(|(path, _)| *path == key).and_then(|(_, letters)| Some((*letters, text.strip_prefix(letters)?)));
    match path {
        Some((letters, path)) if Path::new(path).is_relative() => {
            let meant = folder.join(path);
            // Older versions counted from the working directory: what lies there is not left behind in silence.
            if MOVED.contains(&key) && !meant.exists() && Path::new(path).exists() {
                return Err(bad(format!("{key} is {}, which is not there, but {path} is in the working directory; write the whole path", meant.display())));
            }
            Ok(Value::new(None, format!("{letters}{}", meant.display())))
        }
        _ => Ok(value),
    }
}

/// The files that count: those that were named, or the first that is found.
fn found(named: &[PathBuf]) -> Vec<PathBuf> {
    if named.is_empty() { SEARCHED.iter().map(PathBuf::from).find(|file| file.try_exists().unwrap_or(true)).into_iter().collect() } else { named.to_vec() }
}

/// Where the configuration comes from, for messages.
pub fn source(named: &[PathBuf]) -> String {
    match found(named).as_slice() {
        [] => format!("no configuration file was found ({}), so the defaults count", SEARCHED.join(", ")),
        files => format!("configured by {}", files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ")),
    }
}

fn layers(named: &[PathBuf]) -> Result<Vec<Layer>, Failure> {
    let builder = config::Config::builder;
    let mut layers = vec![layer("default".into(), builder().add_source(File::from_str(DEFAULT, FileFormat::Toml)))?];
    for file in found(named) {
        let text = std::fs::read_to_string(&file).map_err(|e| bad(format!("{}: {e}", file.display())))?;
        let source = builder().add_source(File::from_str(&text, FileFormat::Toml));
        let mut layer = layer(file.display().to_string(), source).map_err(|e| bad(format!("{}: {e}", file.display())))?;
        let folder = file.parent().unwrap_or_else(|| Path::new(""));
        let from_here = |(key, value): (String, Value)| Ok((key.clone(), from_folder(folder, &key, value)?));
        layer.values = layer.values.into_iter().map(from_here).collect::<Result<_, Failure>>()?;
        layers.push(layer);
    }
    let environment = Environment::with_prefix(PREFIX).prefix_separator("__").separator("__");
    layers.push(layer("environment".into(), builder().add_source(environment))?);
    let known: Vec<String> = layers[0].values.iter().map(|(k, _)| k.clone()).chain(OPTIONAL.iter().map(|k| (*k).to_owned())).collect();
    for layer in &layers[1..] {
        if let Some((unknown, _)) = layer.values.iter().find(|(key, _)| !known.contains(key)) {
            let nearest = known.iter().max_by(|a, b| strsim::jaro_winkler(a, unknown).total_cmp(&strsim::jaro_winkler(b, unknown)));
            return Err(bad(format!("unknown key '{unknown}' in {}; did you mean '{}'?", layer.name, nearest.map_or("", String::as_str))));
        }
    }
    Ok(layers)
}

/// Reads the effective configuration.
pub fn load(files: &[PathBuf]) -> Result<Config, Failure> {
    let layers = layers(files)?;
    if files.is_empty() && found(files) == [PathBuf::from(SEARCHED[1])] {
        // Everybody finds that file, and the defaults count from wherever one stands.
        let said = |keys: &[&str]| layers[1..].iter().any(|l| l.values.iter().any(|(key, _)| keys.contains(&key.as_str())));
        for keys in [&["database.url", "database.url_file"][..], &["secrets.key_file"]] {
            if !said(keys) {
                return Err(bad(format!("{} does not say {}; write it there, with its whole path", SEARCHED[1], keys[0])));
            }
        }
    }
    of(layers)
}

/// The configuration without any file.
pub fn defaults() -> Result<Config, Failure> {
    of(vec![layer("default".into(), config::Config::builder().add_source(File::from_str(DEFAULT, FileFormat::Toml)))?])
}

fn of(layers: Vec<Layer>) -> Result<Config, Failure> {
    let mut builder = config::Config::builder();
    for layer in layers {
        for (key, value) in layer.values {
            builder = builder.set_override(key, value).map_err(bad)?;
        }
    }
    let mut config: Config = builder.build().and_then(config::Config::try_deserialize).map_err(bad)?;
    if let Some(file) = &config.database.url_file {
        config.database.url = read_secret("database.url_file", file)?;
    }
    if !config.database.url.starts_with("sqlite:") && !config.database.url.starts_with("postgres") {
        return Err(bad("database.url is neither sqlite:PATH nor postgres://…"));
    }
    if !["system", "simulated"].contains(&config.clock.mode.as_str()) {
        return Err(bad(format!("clock.mode '{}' is neither \"system\" nor \"simulated\"", config.clock.mode)));
    }
    if !["pretty", "json"].contains(&config.log.format.as_str()) {
        return Err(bad(format!("log.format '{}' is neither \"pretty\" nor \"json\"", config.log.format)));
    }
    if config.provision.agent_wait >= config.provision.deadline {
        return Err(bad("provision.agent_wait is not shorter than provision.deadline: a guest that never answers would be given up and cost nothing"));
    }
    Ok(config)
}

impl Config {
    /// How the HTTP APIs are served.
    pub fn api_settings(&self) -> Settings {
        let public_url = self.api.public_url.clone().unwrap_or_else(|| format!("http://{}", self.api.listen));
        Settings {
            per_minute: self.api.rate_limit_per_minute,
            host: self.mail.host(),
            public_url: public_url.trim_end_matches('/').to_owned(),
            private_webhooks: self.webhooks.allow_private_targets,
            check_node: crate::commands::catalog::check_node,
            key_prefix: self.api.key_prefix.clone(),
            ip_quarantine: self.provision.ip_quarantine,
            metrics: None,
            trusted_proxies: self.api.trusted_proxies.clone(),
        }
    }
}

impl Dns {
    /// The way out that this describes, if it describes one.
    pub fn names(&self) -> Result<Option<Names>, Failure> {
        let Some(server) = &self.server else { return Ok(None) };
        let file = self.key_file.as_ref().ok_or_else(|| bad("dns.key_file: it is needed where dns.server is set"))?;
        let key = SecretString::from(read_secret("dns.key_file", file)?);
        let settings = NamesSettings { server, zones: &self.zones, key_name: &self.key_name, algorithm: &self.algorithm, key: &key, ttl: self.ttl };
        Names::new(&settings).map(Some).map_err(|e| bad(format!("dns.{e}")))
    }
}

impl Mail {
    /// The host's name, as its mails give it.
    pub fn host(&self) -> String {
        self.from.split('<').next().unwrap_or_default().trim().to_owned()
    }

    /// The way out that this describes.
    pub fn outbox(&self) -> Result<Outbox, Failure> {
        let password = self.password_file.as_ref().map(|f| read_secret("mail.password_file", f)).transpose()?.map(SecretString::from);
        let sender = Sender { from: self.from.clone(), reply_to: self.reply_to.clone() };
        Outbox::open(&self.transport, password, sender).map_err(bad)
    }
}

/// Reads a file that holds one secret.
fn read_secret(key: &str, file: &std::path::Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file).map_err(|e| bad(format!("{key} {}: {e}", file.display())))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Every effective value with its origin, secrets hidden.
pub fn origins(files: &[PathBuf]) -> Result<Vec<Origin>, Failure> {
    let layers = layers(files)?;
    let mut keys: Vec<&String> = layers.iter().flat_map(|l| l.values.iter().map(|(k, _)| k)).collect();
    keys.sort();
    keys.dedup();
    let origin = |key: &String| {
        let (layer, value) = layers.iter().rev().find_map(|l| l.values.iter().find(|(k, _)| k == key).map(|(_, v)| (l, v)))?;
        let value = value.to_string();
        let value = if value.contains("://") { hide_password(&value) } else { value };
        Some(Origin { key: key.clone(), value, from: layer.name.clone() })
    };
    Ok(keys.into_iter().filter_map(origin).collect())
}

fn hide_password(url: &str) -> String {
    let (url, query) = url.split_once('?').map_or((url, None), |(url, query)| (url, Some(query)));
    if let Some(query) = query {
        let part = |p: &str| if p.starts_with("password=") { "password=***".to_owned() } else { p.to_owned() };
        return format!("{}?{}", hide_password(url), query.split('&').map(part).collect::<Vec<_>>().join("&"));
    }
    let Some((head, host)) = url.rsplit_once('@') else { return url.to_owned() };
    let start = head.find("://").map_or(0, |i| i + 3);
    match head[start..].split_once(':') {
        Some((user, _)) => format!("{}{user}:***@{host}", &head[..start]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<Config, Failure> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("leasehold.toml");
        std::fs::write(&file, text).unwrap();
        load(&[file])
    }

    #[test]
    fn later_wins_and_unknown_keys_name_the_nearest() {
        assert_eq!(with("[worker]\nconcurrency = 7").unwrap().worker.concurrency, 7);
        let error = with("[worker]\nconcurency = 7").unwrap_err().to_string();
        assert!(error.contains("unknown key 'worker.concurency'") && error.contains("did you mean 'worker.concurrency'?"), "{error}");
        assert!(with("[clock]\nmode = \"fast\"").unwrap_err().to_string().contains("clock.mode"));
        assert!(with("[worker]\nclaim = \"soon\"").unwrap_err().to_string().contains("no duration"));
    }

    #[test]
    fn a_relative_path_in_a_file_counts_from_the_files_folder() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("leasehold.toml");
        let text = "[database]\nurl = \"sqlite:data/l.db\"\n[secrets]\nkey_file = \"/keys/l.key\"\n[mail]\ntransport = \"file:mails\"\n";
        std::fs::write(&file, text).unwrap();
        let config = load(&[file]).unwrap();
        let at = |path: &str| dir.path().join(path).display().to_string();
        assert_eq!((config.database.url, config.mail.transport), (format!("sqlite:{}", at("data/l.db")), format!("file:{}", at("mails"))));
        assert_eq!(config.secrets.key_file, Path::new("/keys/l.key"));
    }

    #[test]
    fn passwords_are_hidden() {
        assert_eq!(hide_password("smtp://u:p@h:587?tls=required"), "smtp://u:***@h:587?tls=required");
        assert_eq!(hide_password("postgres://u:p@h/db"), "postgres://u:***@h/db");
        assert_eq!(hide_password("postgres://h/db?user=u&password=s"), "postgres://h/db?user=u&password=***");
    }
}
