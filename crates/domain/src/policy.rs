//! The policy: after which time what is done to a lease that is not paid. One value a key; set for the whole house, a plan,
//! an account or a lease, the narrower wins.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::{
    Percent, Timestamp,
    breaker::Limits,
    names, period,
    server::Means,
    time::{parse_duration, show_duration},
    window::Window,
};

names! {
    /// How a lease goes on that was paid after its server was suspended.
    Reactivation {
        /// What was used is paid by the second, and a new period begins with the payment.
        Rebase = "rebase",
        /// The unpaid period is paid in full, and what was left of it when the server was suspended follows the payment.
        Resume = "resume",
        /// As if the server had never been off: every period since then is paid.
        Accrue = "accrue",
    }
}

names! {
    /// Which orders an operator looks at before they are delivered.
    Review {
        /// None.
        Never = "never",
        /// The first ones of an account: until one of its servers has run.
        First = "first",
        /// All.
        Always = "always",
    }
}

/// Where an account may pay in by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// What kind of money: `bitcoin`, `tron`, …
    pub chain: String,
    /// The address there.
    pub address: String,
}

/// `bitcoin:bc1q…,tron:T…`
fn deposits(text: &str) -> Result<Vec<Deposit>, String> {
    let plain = |part: &str| (1..=128).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
    let deposit = |text: &str| match text.split_once(':') {
        Some((chain, address)) if plain(chain) && plain(address) => Ok(Deposit { chain: chain.to_owned(), address: address.to_owned() }),
        _ => Err(format!("'{text}' is not like bitcoin:bc1q…")),
    };
    text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(deposit).collect()
}

names! {
    /// How far a value of the policy reaches; the later wins.
    Level {
        /// Every lease.
        System = "system",
        /// Leases of one plan.
        Plan = "plan",
        /// Leases of one account.
        Account = "account",
        /// One lease.
        Lease = "lease",
    }
}

names! {
    /// Every key.
    Key {
        /// From the failed charge to the suspension.
        SuspendAfter = "suspend_after",
        /// From the suspended machine to its end.
        TerminateAfter = "terminate_after",
        /// When before the end of a paid period to tell that the wallet will not do.
        LowBalanceBefore = "low_balance_before",
        /// When before the suspension to remind.
        RemindBefore = "remind_before",
        /// When before the end to warn.
        WarnBefore = "warn_before",
        /// The least time between a notice that was sent and what it tells of.
        MinNotice = "min_notice",
        /// After which time a bounced notice of a failed charge counts as told.
        UndeliverableAfter = "undeliverable_after",
        /// When servers may be suspended and ended.
        Window = "window",
        /// The zone of the window and, for new leases, of their periods.
        Zone = "zone",
        /// How a lease goes on that is paid after its suspension.
        Reactivation = "reactivation",
        /// What a suspension for an unpaid charge does to the machine.
        SuspendBy = "suspend_by",
        /// A failed charge suspends nothing.
        NeverSuspend = "never_suspend",
        /// A suspended server is never ended.
        NeverTerminate = "never_terminate",
        /// Orders that an account may place within an hour; 0: any number.
        OrdersPerHour = "orders_per_hour",
        /// Of an order that its owner ends after its first boot, the least span that is paid for; `0s`: what was used, by the second.
        MinCharge = "min_charge",
        /// An order that could not begin within this is given up, and its money comes back.
        StartWithin = "start_within",
        /// Which orders an operator looks at before they are delivered.
        Review = "review",
        /// Where an account may pay in by itself, as `chain:address`, separated by commas.
        DepositAddresses = "deposit_addresses",
        /// Suspensions within a day without asking, in any case.
        SuspensionsCount = "breaker.suspensions.count",
        /// And so many per cent of all leases.
        SuspensionsPercent = "breaker.suspensions.percent",
        /// Terminations within a day without asking, in any case.
        TerminationsCount = "breaker.terminations.count",
        /// And so many per cent of all leases.
        TerminationsPercent = "breaker.terminations.percent",
        /// Renewals above twice the forecast of their day without asking, in any case.
        RenewalsCount = "breaker.renewals.count",
        /// And so many per cent of all leases.
        RenewalsPercent = "breaker.renewals.percent",
    }
}

impl Key {
    /// Whether it is a rule of the whole house only.
    pub const fn is_for_the_house(self) -> bool {
        matches!(
            self,
            Self::SuspensionsCount
                | Self::SuspensionsPercent
                | Self::TerminationsCount
                | Self::TerminationsPercent
                | Self::RenewalsCount
                | Self::RenewalsPercent
        )
    }
}

