//! The accounts API of Cloud 66, `/api/3`: the accounts that a person belongs to, one-time passwords, and machines elsewhere.

pub(crate) mod accounts;
pub(crate) mod error;
pub(crate) mod otp;
pub(crate) mod register;
