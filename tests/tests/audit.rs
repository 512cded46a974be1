//! The audit finds what is wrong with the books, whoever wrote it: a good house is altered in one place at a time, and each is found.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use leasehold_commands::{addons, coupons, order, servers};
use leasehold_domain::policy::{Key, Level};
use leasehold_store::{Clock, Options, Store};
use leasehold_tests::{Kind, app::App};

const DAY: Duration = Duration::from_hours(24);

/// A house with everything in it: renewals, add-ons, a coupon, tax, a refund, one who owes, one who is suspended, one who is over.
async fn house(app: &mut App) {
    app.set_tax("19").await;
    app.set_rule(Level::System, "", Key::SuspendAfter, "3d").await;
    coupons::create(
        &app.store,
        &App::operator(),
        &coupons::NewCoupon { code: "SPRING", percent: Some("20".parse().unwrap()), periods: Some(3), ..coupons::NewCoupon::default() },
    )
    .await
    .unwrap();
    app.order("plain").await;
    let with = order::Order { coupon: Some("SPRING".into()), addons: vec!["ip".into()], ..app.an_order("rich") };
    order::order(&app.store, &App::operator(), &with).await.unwrap();
    app.order("over").await;
    app.until_quiet().await;
    addons::attach(&app.store, &App::operator(), "plain", "backup", None).await.unwrap();
    app.until_quiet().await;
    servers::terminate(&app.store, &App::operator(), "over", servers::Unfinished::Paid).await.unwrap();
    app.live(20 * DAY).await;
    let poor = app.new_account("poor@example.org", "11.00").await;
    order::order(&app.store, &App::operator(), &order::Order { account: poor, ..app.an_order("suspended") }).await.unwrap();
    app.live(10 * DAY).await;
    let owes = app.new_account("owes@example.org", "11.00").await;
    order::order(&app.store, &App::operator(), &order::Order { account: owes, ..app.an_order("owes") }).await.unwrap();
    app.top_up(&app.account, "100.00").await;
    app.live(31 * DAY + Duration::from_hours(30)).await;
}

