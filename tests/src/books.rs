//! What stories about money ask an application, and do to it.

use leasehold_commands::accounts;
use leasehold_domain::{
    AccountId, Percent, Timestamp,
    addon::AddonState,
    dunning::{Enforcement, Outlook},
    lease::Lease,
    policy::{Key, Level},
    server::Status,
};
use leasehold_store::args;

use crate::App;

impl App {
    /// Takes money from the first account.
    pub async fn debit(&self, amount: &str) {
        let movement = accounts::Movement { account: &self.account, amount, reason: "test", reference: None };
        accounts::debit(&self.store, &Self::operator(), &movement).await.unwrap();
    }

    /// The id of an account by its number.
    pub async fn account_id(&self, number: &str) -> AccountId {
        self.store.read().await.unwrap().find_account(number).await.unwrap().id
    }

    /// The lease behind a server, by its label; also of one that is terminated.
    pub async fn lease(&self, label: &str) -> Lease {
        let mut tx = self.store.read().await.unwrap();
        let (server,): (String,) = tx.one("select id from servers where label = $1", args![label]).await.unwrap();
        tx.lease_of(&server.into()).await.unwrap().unwrap()
    }

    /// The status of a server, by its label.
    pub async fn status(&self, label: &str) -> Status {
        let server = self.lease(label).await.server;
        self.server(&server).await.status
    }

    /// When and why what comes next comes.
    pub async fn outlook(&self, label: &str) -> Outlook {
        let lease = self.lease(label).await;
        self.store.read().await.unwrap().outlook(&lease.account, &lease.id).await.unwrap().unwrap()
    }

    /// The charges of a server's lease: `number from until minor-units state`.
    pub async fn charges(&self, label: &str) -> Vec<String> {
        let lease = self.lease(label).await;
        let sql = "select no, from_at, until_at, amount, state from charges where lease_id = $1 and kind = 'period' order by no";
        let rows: Vec<(i64, i64, i64, i64, String)> = self.store.read().await.unwrap().all(sql, args![&lease.id]).await.unwrap();
        let day = |ms| Timestamp::from_millis(ms).day();
        rows.into_iter().map(|(no, from, until, amount, state)| format!("{no} {} {} {amount} {state}", day(from), day(until))).collect()
    }

    /// What a server's add-ons were charged: `from until minor-units state`.
    pub async fn addon_charges(&self, label: &str) -> Vec<String> {
        let lease = self.lease(label).await;
        let sql = "select from_at, until_at, amount, state from charges where lease_id = $1 and kind = 'addon' order by no";
        let rows: Vec<(i64, i64, i64, String)> = self.store.read().await.unwrap().all(sql, args![&lease.id]).await.unwrap();
        let day = |ms| Timestamp::from_millis(ms).day();
        rows.into_iter().map(|(from, until, amount, state)| format!("{} {} {amount} {state}", day(from), day(until))).collect()
    }

    /// Where the newest add-on of a kind stands.
    pub async fn addon_state(&self, label: &str, kind: &str) -> AddonState {
        let server = self.lease(label).await.server;
        let all = self.store.read().await.unwrap().server_addons(&server).await.unwrap();
        all.into_iter().rfind(|a| a.kind.as_str() == kind).unwrap().state
    }

    /// What the first account can spend, minor units.
    pub async fn cents(&self) -> i64 {
        let account = self.account_id(&self.account).await;
        self.store.read().await.unwrap().wallet(&account).await.unwrap().available().minor
    }

    /// The spans that a server's lease was charged for.
    pub async fn charge_spans(&self, label: &str) -> Vec<(Timestamp, Timestamp)> {
        let lease = self.lease(label).await;
        let sql = "select from_at, until_at from charges where lease_id = $1 and state = 'paid' order by no";
        let rows: Vec<(i64, i64)> = self.store.read().await.unwrap().all(sql, args![&lease.id]).await.unwrap();
        rows.into_iter().map(|(from, until)| (Timestamp::from_millis(from), Timestamp::from_millis(until))).collect()
    }

    /// The ends of the spans that a server's lease was charged for.
    pub async fn charge_ends(&self, label: &str) -> Vec<Timestamp> {
        let lease = self.lease(label).await;
        let sql = "select until_at from charges where lease_id = $1 order by no";
        let rows: Vec<(i64,)> = self.store.read().await.unwrap().all(sql, args![&lease.id]).await.unwrap();
        rows.into_iter().map(|(ms,)| Timestamp::from_millis(ms)).collect()
    }

    /// All invoices: `number minor-units`.
    pub async fn invoices(&self) -> Vec<String> {
        let sql = "select series, number, total from invoices order by series, number";
        let rows: Vec<(String, i64, i64)> = self.store.read().await.unwrap().all(sql, &[]).await.unwrap();
        rows.into_iter().map(|(series, number, total)| format!("{series}-{number:06} {total}")).collect()
    }

    /// What a ledger account of the house holds.
    pub async fn ledger(&self, id: &str) -> i64 {
        let sql = "select cast(coalesce(sum(case when credit = $1 then amount else -amount end), 0) as bigint) from transfers \
                   where state = 'posted' and (credit = $1 or debit = $1)";
        self.store.read().await.unwrap().int(sql, args![id]).await.unwrap()
    }

    /// How often something was taken away.
    pub async fn enforced(&self, step: Enforcement) -> i64 {
        let sql = "select count(*) from enforcements where step = $1 and done_at is not null";
        self.store.read().await.unwrap().int(sql, args![step.as_str()]).await.unwrap()
    }

    async fn change(&self, sql: &'static str, args: &[leasehold_store::Arg]) {
        let mut tx = self.store.begin().await.unwrap();
        tx.exec_one(sql, args).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Brings the database's statistics up to date, as it does by itself in time.
    pub async fn analyze(&self) {
        let mut tx = self.store.begin().await.unwrap();
        tx.exec("analyze", &[]).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Breaks or mends one row by hand.
    pub async fn spoil(&self, sql: &'static str) {
        self.change(sql, &[]).await;
    }

    /// Makes an account due then.
    pub async fn look_at_account_at(&self, account: &AccountId, at: Timestamp) {
        self.change("update wallets set settle_at = $1 where account_id = $2", args![at, account]).await;
    }

    /// Where mail of the first account goes from now on.
    pub async fn set_email(&self, email: &str) {
        let account = self.account_id(&self.account).await;
        self.change("update accounts set email = $1 where id = $2", args![email, &account]).await;
    }

    /// The tax of the first account, per cent.
    pub async fn set_tax(&self, rate: &str) {
        let account = self.account_id(&self.account).await;
        self.change("update accounts set tax_rate = $1 where id = $2", args![rate.parse::<Percent>().unwrap().thousandths(), &account]).await;
    }

    /// Sets a rule.
    pub async fn set_rule(&self, level: Level, subject: &str, key: Key, value: &str) {
        let mut tx = self.store.begin().await.unwrap();
        tx.set_rule(level, subject, key, Some(value)).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Whether mail can be handed over: without, every attempt is to be made again.
    pub fn mail_server(&self, up: bool) {
        let (folder, away) = (self.path("mails"), self.path("mails.away"));
        if up {
            std::fs::remove_file(&folder).unwrap();
            std::fs::rename(away, folder).unwrap();
        } else {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::rename(&folder, away).unwrap();
            std::fs::write(folder, "in the way").unwrap();
        }
    }
}
