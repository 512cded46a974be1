//! Stories of money that goes back, of tax, and of the documents about it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use leasehold_commands::{
    accounts::{self, Billing, Edit, Movement},
    order,
    refunds::{self, Refund},
};
use leasehold_domain::{Reference, document::Document, lease::LeaseState, server::Status};
use leasehold_store::{
    accounts::{AccountState, NewAccount},
    books::Booked,
};
use leasehold_tests::{App, on_both};

const DAY: Duration = Duration::from_hours(24);

const SELLER: &str = "[seller]\nname = \"Example Hosting\"\naddress = [\"Musterweg 1\", \"60311 Frankfurt\"]\ncountry = \"DE\"\nvatId = \"DE123456789\"\n\
                      [tax]\nDE = \"19\"\nFR = \"20\"\n";

async fn charge_back(app: &App, amount: &str, reference: &str) -> (Booked, String) {
    let movement = Movement { account: &app.account, amount, reason: "bank", reference: Some(&reference.parse().unwrap()) };
    let (booked, owed) = refunds::charge_back(&app.store, &App::operator(), &movement).await.unwrap();
    (booked, owed.decimal())
}

async fn refund(app: &App, invoice: &str, amount: Option<&str>) -> Result<String, String> {
    let reference: Option<Reference> = amount.map(|a| format!("case-{a}").parse().unwrap());
    let refund = Refund { invoice, amount, payout: false, reason: "two days away", reference: reference.as_ref() };
    let note = refunds::refund(&app.store, &App::operator(), &refund).await;
    note.map(|n| format!("{} {} {}", n.name(), n.total, n.tax)).map_err(|e| e.to_string())
}

async fn state(app: &App) -> AccountState {
    app.store.read().await.unwrap().find_account(&app.account).await.unwrap().state
}

on_both!(a_chargeback_beyond_the_wallet_is_owed_freezes_and_is_paid_first(app) {
    app.order("web").await;
    app.until_quiet().await;
    assert_eq!(charge_back(app, "100.00", "cb-1").await, (Booked::New, "9.00".into()));
    assert_eq!(charge_back(app, "100.00", "cb-1").await, (Booked::Before, "9.00".into()), "told twice");
    assert_eq!((app.balance().await.as_str(), state(app).await), ("0.00", AccountState::Frozen));
    assert_eq!(app.ledger("receivable:EUR").await, -900);
    let refused = order::order(&app.store, &App::operator(), &app.an_order("more")).await.unwrap_err().to_string();
    assert_eq!(refused, format!("account {} is frozen; nothing is sold to it", app.account));
    assert!(app.attention().await.iter().any(|a| a.starts_with("chargeback account:")));
    app.live(33 * DAY).await;
    assert_eq!(app.lease("web").await.state, LeaseState::PastDue);
    app.top_up(&app.account, "10.00").await;
    // 9.00 were owed from before; what is left does not pay the month.
    assert_eq!((app.balance().await.as_str(), app.lease("web").await.state), ("1.00", LeaseState::PastDue));
    assert_eq!(app.ledger("receivable:EUR").await, 0);
    app.top_up(&app.account, "8.00").await;
    assert_eq!((app.balance().await.as_str(), app.lease("web").await.state), ("0.00", LeaseState::Active));
    assert_eq!(state(app).await, AccountState::Frozen, "an operator decides about that");
});

on_both!(what_is_owed_can_be_written_off_once(app) {
    assert_eq!(charge_back(app, "130.00", "cb-1").await.1, "30.00");
    let owed = refunds::write_off(&app.store, &App::operator(), &app.account, "gone", None).await.unwrap();
    assert_eq!((owed.decimal().as_str(), app.ledger("write_offs:EUR").await, app.ledger("receivable:EUR").await), ("30.00", -3000, 0));
    assert!(refunds::write_off(&app.store, &App::operator(), &app.account, "gone", None).await.is_err());
});

