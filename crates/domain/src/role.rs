//! What people may do for an account.

use crate::names;

names! {
    /// As what somebody acts for an account.
    Role {
        /// Everything, and who else owns it.
        Owner = "owner",
        /// Everything but what concerns owners.
        Admin = "admin",
        /// What it costs, and what it is for.
        Billing = "billing",
        /// Looking, at nothing secret.
        ReadOnly = "read-only",
    }
}

/// What whoever pays sees.
const BILLING: &[&str] = &["account:read", "billing:read", "servers:read", "services:read", "users"];

impl Role {
    /// Whether a key of somebody in this role may have a use for a scope; what the key carries bounds it further.
    pub fn may(self, scope: &str) -> bool {
        match self {
            Self::Owner | Self::Admin => true,
            Self::Billing => BILLING.contains(&scope),
            Self::ReadOnly => scope.ends_with(":read") || scope == "users",
        }
    }

    /// Whether it runs the account: invites others, sees what opens a server.
    pub const fn runs_it(self) -> bool {
        matches!(self, Self::Owner | Self::Admin)
    }

    /// Whether it may give a role to somebody, change it, or take it away.
    pub const fn manages(self, other: Self) -> bool {
        match self {
            Self::Owner => true,
            Self::Admin => !matches!(other, Self::Owner),
            Self::Billing | Self::ReadOnly => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_bounds_what_its_keys_do() {
        let scopes = ["*", "account:read", "billing:read", "servers:read", "servers:write", "api_keys:write", "storage:read", "e24", "users"];
        let may = |role: Role| scopes.into_iter().filter(|scope| role.may(scope)).collect::<Vec<_>>().join(" ");
        assert_eq!((may(Role::Owner), may(Role::Admin)), (scopes.join(" "), scopes.join(" ")));
        assert_eq!(may(Role::Billing), "account:read billing:read servers:read users");
        assert_eq!(may(Role::ReadOnly), "account:read billing:read servers:read storage:read users");
    }

    #[test]
    fn nobody_manages_whoever_may_more() {
        let pairs = Role::ALL.iter().flat_map(|by| Role::ALL.iter().map(move |of| (*by, *of)));
        let managed: Vec<String> = pairs.filter(|(by, of)| by.manages(*of)).map(|(by, of)| format!("{by}>{of}")).collect();
        assert_eq!(managed.join(" "), "owner>owner owner>admin owner>billing owner>read-only admin>admin admin>billing admin>read-only");
    }
}
