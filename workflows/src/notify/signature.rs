//! Signatures of what `notify.http` posts.
//!
//! Law: what is signed is the raw body, with id and time in front of it, so that neither can be changed or sent
//! again later. The scheme is that of Standard Webhooks (standardwebhooks.com), version `v1`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use everfold_base::failure::Failure;
use everfold_base::time::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::parameters::invalid;

/// In front of a secret that is the base64 of its bytes.
const ENCODED: &str = "whsec_";

/// The key of a secret as people have it: `whsec_` and base64, else its bytes.
pub(super) fn key(secret: &[u8]) -> Result<Vec<u8>, Failure> {
    match secret.strip_prefix(ENCODED.as_bytes()) {
        None => Ok(secret.to_vec()),
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| {
            invalid("the secret to sign with begins with whsec_, and what follows is no base64")
        }),
    }
}

/// `v1,` and the base64 of the HMAC-SHA256 of `ID.SECONDS.BODY`.
pub(super) fn timestamped(key: &[u8], id: &str, at: Timestamp, body: &[u8]) -> String {
    let seconds = seconds(at);
    let mac = mac(key, &[id.as_bytes(), b".", seconds.as_bytes(), b".", body]);
    format!("v1,{}", STANDARD.encode(mac))
}

/// Seconds since 1970.
pub(super) fn seconds(at: Timestamp) -> String {
    at.0.div_euclid(1_000).to_string()
}

/// `sha256=` and the HMAC-SHA256 of the body in hexadecimal digits.
pub(super) fn of_body(key: &[u8], body: &[u8]) -> String {
    mac(key, &[body]).iter().fold("sha256=".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_of_bodies_are_those_of_rfc_4231() {
        let signed = of_body(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(signed, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn timestamped_signatures_are_those_of_the_standard_webhooks_specification() {
        // The example of the specification's reference libraries.
        let key = key(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let at = Timestamp(1_614_265_330_000);
        let signed = timestamped(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(super::key(b"whsec_%%%").is_err());
    }
}
