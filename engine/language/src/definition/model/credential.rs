//! Names of credentials that come with a request.

/// How many credentials a run has at most.
pub const CREDENTIALS_MAX: usize = 16;

/// Whether a text names a credential: 1 to 64 lower-case letters, digits and `-`, which every proxy passes on in the
/// name of a header.
#[must_use]
pub fn is_credential_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 64 && text.starts_with(is_plain) && text.chars().all(|c| is_plain(c) || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_has_a_name_that_a_header_can_carry() {
        for name in ["claude", "claude-token", "7z", &"a".repeat(64)] {
            assert!(is_credential_name(name), "{name}");
        }
        for name in ["", "-a", "Claude", "claude_token", "a.b", "a/b", "ä", &"a".repeat(65)] {
            assert!(!is_credential_name(name), "{name}");
        }
    }
}
