//! The cookie of a session.
//!
//! Law: its name says what kind of connection and which data folder it is for. Cookies know no port, so servers of
//! several folders on one host share a browser's cookies: each reads and sets its own name alone.

use axum::http::{HeaderMap, header};

use super::secret::Credential;

/// How the cookie's name begins in the clear, which is on this machine alone.
const IN_CLEAR: &str = "everfold_session_";

/// How the cookie's name begins over TLS. By such a name browsers take no cookie that another host set, so neither a
/// sibling under the same domain nor one that speaks in the clear for it can plant one.
const OVER_TLS: &str = "__Host-everfold_session_";

/// The name of a session's cookie: of one kind of connection to the server of one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCookie(String);

impl SessionCookie {
    /// The name for the server of the folder with this epoch, which no copy of the folder shares, over a connection that
    /// is secure or in the clear.
    #[must_use]
    pub fn of(epoch: &str, secure: bool) -> Self {
        Self(format!("{}{epoch}", if secure { OVER_TLS } else { IN_CLEAR }))
    }

    /// The header that sets the cookie; without a session it takes it away.
    #[must_use]
    pub fn set(&self, session: Option<(&Credential, u64)>) -> String {
        let (value, seconds) = session.map_or(("", 0), |(secret, seconds)| (secret.reveal(), seconds));
        let (name, secure) = (&self.0, if self.0.starts_with(OVER_TLS) { "; Secure" } else { "" });
        format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
    }

    /// The sessions that a request names under this name, in its order: another server of this host can have set a
    /// cookie of the same name for some of the paths, which stands before the real one.
    pub fn sessions(&self, headers: &HeaderMap) -> Vec<Credential> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs =
            cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(name, _)| *name == self.0).filter_map(|(_, value)| Credential::parse(value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: &str = "0123456789abcdef";

    #[test]
    fn row_57_a_session_is_found_among_other_cookies_by_the_name_of_its_kind_of_connection() {
        let secret = Credential::draw();
        for secure in [false, true] {
            let (own, other) = (SessionCookie::of(EPOCH, secure), SessionCookie::of(EPOCH, !secure));
            let mut headers = HeaderMap::new();
            assert_eq!(own.sessions(&headers), []);
            let planted = format!("theme=dark; {}={}", other.0, Credential::draw().reveal());
            headers.insert(header::COOKIE, planted.parse().unwrap());
            assert_eq!(own.sessions(&headers), [], "a cookie of the other kind says nothing");
            let cookie = format!("a=b; {}={}", own.0, secret.reveal());
            headers.append(header::COOKIE, cookie.parse().unwrap());
            assert_eq!(own.sessions(&headers), std::slice::from_ref(&secret));
        }
    }

    /// Cookies know no port: two servers on one machine logged each other's browser out.
    #[test]
    fn servers_of_two_folders_on_one_host_read_and_set_cookies_of_their_own() {
        let (one, two) = (SessionCookie::of(EPOCH, false), SessionCookie::of("fedcba9876543210", false));
        let (first, second) = (Credential::draw(), Credential::draw());
        let pair =
            |of: &SessionCookie, secret| of.set(Some((secret, 60))).split(';').next().unwrap().to_owned();
        let jar = format!("{}; {}", pair(&one, &first), pair(&two, &second));
        let headers = HeaderMap::from_iter([(header::COOKIE, jar.parse().unwrap())]);
        assert_eq!((one.sessions(&headers), two.sessions(&headers)), (vec![first], vec![second]));
    }

    #[test]
    fn every_cookie_of_the_name_is_read_whatever_stands_before_it() {
        let (cookie, secret) = (SessionCookie::of(EPOCH, false), Credential::draw());
        let planted = Credential::draw();
        let jar = format!("{0}=x; {0}={1}; {0}={2}", cookie.0, planted.reveal(), secret.reveal());
        let headers = HeaderMap::from_iter([(header::COOKIE, jar.parse().unwrap())]);
        assert_eq!(cookie.sessions(&headers), [planted, secret]);
    }

    #[test]
    fn row_57_over_tls_the_cookie_is_bound_to_this_very_host() {
        let secret = Credential::draw();
        let (secure, clear) = (SessionCookie::of(EPOCH, true), SessionCookie::of(EPOCH, false));
        let expected = "; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure";
        let set = secure.set(Some((&secret, 60)));
        assert_eq!(set, format!("__Host-everfold_session_{EPOCH}={}{expected}", secret.reveal()));
        let over = format!("everfold_session_{EPOCH}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
        assert_eq!(clear.set(None), over);
        assert_eq!(secure.set(None), format!("__Host-{over}; Secure"));
    }
}
