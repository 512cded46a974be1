//! What an owner wants done at a server's first boot: cloud-config or a script, which goes to the guest and is shown to nobody.

use leasehold_domain::hex;
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::{CommandError, Result};

/// Longest, bytes.
pub const USER_DATA_MAX: usize = 32 << 10;

/// Checked user data.
#[derive(Clone, Debug)]
pub struct UserData(SecretString);

impl UserData {
    /// Takes a text that begins with `#cloud-config` or `#!`, the two forms that cloud-init tells apart by their first line.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |why: &str| Err(CommandError::Invalid(format!("userData {why}")));
        if text.len() > USER_DATA_MAX {
            return refuse(&format!("has {} bytes; {} KiB are the most", text.len(), USER_DATA_MAX >> 10));
        }
        let first = text.lines().next().unwrap_or_default().trim_end();
        if first != "#cloud-config" && !first.starts_with("#!") {
            return refuse("begins with neither '#cloud-config' nor '#!' (a script)");
        }
        if text.contains('\0') {
            return refuse("holds a NUL character");
        }
        Ok(Self(text.to_owned().into()))
    }

    pub(crate) fn secret(&self) -> &SecretString {
        &self.0
    }
}

/// For comparing requests: a digest stands for the text.
impl Serialize for UserData {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.serialize_str(&hex(&Sha256::digest(self.0.expose_secret())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_is_cloud_config_or_a_script_and_is_never_printed() {
        for good in ["#cloud-config\npackages: [nginx]\n", "#cloud-config\r\n{}", "#!/bin/sh\necho hi\n"] {
            assert!(UserData::parse(good).is_ok(), "{good}");
        }
        let long = format!("#!/bin/sh\n{}", "#".repeat(USER_DATA_MAX));
        for (bad, why) in [("", "neither"), ("packages: [x]", "neither"), ("#include http://x", "neither"), (long.as_str(), "32 KiB"), ("#!\0", "NUL")] {
            assert!(UserData::parse(bad).unwrap_err().to_string().contains(why), "{bad:.20}");
        }
        let secret = UserData::parse("#!/bin/sh\necho s3cret").unwrap();
        assert!(!format!("{secret:?}").contains("s3cret"));
    }
}
