//! Links that sign a person in to the panel, once and soon.

use std::time::Duration;

use leasehold_domain::AccountId;
use leasehold_store::{Store, activity::Actor, sign_in::SignedIn};
use secrecy::SecretString;

use crate::{CommandError, Result, commit};

/// How long a link may be used.
pub const LASTS: Duration = Duration::from_mins(5);
const NEXT_MAX: usize = 500;

/// A path of this host: it begins with one `/` and leads nowhere else.
fn check_next(next: &str) -> Result<()> {
    let plain = next.bytes().all(|b| b.is_ascii_graphic() && !b"\\<>\"'`".contains(&b));
    if next.starts_with('/') && !next.starts_with("//") && plain && next.len() <= NEXT_MAX {
        return Ok(());
    }
    Err(CommandError::Invalid("'next' is a path that begins with one /, like /dashboard".into()))
}

/// Makes a link for a person who acts for an account that leads to `next`; its secret part.
pub async fn link(store: &Store, actor: &Actor, account: &AccountId, user: &str, next: &str) -> Result<SecretString> {
    check_next(next)?;
    let mut tx = store.begin().await?;
    let expires_at = tx.now + LASTS;
    let secret = tx.create_sign_in(account, user, next, expires_at).await?;
    tx.log(actor, "account.sign_in_link", Some(account), None, next).await?;
    commit(tx).await?;
    Ok(secret)
}

/// Uses a link up.
pub async fn follow(store: &Store, origin: &str, secret: &str) -> Result<SignedIn> {
    let mut tx = store.begin().await?;
    let signed_in =
        tx.use_sign_in(secret).await?.ok_or_else(|| CommandError::NotFound("this link was used, or is older than 5 minutes; ask for another".into()))?;
    let actor = Actor { name: format!("user:{}", signed_in.user_id), origin: origin.to_owned() };
    tx.log(&actor, "account.signed_in", Some(&signed_in.account_id.as_str().into()), None, "").await?;
    commit(tx).await?;
    Ok(signed_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_nowhere_else() {
        for good in ["/", "/dashboard", "/dashboard/servers/1?tab=net#x"] {
            check_next(good).unwrap();
        }
        for bad in ["", "dashboard", "//evil.example", "/\\evil.example", "https://evil.example", "/a b", "/a\r\nb", "/<script>", "/ä"] {
            assert!(check_next(bad).is_err(), "{bad}");
        }
    }
}