on_both!(a_refund_is_a_credit_note_and_never_more_than_the_invoice(app) {
    app.set_tax("19").await;
    app.order("web").await;
    app.until_quiet().await;
    assert_eq!((app.balance().await.as_str(), app.ledger("tax:EUR").await), ("89.29", 171));
    for _ in 0..2 {
        assert_eq!(refund(app, "2026-000001", Some("3.00")).await.unwrap(), "CN2026-000001 300 48", "one case, one credit note");
    }
    assert_eq!((app.balance().await.as_str(), app.ledger("tax:EUR").await, app.ledger("revenue:EUR").await), ("92.29", 123, 648));
    let (a, b) = futures::join!(refund(app, "2026-000001", None), refund(app, "2026-000001", None));
    let (done, refused) = if a.is_ok() { (a, b) } else { (b, a) };
    assert_eq!(done.unwrap(), "CN2026-000002 771 123", "the rest, to the cent");
    assert_eq!(refused.unwrap_err(), "0.00 EUR of invoice 2026-000001 can be given back, not 0.00 EUR");
    assert_eq!((app.balance().await.as_str(), app.ledger("tax:EUR").await, app.ledger("revenue:EUR").await), ("100.00", 0, 0));
    for (number, amount) in [("2026-000001", Some("0.01")), ("CN2026-000001", None), ("2026-000009", None), ("2026-000001", Some("1.234"))] {
        refund(app, number, amount).await.unwrap_err();
    }
    app.until_quiet().await;
    assert_eq!(app.delivered().iter().filter(|s| s.starts_with("Credit note")).count(), 2);
    assert_eq!(app.status("web").await, Status::Running);
});

on_both!(a_refund_pays_what_is_owed_first_and_may_go_out_again(app) {
    app.order("web").await;
    app.until_quiet().await;
    charge_back(app, "95.00", "cb-1").await;
    refund(app, "2026-000001", None).await.unwrap();
    assert_eq!(app.balance().await, "5.00", "4.00 were owed");
    app.top_up(&app.account, "100.00").await;
    accounts::set_state(&app.store, &App::operator(), &app.account, AccountState::Active).await.unwrap();
    app.order("other").await;
    app.until_quiet().await;
    let refund = Refund { invoice: "2026-000002", amount: None, payout: true, reason: "not as described", reference: None };
    refunds::refund(&app.store, &App::operator(), &refund).await.unwrap();
    assert_eq!(app.balance().await, "96.00", "105.00 and 9.00 spent; the 9.00 went out");
});

on_both!(an_account_is_edited_with_the_person_who_owns_it(app) {
    let (store, me) = (app.store.clone(), App::operator());
    let new = |email: &str| NewAccount {
        email: email.into(),
        first_name: "Grace".into(),
        last_name: "Hopper".into(),
        company: None,
        currency: "EUR".parse().unwrap(),
        locale: "en".into(),
        country: Some("FR".into()),
    };
    app.import_more(SELLER).await;
    let made = accounts::create(&store, &me, &new("grace@exmaple.org")).await.unwrap();
    assert_eq!((made.country.as_deref(), made.tax_rate.to_string().as_str()), (Some("FR"), "20"), "taxed from the first order on");
    assert!(accounts::create(&store, &me, &NewAccount { country: Some("UK".into()), ..new("x@example.org") }).await.is_err());
    let number = made.number.to_string();
    let edit = async |edit: Edit<'static>| accounts::edit(&store, &me, &number, edit).await.map(|a| a.email).map_err(|e| e.to_string());
    assert_eq!(edit(Edit { email: Some("grace@example.org"), ..Edit::default() }).await, Ok("grace@example.org".into()));
    let person = async |email: &str| app.store.read().await.unwrap().person_called(email).await.unwrap().map(|p| p.first_name);
    assert_eq!((person("grace@exmaple.org").await, person("grace@example.org").await), (None, Some("Grace".into())), "who signs in with the right one");
    app.drain().await;
    let told = app.mails_with(&format!("The mails of account {number} go to another address now"));
    assert!(told.len() == 1 && told[0].contains("To: grace@exmaple.org") && told[0].contains("grace@example.org"), "{told:?}");
    // Somebody else's address is not taken, and one that opens other accounts is not changed for one of them.
    let other = app.store.read().await.unwrap().find_account(&app.account).await.unwrap().email;
    let refused = edit(Edit { email: Some(other.clone().leak()), ..Edit::default() }).await.unwrap_err();
    assert!(refused.contains("is somebody who does not own account"), "{refused}");
    accounts::create(&store, &me, &new("grace@example.org")).await.unwrap();
    let refused = edit(Edit { email: Some("admiral@example.org"), ..Edit::default() }).await.unwrap_err();
    assert!(refused.contains("signs in to other accounts with this address"), "{refused}");
    edit(Edit { first_name: Some("Grace B."), locale: Some("de"), ..Edit::default() }).await.unwrap();
    let mut tx = store.read().await.unwrap();
    let account = tx.find_account(&number).await.unwrap();
    assert_eq!((account.called().as_str(), account.locale.as_str()), ("Grace B. Hopper", "de"));
    assert_eq!(tx.party(account.party.as_deref()).await.unwrap().name, "Grace B. Hopper", "on the next invoice");
});