/// What is altered, and in which words the audit says so.
const ALTERATIONS: &[(&str, &str)] = &[
    (
        "a period a day short",
        "update charges set until_at = until_at - 86400000 where kind = 'period' and no = (select max(no) from charges c where c.lease_id = charges.lease_id and c.kind = 'period')",
    ),
    ("a period a day long", "update charges set until_at = until_at + 86400000 where kind = 'period' and state = 'paid' and no = 1"),
    ("a later beginning", "update charges set from_at = from_at + 3600000 where kind = 'period' and no = 2"),
    ("paid a year ahead", "update leases set paid_until = paid_until + 31536000000 where state = 'active'"),
    ("paid a day less", "update leases set paid_until = paid_until - 86400000 where state = 'active'"),
    ("another anchor", "update leases set anchor_at = anchor_at + 86400000 where state = 'active'"),
    ("another zone", "update leases set zone = 'Pacific/Kiritimati', anchor_at = anchor_at + 7200000 where state = 'active'"),
    ("a longer cycle", "update leases set cycle = '12m' where state = 'active'"),
    ("a period forgotten", "update leases set period_no = period_no - 1 where state = 'active'"),
    ("a period ahead", "update leases set period_no = period_no + 1 where state = 'active'"),
    ("an invoice of somebody else", "update invoices set account_id = (select max(id) from accounts) where number = 1 and kind = 'invoice'"),
    (
        "an invoice of other days",
        "update invoice_lines set from_at = from_at - 3456000000, until_at = until_at - 3456000000 where invoice_id = (select min(id) from invoices)",
    ),
    (
        "an invoice of more than was paid",
        "update invoice_lines set amount = amount + 100 where invoice_id = (select min(id) from invoices) and no = 1; update invoices set net = net + 100, total = total + 100 where id = (select min(id) from invoices)",
    ),
    (
        "an invoice that is gone, number, receipt and all",
        "delete from mails where dedup_key = 'receipt:' || (select max(id) from invoices where kind = 'invoice'); delete from invoice_lines where invoice_id = (select max(id) from invoices where kind = 'invoice'); delete from invoices where id = (select max(id) from invoices where kind = 'invoice'); update invoice_series set next_no = next_no - 1 where id not like 'CN%'",
    ),
    (
        "a boundary of two periods, in every place",
        "update invoice_lines set until_at = until_at + 86400000 where charge_no = 1 and lease_id in (select l.id from leases l join servers s on s.id = l.server_id where s.label = 'rich'); \
         update invoice_lines set from_at = from_at + 86400000 where charge_no = 2 and lease_id in (select l.id from leases l join servers s on s.id = l.server_id where s.label = 'rich'); \
         update charges set until_at = until_at + 86400000 where no = 1 and lease_id in (select l.id from leases l join servers s on s.id = l.server_id where s.label = 'rich'); \
         update charges set from_at = from_at + 86400000 where no = 2 and lease_id in (select l.id from leases l join servers s on s.id = l.server_id where s.label = 'rich')",
    ),
    (
        "invoice lines of nothing that was paid",
        "insert into invoice_lines (invoice_id, no, lease_id, charge_no, description, from_at, until_at, amount, zone) \
         select invoice_id, no + 10, lease_id, 999, description, from_at, until_at, 100, zone from invoice_lines where invoice_id = (select min(id) from invoices); \
         insert into invoice_lines (invoice_id, no, lease_id, charge_no, description, from_at, until_at, amount, zone) \
         select invoice_id, no + 20, lease_id, 999, description, from_at, until_at, -100, zone from invoice_lines where invoice_id = (select min(id) from invoices) and no < 10",
    ),
    (
        "a charge that is billed once more with other days",
        "insert into invoice_lines (invoice_id, no, lease_id, charge_no, description, from_at, until_at, amount, zone) \
         select invoice_id, no + 10, lease_id, charge_no, description, from_at + 86400000, until_at + 86400000, amount, zone from invoice_lines \
         where invoice_id = (select min(id) from invoices); \
         update invoices set net = (select sum(amount) from invoice_lines where invoice_id = invoices.id), total = total + total, tax = tax + tax, \
         taxes = (select taxes from invoices o where o.id = invoices.id) where id = (select min(id) from invoices)",
    ),
    (
        "an address in a block of somebody else",
        "update addresses set address = substr(address, 1, length(address) - 1) || '0/24' where address = (select min(address) from addresses where server_id is not null)",
    ),
    ("a receipt that is missing", "delete from mails where id = (select min(id) from mails where kind = 'receipt')"),
    ("a welcome that is missing", "delete from mails where id = (select min(id) from mails where kind = 'server_ready')"),
    ("a confirmation that is missing", "delete from mails where id = (select min(id) from mails where kind = 'order_confirmation')"),
    ("nobody was told of a failed payment", "delete from mails where id in (select id from mails where kind = 'payment_failed')"),
    ("told after the suspension", "update mails set sent_at = sent_at + 864000000 where kind = 'payment_failed'"),
    ("suspended three days early", "update leases set suspended_at = suspended_at - 259200000 where state = 'suspended'"),
    ("suspended later than told", "update leases set suspended_at = suspended_at + 864000000 where state = 'suspended'"),
    ("suspended at no time", "update leases set suspended_at = null where state = 'suspended'"),
    ("a suspended lease that runs", "update leases set state = 'active' where state = 'suspended'"),
    ("a lease that owes and is called paid", "update leases set state = 'active' where state = 'past_due'"),
    ("an active lease that is called owing", "update leases set state = 'past_due' where state = 'active'"),
    ("an open charge called paid", "update charges set state = 'paid' where state = 'open'"),
    ("a paid charge called void", "update charges set state = 'void' where state = 'paid' and no = 1"),
    ("a charge of a cent more", "update charges set amount = amount + 1 where state = 'paid' and no = 1 and kind = 'period'"),
    ("a charge of a cent more tax", "update charges set tax = tax + 1 where state = 'paid' and kind = 'period' and no = 2"),
    ("a charge without its payment", "update charges set transfer = null where state = 'paid' and kind = 'period' and no = 2"),
    ("a charge that is gone", "delete from charges where kind = 'period' and no = 2"),
    (
        "a renewal posted twice",
        "insert into transfers (id, reference, debit, credit, amount, currency, state, code, wallet, created_at, resolved_at) \
      select id || 'x', reference || 'x', debit, credit, amount, currency, state, code, wallet, created_at, resolved_at from transfers where code = 'renewal' limit 1",
    ),
    (
        "a transfer of a cent less",
        "update transfers set amount = amount - 1 where code = 'renewal' and id = (select min(id) from transfers where code = 'renewal')",
    ),
    ("a transfer that is gone", "delete from transfers where id = (select min(id) from transfers where code = 'renewal')"),
    ("a top-up that is gone", "delete from transfers where id = (select min(id) from transfers where code = 'top_up')"),
    ("a wallet with a cent more", "update wallets set posted = posted + 1"),
    ("a wallet with something held", "update wallets set held = held + 1"),
    ("a wallet that owes", "update wallets set owed = owed + 1"),
    ("a wallet that nobody settles", "update wallets set settle_at = null where account_id in (select account_id from leases where state = 'active')"),
    (
        "put off for a year, as if it took too long",
        "update wallets set settle_at = settle_at + 31536000000, last_error = 'too long' where account_id in (select account_id from leases where state = 'active')",
    ),
    ("an invoice of a cent more", "update invoices set total = total + 1 where id = (select min(id) from invoices)"),
    ("an invoice of more tax", "update invoices set tax = tax + 1, total = total + 1 where id = (select min(id) from invoices where tax > 0)"),
    ("invoice lines that are gone", "delete from invoice_lines where invoice_id = (select max(id) from invoices)"),
    ("an invoice line of less", "update invoice_lines set amount = amount - 1 where invoice_id = (select min(id) from invoices) and no = 1"),
    ("a number that is left out", "update invoice_series set next_no = next_no + 1"),
    ("a number that comes again", "update invoice_series set next_no = next_no - 1"),
    ("a line of a lease of less", "update lease_lines set amount = amount - 1 where kind = 'plan'"),
    ("a line that nobody agreed", "update lease_lines set until_period = 1 where kind = 'plan' and until_period is null"),
    (
        "an address of a server that is over",
        "update addresses set server_id = (select id from servers where status = 'terminated') where address = (select min(address) from addresses where server_id is not null)",
    ),
    ("a server without its room", "delete from reservations"),
    ("a hold that is lifted", "delete from holds where kind = 'billing'"),
    ("a hold for nothing", "insert into holds (server_id, kind, reason, placed_at) select id, 'billing', 'x', created_at from servers where label = 'plain'"),
    ("a server whose lease is over", "update leases set state = 'ended' where state = 'active'"),
    ("an ended server whose lease goes on", "update leases set state = 'active' where state = 'ended'"),
    ("a server that is forgotten", "update servers set goal = 'stopped' where label = 'plain'"),
    ("an add-on without its price", "update lease_lines set until_period = 1 where kind = 'addon' and until_period is null"),
    ("a coupon used once more", "update coupons set used = used + 1"),
    ("an account without an owner", "delete from members"),
];