/// What is done to a lease that is not paid, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// From the failed charge to the suspension.
    pub suspend_after: Duration,
    /// From the suspended machine to its end.
    pub terminate_after: Duration,
    /// Before the end of a paid period; longest first.
    pub low_balance_before: Vec<Duration>,
    /// Before the suspension; longest first.
    pub remind_before: Vec<Duration>,
    /// Before the end; longest first, at least one.
    pub warn_before: Vec<Duration>,
    /// Between a sent notice and what it tells of.
    pub min_notice: Duration,
    /// After which a bounced notice of a failed charge counts as told.
    pub undeliverable_after: Duration,
    /// When servers may be suspended and ended.
    pub window: Window,
    /// Its zone; an IANA name.
    pub zone: String,
    /// How a lease goes on that is paid after its suspension.
    pub reactivation: Reactivation,
    /// What a suspension for an unpaid charge does to the machine.
    pub suspend_by: Means,
    /// A failed charge suspends nothing.
    pub never_suspend: bool,
    /// A suspended server is never ended.
    pub never_terminate: bool,
    /// Orders within an hour and an account; 0: any number.
    pub orders_per_hour: i64,
    /// The least span that is paid for of an order that is ended after its first boot.
    pub min_charge: Duration,
    /// How long an order may wait for its build to begin.
    pub start_within: Duration,
    /// Which orders an operator looks at before they are delivered.
    pub review: Review,
    /// Where an account may pay in by itself.
    pub deposit_addresses: Vec<Deposit>,
    /// Suspensions within a day without asking.
    pub suspensions: Limits,
    /// Terminations within a day without asking.
    pub terminations: Limits,
    /// Renewals above twice the forecast of their day without asking.
    pub renewals: Limits,
}

/// What customers of hosts like the ones that this is made for are told.
impl Default for Policy {
    fn default() -> Self {
        let days = |list: &[u64]| list.iter().map(|n| Duration::from_hours(24 * n)).collect();
        Self {
            suspend_after: Duration::from_hours(3 * 24),
            terminate_after: Duration::from_hours(14 * 24),
            low_balance_before: days(&[7, 3, 1]),
            remind_before: days(&[1]),
            warn_before: days(&[7, 3, 1]),
            min_notice: Duration::from_hours(24),
            undeliverable_after: Duration::from_hours(7 * 24),
            window: Window::Always,
            zone: "UTC".into(),
            reactivation: Reactivation::Rebase,
            suspend_by: Means::PowerOff,
            never_suspend: false,
            never_terminate: false,
            orders_per_hour: 10,
            min_charge: Duration::from_hours(1),
            start_within: Duration::from_hours(24),
            review: Review::Never,
            deposit_addresses: vec![],
            suspensions: Limits { count: 50, percent: Percent::whole(2) },
            terminations: Limits { count: 10, percent: Percent::permille(5) },
            renewals: Limits { count: 50, percent: Percent::whole(5) },
        }
    }
}

/// A value that a key does not take, or a key that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy {key} = \"{value}\": {why}")]
pub struct BadPolicy {
    key: String,
    value: String,
    why: String,
}

/// The longest span that a policy may name.
const LONGEST: Duration = Duration::from_hours(24 * 365 * 5);

fn span(text: &str) -> Result<Duration, String> {
    let span = parse_duration(text).map_err(|e| e.to_string())?;
    if span <= LONGEST { Ok(span) } else { Err(format!("more than {}", show_duration(LONGEST))) }
}

/// `7d,3d,1d`, in any order.
fn spans(text: &str) -> Result<Vec<Duration>, String> {
    let mut spans = text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(span).collect::<Result<Vec<_>, _>>()?;
    spans.sort_by(|a, b| b.cmp(a));
    spans.dedup();
    Ok(spans)
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "write true or false".to_owned())
}

fn count(text: &str) -> Result<i64, String> {
    text.parse::<u32>().map(i64::from).map_err(|_| "write a whole number".to_owned())
}

fn percent(text: &str) -> Result<Percent, String> {
    text.parse().map_err(|_| "write a number of per cent, like 2 or 0.5".to_owned())
}

impl Policy {
    /// Sets one key, as it is written in a catalogue or on a command line.
    pub fn set(&mut self, key: Key, value: &str) -> Result<(), BadPolicy> {
        self.try_set(key, value).map_err(|why| BadPolicy { key: key.to_string(), value: value.to_owned(), why })
    }

