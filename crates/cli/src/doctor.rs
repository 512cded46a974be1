//! What the daemon needs, looked at without changing anything. Each finding says what was seen and how to mend it.

mod host;
mod work;

use leasehold_store::{Clock, Options, Store};
use serde::Serialize;

use crate::config::Config;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// It works, but look.
    Warn,
    /// It does not work.
    Broken,
}

impl State {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "look",
            Self::Broken => "BROKEN",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    /// What was looked at.
    pub(crate) check: &'static str,
    /// How bad it is.
    pub(crate) state: State,
    /// What was seen.
    pub(crate) says: String,
    /// What to do about it.
    pub(crate) mend: Option<String>,
}

fn ok(check: &'static str, says: impl Into<String>) -> Finding {
    Finding { check, state: State::Ok, says: says.into(), mend: None }
}

fn look(check: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { check, state: State::Warn, says: says.into(), mend: Some(mend.into()) }
}

fn broken(check: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { check, state: State::Broken, says: says.into(), mend: Some(mend.into()) }
}

/// Looks at everything, in the order in which things depend on each other.
pub(crate) async fn examine(c: &Config) -> Vec<Finding> {
    let mut findings = vec![host::secrets(c), host::templates(c), host::mail(c).await, host::names(c).await];
    if let Some(missing) = host::database_file(c) {
        findings.push(missing);
        return findings;
    }
    findings.extend(host::database_mode(c));
    let options = Options { as_it_is: true, clock: Clock::system(), direct_url: c.database.direct_url.clone(), ..Options::new(c.database.url.clone()) };
    let store = match Store::open(options).await {
        Ok(store) => store,
        Err(error) => {
            findings.push(broken("database", error.to_string(), "start the database server, or mend [database] url"));
            return findings;
        }
    };
    findings.push(host::database(&store, c).await);
    findings.extend(host::space(&store));
    findings.extend(host::blockers(&store).await);
    if let Err(error) = store.check_schema().await {
        findings.push(broken("schema", error.to_string(), "leasehold migrate"));
        return findings;
    }
    findings.push(ok("schema", "up to date"));
    findings.push(host::clock(&store, c).await);
    findings.extend(host::sealed(&store, c).await);
    match work::examine(&store).await {
        Ok(seen) => findings.extend(seen),
        Err(error) => findings.push(broken("database", error.to_string(), "look at the database server's log")),
    }
    findings
}
