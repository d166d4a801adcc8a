//! Calls of the `git` program.
//!
//! Law: every call has a time limit and bounded output, ends with all that it started, and sees of the engine's
//! variables those of [`INHERITED`] alone: what a repository's configuration makes git start, such as a filter, is the
//! work's and gets no secret, and a hook's environment redirects nothing. One for a run acts on the run's own worktree
//! ([`super::own_worktree`]).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use everfold_base::data_folder::Layout;
use everfold_ports::Workdir;
use everfold_system::room::bytes_left;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::Child;

use super::error::{GitError, OUTPUT_BYTES_MAX, TIME_LIMIT};
use super::former_gits;
use super::own_worktree::{self, OwnWorktree};

/// How long what was asked to end may take.
const GRACE: Duration = Duration::from_secs(5);

/// Folders above which git does not look for a repository.
pub(crate) const CEILING: &str = "GIT_CEILING_DIRECTORIES";

/// The variables that git, ssh and their helpers need; a name that ends with `*` is a beginning. Proxies come to these.
const INHERITED: [&str; 23] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "XDG_*",
    "LD_LIBRARY_PATH",
    "SSH_AUTH_SOCK",
    "SSH_AGENT_PID",
    "SSL_CERT_*",
    "CURL_CA_BUNDLE",
    "NIX_SSL_CERT_FILE",
    "KRB5*",
    "GNUPGHOME",
    "GPG_AGENT_INFO",
    "GPG_TTY",
    "DBUS_SESSION_BUS_ADDRESS",
];

/// Whether a variable of the engine reaches git.
fn is_inherited(variable: &str) -> bool {
    let is_proxy = variable.to_ascii_lowercase().ends_with("_proxy");
    is_proxy
        || INHERITED.iter().any(|known| match known.strip_suffix('*') {
            Some(start) => variable.starts_with(start),
            None => variable == *known,
        })
}

/// Calls git in one folder.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    pub(super) folder: PathBuf,
    /// What the folder was seen to be; `None`: it is not a run's worktree, and git finds out what it is.
    pub(super) own: Option<OwnWorktree>,
    env: Vec<(String, String)>,
    /// What is never shown of what git says.
    hidden: Vec<String>,
}