#[tokio::test]
async fn every_alteration_of_a_good_house_is_found() {
    leasehold_tests::app::tell(Kind::Sqlite, async |app: &mut App| {
        house(app).await;
        app.audit().await;
        let states =
            app.store.read().await.unwrap().all::<(String, i64)>("select state, count(*) from leases group by state order by state", &[]).await.unwrap();
        let states: Vec<&str> = states.iter().map(|(state, _)| state.as_str()).collect();
        assert_eq!(states, ["active", "ended", "past_due", "suspended"], "the house has one of each");
        let mut unseen = Vec::new();
        for (n, (what, sql)) in ALTERATIONS.iter().enumerate() {
            let copy = app.path(&format!("altered-{n}.db"));
            app.store.backup_to(&copy.display().to_string()).await.unwrap();
            let store = Store::open(Options { clock: Clock::frozen(app.now()), ..Options::new(format!("sqlite:{}", copy.display())) }).await.unwrap();
            let mut tx = store.begin().await.unwrap();
            tx.exec("pragma defer_foreign_keys = on", &[]).await.unwrap();
            for part in sql.split("; ") {
                assert!(tx.exec(part, &[]).await.unwrap() > 0, "{what} alters nothing");
            }
            tx.commit().await.unwrap();
            let found = store.audit().await.unwrap();
            if found.is_empty() {
                unseen.push(*what);
            }
            store.close().await;
            std::fs::remove_file(copy).unwrap();
        }
        println!("{} of {} alterations were found", ALTERATIONS.len() - unseen.len(), ALTERATIONS.len());
        assert!(unseen.is_empty(), "{unseen:?}");
    })
    .await;
}
