//! Notices: what is told to whom, and the key that keeps each from being told twice.

use crate::names;

names! {
    /// Every mail that is ever written.
    NoticeKind {
        /// To the customer: the order was taken.
        OrderConfirmation = "order_confirmation",
        /// To the customer: the server runs.
        ServerReady = "server_ready",
        /// To the customer: the build failed, the money is back.
        ProvisioningFailed = "provisioning_failed",
        /// To the customer: the root password was changed.
        PasswordChanged = "password_changed",
        /// To the customer: the server is gone.
        ServerTerminated = "server_terminated",
        /// To the customer: the wallet will not do for what falls due soon.
        LowBalance = "low_balance",
        /// To the customer: a period could not be paid.
        PaymentFailed = "payment_failed",
        /// To the customer: a payment came in that does not do for what is suspended.
        PaymentShort = "payment_short",
        /// To the customer: it still is not paid, and what comes of that.
        PaymentReminder = "payment_reminder",
        /// To the customer: the server is off until it is paid.
        ServerSuspended = "server_suspended",
        /// To the customer: the server will be ended.
        TerminationWarning = "termination_warning",
        /// To the customer: it is paid, and the server is back.
        ServerReactivated = "server_reactivated",
        /// To the customer: what was paid.
        Receipt = "receipt",
        /// To the customer: what was paid is given back.
        CreditNote = "credit_note",
        /// To the customer: a webhook is told nothing more.
        WebhookDisabled = "webhook_disabled",
        /// To the address that an account had: its mails go to another from now on.
        AddressChanged = "address_changed",
        /// To somebody who may become a member of an account.
        MemberInvitation = "member_invitation",
        /// To the operator: what needs a person.
        OperatorDigest = "operator_digest",
    }
}

impl NoticeKind {
    /// One mail a kind and subject: `confirmation:<server>`, `ready:<server>:<generation>`…
    pub fn dedup_key(self, subject: &str) -> String {
        format!("{self}:{subject}")
    }
}

names! {
    /// Where a mail stands.
    MailState {
        /// Not yet handed over.
        Queued = "queued",
        /// The mail server took it.
        Sent = "sent",
        /// The mail server's answer was lost: it may have been delivered; not sent again by itself.
        Ambiguous = "ambiguous",
        /// Refused for good.
        Dead = "dead",
        /// Its cause was gone before it was sent.
        Superseded = "superseded",
    }
}
