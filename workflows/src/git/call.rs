//! Calls of the `git` program.
//!
//! Law: every call has a time limit and bounded output, and sees none of the caller's `GIT_…`
//! variables, so that a hook's environment cannot redirect it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt as _;

/// Long enough to check out a large repository on a slow disk.
const TIME_LIMIT: Duration = Duration::from_secs(600);
const OUTPUT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Why a call of git gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// The program is not there.
    #[error("the program git is not installed, or not in PATH")]
    Missing,
    /// The call could not be made.
    #[error("git could not be run")]
    Io(#[source] std::io::Error),
    /// It took too long.
    #[error("git {command} took longer than {} s", TIME_LIMIT.as_secs())]
    TimedOut {
        /// The subcommand.
        command: String,
    },
    /// It said more than is reasonable.
    #[error("git {command} printed more than {} MiB", OUTPUT_BYTES_MAX / 1024 / 1024)]
    TooMuch {
        /// The subcommand.
        command: String,
    },
    /// The disk has no room for what it writes.
    #[error("git {command} found no room on the disk: {message}")]
    NoRoom {
        /// The subcommand.
        command: String,
        /// What it said, in one line.
        message: String,
    },
    /// It failed.
    #[error("git {command} failed: {message}")]
    Failed {
        /// The subcommand.
        command: String,
        /// What it said, in one line.
        message: String,
    },
}

/// Calls git in one folder.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    pub(super) folder: PathBuf,
    env: Vec<(String, String)>,
    /// What is never shown of what git says.
    hidden: Vec<String>,
}

impl Git {
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), env: Vec::new(), hidden: Vec::new() }
    }

    /// The same with a variable for the calls.
    pub(crate) fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with a text that never stands in an error.
    pub(crate) fn hiding(mut self, secret: &str) -> Self {
        self.hidden.push(secret.to_owned());
        self
    }

    /// Calls git; gives what it printed, without the last line feed.
    pub(crate) async fn text<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<String, GitError> {
        let bytes = self.bytes(arguments).await?;
        Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned())
    }

    /// Calls git; gives what it printed.
    pub(crate) async fn bytes<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<Vec<u8>, GitError> {
        let name = arguments
            .iter()
            .map(|argument| argument.as_ref().to_string_lossy().into_owned())
            .find(|argument| !argument.starts_with('-') && !argument.contains('='))
            .unwrap_or_default();
        match tokio::time::timeout(TIME_LIMIT, self.call(arguments, &name)).await {
            Ok(result) => result,
            Err(_) => Err(GitError::TimedOut { command: name }),
        }
    }

    async fn call<A: AsRef<OsStr>>(&self, arguments: &[A], name: &str) -> Result<Vec<u8>, GitError> {
        let mut command = tokio::process::Command::new("git");
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("GIT_") {
                command.env_remove(&variable);
            }
        }
        let mut child = command
            .args(arguments)
            .current_dir(&self.folder)
            .envs([("LC_ALL", "C"), ("GIT_TERMINAL_PROMPT", "0"), ("GIT_OPTIONAL_LOCKS", "0")])
            // Nobody is there to be asked, neither by git nor by ssh.
            .envs([("GIT_ASKPASS", ""), ("SSH_ASKPASS", "/bin/false"), ("SSH_ASKPASS_REQUIRE", "force")])
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound if self.folder.is_dir() => GitError::Missing,
                _ => GitError::Io(error),
            })?;
        let asked = AskedToEnd(child.id());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (output, said) = tokio::join!(read(stdout), read(stderr));
        let (output, said) = (output.map_err(GitError::Io)?, said.map_err(GitError::Io)?);
        if output.len() as u64 > OUTPUT_BYTES_MAX {
            return Err(GitError::TooMuch { command: name.to_owned() });
        }
        let status = child.wait().await.map_err(GitError::Io)?;
        asked.not();
        if status.success() {
            return Ok(output);
        }
        let said = String::from_utf8_lossy(&said);
        let message = said
            .lines()
            .find_map(|line| line.strip_prefix("fatal: ").or_else(|| line.strip_prefix("error: ")))
            .or_else(|| said.lines().rfind(|line| !line.trim().is_empty()))
            .unwrap_or("it said nothing");
        let message = self.hidden.iter().fold(message.to_owned(), |text, secret| text.replace(secret, "***"));
        let (command, message) = (name.to_owned(), without_password(&message));
        Err(match self.is_full(&said) {
            true => GitError::NoRoom { command, message },
            false => GitError::Failed { command, message },
        })
    }
}

