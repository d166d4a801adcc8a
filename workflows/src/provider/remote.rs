//! Where a repository comes from: the address of a remote, taken apart.

use crate::git::{Git, GitError};

/// The address of a remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    /// As git gets it; it may hold a password.
    pub(crate) url: String,
    /// Lower case, without a port; `None`: a path of this machine.
    host: Option<String>,
    /// Whether git reaches it over HTTP.
    pub(crate) is_http: bool,
    /// Without `.git` and without slashes around it.
    path: String,
}

impl Remote {
    /// The remote of that name, as `push` would use it.
    ///
    /// # Errors
    /// [`GitError`]: git could not be asked, so it is not known whether there is one.
    pub(crate) async fn of(git: &Git, name: &str) -> Result<Option<Self>, GitError> {
        match git.text(&["remote", "get-url", "--push", "--", name]).await {
            Ok(url) => Ok(Some(url).filter(|url| !url.is_empty()).map(|url| Self::parse(&url))),
            Err(GitError::Failed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes an address apart: `https://…`, `ssh://…`, `user@host:path`, a path.
    pub(crate) fn parse(url: &str) -> Self {
        let (host, is_http, path) = match url.split_once("://") {
            Some(("file", path)) => (None, false, path),
            Some((scheme, rest)) => {
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                (Some(authority), scheme.starts_with("http"), path)
            }
            None => match url.split_once(':') {
                // git reads `a/b:c` as a path.
                Some((host, path)) if !host.contains('/') => (Some(host), false, path),
                _path => (None, false, url),
            },
        };
        let host = host.map(host_of);
        let path = path.trim_end_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path).trim_matches('/');
        Self { url: url.to_owned(), host, is_http, path: path.to_owned() }
    }

    /// Whether it lies at the service with this address.
    pub(crate) fn is_at(&self, web_url: &str) -> bool {
        let rest = web_url.split_once("://").map_or(web_url, |(_, rest)| rest);
        let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
        self.host.as_deref() == Some(host_of(authority).as_str())
    }

    /// The repository's path at the service with this address, without the folder below which the service lies. Of
    /// a path of this machine only the last name is known.
    pub(crate) fn path_at(&self, web_url: &str) -> Option<&str> {
        if self.host.is_none() {
            return self.path.rsplit('/').next().filter(|name| !name.is_empty());
        }
        let rest = web_url.split_once("://").map_or(web_url, |(_, rest)| rest);
        let below = rest.split_once('/').map_or("", |(_, below)| below);
        let path = match self.path.strip_prefix(below) {
            Some(inside) if self.is_http && !below.is_empty() => inside.trim_start_matches('/'),
            _whole => &self.path,
        };
        (!path.is_empty()).then_some(path)
    }

    /// The address as it may be shown: without name and password.
    pub(crate) fn shown(&self) -> String {
        match self.url.split_once("://") {
            Some((scheme, rest)) => {
                let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
                format!("{scheme}://{}{path}", authority.rsplit('@').next().unwrap_or_default())
            }
            None => self.url.clone(),
        }
    }
}

/// The host of `user@host:port`, in lower case.
fn host_of(authority: &str) -> String {
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    host.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_remote_names_host_and_repository() {
        for (url, service, path) in [
            ("https://git.example.org/team/app.git", "https://git.example.org", "team/app"),
            ("https://ada:secret@Git.example.org:8443/team/app/", "https://git.example.org:8443", "team/app"),
            ("https://example.org/git/team/app.git", "https://example.org/git", "team/app"),
            ("git@github.com:team/app.git", "https://github.com", "team/app"),
            ("ssh://git@git.example.org:2222/group/sub/app.git", "https://git.example.org", "group/sub/app"),
            ("http://[::1]:3000/team/app", "http://[::1]:3000", "team/app"),
        ] {
            let remote = Remote::parse(url);
            assert!(remote.is_at(service), "{url}");
            assert_eq!(remote.path_at(service), Some(path), "{url}");
            assert!(!remote.is_at("https://elsewhere.org"));
        }
        for path in ["/srv/git/app.git", "file:///srv/git/app.git", "../app"] {
            let remote = Remote::parse(path);
            assert!(!remote.is_at("https://github.com"));
            assert_eq!(remote.path_at("https://github.com"), Some("app"), "{path}");
        }
        assert_eq!(Remote::parse("https://ada:secret@example.org/a").shown(), "https://example.org/a");
    }
}
