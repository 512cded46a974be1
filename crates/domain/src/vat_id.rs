//! A business's number for value added tax, and whose country gave it.

use std::{fmt, str::FromStr};

use crate::names::{self, BadName};

/// As it is written in registers: upper case, without spaces, points and hyphens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VatId {
    text: String,
    country: String,
}

/// Numbers whose letters are not those of ISO 3166: Greece's, and Northern Ireland's under EU law.
const LETTERS: &[(&str, &str)] = &[("EL", "GR"), ("XI", "GB")];
/// Countries whose businesses have another's numbers: Monaco (France), the Isle of Man (United Kingdom).
const SHARED: &[(&str, &str)] = &[("MC", "FR"), ("IM", "GB")];
/// Shortest and longest part behind the letters; Switzerland's is the longest (`E123456789MWST`).
const REST: std::ops::RangeInclusive<usize> = 2..=14;

fn other<'a>(table: &[(&str, &'a str)], text: &'a str) -> &'a str {
    table.iter().find(|(from, _)| *from == text).map_or(text, |(_, to)| to)
}

impl VatId {
    /// The country that gave it, ISO 3166.
    pub fn country(&self) -> &str {
        &self.country
    }

    /// Whether businesses of this country have such numbers.
    pub fn is_of(&self, country: &str) -> bool {
        other(SHARED, country) == self.country
    }
}

impl FromStr for VatId {
    type Err = BadName;

    fn from_str(written: &str) -> Result<Self, BadName> {
        let text: String = written.chars().filter(|c| !matches!(c, ' ' | '.' | '-' | '\u{a0}')).map(|c| c.to_ascii_uppercase()).collect();
        let (letters, rest) = text.split_at_checked(2).unwrap_or((&text, ""));
        let country = other(LETTERS, letters).to_owned();
        let ok = names::country(&country).is_ok() && REST.contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        names::vat_id(ok, written).map(|()| Self { text, country })
    }
}

impl fmt::Display for VatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_people_write_it_and_knows_its_country() {
        let read = |text: &str| text.parse::<VatId>().map(|id| (id.to_string(), id.country().to_owned())).ok();
        for (text, number, country) in [
            ("DE123456789", "DE123456789", "DE"),
            ("fr 12 345678901", "FR12345678901", "FR"),
            ("CHE-123.456.789 MWST", "CHE123456789MWST", "CH"),
            ("EL123456789", "EL123456789", "GR"),
            ("XI123456789", "XI123456789", "GB"),
            ("NO123456789MVA", "NO123456789MVA", "NO"),
        ] {
            assert_eq!(read(text), Some((number.to_owned(), country.to_owned())));
        }
        for bad in ["", "D", "DE", "DE1", "ZZ123456789", "UK123456789", "DE12345678901234567", "DE12/3456789", "12DE3456789", "DÉ123456789"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let french: VatId = "FR12345678901".parse().unwrap();
        assert!(french.is_of("FR") && french.is_of("MC") && !french.is_of("BE"));
    }
}
