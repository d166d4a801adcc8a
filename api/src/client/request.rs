//! Paths and parameters of requests.

use std::fmt::Write as _;

/// A text as a segment of a path or a value of a query.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'@' | b':' => {
                encoded.push(char::from(byte));
            }
            // Writing to a String cannot fail.
            other => drop(write!(encoded, "%{other:02X}")),
        }
    }
    encoded
}

/// The query string of the parameters that are there, with its question mark.
#[must_use]
pub fn query<'a>(params: impl IntoIterator<Item = (&'a str, Option<String>)>) -> String {
    let given = params.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encode(&value?))));
    let text: Vec<String> = given.collect();
    if text.is_empty() { String::new() } else { format!("?{}", text.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded_and_absent_ones_left_out() {
        assert_eq!(query([("a", Some("x y&z".to_owned())), ("b", None)]), "?a=x%20y%26z");
        assert_eq!(query([("a", None)]), "");
        assert_eq!(encode("a1b2:approve:1"), "a1b2:approve:1");
    }
}
