//! The file with the contexts of a user.
//!
//! Law: it is read and written by its user alone (0600); a change is whole or not there.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::client::ServerTokenSource;
use crate::fault::{Code, Fault};

/// The name for the folders of this machine.
pub(crate) const LOCAL: &str = "local";
/// The longest name.
const NAME_CHARS_MAX: usize = 64;

/// A server or a folder that has a name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    /// The URL of a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
    /// The authority of its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    /// A data folder of this machine instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dir: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<StoredToken>,
}

/// Where the token is, as the file says it: exactly one of them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum StoredToken {
    Env(String),
    File(PathBuf),
    Command(String),
    Text(String),
}

impl std::fmt::Debug for StoredToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", ServerTokenSource::from(self.clone()))
    }
}

impl From<StoredToken> for ServerTokenSource {
    fn from(token: StoredToken) -> Self {
        match token {
            StoredToken::Env(name) => Self::Env(name),
            StoredToken::File(path) => Self::File(path),
            StoredToken::Command(command) => Self::Command(command),
            StoredToken::Text(text) => Self::Kept(text),
        }
    }
}

impl From<ServerTokenSource> for StoredToken {
    fn from(source: ServerTokenSource) -> Self {
        match source {
            ServerTokenSource::Env(name) => Self::Env(name),
            ServerTokenSource::File(path) => Self::File(path),
            ServerTokenSource::Command(command) => Self::Command(command),
            ServerTokenSource::Kept(text) => Self::Text(text),
        }
    }
}

impl Named {
    /// A server.
    pub(crate) fn of_server(url: String, ca: Option<PathBuf>) -> Self {
        Self { server: Some(url), ca, ..Self::default() }
    }

    /// A data folder.
    pub(crate) fn of_folder(dir: PathBuf) -> Self {
        Self { dir: Some(dir), ..Self::default() }
    }

    /// Where its token is.
    pub(crate) fn token(&self) -> Option<ServerTokenSource> {
        self.token.clone().map(ServerTokenSource::from)
    }

    /// The same with another place of its token.
    pub(crate) fn with_token(self, source: Option<ServerTokenSource>) -> Self {
        Self { token: source.map(StoredToken::from), ..self }
    }
}

/// All contexts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one in use.
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub(crate) in_use: Option<String>,
    /// By name.
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Named>,
}

impl Contexts {
    /// The context of a name.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn named(&self, name: &str) -> Result<&Named, Fault> {
        self.contexts.get(name).ok_or_else(|| {
            let names = self.contexts.keys().map(String::as_str).chain([LOCAL]);
            let near = everfold_engine::definition::similar(name, names);
            Fault::new(Code::NoContext, format!("there is no context “{name}”"))
                .hint("`everfold context list` shows them")
                .hinted(near.map(|near| format!("did you mean “{near}”?")))
        })
    }

    fn holds_a_token(&self) -> bool {
        self.contexts.values().any(|named| matches!(named.token, Some(StoredToken::Text(_))))
    }
}

/// Whether a context may have the name.
///
/// # Errors
/// It is not one word, or is taken.
pub(crate) fn check_name(name: &str) -> Result<(), Fault> {
    let is_word = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if name == LOCAL {
        return Err(Fault::new(Code::Usage, format!("“{LOCAL}” means the folders of this machine"))
            .hint("take another name"));
    }
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !is_word(name) || name.starts_with('-') {
        return Err(Fault::new(Code::Usage, format!("“{name}” is no name of a context"))
            .hint("up to 64 letters, digits, `.`, `_` and `-`"));
    }
    Ok(())
}

/// Where the file is: `$XDG_CONFIG_HOME/everfold/contexts.toml`, else under `~/.config`.
///
/// # Errors
/// This user has no home.
pub(crate) fn path() -> Result<PathBuf, Fault> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")));
    let folder = folder.ok_or_else(|| {
        Fault::new(
            Code::File,
            "there is no folder for the contexts: neither XDG_CONFIG_HOME nor HOME names one",
        )
    })?;
    Ok(folder.join("everfold").join("contexts.toml"))
}

/// Reads the contexts; none where there is no file.
///
/// # Errors
/// The file cannot be read, or others may read a token in it.
pub(crate) fn read() -> Result<Contexts, Fault> {
    // Without a home there are no contexts.
    path().map_or_else(|_| Ok(Contexts::default()), |path| read_at(&path))
}

fn read_at(path: &Path) -> Result<Contexts, Fault> {
    let failed =
        |error: io::Error| Fault::new(Code::File, format!("could not read {}: {error}", path.display()));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Contexts::default());
        }
        Err(error) => return Err(failed(error)),
    };
    let contexts: Contexts = toml::from_str(&text).map_err(|error| {
        // Its rendering quotes the line, which may hold a token.
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
        Fault::new(Code::Settings, format!("{}:{line}: {}", path.display(), error.message()))
            .hint("`everfold context add` writes it; docs/reference/access.md says what it holds")
    })?;
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if contexts.holds_a_token() && mode & 0o077 != 0 {
        return Err(Fault::new(Code::File, format!("others may read the tokens in {}", path.display()))
            .hint(format!("chmod 600 {}", path.display())));
    }
    Ok(contexts)
}

/// Changes the contexts; two changes at a time come one after the other.
///
/// # Errors
/// The file cannot be read or written, or the change is refused.
pub(crate) fn change<T>(change: impl FnOnce(&mut Contexts) -> Result<T, Fault>) -> Result<T, Fault> {
    let path = path()?;
    let failed =
        |error: io::Error| Fault::new(Code::File, format!("could not write {}: {error}", path.display()));
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(folder.join("contexts.lock"));
    let lock = lock.map_err(failed)?;
    lock.lock().map_err(failed)?;
    let mut contexts = read_at(&path)?;
    let changed = change(&mut contexts)?;
    let text = toml::to_string(&contexts).map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
    write(&path, folder, &text).map_err(failed)?;
    Ok(changed)
}

fn write(path: &Path, folder: &Path, text: &str) -> io::Result<()> {
    // Made 0600, whatever the umask.
    let mut new = tempfile::Builder::new().prefix(".contexts-").tempfile_in(folder)?;
    new.write_all(text.as_bytes())?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again_and_no_error_shows_a_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("contexts.toml");
        let one = |source| {
            Named { server: Some("https://e.example".into()), ..Named::default() }.with_token(source)
        };
        let contexts = Contexts {
            in_use: Some("a".into()),
            contexts: BTreeMap::from([
                ("a".to_owned(), one(Some(ServerTokenSource::Env("A".into())))),
                ("b".to_owned(), one(Some(ServerTokenSource::Kept("evf_secret".into())))),
                ("c.d".to_owned(), Named { dir: Some("/srv".into()), ..Named::default() }),
            ]),
        };
        let text = toml::to_string(&contexts).unwrap();
        write(&path, folder.path(), &text).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_at(&path).unwrap(), contexts);
        assert!(!format!("{contexts:?}").contains("secret"));

        fs::write(&path, text.replace("[contexts.b.token]", "[contexts.b.tokne]")).unwrap();
        let fault = read_at(&path).unwrap_err();
        assert!(fault.code == Code::Settings && !fault.message.contains("secret"), "{fault:?}");

        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read_at(&path).unwrap_err().message.contains("others may read"));
    }

    #[test]
    fn names_are_words_that_are_not_taken() {
        for bad in ["", LOCAL, "-a", "a b", "a/b", "ü"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert!(check_name("prod-1.eu").is_ok());
    }
}
