//! What the settings say of a provider: `[providers.NAME]`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};

use everfold_system::regular;

/// The largest file with a token.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// A service that hosts repositories.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// Its API.
    pub kind: ProviderKind,
    /// Where it is, as a browser shows it; `None`: the public service of that kind.
    #[serde(default)]
    pub url: Option<String>,
    /// Who asks.
    #[serde(default)]
    pub token: Option<TokenSource>,
    /// Whose repositories are meant where only a name is known.
    #[serde(default)]
    pub owner: Option<String>,
    /// The repository that is meant where nothing names one; else the workspace's `origin` does.
    #[serde(default)]
    pub repository: Option<String>,
}

/// The API of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// Gitea and Forgejo.
    Gitea,
    /// GitHub and GitHub Enterprise Server.
    Github,
    /// GitLab.
    Gitlab,
}

impl ProviderKind {
    /// The word used in the settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gitea => "gitea",
            Self::Github => "github",
            Self::Gitlab => "gitlab",
        }
    }

    /// Where the public service of this kind is; Gitea has none.
    pub(super) fn public_url(self) -> Option<&'static str> {
        match self {
            Self::Gitea => None,
            Self::Github => Some("https://github.com"),
            Self::Gitlab => Some("https://gitlab.com"),
        }
    }
}

/// Where a token comes from. It is read whenever it is needed and kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A variable of the engine's environment.
    Env(String),
    /// A file that holds nothing else.
    File(PathBuf),
}

/// There is no token where one was said to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The variable is not set, or empty.
    #[error("the environment has no {0}")]
    NoVariable(String),
    /// The file cannot be read.
    #[error("could not read the token in {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is something else than a token.
    #[error("{0} holds no token: one line without spaces")]
    Malformed(String),
}

impl TokenSource {
    /// The variable that it is read from.
    #[must_use]
    pub fn variable(&self) -> Option<&String> {
        match self {
            Self::Env(name) => Some(name),
            Self::File(_) => None,
        }
    }

    /// The token.
    ///
    /// # Errors
    /// When it is not there; the message never holds any of it.
    pub fn read(&self) -> Result<String, TokenError> {
        let (text, place) = match self {
            Self::Env(name) => {
                let text = std::env::var(name).map_err(|_| TokenError::NoVariable(name.clone()))?;
                (text, name.clone())
            }
            Self::File(path) => {
                let unread = |source| TokenError::Io { path: path.clone(), source };
                let place = path.display().to_string();
                let bytes = regular::read_bounded(path, TOKEN_BYTES_MAX).map_err(unread)?;
                let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
                (text.ok_or_else(|| TokenError::Malformed(place.clone()))?, place)
            }
        };
        let token = text.trim();
        match self {
            Self::Env(name) if token.is_empty() => Err(TokenError::NoVariable(name.clone())),
            _ if token.is_empty() || token.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                Err(TokenError::Malformed(place))
            }
            _ => Ok(token.to_owned()),
        }
    }
}

impl std::fmt::Display for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
        }
    }
}

impl<'de> Deserialize<'de> for TokenSource {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TokenVisitor)
    }
}

/// By hand, so that a token that was written into the settings is not in the message about it.
struct TokenVisitor;

const HOW: &str = "a token is never written into the settings: say { env = \"NAME\" } or { file = \"PATH\" }";

impl<'de> Visitor<'de> for TokenVisitor {
    type Value = TokenSource;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("{ env = \"NAME\" } or { file = \"PATH\" }")
    }

    fn visit_str<E: serde::de::Error>(self, _token: &str) -> Result<TokenSource, E> {
        Err(E::custom(HOW))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TokenSource, A::Error> {
        let source = match map.next_entry::<String, String>()? {
            Some((key, name)) if key == "env" => TokenSource::Env(name),
            Some((key, path)) if key == "file" => TokenSource::File(path.into()),
            Some(_) | None => return Err(A::Error::custom(HOW)),
        };
        match map.next_key::<String>()? {
            None => Ok(source),
            Some(_second) => Err(A::Error::custom(HOW)),
        }
    }
}

impl ProviderSettings {
    /// Checks the section, and resolves its paths against the folder of the settings.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn check(&mut self, folder: &Path) -> Result<(), String> {
        if let Some(TokenSource::File(path)) = &mut self.token {
            *path = folder.join(&*path);
        }
        match &self.url {
            None if self.kind.public_url().is_none() => {
                return Err(format!("url is required for kind = \"{}\"", self.kind.as_str()));
            }
            Some(url) if !(url.starts_with("https://") || url.starts_with("http://")) => {
                return Err("url begins with https:// or http://".to_owned());
            }
            Some(url) if url.contains(['@', '?', '#']) => {
                return Err("url holds no name, password or query; the token has a key of its own".to_owned());
            }
            Some(_) | None => {}
        }
        if self.repository.as_deref().is_some_and(|repository| !repository.contains('/')) {
            return Err("repository is written OWNER/NAME".to_owned());
        }
        Ok(())
    }

    /// Where it is, without a slash at the end.
    pub(super) fn web_url(&self) -> String {
        let url = self.url.as_deref().or(self.kind.public_url()).unwrap_or_default();
        url.trim_end_matches('/').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ProviderSettings, String> {
        let mut settings: ProviderSettings = toml::from_str(text).map_err(|error| error.to_string())?;
        settings.check(Path::new("/data"))?;
        Ok(settings)
    }

    #[test]
    fn a_token_is_named_and_never_written() {
        let settings = read("kind = \"github\"\ntoken = { file = \"tokens/github\" }").unwrap();
        assert_eq!(settings.token, Some(TokenSource::File("/data/tokens/github".into())));
        assert_eq!(settings.web_url(), "https://github.com");
        for text in [
            "token = \"sesame\"",
            "token = { env = \"A\", file = \"sesame\" }",
            "token = { text = \"sesame\" }",
        ] {
            let error = read(&format!("kind = \"github\"\n{text}")).unwrap_err();
            let said = error.lines().last().unwrap_or_default();
            assert!(said.contains("never written") && !said.contains("sesame"), "{error}");
        }
        for (text, part) in [
            ("kind = \"gitea\"", "url is required"),
            ("kind = \"gitea\"\nurl = \"git.example.org\"", "begins with"),
            ("kind = \"gitea\"\nurl = \"https://a:b@git.example.org\"", "no name"),
            ("kind = \"gitlab\"\nrepository = \"app\"", "OWNER/NAME"),
        ] {
            assert!(read(text).unwrap_err().contains(part), "{text}");
        }
    }

    #[test]
    fn a_token_is_one_word_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let source = TokenSource::File(path.clone());
        assert!(matches!(source.read(), Err(TokenError::Io { .. })));
        std::fs::write(&path, " sesame\n").unwrap();
        assert_eq!(source.read().unwrap(), "sesame");
        std::fs::write(&path, "open sesame").unwrap();
        assert!(!source.read().unwrap_err().to_string().contains("sesame"));
        assert!(matches!(TokenSource::Env("EVERFOLD_NO_SUCH".into()).read(), Err(TokenError::NoVariable(_))));
    }
}
