//! A database file as it can be read without writing beside it.
//!
//! Law: SQLite opens either a file that nobody completes any more (`immutable`), or a copy. A write-ahead log or a
//! journal belongs to the database: it is copied with it, and brought in there.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::fault::{Code, Fault};

/// How each SQLite file begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// The largest database that is copied.
const BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// How often a copy is begun anew where the source changed meanwhile.
const TRIES: usize = 3;
/// What SQLite puts beside a database that is in use.
const BESIDE: [&str; 2] = ["-wal", "-journal"];

/// An open database, and the copy that it is read from.
pub(super) struct DatabaseSnapshot {
    pub(super) connection: Connection,
    source: PathBuf,
    was: Vec<Option<FileState>>,
    _copy: Option<TempDir>,
}

/// What shows that a file was written to.
#[derive(Clone, PartialEq, Eq)]
struct FileState {
    len: u64,
    modified: Option<std::time::SystemTime>,
}

impl DatabaseSnapshot {
    /// Opens the database at `source`.
    ///
    /// # Errors
    /// It is no SQLite database, cannot be read, or is written to all the time.
    pub(super) fn open(source: &Path) -> Result<Self, Fault> {
        check_magic(source)?;
        // What SQLite has beside a database lies beside the file itself, not beside a link to it.
        let source = &source
            .canonicalize()
            .map_err(|error| Fault::new(Code::File, format!("{}: {error}", source.display())))?;
        for _ in 0..TRIES {
            let was = states(source);
            let is_in_use = was[1..].iter().flatten().any(|beside| beside.len > 0);
            let (copy, file, flags) = match is_in_use {
                false => (None, uri(source, "?mode=ro&immutable=1"), OpenFlags::SQLITE_OPEN_READ_ONLY),
                true => {
                    let (copy, file) = copied(source, &was)?;
                    (Some(copy), uri(&file, "?mode=rw"), OpenFlags::SQLITE_OPEN_READ_WRITE)
                }
            };
            if states(source) != was {
                continue;
            }
            let connection = Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_URI);
            let connection = connection.map_err(|error| unreadable(source, &error))?;
            return Ok(Self { connection, source: source.to_owned(), was, _copy: copy });
        }
        Err(changing(source))
    }

    /// Fails where the source was written to since it was opened: what was read may be of two moments.
    ///
    /// # Errors
    /// It was.
    pub(super) fn check(&self) -> Result<(), Fault> {
        match self._copy.is_some() || states(&self.source) == self.was {
            true => Ok(()),
            false => Err(changing(&self.source)),
        }
    }
}

/// SQLite's error on the source.
pub(super) fn unreadable(source: &Path, error: &rusqlite::Error) -> Fault {
    let name = source.display();
    Fault::new(Code::OrchDatabase, format!("{name} cannot be read: {error}"))
}

fn changing(source: &Path) -> Fault {
    let name = source.display();
    Fault::new(Code::OrchDatabase, format!("{name} is written to while it is read"))
        .hint("stop ORCH, then repeat the import")
}

fn check_magic(source: &Path) -> Result<(), Fault> {
    let name = source.display();
    let failed = |error: std::io::Error| Fault::new(Code::File, format!("{name}: {error}"));
    let mut first = Vec::with_capacity(MAGIC.len());
    // Before it is opened: to open a named pipe is to wait for who writes into it.
    if !source.metadata().map_err(failed)?.is_file() {
        return Err(Fault::new(Code::File, format!("{name} is no file")));
    }
    let file = File::open(source).map_err(failed)?;
    file.take(MAGIC.len() as u64).read_to_end(&mut first).map_err(failed)?;
    match first == MAGIC {
        true => Ok(()),
        false => Err(Fault::new(Code::OrchDatabase, format!("{name} is no SQLite database"))
            .hint("name ORCH's database: the file of ORCH_DB_PATH")),
    }
}

/// The database and what stands beside it.
fn states(source: &Path) -> Vec<Option<FileState>> {
    let state = |path: PathBuf| {
        let metadata: Option<Metadata> = std::fs::metadata(path).ok();
        metadata.map(|it| FileState { len: it.len(), modified: it.modified().ok() })
    };
    std::iter::once(source.to_owned()).chain(BESIDE.map(|end| beside(source, end))).map(state).collect()
}

fn beside(source: &Path, end: &str) -> PathBuf {
    let mut name = source.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

fn copied(source: &Path, was: &[Option<FileState>]) -> Result<(TempDir, PathBuf), Fault> {
    let bytes: u64 = was.iter().flatten().map(|state| state.len).sum();
    if bytes > BYTES_MAX {
        let message = format!("{} has {bytes} bytes, and up to {BYTES_MAX} are copied", source.display());
        return Err(Fault::new(Code::OrchDatabase, message)
            .hint("stop ORCH: then there is no write-ahead log, and nothing is copied"));
    }
    let failed = |error: std::io::Error| {
        Fault::new(Code::File, format!("{} could not be copied: {error}", source.display()))
    };
    let folder = tempfile::tempdir().map_err(failed)?;
    let copy = folder.path().join("orch.sqlite");
    std::fs::copy(source, &copy).map_err(failed)?;
    for (end, state) in BESIDE.into_iter().zip(&was[1..]) {
        if state.is_some() {
            std::fs::copy(beside(source, end), beside(&copy, end)).map_err(failed)?;
        }
    }
    Ok((folder, copy))
}

/// The path as SQLite reads it in a URI.
fn uri(path: &Path, query: &str) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut uri = "file://".to_owned();
    for byte in absolute.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {
                uri.push(char::from(*byte))
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str(query);
    uri
}
