//! The account API of e24cloud, `/v2/account`: requests are signed, making is PUT, changing is POST, and every answer says whether it was a
//! success.

pub(crate) mod account;
pub(crate) mod api;
pub(crate) mod error;
pub(crate) mod signed;
pub(crate) mod sshkeys;

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

/// It was done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Success {
    /// Always true.
    success: bool,
}

const SUCCESS: Json<Success> = Json(Success { success: true });