    fn try_set(&mut self, key: Key, value: &str) -> Result<(), String> {
        match key {
            Key::SuspendAfter => self.suspend_after = span(value)?,
            Key::TerminateAfter => self.terminate_after = span(value)?,
            Key::LowBalanceBefore => self.low_balance_before = spans(value)?,
            Key::RemindBefore => self.remind_before = spans(value)?,
            Key::WarnBefore => {
                self.warn_before = spans(value)?;
                if self.warn_before.is_empty() {
                    return Err("nobody's server is ended without a warning; name at least one span, like 1d".into());
                }
            }
            Key::MinNotice => self.min_notice = span(value)?,
            Key::UndeliverableAfter => self.undeliverable_after = span(value)?,
            Key::Window => self.window = value.parse().map_err(|e: crate::window::BadWindow| e.to_string())?,
            Key::Zone => {
                period::zone(value).map_err(|e| e.to_string())?;
                value.clone_into(&mut self.zone);
            }
            Key::Reactivation => self.reactivation = value.parse().map_err(|e: crate::UnknownName| e.to_string())?,
            Key::SuspendBy => self.suspend_by = value.parse().map_err(|e: crate::UnknownName| e.to_string())?,
            Key::NeverSuspend => self.never_suspend = yes_or_no(value)?,
            Key::NeverTerminate => self.never_terminate = yes_or_no(value)?,
            Key::OrdersPerHour => self.orders_per_hour = count(value)?,
            Key::MinCharge => self.min_charge = span(value)?,
            Key::StartWithin => self.start_within = span(value)?,
            Key::Review => self.review = value.parse().map_err(|e: crate::UnknownName| e.to_string())?,
            Key::DepositAddresses => self.deposit_addresses = deposits(value)?,
            Key::SuspensionsCount => self.suspensions.count = count(value)?,
            Key::SuspensionsPercent => self.suspensions.percent = percent(value)?,
            Key::TerminationsCount => self.terminations.count = count(value)?,
            Key::TerminationsPercent => self.terminations.percent = percent(value)?,
            Key::RenewalsCount => self.renewals.count = count(value)?,
            Key::RenewalsPercent => self.renewals.percent = percent(value)?,
        }
        Ok(())
    }

    /// The value of a key in the form that [`Policy::set`] reads.
    pub fn get(&self, key: Key) -> String {
        let list = |spans: &[Duration]| spans.iter().map(|s| show_duration(*s)).collect::<Vec<_>>().join(",");
        match key {
            Key::SuspendAfter => show_duration(self.suspend_after),
            Key::TerminateAfter => show_duration(self.terminate_after),
            Key::LowBalanceBefore => list(&self.low_balance_before),
            Key::RemindBefore => list(&self.remind_before),
            Key::WarnBefore => list(&self.warn_before),
            Key::MinNotice => show_duration(self.min_notice),
            Key::UndeliverableAfter => show_duration(self.undeliverable_after),
            Key::Window => self.window.to_string(),
            Key::Zone => self.zone.clone(),
            Key::Reactivation => self.reactivation.to_string(),
            Key::SuspendBy => self.suspend_by.to_string(),
            Key::NeverSuspend => self.never_suspend.to_string(),
            Key::NeverTerminate => self.never_terminate.to_string(),
            Key::OrdersPerHour => self.orders_per_hour.to_string(),
            Key::MinCharge => show_duration(self.min_charge),
            Key::StartWithin => show_duration(self.start_within),
            Key::Review => self.review.to_string(),
            Key::DepositAddresses => self.deposit_addresses.iter().map(|d| format!("{}:{}", d.chain, d.address)).collect::<Vec<_>>().join(","),
            Key::SuspensionsCount => self.suspensions.count.to_string(),
            Key::SuspensionsPercent => self.suspensions.percent.to_string(),
            Key::TerminationsCount => self.terminations.count.to_string(),
            Key::TerminationsPercent => self.terminations.percent.to_string(),
            Key::RenewalsCount => self.renewals.count.to_string(),
            Key::RenewalsPercent => self.renewals.percent.to_string(),
        }
    }

    /// The first instant from `at` on when something may be taken away.
    pub fn opens(&self, at: Timestamp) -> Timestamp {
        self.window.opens(at, &period::zone(&self.zone).unwrap_or(TimeZone::UTC))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_reads_back_as_it_is_shown() {
        let policy = Policy::default();
        let mut other = Policy { warn_before: Vec::new(), zone: "Europe/Berlin".into(), never_suspend: true, ..Policy::default() };
        for key in Key::ALL {
            other.set(*key, &policy.get(*key)).unwrap();
        }
        assert_eq!(other, policy);
    }

    #[test]
    fn what_a_key_does_not_take_is_refused_with_the_reason() {
        let bad = [
            (Key::SuspendAfter, "3"),
            (Key::SuspendAfter, "9999d"),
            (Key::WarnBefore, ""),
            (Key::Window, "at night"),
            (Key::Zone, "Mars/Base"),
            (Key::Reactivation, "later"),
            (Key::SuspendBy, "asking"),
            (Key::NeverSuspend, "yes"),
            (Key::SuspensionsCount, "-1"),
            (Key::TerminationsPercent, "0.1234"),
            (Key::TerminationsPercent, "101"),
        ];
        for (key, value) in bad {
            let error = Policy::default().set(key, value).unwrap_err().to_string();
            assert!(error.starts_with(&format!("policy {key} = \"{value}\": ")), "{error}");
        }
        let mut policy = Policy::default();
        policy.set(Key::WarnBefore, "1d, 7d,3d,1d").unwrap();
        assert_eq!(policy.get(Key::WarnBefore), "7d,3d,1d");
    }
}
