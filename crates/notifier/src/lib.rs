//! Notices: rendered from templates, handed to a mail server, a folder or the terminal.
//!
//! A notice is a row written with its cause; what is here only turns it into a message and says what came of sending it.

mod document;
mod hook;
mod local;
mod names;
mod outbox;
mod render;
mod smtp;

pub use document::{BadDocument, check_logo, pdf};
pub use hook::{BadClient, Call, Called, Hooks};
pub use names::{BadSettings, Names, Settings as NamesSettings};
pub use outbox::{Attachment, BadTransport, Outbox, Parcel, Sender, Sent};
pub use render::{LANGUAGES, RenderError, Rendered, Renderer, sample};
