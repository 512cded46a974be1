//! The account API of WAYSCloud, `/v1/account`: one file a resource, and one for its errors.

pub(crate) mod api_keys;
pub(crate) mod error;
pub(crate) mod profile;
pub(crate) mod services;
pub(crate) mod ssh_keys;

use serde::Serialize;
use utoipa::ToSchema;

/// Something is gone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Deleted {
    success: bool,
    message: &'static str,
}

impl Deleted {
    fn because(message: &'static str) -> axum::Json<Self> {
        axum::Json(Self { success: true, message })
    }
}
