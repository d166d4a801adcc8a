//! The cookie of a session.

use axum::http::{HeaderMap, header};

use super::secret::Credential;

/// The cookie's name in the clear, which is on this machine alone.
pub const SESSION_COOKIE: &str = "everfold_session";

/// The cookie's name over TLS. By such a name browsers take no cookie that another host set, so neither a sibling
/// under the same domain nor one that speaks in the clear for it can plant one.
pub const SECURE_SESSION_COOKIE: &str = "__Host-everfold_session";

fn name(secure: bool) -> &'static str {
    if secure { SECURE_SESSION_COOKIE } else { SESSION_COOKIE }
}

/// The header that sets the cookie of a connection that is secure or in the clear; without a session it takes it
/// away.
#[must_use]
pub fn session_cookie(session: Option<(&Credential, u64)>, secure: bool) -> String {
    let (value, seconds) = session.map_or(("", 0), |(secret, seconds)| (secret.reveal(), seconds));
    let (name, secure) = (name(secure), if secure { "; Secure" } else { "" });
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// The session that a request names, by the cookie of its kind of connection alone.
#[must_use]
pub fn session_of(headers: &HeaderMap, secure: bool) -> Option<Credential> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(named, _)| *named == name(secure)).and_then(|(_, value)| Credential::parse(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_57_a_session_is_found_among_other_cookies_by_the_name_of_its_kind_of_connection() {
        let secret = Credential::draw();
        for (secure, other) in [(false, SECURE_SESSION_COOKIE), (true, SESSION_COOKIE)] {
            let mut headers = HeaderMap::new();
            assert_eq!(session_of(&headers, secure), None);
            let planted = format!("theme=dark; {other}={}", Credential::draw().reveal());
            headers.insert(header::COOKIE, planted.parse().unwrap());
            assert_eq!(session_of(&headers, secure), None, "a cookie of the other kind says nothing");
            let own = format!("a=b; {}={}", name(secure), secret.reveal());
            headers.append(header::COOKIE, own.parse().unwrap());
            assert_eq!(session_of(&headers, secure), Some(secret.clone()));
        }
    }

    #[test]
    fn row_57_over_tls_the_cookie_is_bound_to_this_very_host() {
        let secret = Credential::draw();
        let set = session_cookie(Some((&secret, 60)), true);
        let expected = "; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure";
        assert_eq!(set, format!("__Host-everfold_session={}{expected}", secret.reveal()));
        let over = "everfold_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict";
        assert_eq!(session_cookie(None, false), over);
        assert_eq!(session_cookie(None, true), format!("__Host-{over}; Secure"));
    }
}