on_both!(tax_follows_the_country_unless_the_buyer_owes_it(app) {
    app.import_more(SELLER).await;
    let (store, me, account) = (app.store.clone(), App::operator(), app.account.clone());
    let set = async |new: Billing<'static>| accounts::set_billing(&store, &me, &account, new).await.map(|a| a.tax_rate.to_string()).map_err(|e| e.to_string());
    assert_eq!(set(Billing { country: Some("fr"), address: Some("1 rue X\nParis"), ..Billing::default() }).await, Ok("20".into()));
    app.order("private").await;
    let abroad = Billing { vat_id: Some("FR12345678901"), reverse_charge: Some(true), ..Billing::default() };
    let mut said = vec![set(abroad).await.unwrap_err()];
    assert_eq!(set(Billing { company: Some("Engines SARL"), evidence: Some("VIES 2026-03-10 abc"), ..abroad }).await, Ok("0".into()));
    app.order("business").await;
    app.until_quiet().await;
    for wrong in [
        Billing { country: Some("France"), ..Billing::default() },
        Billing { vat_id: Some("12"), ..Billing::default() },
        Billing { rate: Some("7.7777"), ..Billing::default() },
        Billing { rate: Some("7"), ..Billing::default() },
        Billing { country: Some("DE"), ..Billing::default() },
        Billing { address: Some("a\nb\nc\nd\ne\nf\ng"), ..Billing::default() },
    ] {
        said.push(set(wrong).await.unwrap_err());
    }
    insta::assert_snapshot!("billing_refusals", said.join("\n"));
    let mut tx = app.store.read().await.unwrap();
    let mut documents = Vec::new();
    for invoice in tx.invoices(None, 10).await.unwrap() {
        documents.push(tx.document(&invoice).await.unwrap());
    }
    documents.sort_by_key(|d| d.total.minor);
    let taxed = |d: &Document| (d.total.decimal(), d.taxes.iter().map(|t| (t.rate.to_string(), t.tax)).collect::<Vec<_>>(), d.reverse_charge, d.buyer.company.clone());
    let buyer = || Some("Engines SARL".to_owned());
    assert_eq!(taxed(&documents[0]), ("9.00".into(), vec![("0".into(), 0)], true, buyer()));
    assert_eq!(taxed(&documents[1]), ("10.80".into(), vec![("20".into(), 180)], false, buyer()), "the price is as it was agreed");
    assert_eq!(documents[0].seller.name, "Example Hosting");
    drop(tx);
    // The table of rates changes: for those who follow it.
    set(Billing { reverse_charge: Some(false), ..Billing::default() }).await.unwrap();
    app.import_more(&SELLER.replace("FR = \"20\"", "FR = \"21.5\"")).await;
    assert_eq!(app.store.read().await.unwrap().find_account(&account).await.unwrap().tax_rate.to_string(), "21.5");
    app.live(31 * DAY).await;
    assert_eq!(app.charges("private").await[1], "2 2026-04-10 2026-05-10 1094 paid", "what is bought from now on");
});

on_both!(many_small_refunds_give_back_the_tax_of_their_sum(app) {
    app.set_tax("19").await;
    app.order("web").await;
    app.until_quiet().await;
    for n in 1..=30 {
        refund(app, "2026-000001", Some(&format!("0.{n:02}"))).await.unwrap();
    }
    refund(app, "2026-000001", None).await.unwrap();
    assert_eq!((app.balance().await.as_str(), app.ledger("tax:EUR").await, app.ledger("revenue:EUR").await), ("100.00", 0, 0));
    app.until_quiet().await;
});

on_both!(money_that_a_failed_order_gives_back_pays_what_is_owed_first(app) {
    app.import("faults = { refused = 1.0 }").await;
    app.order("web").await;
    assert_eq!(charge_back(app, "100.00", "cb-1").await.1, "9.00");
    app.until_quiet().await;
    assert_eq!((app.balance().await.as_str(), app.ledger("receivable:EUR").await), ("0.00", 0));
});

on_both!(a_receipt_carries_its_invoice(app) {
    app.import_more(SELLER).await;
    app.worker = app.attaching_worker();
    app.order("web").await;
    app.until_quiet().await;
    let mails = app.mails_with("Receipt 2026-000001");
    assert!(mails.iter().all(|m| m.contains("filename=\"2026-000001.pdf\"") && m.contains("application/pdf")), "{mails:?}");
    assert_eq!(mails.len(), 1);
});
