//! Where mail goes, and what came of it.

use std::path::PathBuf;

use leasehold_domain::Timestamp;
use lettre::{
    Message,
    message::{
        self, Mailbox, MultiPart,
        header::{ContentType, Header, HeaderName, HeaderValue},
    },
};
use secrecy::SecretString;
use tokio::sync::{Mutex, MutexGuard};

use crate::{Rendered, smtp::Smtp};

/// A message ready to go.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// To whom.
    pub to: String,
    /// The same at every attempt, with its angle brackets.
    pub message_id: String,
    /// When its cause happened.
    pub date: Timestamp,
    /// What it says.
    pub rendered: Rendered,
    /// What goes with it.
    pub attachment: Option<Attachment>,
}

/// A PDF that goes with a message.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Its file name.
    pub name: String,
    /// The file.
    pub pdf: Vec<u8>,
}

/// What came of handing a parcel over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Taken.
    Accepted,
    /// Not taken; try again later.
    Retry(String),
    /// Refused for good.
    Refused(String),
    /// The whole message went out and the answer was lost: it may have been taken.
    Ambiguous(String),
}

/// Who mail comes from.
#[derive(Clone, Debug)]
pub struct Sender {
    /// `Example Hosting <hello@example.org>`.
    pub from: String,
    /// Where answers go.
    pub reply_to: Option<String>,
}

/// A transport that is not one.
#[derive(Debug, thiserror::Error)]
#[error("mail.transport '{text}': {why}; use \"stdout\", \"file:DIRECTORY\" or \"smtp://user@host:587?tls=required\"")]
pub struct BadTransport {
    text: String,
    why: String,
}

impl BadTransport {
    pub(crate) fn new(text: &str, why: &impl ToString) -> Self {
        Self { text: text.to_owned(), why: why.to_string() }
    }
}

enum Transport {
    Stdout,
    /// One file a message, named by its id.
    Folder(PathBuf),
    Smtp(Box<Mutex<Smtp>>),
}

/// The way out.
pub struct Outbox {
    sender: Sender,
    turn: Mutex<()>,
    transport: Transport,
}

/// Marks mail that no person wrote, so that no auto-responder answers it (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }
    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }
    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".into())
    }
}

impl Outbox {
    /// Opens a transport: `stdout`, `file:DIRECTORY`, `smtp://…` or `smtps://…`.
    pub fn open(transport: &str, password: Option<SecretString>, sender: Sender) -> Result<Self, BadTransport> {
        sender.from.parse::<Mailbox>().map_err(|e| BadTransport::new(transport, &format!("mail.from '{}' is no address ({e})", sender.from)))?;
        let transport = if transport == "stdout" {
            Transport::Stdout
        } else if let Some(folder) = transport.strip_prefix("file:") {
            Transport::Folder(folder.into())
        } else {
            Transport::Smtp(Box::new(Mutex::new(Smtp::parse(transport, password)?)))
        };
        Ok(Self { sender, turn: Mutex::new(()), transport })
    }

    /// Waits until the transport is free; whoever writes down that a message goes out holds its turn first.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Whether the transport would take a parcel now; nothing is sent.
    pub async fn check(&self) -> Result<(), String> {
        match &self.transport {
            Transport::Stdout => Ok(()),
            Transport::Folder(folder) => match std::fs::metadata(folder) {
                Ok(found) if found.permissions().readonly() => Err(format!("{} cannot be written", folder.display())),
                Ok(found) if !found.is_dir() => Err(format!("{} is no directory", folder.display())),
                // It is made by the first mail.
                _ => Ok(()),
            },
            Transport::Smtp(smtp) => smtp.lock().await.check().await,
        }
    }

    fn message(&self, parcel: &Parcel) -> Result<Message, String> {
        let address = |text: &str| text.parse::<Mailbox>().map_err(|e| format!("'{text}' is no address: {e}"));
        let date = std::time::UNIX_EPOCH + std::time::Duration::from_millis(parcel.date.as_millis().max(0) as u64);
        let mut message = Message::builder()
            .from(address(&self.sender.from)?)
            .to(address(&parcel.to)?)
            .subject(&parcel.rendered.subject)
            .message_id(Some(parcel.message_id.clone()))
            .date(date)
            .header(AutoSubmitted);
        if let Some(reply_to) = &self.sender.reply_to {
            message = message.reply_to(address(reply_to)?);
        }
        let body = MultiPart::alternative_plain_html(parcel.rendered.text.clone(), parcel.rendered.html.clone());
        let body = match &parcel.attachment {
            Some(a) => {
                let pdf = ContentType::parse("application/pdf").map_err(|e| e.to_string())?;
                MultiPart::mixed().multipart(body).singlepart(message::Attachment::new(a.name.clone()).body(a.pdf.clone(), pdf))
            }
            None => body,
        };
        message.multipart(body).map_err(|e| e.to_string())
    }

    /// Hands a parcel over.
    pub async fn send(&self, parcel: &Parcel) -> Sent {
        let message = match self.message(parcel) {
            Ok(message) => message,
            Err(why) => return Sent::Refused(why),
        };
        match &self.transport {
            Transport::Stdout => {
                println!("--- mail to {}: {}\n{}", parcel.to, parcel.rendered.subject, parcel.rendered.text);
                Sent::Accepted
            }
            Transport::Folder(folder) => match write(folder, parcel, &message.formatted()) {
                Ok(()) => Sent::Accepted,
                Err(e) => Sent::Retry(format!("{}: {e}", folder.display())),
            },
            Transport::Smtp(smtp) => smtp.lock().await.send(message.envelope(), &message.formatted()).await,
        }
    }
}

/// Written beside and renamed into place: the same message twice is one file.
fn write(folder: &std::path::Path, parcel: &Parcel, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let name = parcel.message_id.trim_matches(['<', '>']);
    let new = folder.join(format!("{name}.new"));
    std::fs::write(&new, bytes)?;
    std::fs::rename(new, folder.join(format!("{name}.eml")))
}
