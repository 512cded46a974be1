//! `leasehold --server … account show`

use super::{Remote, only_here, word};
use crate::{commands::account::Account, exit::Failure, output::show};

pub(super) async fn run(r: &Remote, command: Account) -> Result<(), Failure> {
    let Account::Show { account } = command else { return Err(only_here("all of account but show")) };
    let a = r.get("/account").await?;
    if !["me", &word(&a, "id")].contains(&account.as_str()) {
        return Err(Failure::NotFound(format!("the key belongs to the account {}, not to '{account}'; say: account show me", word(&a, "id"))));
    }
    show(r.json, &a, || {
        say!("account   {}", word(&a, "id"));
        say!("owner     {} {}, {}", word(&a, "firstName"), word(&a, "lastName"), word(&a, "email"));
        say!("balance   {} {}", word(&a, "balance"), word(&a, "currency"));
        say!("tier      {}", word(&a, "tier"));
    });
    Ok(())
}
