//! Signatures over requests, checked in constant time.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use leasehold_domain::hex;
use sha2::Sha256;

/// A keyed digest under way; a key has any length.
fn keyed(key: &[u8], text: &[u8]) -> Option<Hmac<Sha256>> {
    Some(Hmac::<Sha256>::new_from_slice(key).ok()?.chain_update(text))
}

/// Whether this is what e24cloud's clients put behind their key: base64 of HMAC-SHA-256 over method, host, date, target and body, a line each.
pub fn signs_e24(secret: &str, [method, host, date, target]: [&str; 4], body: &[u8], signature: &str) -> bool {
    let head = format!("{method}\n{host}\n{date}\n{target}\n");
    let Ok(given) = STANDARD.decode(signature) else { return false };
    keyed(secret.as_bytes(), &[head.as_bytes(), body].concat()).is_some_and(|mac| mac.verify_slice(&given).is_ok())
}

/// The steps from a secret to the key that signs for a day, a region and a service (AWS signature version 4).
const LINES: usize = 4;
const SCOPE: usize = 4;

/// Whether this is the signature, hexadecimal, of a string to sign of AWS's version 4.
pub fn signs_aws(secret: &str, to_sign: &str, signature: &str) -> bool {
    let lines: Vec<&str> = to_sign.split('\n').collect();
    let [algorithm, _date, scope, _request] = lines[..] else { return false };
    let parts: Vec<&str> = scope.split('/').collect();
    if lines.len() != LINES || algorithm != "AWS4-HMAC-SHA256" || parts.len() != SCOPE || parts[SCOPE - 1] != "aws4_request" {
        return false;
    }
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in parts {
        let Some(mac) = keyed(&key, part.as_bytes()) else { return false };
        key = mac.finalize().into_bytes().to_vec();
    }
    let Some(mac) = keyed(&key, to_sign.as_bytes()) else { return false };
    // Compared as bytes of a digest of both: neither length nor content shows in the time that it takes.
    let ours = hex(&mac.finalize().into_bytes());
    keyed(&key, signature.as_bytes()).zip(keyed(&key, ours.as_bytes())).is_some_and(|(given, ours)| given.verify(&ours.finalize().into_bytes()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_of_aws_own_example_is_known() {
        // From "Signature Version 4 examples" of the AWS documentation: ListUsers of IAM.
        let to_sign = "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n\
                       f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
        let (secret, signature) = ("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
        assert!(signs_aws(secret, to_sign, signature));
        assert!(!signs_aws("another", to_sign, signature));
        assert!(!signs_aws(secret, &to_sign.replace("iam", "s3"), signature));
        assert!(!signs_aws(secret, to_sign, &signature.replace('5', "6")));
        assert!(!signs_aws(secret, "AWS4-HMAC-SHA256\nx", signature));
    }
}
