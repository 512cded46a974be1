//! What is offered to those who bring customers. The host pays it out; here it is only said.

use serde::{Deserialize, Serialize};

use crate::names;

names! {
    /// What earns a reward.
    Trigger {
        /// Somebody registered and confirmed the address.
        VerifiedSignup = "verified_signup",
        /// The first payment.
        FirstDeposit = "first_deposit",
        /// Each payment.
        EveryDeposit = "every_deposit",
    }
}

names! {
    /// How a reward is counted.
    RewardType {
        /// An amount.
        Fixed = "fixed",
        /// A part of the payment, per cent.
        Percent = "percent",
    }
}

/// The rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affiliates {
    /// Whether anything is offered.
    pub enabled: bool,
    /// What earns a reward.
    pub trigger: Trigger,
    /// How it is counted.
    pub reward_type: RewardType,
    /// How much, a decimal: an amount, or per cent.
    pub reward_amount: String,
}

impl Default for Affiliates {
    fn default() -> Self {
        Self { enabled: false, trigger: Trigger::FirstDeposit, reward_type: RewardType::Percent, reward_amount: "0".into() }
    }
}

impl Affiliates {
    /// What is wrong with it, if anything.
    pub fn check(&self) -> Result<(), String> {
        let (whole, decimals) = self.reward_amount.split_once('.').unwrap_or((&self.reward_amount, "0"));
        let digits = |text: &str| !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 3 {
            return Err(format!("reward_amount '{}' is no decimal like \"5\" or \"2.50\"", self.reward_amount));
        }
        if self.reward_type == RewardType::Percent && whole.parse::<u32>().is_ok_and(|n| n > 100) {
            return Err(format!("a reward of {} per cent is more than all", self.reward_amount));
        }
        Ok(())
    }
}
