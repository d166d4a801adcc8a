//! The cookie of a session.

use axum::http::{HeaderMap, header};

use crate::access::Secret;

/// The cookie's name.
pub const SESSION_COOKIE: &str = "everfold_session";

/// The header that sets the cookie; without a session it takes it away.
#[must_use]
pub fn session_cookie(session: Option<(&Secret, u64)>, secure: bool) -> String {
    let (value, seconds) = session.map_or(("", 0), |(secret, seconds)| (secret.reveal(), seconds));
    let secure = if secure { "; Secure" } else { "" };
    format!("{SESSION_COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// The session that a request names.
#[must_use]
pub fn session_of(headers: &HeaderMap) -> Option<Secret> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == SESSION_COOKIE).and_then(|(_, value)| Secret::parse(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_among_other_cookies() {
        let secret = Secret::draw();
        let mut headers = HeaderMap::new();
        assert_eq!(session_of(&headers), None);
        let cookies = format!("theme=dark; {SESSION_COOKIE}={}; a=b", secret.reveal());
        headers.insert(header::COOKIE, cookies.parse().unwrap());
        assert_eq!(session_of(&headers), Some(secret.clone()));
        let set = session_cookie(Some((&secret, 60)), true);
        assert!(set.ends_with("; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"), "{set}");
        assert_eq!(
            session_cookie(None, false),
            "everfold_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
        );
    }
}