impl Git {
    /// In a folder of which git finds out itself to what repository it belongs.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), own: None, env: Vec::new(), hidden: Vec::new() }
    }

    /// In the top folder of a repository: what lies around it is another one.
    pub(super) fn of(repository: &Path) -> Self {
        match repository.parent() {
            Some(around) => Self::at(repository).with_env(CEILING, &around.display().to_string()),
            None => Self::at(repository),
        }
    }

    /// Where a step works: in the run's worktree, else in a folder of which git finds out what it is.
    ///
    /// # Errors
    /// [`GitError::Gone`]: the worktree is not there any more.
    pub(crate) fn within(workdir: &Workdir) -> Result<Self, GitError> {
        match &workdir.git {
            Some(git) => Self::in_worktree(&workdir.path, &git.repository),
            None => Ok(match ceiling_of(workdir) {
                Some(around) => Self::at(&workdir.path).with_env(CEILING, &around.display().to_string()),
                None => Self::at(&workdir.path),
            }),
        }
    }

    /// In a run's worktree of a repository.
    ///
    /// # Errors
    /// As [`Git::within`].
    pub(super) fn in_worktree(path: &Path, repository: &Path) -> Result<Self, GitError> {
        let own = own_worktree::own(path, repository)?;
        let around = own.folder.parent().unwrap_or(&own.folder).display().to_string();
        let (git_dir, folder) = (own.git_dir.display().to_string(), own.folder.display().to_string());
        let git = Self { own: Some(own.clone()), ..Self::at(&own.folder) };
        Ok(git.with_env(CEILING, &around).with_env("GIT_DIR", &git_dir).with_env("GIT_WORK_TREE", &folder))
    }

    /// In a repository below the folder, such as a submodule: the folder's own variables do not count there.
    pub(super) fn below(&self, path: &str) -> Self {
        Self::at(&self.folder.join(path)).with_env(CEILING, &self.folder.display().to_string())
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
        match self.limited(arguments, OUTPUT_BYTES_MAX).await? {
            (output, true) => Ok(output),
            (_some, false) => Err(GitError::TooMuch { command: command_of(arguments) }),
        }
    }

    /// Calls git; gives the beginning of what it printed, and whether that is all. A list may be longer than
    /// what is asked of it: git is asked to end then.
    pub(crate) async fn beginning<A: AsRef<OsStr>>(
        &self,
        arguments: &[A],
        bytes_max: u64,
    ) -> Result<(Vec<u8>, bool), GitError> {
        self.limited(arguments, bytes_max).await
    }

    /// Asks git what it answers with its exit code: 0 is yes, 1 is no.
    pub(crate) async fn says<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<bool, GitError> {
        match self.beginning(arguments, OUTPUT_BYTES_MAX).await {
            Ok(_) => Ok(true),
            Err(GitError::Failed { status: Some(1), .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn limited<A: AsRef<OsStr>>(
        &self,
        arguments: &[A],
        bytes_max: u64,
    ) -> Result<(Vec<u8>, bool), GitError> {
        let name = command_of(arguments);
        match tokio::time::timeout(TIME_LIMIT, self.call(arguments, &name, bytes_max)).await {
            Ok(result) => result,
            Err(_) => Err(GitError::TimedOut { command: name }),
        }
    }

    async fn call<A: AsRef<OsStr>>(
        &self,
        arguments: &[A],
        name: &str,
        bytes_max: u64,
    ) -> Result<(Vec<u8>, bool), GitError> {
        let mut command = tokio::process::Command::new("git");
        for (variable, _) in std::env::vars_os() {
            if !is_inherited(&variable.to_string_lossy()) {
                command.env_remove(&variable);
            }
        }
        let child = command
            // The owner of the checkout decides when it is packed.
            .args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"])
            // No program that the work names says what changed.
            .args(["-c", "core.fsmonitor=false"])
            .args(arguments)
            .current_dir(&self.folder)
            .envs([("LC_ALL", "C"), ("GIT_TERMINAL_PROMPT", "0"), ("GIT_OPTIONAL_LOCKS", "0")])
            .env(former_gits::MARK, former_gits::mark())
            // No person can be asked, neither by git nor by ssh.
            .envs([("GIT_ASKPASS", ""), ("SSH_ASKPASS", "/bin/false"), ("SSH_ASKPASS_REQUIRE", "force")])
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // With what it starts (ssh, filters) it ends as one.
            .process_group(0)
            .spawn()
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound if self.folder.is_dir() => GitError::Missing,
                _ => GitError::Io(error),
            })?;
        let mut running = RunningGit(Some(child));
        let Some(child) = &mut running.0 else { return Err(GitError::Missing) };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let saying = tokio::spawn(read(stderr, OUTPUT_BYTES_MAX));
        let output = read(stdout, bytes_max.saturating_add(1)).await.map_err(GitError::Io)?;
        if output.len() as u64 > bytes_max {
            saying.abort();
            return Ok((output[..usize::try_from(bytes_max).unwrap_or(output.len())].to_vec(), false));
        }
        let said = saying.await.map_err(|error| GitError::Io(error.into()))?.map_err(GitError::Io)?;
        let status = child.wait().await.map_err(GitError::Io)?;
        running.0 = None;
        if status.success() {
            return Ok((output, true));
        }
        let said = String::from_utf8_lossy(&said);
        let message = match name {
            "push" => refusal(&said, &String::from_utf8_lossy(&output)),
            _other => None,
        };
        let message = message.unwrap_or_else(|| first_fault(&said));
        let message = self.hidden.iter().fold(message, |text, secret| text.replace(secret, "***"));
        let (command, message) = (name.to_owned(), without_password(&message));
        Err(match self.is_full(&said) {
            true => GitError::NoRoom { command, message },
            false => GitError::Failed { command, message, status: status.code() },
        })
    }
}

/// Above which folder no git that works here looks for a repository; `None`: where people put it, such as a
/// folder of their checkout. What lies in the data folder belongs to no repository around that.
pub(crate) fn ceiling_of(workdir: &Workdir) -> Option<PathBuf> {
    let around = workdir.path.parent()?;
    if workdir.git.is_none() && !Layout::is_scratch(&workdir.path) {
        return None;
    }
    // Git compares real paths.
    Some(around.canonicalize().unwrap_or_else(|_| around.to_owned()))
}

fn command_of<A: AsRef<OsStr>>(arguments: &[A]) -> String {
    let names = arguments.iter().map(|argument| argument.as_ref().to_string_lossy().into_owned());
    names.into_iter().find(|name| !name.starts_with('-') && !name.contains('=')).unwrap_or_default()
}

/// The line of git's standard error that holds the reason of a failure.
fn first_fault(said: &str) -> String {
    let fault = said
        .lines()
        .find_map(|line| line.strip_prefix("fatal: ").or_else(|| line.strip_prefix("error: ")))
        .or_else(|| said.lines().rfind(|line| !line.trim().is_empty()))
        .unwrap_or("it said nothing");
    // Why a remote could not be read stands in the words of ssh, before git's own.
    match said.lines().find(|line| line.starts_with("ssh: ")) {
        Some(why) if fault.starts_with("Could not read from remote") => format!("{fault} {why}"),
        _other => fault.to_owned(),
    }
}

/// Why a push was refused: what the other side says of it, and what git says of the branch.
fn refusal(said: &str, output: &str) -> Option<String> {
    const LINES_MAX: usize = 12;
    const CHARS_MAX: usize = 1_000;
    let remote = said.lines().filter_map(|line| line.strip_prefix("remote:")).map(str::trim);
    // `!<TAB>FROM:TO<TAB>[rejected] (why)`, as `--porcelain` has it.
    let states = output.lines().filter_map(|line| line.strip_prefix("!\t")?.split('\t').nth(1));
    let parts: Vec<&str> = states.chain(remote).filter(|part| !part.is_empty()).take(LINES_MAX).collect();
    let text: String = parts.join("; ").chars().filter(|c| !c.is_control()).take(CHARS_MAX).collect();
    (!text.is_empty()).then_some(text)
}

/// A git that runs. When its future is dropped it is asked to end, with all that it started, and
/// takes its locks away first: killed, it would leave them, and every git after it would stop there. Only what
/// does not end then is killed.
struct RunningGit(Option<Child>);

impl Drop for RunningGit {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        // It is not waited for yet, so the number is still its own.
        let Some(group) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else { return };
        let _ended = kill_process_group(group, Signal::TERM);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ended = tokio::time::timeout(GRACE, child.wait()).await;
                // A group has its number for as long as anything of it is left.
                let _ended = kill_process_group(group, Signal::KILL);
                let _reaped = child.wait().await;
            });
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
            && bytes_left(&self.folder) < ROOM_BYTES
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