/// A git that nobody waits for any more: it is asked to end, and takes its locks away first. Killed, it would
/// leave them, and every git after it would stop there.
struct AskedToEnd(Option<u32>);

impl AskedToEnd {
    /// It ended by itself.
    fn not(mut self) {
        self.0 = None;
    }
}

impl Drop for AskedToEnd {
    fn drop(&mut self) {
        let process = self.0.and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(process) = process {
            // It is not waited for yet, so the number is still its own.
            let _ended = kill_process(process, Signal::TERM);
        }
    }
}

impl Git {
    /// Whether a call failed for want of room. Where git does not say why it could not write, the disk
    /// does.
    fn is_full(&self, said: &str) -> bool {
        const ROOM_BYTES: u64 = 64 * 1024;
        const SHORTAGES: [&str; 5] = [
            "No space left on device",
            "Disk quota exceeded",
            "Too many open files",
            "Cannot allocate memory",
            "Resource temporarily unavailable",
        ];
        if SHORTAGES.iter().any(|words| said.contains(words)) {
            return true;
        }
        let could_not_write = ["unable to write", "could not write", "write error", "unable to create"];
        could_not_write.iter().any(|words| said.to_lowercase().contains(words))
            && rustix::fs::statvfs(&self.folder)
                .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < ROOM_BYTES)
    }
}

impl GitError {
    /// Whether waiting for room on the disk helps.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::NoRoom { .. } => true,
            Self::Io(error) => everfold_engine::store::is_shortage(error),
            Self::Missing | Self::TimedOut { .. } | Self::TooMuch { .. } | Self::Failed { .. } => false,
        }
    }
}

/// The message without the names and passwords that addresses in it may hold.
fn without_password(message: &str) -> String {
    let mut shown = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after.find(|c: char| c == '/' || c == '\'' || c == '"' || c.is_whitespace());
        let (authority, tail) = after.split_at(end.unwrap_or(after.len()));
        shown.push_str(authority.rsplit('@').next().unwrap_or_default());
        rest = tail;
    }
    shown.push_str(rest);
    shown
}

async fn read(pipe: Option<impl tokio::io::AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(OUTPUT_BYTES_MAX + 1).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Waits for something that other processes do; for so long that it is never the machine that is slow.
    async fn until(what: &str, is_so: impl Fn() -> bool) {
        for _ in 0..3_000 {
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what}");
    }

    #[tokio::test]
    async fn a_git_that_nobody_waits_for_ends_and_leaves_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let (place, git) = (folder.path().to_owned(), Git::at(folder.path()));
        git.text(&["init", "--quiet"]).await.unwrap();
        std::fs::write(place.join("a"), "1").unwrap();
        git.text(&["add", "a"]).await.unwrap();
        // Asked for all that changed, git holds the index while its hook runs.
        let hook = place.join(".git/hooks/pre-commit");
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        std::fs::write(
            &hook,
            "#!/bin/sh\ntouch begun\nwhile kill -0 $PPID 2>/dev/null; do sleep 0.05; done\n",
        )
        .unwrap();
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (begun, lock) = (place.join("begun"), place.join(".git/index.lock"));
        let who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"];
        let commit = tokio::spawn(async move {
            git.text(&[&who[..], &["commit", "--quiet", "--all", "-m", "m"]].concat()).await
        });
        until("the hook runs", || begun.exists()).await;
        assert!(lock.exists(), "the case is the one that is meant");
        commit.abort();
        assert!(commit.await.unwrap_err().is_cancelled());
        until("the lock is gone", || !lock.exists()).await;
    }

    #[test]
    fn what_git_says_is_shown_without_passwords() {
        for (said, shown) in [
            (
                "unable to access 'https://ada:s3cret@example.org/a.git/': 401",
                "unable to access 'https://example.org/a.git/': 401",
            ),
            ("no address here: a@b", "no address here: a@b"),
            ("https://a:b@c and ssh://git@d/e", "https://c and ssh://d/e"),
        ] {
            assert_eq!(without_password(said), shown);
        }
    }
}
