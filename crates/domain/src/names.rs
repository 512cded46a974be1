//! Names that customers choose, and the checks that keep them harmless in a shell, a DNS zone and a mail header.

/// Why a name is refused: what, which, and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} '{text}' is not allowed: {rule}")]
pub struct BadName {
    what: &'static str,
    text: String,
    rule: &'static str,
}

fn check(ok: bool, what: &'static str, text: &str, rule: &'static str) -> Result<(), BadName> {
    let shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if ok { Ok(()) } else { Err(BadName { what, text: shown, rule }) }
}

/// What things of the catalogue are called in files and paths: 1 to 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit.
pub fn slug(text: &str) -> Result<(), BadName> {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    check(first && rest && text.len() <= 64, "id", text, "use 1 to 64 letters, digits, ., _ or -, starting with a letter or digit")
}

/// A server's label: 1 to 64 characters, `^[a-zA-Z0-9][a-zA-Z0-9 _-]*$`.
pub fn label(text: &str) -> Result<(), BadName> {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || " _-".contains(c));
    check(first && rest && text.len() <= 64, "label", text, "use 1 to 64 letters, digits, spaces, _ or -, starting with a letter or digit")
}

/// A snapshot's name: like a label, up to 80 characters.
pub fn snapshot(text: &str) -> Result<(), BadName> {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || " ._-".contains(c));
    check(first && rest && text.len() <= 80, "snapshot name", text, "use 1 to 80 letters, digits, spaces, ., _ or -, starting with a letter or digit")
}

/// What is said of a thing in one line: up to 255 characters without control characters.
pub fn description(text: &str) -> Result<(), BadName> {
    check(text.chars().count() <= 255 && !text.chars().any(char::is_control), "description", text, "use up to 255 characters in one line")
}

/// A hostname: DNS labels joined by points, 63 characters in all (RFC 1123 letters, digits and inner hyphens); no address of four numbers.
pub fn hostname(text: &str) -> Result<(), BadName> {
    let dns = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && !part.starts_with('-') && !part.ends_with('-');
    check(
        text.len() <= 63 && text.split('.').all(dns) && text.parse::<std::net::IpAddr>().is_err(),
        "hostname",
        text,
        "use up to 63 letters, digits, hyphens and points, like web-1.example.org",
    )
}

/// A whole domain name: labels of up to 63 characters joined by points, 253 in all.
pub fn domain(text: &str) -> Result<(), BadName> {
    let dns = |part: &str| {
        (1..=63).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !part.starts_with('-') && !part.ends_with('-')
    };
    let whole = text.len() <= 253 && text.contains('.') && text.split('.').all(dns);
    check(whole, "name", text, "use a whole domain name, like web-1.example.org")
}

/// An e-mail address, as far as one can be checked without sending: one `@`, a point in the domain, no spaces or controls.
pub fn email(text: &str) -> Result<(), BadName> {
    let plain = text.chars().all(|c| c.is_ascii_graphic() && !"<>(),;:\"[]\\".contains(c));
    let shape = text.split_once('@').is_some_and(|(user, domain)| !user.is_empty() && hostname(domain).is_ok() && domain.contains('.'));
    check(plain && shape && text.len() <= 254, "e-mail address", text, "write it like ada@example.org")
}

/// A person's or company's name: 1 to 80 characters, no control characters (they would break a mail header).
pub fn person(text: &str) -> Result<(), BadName> {
    let ok = !text.trim().is_empty() && text.chars().count() <= 80 && !text.chars().any(char::is_control);
    check(ok, "name", text, "use 1 to 80 characters and no line breaks")
}

/// Characters that nobody sees: they would make two texts of one.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The reference of a payment: 1 to 255 visible characters.
pub fn reference(text: &str) -> Result<(), BadName> {
    // What follows from a payment is booked under its reference and one of these.
    let follows = [":owed", ":debt", ":tax"].iter().any(|end| text.ends_with(end));
    let ok = (1..=255).contains(&text.chars().count()) && !text.trim().is_empty() && !text.chars().any(is_invisible) && !follows;
    check(ok, "reference", text, "use 1 to 255 visible characters, as the payment provider names the payment, not ending in :owed, :debt or :tax")
}

/// A telephone number: 3 to 32 digits, with spaces, points, hyphens, brackets and a leading plus; or nothing.
pub fn phone(text: &str) -> Result<(), BadName> {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let plain = text.bytes().enumerate().all(|(at, b)| b.is_ascii_digit() || b" .-()/".contains(&b) || (at == 0 && b == b'+'));
    check(text.is_empty() || (plain && digits >= 3 && text.len() <= 32), "telephone number", text, "write it like +48 22 555 01 00")
}

/// The letters that ISO 3166-1 has assigned where others were taken for a country, as older versions did.
pub(crate) fn assigned(country: &str) -> &str {
    match country {
        "UK" => "GB",
        "EL" => "GR",
        other => other,
    }
}

/// A country: two letters that ISO 3166-1 has assigned, upper case.
pub fn country(text: &str) -> Result<(), BadName> {
    // Kosovo's letters are user-assigned, and what the EU and payment providers use.
    let assigned = text == "XK" || text.parse::<iso_country::Country>().is_ok();
    let assigned = assigned && text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
    let rule = match text {
        "UK" => "did you mean GB? use the two letters of ISO 3166",
        "EL" => "did you mean GR? use the two letters of ISO 3166",
        _ => "use the two letters of ISO 3166, like DE",
    };
    check(assigned, "country", text, rule)
}

pub(crate) fn vat_id(ok: bool, text: &str) -> Result<(), BadName> {
    check(ok, "VAT id", text, "write it with its country's letters, like DE123456789, EL123456789 or CHE123456789MWST")
}

/// A postal address: up to 6 lines of 80 characters, no other control characters.
pub fn address(text: &str) -> Result<(), BadName> {
    let line = |line: &str| line.chars().count() <= 80 && !line.chars().any(char::is_control);
    check(text.lines().count() <= 6 && text.lines().all(line), "address", text, "use up to 6 lines of 80 characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_hostnames_hold_their_shape() {
        for ok in ["web", "Web 1", "a_b-c", "1"] {
            assert!(label(ok).is_ok(), "{ok}");
        }
        for bad in ["", " web", "-x", "a/b", "naïve", "a\nb", &"x".repeat(65)] {
            assert!(label(bad).is_err(), "{bad:?}");
        }
        for ok in ["web-1", "web.example.org", "1"] {
            assert!(hostname(ok).is_ok(), "{ok}");
        }
        for bad in ["", "-web", "web-", "a..b", "a_b", "a b", "a.", &"x".repeat(64)] {
            assert!(hostname(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_cannot_carry_a_header() {
        assert!(email("ada@example.org").is_ok());
        for bad in ["ada", "@example.org", "a@b", "a b@example.org", "a@example.org\r\nBcc: x@y.z", "<a@example.org>"] {
            assert!(email(bad).is_err(), "{bad:?}");
        }
        assert!(person("Ada Lovelace").is_ok());
        assert!(person("Ada\r\nBcc: x").is_err());
    }
}
