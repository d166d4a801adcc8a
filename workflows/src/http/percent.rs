//! Percent-encoding of what goes into a path or a query.

/// A part of a path or of a query, with everything escaped that has a meaning there, but for the bytes in `plain`.
#[must_use]
pub fn percent_encoded(text: &str, plain: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            byte if plain.contains(&byte) => encoded.push(char::from(byte)),
            // Writing to a String cannot fail.
            other => drop(write!(encoded, "%{other:02X}")),
        }
    }
    encoded
}