async fn read(pipe: Option<impl tokio::io::AsyncRead + Unpin>, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(bytes_max).read_to_end(&mut bytes).await?;
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
    async fn a_git_whose_caller_is_gone_ends_and_leaves_no_lock() {
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

    /// Only git itself was asked to end: what it had started (ssh, a filter, a hook) lived on.
    #[tokio::test]
    async fn row_69_a_git_whose_caller_is_gone_takes_along_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let (place, git) = (folder.path().to_owned(), Git::at(folder.path()));
        git.text(&["init", "--quiet"]).await.unwrap();
        std::fs::write(place.join("a"), "1").unwrap();
        std::fs::write(place.join(".gitattributes"), "a filter=slow\n").unwrap();
        let pid = place.join("pid");
        let slow = format!("trap '' TERM; echo $$ > {}; sleep 600", pid.display());
        git.text(&["config", "filter.slow.clean", &slow]).await.unwrap();
        let adding = tokio::spawn(async move { git.text(&["add", "--", "a"]).await });
        until("the filter runs", || std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')))
            .await;
        let filter: i32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
        let lives = || crate::shim::os::stat(filter).is_some_and(|stat| stat.state != b'Z');
        assert!(lives(), "the case is the one that is meant");
        adding.abort();
        assert!(adding.await.unwrap_err().is_cancelled());
        until("the filter is gone", || !lives()).await;
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
