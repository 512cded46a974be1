//! Days and amounts as a language writes them: `31.12.2026` and `5,00 EUR` in German.

use serde_json::Value;

/// Places in mails that hold a day.
const DAYS: &[&str] = &["at", "from", "paid_until", "since", "until"];
/// Places that hold an amount.
const AMOUNTS: &[&str] = &["amount", "balance", "missing", "net", "owed", "paid", "price", "tax", "total"];

/// A day, `2026-12-31`, as the language has it; what is no day stays.
pub(crate) fn day(text: &str, locale: &str) -> String {
    let parts: Vec<&str> = text.split('-').collect();
    let digits = |part: &str, n: usize| part.len() == n && part.bytes().all(|b| b.is_ascii_digit());
    match (locale, parts.as_slice()) {
        ("de", [y, m, d]) if digits(y, 4) && digits(m, 2) && digits(d, 2) => format!("{d}.{m}.{y}"),
        _ => text.to_owned(),
    }
}

/// A decimal, `7.7`, as the language has it.
pub(crate) fn number(text: &str, locale: &str) -> String {
    if locale == "de" { text.replace('.', ",") } else { text.to_owned() }
}

/// An amount with its currency, `5.00 EUR`, as the language has it; what is none stays.
pub(crate) fn money(text: &str, locale: &str) -> String {
    match text.split_once(' ') {
        Some((amount, currency)) if amount.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-') => format!("{} {currency}", number(amount, locale)),
        _ => text.to_owned(),
    }
}

/// The data of a mail with its days and amounts as the language has them; nothing else of it is touched.
pub(crate) fn data(data: &Value, locale: &str) -> Value {
    match data {
        Value::Array(list) => list.iter().map(|value| self::data(value, locale)).collect(),
        Value::Object(places) => {
            let place = |(key, value): (&String, &Value)| {
                let said = match value {
                    Value::String(text) if DAYS.contains(&key.as_str()) => day(text, locale).into(),
                    Value::String(text) if AMOUNTS.contains(&key.as_str()) => money(text, locale).into(),
                    other => self::data(other, locale),
                };
                (key.clone(), said)
            };
            places.iter().map(place).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn german_has_its_own_days_and_amounts_and_names_stay() {
        let mail = json!({ "label": "2026-12-31", "at": "2026-12-31", "owed": "-5.00 EUR", "due": [{ "at": "2027-01-01", "amount": "1234.50 EUR", "label": "1.5 x" }], "reason": "3.5 EUR" });
        let german = json!({ "label": "2026-12-31", "at": "31.12.2026", "owed": "-5,00 EUR", "due": [{ "at": "01.01.2027", "amount": "1234,50 EUR", "label": "1.5 x" }], "reason": "3.5 EUR" });
        assert_eq!(data(&mail, "de"), german);
        assert_eq!(data(&mail, "en"), mail);
        assert_eq!((day("soon", "de").as_str(), money("nothing at all", "de").as_str(), number("14.975", "de").as_str()), ("soon", "nothing at all", "14,975"));
    }
}
