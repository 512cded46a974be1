use leasehold_domain::{
    Money,
    document::{Document, DocumentKind, DocumentLine, Party, Taxed},
};

use crate::{
    Renderer,
    document::{check_logo, pdf},
};

/// A grey pixel.
/// It ends in the middle of its pixels.
const STUMP: &str = "iVBORw0KGgoAAAANSUhEUgAAADIAAAAyCAAAAAA7VNdtAAAAVElEQVR4nGNgYOXiF5GUU9bQNTK3cXTz";
/// It says that it is 25000 pixels wide and high.
const HUGE: &str = "iVBORw0KGgoAAAANSUhEUgAAYagAAGGoAQAAAADgq5awAAAAEUlEQVR4nGNgGAWjYBQMdwAAA+gAAbOm00YAAAAASUVORK5CYII=";
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==";

fn eur(minor: i64) -> Money {
    Money::new(minor, "EUR".parse().unwrap())
}

fn invoice(lines: usize) -> Document {
    let line = |n: usize| DocumentLine {
        zone: "UTC".into(),
        description: format!("Small, Łódź web-{n} with a name that is rather long for one line"),
        from: "2026-11-22".parse().unwrap(),
        until: "2026-12-22".parse().unwrap(),
        amount: eur(900),
    };
    let net = eur(900 * lines as i64);
    let tax = net.part(1900, 10_000).unwrap();
    Document {
        kind: DocumentKind::Invoice,
        number: "2026-000042".into(),
        zone: "UTC".into(),
        issued_at: "2026-11-22T10:00:00Z".parse().unwrap(),
        locale: "en".into(),
        seller: Party {
            name: "Example Hosting GmbH".into(),
            address: vec!["Musterweg 1".into(), "60311 Frankfurt".into()],
            country: Some("DE".into()),
            vat_id: Some("DE123456789".into()),
            email: Some("billing@example.org".into()),
            footer: vec!["HRB 12345, Amtsgericht Frankfurt".into()],
            logo: Some(PIXEL.into()),
            ..Party::default()
        },
        buyer: Party {
            name: "Ada Lovelace".into(),
            company: Some("Engines & <Sons>".into()),
            address: vec!["12 St James's Square".into()],
            ..Party::default()
        },
        lines: (0..lines).map(line).collect(),
        net,
        tax,
        total: net.plus(tax).unwrap(),
        taxes: vec![Taxed { rate: leasehold_domain::Percent::whole(19), net: net.minor, tax: tax.minor }],
        reverse_charge: false,
        corrects: None,
        reason: None,
    }
}

fn credit_note() -> Document {
    Document {
        kind: DocumentKind::CreditNote,
        number: "CN2026-000001".into(),
        locale: "de".into(),
        reverse_charge: true,
        taxes: vec![Taxed { rate: leasehold_domain::Percent::ZERO, net: 900, tax: 0 }],
        tax: eur(0),
        total: eur(900),
        corrects: Some("2026-000042".into()),
        reason: Some("zwei Tage nicht erreichbar".into()),
        ..invoice(1)
    }
}

#[test]
fn documents_read_well_in_a_browser() {
    let renderer = Renderer::new(None).unwrap();
    insta::assert_snapshot!("document_invoice", renderer.document(&invoice(1)).unwrap());
    insta::assert_snapshot!("document_credit_note", renderer.document(&credit_note()).unwrap());
}

/// How many pages a PDF says that it has.
fn pages(pdf: &[u8]) -> usize {
    let text = String::from_utf8_lossy(pdf);
    text.matches("/Type/Page/").count() + text.matches("/Type /Page\n").count() + text.matches("/Type/Page\n").count()
}

#[test]
fn a_pdf_has_a_page_for_one_line_and_several_for_many() {
    for (document, most) in [(invoice(1), 1), (credit_note(), 1), (invoice(60), 9)] {
        let bytes = pdf(&document).unwrap();
        assert!(bytes.starts_with(b"%PDF-") && bytes.ends_with(b"%%EOF"));
        assert!(bytes.len() < 200_000, "fonts are cut to what is used");
        let pages = pages(&bytes);
        assert!(pages <= most, "{pages} pages");
    }
    assert_eq!(pdf(&invoice(1)).unwrap(), pdf(&invoice(1)).unwrap(), "the same document is the same file");
}

#[test]
fn a_broken_logo_holds_up_no_document() {
    let mut document = invoice(1);
    assert!(check_logo(PIXEL).is_ok());
    for broken in ["bm90IGEgcG5n", STUMP, HUGE] {
        assert!(check_logo(broken).is_err(), "{broken}");
        document.seller.logo = Some(broken.into());
        assert!(pdf(&document).is_ok(), "{broken}");
    }
    assert!(check_logo(HUGE).unwrap_err().contains("25000 × 25000 pixels"));
}
