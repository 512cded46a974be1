//! What programs are told over webhooks.

use crate::{
    names,
    notice::NoticeKind,
    server::{Event, Status},
};

names! {
    /// Everything that a webhook can be told.
    EventKind {
        /// An invoice was issued, and is paid.
        InvoicePaid = "invoice.paid",
        /// A period could not be paid.
        PaymentFailed = "payment.failed",
        /// The name that an address resolves to was changed.
        PtrChanged = "ptr.changed",
        /// An order was taken.
        ServerCreated = "server.created",
        /// A server is gone.
        ServerDestroyed = "server.destroyed",
        /// A server could not be built.
        ServerFailed = "server.failed",
        /// A server was built and runs.
        ServerRunning = "server.running",
        /// A server was started.
        ServerStarted = "server.started",
        /// A server was stopped.
        ServerStopped = "server.stopped",
        /// A server is off until what it is held for is over.
        ServerSuspended = "server.suspended",
        /// A server is back.
        ServerUnsuspended = "server.unsuspended",
        /// The wallet will not do for what falls due soon.
        WalletLow = "wallet.low",
    }
}

impl EventKind {
    /// What is told of a server that was in this status when this happened to it.
    pub const fn of_server(from: Status, event: Event) -> Option<Self> {
        match (from, event) {
            (_, Event::BuildFinished) => Some(Self::ServerRunning),
            (_, Event::BuildFailed) => Some(Self::ServerFailed),
            (_, Event::Held) => Some(Self::ServerSuspended),
            (Status::Suspended, Event::PoweredOn | Event::PoweredOff) => Some(Self::ServerUnsuspended),
            (_, Event::PoweredOn) => Some(Self::ServerStarted),
            (_, Event::PoweredOff) => Some(Self::ServerStopped),
            (_, Event::Destroyed) => Some(Self::ServerDestroyed),
            _ => None,
        }
    }

    /// What is told beside a notice about money, and what of the notice's data goes with it.
    pub const fn of_notice(kind: NoticeKind) -> Option<(Self, &'static [&'static str])> {
        match kind {
            NoticeKind::Receipt => Some((Self::InvoicePaid, &["number", "lines", "net", "tax", "total", "balance"])),
            NoticeKind::PaymentFailed => Some((Self::PaymentFailed, &["label", "owed", "since", "at", "balance"])),
            NoticeKind::LowBalance => Some((Self::WalletLow, &["due", "missing", "balance"])),
            _ => None,
        }
    }
}
