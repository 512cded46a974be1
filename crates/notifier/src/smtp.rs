//! SMTP, one command at a time, so that we know how far a message got when a connection breaks:
//! before the end of DATA nothing was delivered, after it only an answer can tell.

use std::time::Duration;

use lettre::{
    address::Envelope,
    transport::smtp::{
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::ClientId,
    },
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use crate::{BadTransport, Sent};

/// The longest wait for one answer (RFC 5321 asks for minutes; a lost claim after that would be worse).
const ANSWER: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tls {
    /// Never.
    None,
    /// STARTTLS where the server offers it.
    Opportunistic,
    /// STARTTLS or nothing.
    Required,
    /// TLS from the first byte.
    Wrapped,
}

/// A mail server, and the connection to it while one is open.
pub(crate) struct Smtp {
    host: String,
    port: u16,
    tls: Tls,
    login: Option<(String, SecretString)>,
    connection: Option<AsyncSmtpConnection>,
}

enum Failure {
    Answer { permanent: bool, text: String },
    Lost(String),
}

impl Smtp {
    /// Reads `smtp://user@host:587?tls=none|opportunistic|required` or `smtps://user@host:465`.
    pub(crate) fn parse(text: &str, password: Option<SecretString>) -> Result<Self, BadTransport> {
        let bad = |why: &str| BadTransport::new(text, &why);
        let url = url::Url::parse(text).map_err(|e| BadTransport::new("(not shown)", &e))?;
        let host = url.host_str().ok_or_else(|| bad("a host is missing"))?.trim_matches(['[', ']']).to_owned();
        let (default_port, default_tls) = match url.scheme() {
            "smtp" => (587, Tls::Required),
            "smtps" => (465, Tls::Wrapped),
            other => return Err(bad(&format!("unknown scheme '{other}'"))),
        };
        if url.password().is_some() {
            return Err(BadTransport::new("smtp://…", &"a password does not belong here; set mail.password_file"));
        }
        let mut tls = default_tls;
        for (key, value) in url.query_pairs() {
            tls = match (key.as_ref(), value.as_ref()) {
                ("tls", "none") => Tls::None,
                ("tls", "opportunistic") => Tls::Opportunistic,
                ("tls", "required") => Tls::Required,
                _ => return Err(bad(&format!("unknown option '{key}={value}'"))),
            };
        }
        let login = match (url.username(), password) {
            ("", _) => None,
            (user, Some(password)) => Some((user.replace("%40", "@"), password)),
            (_, None) => return Err(bad("a user needs mail.password_file")),
        };
        Ok(Self { host, port: url.port().unwrap_or(default_port), tls, login, connection: None })
    }

    pub(crate) async fn send(&mut self, envelope: &Envelope, message: &[u8]) -> Sent {
        let mut connection = match self.connected().await {
            Ok(connection) => connection,
            Err(Failure::Answer { text, .. } | Failure::Lost(text)) => return Sent::Retry(format!("{}:{}: {text}", self.host, self.port)),
        };
        let sent = match announce(&mut connection, envelope).await {
            Ok(()) => match answer(connection.message(message)).await {
                Ok(()) => Sent::Accepted,
                Err(Failure::Answer { permanent: true, text }) => Sent::Refused(text),
                Err(Failure::Answer { text, .. }) => Sent::Retry(text),
                Err(Failure::Lost(text)) => Sent::Ambiguous(text),
            },
            Err(Failure::Answer { permanent: true, text }) => Sent::Refused(text),
            Err(Failure::Answer { text, .. } | Failure::Lost(text)) => Sent::Retry(text),
        };
        // Only after a success is the connection known to be between two messages.
        self.connection = (sent == Sent::Accepted).then_some(connection);
        sent
    }

    /// Connects and signs in, and goes no further.
    pub(crate) async fn check(&mut self) -> Result<(), String> {
        match self.connected().await {
            Ok(connection) => {
                self.connection = Some(connection);
                Ok(())
            }
            Err(Failure::Answer { text, .. } | Failure::Lost(text)) => Err(format!("{}:{}: {text}", self.host, self.port)),
        }
    }

    async fn connected(&mut self) -> Result<AsyncSmtpConnection, Failure> {
        if let Some(mut open) = self.connection.take()
            && matches!(timeout(ANSWER, open.test_connected()).await, Ok(true))
        {
            return Ok(open);
        }
        let hello = ClientId::default();
        let tls = || TlsParameters::new(self.host.clone()).map_err(|e| Failure::Lost(e.to_string()));
        let wrapped = if self.tls == Tls::Wrapped { Some(tls()?) } else { None };
        let connect = AsyncSmtpConnection::connect_tokio1((self.host.as_str(), self.port), Some(ANSWER), &hello, wrapped, None);
        let mut connection = within(connect).await?;
        if self.tls == Tls::Required || (self.tls == Tls::Opportunistic && connection.can_starttls()) {
            within(connection.starttls(tls()?, &hello)).await?;
        }
        if let Some((user, password)) = &self.login {
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            answer(connection.auth(DEFAULT_MECHANISMS, &credentials)).await?;
        }
        Ok(connection)
    }
}

async fn announce(connection: &mut AsyncSmtpConnection, envelope: &Envelope) -> Result<(), Failure> {
    answer(connection.command(Mail::new(envelope.from().cloned(), vec![]))).await?;
    for to in envelope.to() {
        answer(connection.command(Rcpt::new(to.clone(), vec![]))).await?;
    }
    answer(connection.command(Data)).await
}

async fn within<T>(call: impl Future<Output = Result<T, lettre::transport::smtp::Error>>) -> Result<T, Failure> {
    match timeout(ANSWER, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) if e.status().is_some() => Err(Failure::Answer { permanent: e.is_permanent(), text: chain(&e) }),
        Ok(Err(e)) => Err(Failure::Lost(chain(&e))),
        Err(_) => Err(Failure::Lost(format!("no answer within {} s", ANSWER.as_secs()))),
    }
}

async fn answer<T>(call: impl Future<Output = Result<T, lettre::transport::smtp::Error>>) -> Result<(), Failure> {
    within(call).await.map(|_| ())
}

/// An error with all of its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |e| e.source());
    causes.fold(error.to_string(), |text, cause| if text.contains(&cause.to_string()) { text } else { format!("{text}: {cause}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_are_read_or_refused_with_a_reason() {
        let smtp = Smtp::parse("smtp://127.0.0.1:2525?tls=none", None).ok().unwrap();
        assert_eq!((smtp.host.as_str(), smtp.port, smtp.tls), ("127.0.0.1", 2525, Tls::None));
        for (bad, part) in
            [("http://x", "unknown scheme"), ("smtp://u@h", "password_file"), ("smtp://u:p@h", "does not belong"), ("smtp://h?x=1", "unknown option")]
        {
            let error = Smtp::parse(bad, None).err().unwrap().to_string();
            assert!(error.contains(part), "{bad}: {error}");
        }
    }
}
