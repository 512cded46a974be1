//! The reference of a payment: what makes two tellings of it one payment.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::names::{self, BadName};

/// 1 to 255 visible characters, without white space around them: the same at every door, so that one payment has one reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    text: String,
    /// As it was written, where that had white space around it.
    written: Option<String>,
}

impl Reference {
    /// As it was written, where that is another text: earlier versions kept references so.
    pub fn written(&self) -> Option<&str> {
        self.written.as_deref()
    }
}

impl FromStr for Reference {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let (written, text) = (text, text.trim());
        names::reference(text).map(|()| Self { text: text.to_owned(), written: (written != text).then(|| written.to_owned()) })
    }
}

impl TryFrom<String> for Reference {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.text
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_visible_and_has_no_white_space_around_it() {
        let read = |text: &str| text.parse::<Reference>().map(|r| r.to_string());
        for (text, is) in [("pi_9", "pi_9"), (" pi_9\t\n", "pi_9"), ("RF18 5390 0754", "RF18 5390 0754"), ("Überweisung 7", "Überweisung 7")] {
            assert_eq!(read(text).as_deref(), Ok(is));
        }
        assert!(read(&"x".repeat(255)).is_ok());
        for bad in ["", " ", "\u{3000}", "a\nb", "a\tb", "a\u{0}b", "a\u{200b}b", "\u{feff}a", "a\u{202e}b", "a\u{a0}b", "pi_9:owed", &"x".repeat(256)] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
