//! What is looked at before an agent is paid: its program, the network, its credentials. `[preflight.NAME]` says
//! it of a profile.
//!
//! Laws:
//! - A look is free: it asks no model. What it starts is the command that the settings name for it, and nothing else.
//! - What was found out about network and command counts for a bounded time; what failed counts for a shorter one.
//! - What is not said is not looked at.
//! - Where a profile waits for what is missing, its attempts do not begin: they fail nothing and use up nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use everfold_base::duration;
use everfold_base::failure::Failure;
use everfold_ports::{AttemptRequest, Secrets};
use everfold_system::clock::Stopwatch;
use futures::future::try_join_all;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::missing::{NO_ANSWER, NO_PROGRAM, UNAUTHORISED, UNREACHABLE, failure};
use super::preflight_findings::PreflightFindings;
use super::settings::AgentProfile;
use super::transcript::one_line;
use crate::process::environment::{env_removed, removed_here};

/// How a shell and `env` end where they do not find, or cannot start, what they are to run.
const NOT_STARTED: [i32; 2] = [126, 127];
/// Places, and credentials, that one profile may name.
const NAMED_MAX: usize = 16;
/// The longest time for which a finding may count.
const KEEP_MAX: Duration = Duration::from_secs(60 * 60);
/// The longest time that a look may take.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// A failure counts for so long at most: what was mended is to be seen soon.
const FAILURE_KEEP_MAX: Duration = Duration::from_secs(10);
/// What a command says of its failure is read up to here.
const SAID_BYTES_MAX: u64 = 4 * 1024;

/// How soon it is looked again at the earliest where an attempt waits.
const LOOK_PAUSE_MIN: Duration = Duration::from_millis(100);

/// What follows where something is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingPolicy {
    /// The attempt fails.
    #[default]
    Fail,
    /// The attempt does not begin until nothing is missing.
    Wait,
}

/// `[preflight.NAME]`: what is looked at before an attempt with the profile NAME begins.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PreflightSettings {
    /// Places that must take a connection: `HOST:PORT`.
    pub network: Vec<String>,
    /// Variables (`NAME`) and files (a path with a `/`), of which one must be there.
    pub credentials: Vec<String>,
    /// A program that says by its exit code whether it is logged in, and costs nothing.
    pub command: Vec<String>,
    /// For how long a good finding counts.
    pub keep: String,
    /// How long a look may take.
    pub timeout: String,
    /// What follows where something is missing.
    pub on_missing: MissingPolicy,
}

impl Default for PreflightSettings {
    fn default() -> Self {
        Self {
            network: Vec::new(),
            credentials: Vec::new(),
            command: Vec::new(),
            keep: "1m".to_owned(),
            timeout: "10s".to_owned(),
            on_missing: MissingPolicy::Fail,
        }
    }
}

impl PreflightSettings {
    /// Whether they can be used.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn check(&self) -> Result<(), String> {
        if self.network.len() > NAMED_MAX || self.credentials.len() > NAMED_MAX {
            return Err(format!("at most {NAMED_MAX} places and {NAMED_MAX} credentials can be named"));
        }
        for place in &self.network {
            let port = place.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
            if port.is_none_or(|port| port.parse::<u16>().is_err()) {
                return Err(format!("network: {place} is not HOST:PORT"));
            }
        }
        if self.credentials.iter().any(String::is_empty) {
            return Err("credentials: an empty text names nothing".to_owned());
        }
        for (key, text, longest) in [("keep", &self.keep, KEEP_MAX), ("timeout", &self.timeout, TIMEOUT_MAX)]
        {
            let span = duration::parse(text).map_err(|error| format!("{key}: {error}"))?;
            if span > longest {
                return Err(format!("{key}: at most {}", duration::format(longest)));
            }
        }
        Ok(())
    }

    // Settings that were read have been checked.
    fn keep(&self) -> Duration {
        duration::parse(&self.keep).unwrap_or(Duration::from_secs(60)).min(KEEP_MAX)
    }

    /// When a finding that was bad is looked at again.
    pub(super) fn pause(&self) -> Duration {
        self.keep().clamp(LOOK_PAUSE_MIN, FAILURE_KEEP_MAX)
    }

    fn timeout(&self) -> Duration {
        duration::parse(&self.timeout).unwrap_or(Duration::from_secs(10)).min(TIMEOUT_MAX)
    }
}

/// What an attempt brings along that says who it is.
#[derive(Debug, Clone, Default)]
pub struct AgentEnvironment {
    /// What the profile adds to the environment: the command is asked with this.
    profile: BTreeMap<String, String>,
    /// What the step adds.
    step: BTreeMap<String, String>,
    /// Variables that the attempt is given as secrets.
    secrets: Vec<String>,
    /// Variables that it does not inherit, as the pipeline's secrets come from them.
    removed: Vec<String>,
    /// Variables that the settings withhold.
    withheld: BTreeSet<String>,
}

impl AgentEnvironment {
    /// An attempt with this profile.
    pub(super) fn of(request: &AttemptRequest, profile: &AgentProfile, withheld: &BTreeSet<String>) -> Self {
        Self {
            profile: profile.env.clone(),
            step: request.env.clone(),
            secrets: request.secrets.vars.clone(),
            removed: request.secrets.variables().cloned().collect(),
            withheld: withheld.clone(),
        }
    }

    /// The engine itself, with what the profile adds, and without what the settings withhold from agents.
    #[must_use]
    pub fn engine(profile: &AgentProfile, withheld: &BTreeSet<String>) -> Self {
        Self { profile: profile.env.clone(), withheld: withheld.clone(), ..Self::default() }
    }

    fn variable(&self, name: &str) -> Option<String> {
        let is_removed = self.withheld.contains(name) || self.removed.iter().any(|it| it == name);
        let inherited = || std::env::var(name).ok().filter(|_| !is_removed);
        let given = self.step.get(name).or_else(|| self.profile.get(name)).cloned();
        given.or_else(inherited).filter(|value| !value.is_empty())
    }

    fn has_credential(&self, credential: &str) -> bool {
        if !credential.contains('/') {
            return self.secrets.iter().any(|name| name == credential) || self.variable(credential).is_some();
        }
        let path = match (credential.strip_prefix("~/"), self.variable("HOME")) {
            (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
            _absolute => PathBuf::from(credential),
        };
        path.metadata().is_ok_and(|about| about.is_file() && about.len() > 0)
    }
}

/// A finding, since when it is known, and for how long it counts.
struct CachedFinding {
    found: Result<(), Failure>,
    since: Stopwatch,
    keep: Duration,
}

/// Looks, and remembers what was found. Clones share what they remember.
#[derive(Clone, Default)]
pub struct Preflights {
    findings: PreflightFindings,
    kept: Arc<Mutex<BTreeMap<String, CachedFinding>>>,
    looks: Arc<Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>>,
}

impl Preflights {
    /// What was found last, and who waits for it.
    #[must_use]
    pub fn findings(&self) -> &PreflightFindings {
        &self.findings
    }

    /// Looks whether an agent with this profile can work for the caller.
    ///
    /// # Errors
    /// What is missing: a failure with a code and what to do.
    pub async fn look(
        &self,
        name: &str,
        settings: &PreflightSettings,
        caller: &AgentEnvironment,
    ) -> Result<(), Failure> {
        let found = self.find(name, settings, caller).await;
        self.findings.note(name, &found);
        found
    }

    async fn find(
        &self,
        name: &str,
        settings: &PreflightSettings,
        caller: &AgentEnvironment,
    ) -> Result<(), Failure> {
        if !settings.credentials.is_empty()
            && !settings.credentials.iter().any(|credential| caller.has_credential(credential))
        {
            let message = format!("no credentials for the agent {name}: {}", settings.credentials.join(", "));
            let hint =
                "set one of these variables for the engine, give it to the step by `secrets`, or log in";
            return Err(failure(UNAUTHORISED, message, hint.to_owned()));
        }
        if settings.network.is_empty() && settings.command.is_empty() {
            return Ok(());
        }
        let one_at_a_time = {
            let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(looks.entry(name.to_owned()).or_default())
        };
        // Attempts that begin together look once.
        let _turn = one_at_a_time.lock().await;
        if let Some(found) = self.remembered(name) {
            return found;
        }
        let found = reach(name, settings).await;
        let found = match found {
            Ok(()) => ask(name, settings, caller).await,
            unreachable => unreachable,
        };
        let keep = if found.is_ok() { settings.keep() } else { settings.keep().min(FAILURE_KEEP_MAX) };
        let kept = CachedFinding { found: found.clone(), since: Stopwatch::start(), keep };
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), kept);
        found
    }

    fn remembered(&self, name: &str) -> Option<Result<(), Failure>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(name).filter(|kept| kept.since.elapsed() < kept.keep).map(|kept| kept.found.clone())
    }
}

/// Connects to every place, and says nothing there.
async fn reach(name: &str, settings: &PreflightSettings) -> Result<(), Failure> {
    let limit = settings.timeout();
    let reach_one = async |place: &String| {
        let connected = tokio::time::timeout(limit, tokio::net::TcpStream::connect(place.as_str())).await;
        let reason = match connected {
            Ok(Ok(_connection)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no connection within {}", duration::format(limit)),
        };
        let hint = format!("look at the network of this machine; preflight.{name}.network names the place");
        Err(failure(UNREACHABLE, format!("the agent {name} needs {place}: {reason}"), hint))
    };
    try_join_all(settings.network.iter().map(reach_one)).await.map(|_| ())
}

/// Asks the command whether the program is logged in.
async fn ask(name: &str, settings: &PreflightSettings, caller: &AgentEnvironment) -> Result<(), Failure> {
    let Some((program, arguments)) = settings.command.split_first() else { return Ok(()) };
    let asked = settings.command.join(" ");
    let not_ready =
        |code, why: String, hint| failure(code, format!("the agent {name} is not ready: {why}"), hint);
    let no_program = |why: String| {
        let hint = format!("look at preflight.{name}.command in everfold.toml, or install the program");
        not_ready(NO_PROGRAM, why, hint)
    };
    let no_answer = |why: String| {
        let hint = format!("run `{asked}` as the engine's user, or raise preflight.{name}.timeout");
        not_ready(NO_ANSWER, why, hint)
    };
    let mut command = tokio::process::Command::new(program);
    for variable in removed_here(&env_removed(&caller.withheld, &Secrets::default())) {
        command.env_remove(variable);
    }
    let spawned = command
        .args(arguments)
        .envs(&caller.profile)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = spawned.map_err(|error| no_program(format!("{program}: {error}")))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = async {
        let (complained, said) = tokio::try_join!(read(stderr), read(stdout))?;
        Ok::<_, std::io::Error>((child.wait().await?, complained + &said))
    };
    let limit = settings.timeout();
    match tokio::time::timeout(limit, ended).await {
        Ok(Ok((status, _))) if status.success() => Ok(()),
        Ok(Ok((status, said))) => {
            let why = match one_line(&said) {
                said if said.is_empty() => format!("`{asked}` ended with {status}"),
                said => format!("`{asked}` ended with {status}: {said}"),
            };
            if status.code().is_some_and(|code| NOT_STARTED.contains(&code)) {
                return Err(no_program(why));
            }
            let hint = format!(
                "log the program in as the engine's user; `{asked}` says by its exit code whether it is"
            );
            Err(not_ready(UNAUTHORISED, why, hint))
        }
        Ok(Err(error)) => Err(no_answer(format!("{program}: {error}"))),
        Err(_) => Err(no_answer(format!("`{asked}` took longer than {}", duration::format(limit)))),
    }
}

/// The beginning of what a pipe brings.
async fn read(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(SAID_BYTES_MAX).read_to_end(&mut bytes).await?;
        // A closed pipe would end the command.
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use everfold_base::failure::FailureKind;

    fn settings(text: &str) -> PreflightSettings {
        let settings: PreflightSettings = toml::from_str(text).unwrap();
        settings.check().unwrap();
        settings
    }

    async fn code_of(settings: &PreflightSettings, caller: &AgentEnvironment) -> Option<String> {
        Preflights::default().look("claude", settings, caller).await.err().and_then(|failure| failure.code)
    }

    #[tokio::test]
    async fn one_of_the_credentials_is_enough() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("login.json"), "{}").unwrap();
        let settings = settings("credentials = [\"NO_SUCH_KEY_ANYWHERE\", \"~/login.json\"]");
        let nobody = AgentEnvironment::default();
        let failure = Preflights::default().look("claude", &settings, &nobody).await.unwrap_err();
        assert_eq!((failure.kind, failure.code.as_deref()), (FailureKind::Spawn, Some(UNAUTHORISED)));
        assert!(failure.message.contains("NO_SUCH_KEY_ANYWHERE") && failure.hint().contains("log in"));
        let with_key = AgentEnvironment {
            secrets: vec!["NO_SUCH_KEY_ANYWHERE".to_owned()],
            ..AgentEnvironment::default()
        };
        assert_eq!(code_of(&settings, &with_key).await, None, "a secret of the step counts");
        let step = BTreeMap::from([("HOME".to_owned(), folder.path().display().to_string())]);
        assert_eq!(
            code_of(&settings, &AgentEnvironment { step, ..AgentEnvironment::default() }).await,
            None,
            "and a file"
        );
    }

    #[tokio::test]
    async fn a_place_that_takes_no_connection_is_unreachable() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let reached = settings(&format!("network = [\"{}\"]", listener.local_addr().unwrap()));
        assert_eq!(code_of(&reached, &AgentEnvironment::default()).await, None);
        // Nobody listens at port 1. One that is closed here takes connections on
        // in the copy that a program just being started by another test has of it.
        let refused = settings("network = [\"127.0.0.1:1\"]");
        assert_eq!(code_of(&refused, &AgentEnvironment::default()).await.as_deref(), Some(UNREACHABLE));
    }

    #[tokio::test]
    async fn a_finding_counts_for_its_time_and_a_failure_is_seen_to_be_mended() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let script = format!("echo x >> {at}/asked; echo Not logged in >&2; test -e {at}/login");
        let kept =
            |keep: &str| settings(&format!("command = [\"sh\", \"-c\", \"{script}\"]\nkeep = \"{keep}\""));
        let (long, short, preflights) = (kept("1m"), kept("0s"), Preflights::default());
        let caller = AgentEnvironment::default();
        let asked = || std::fs::read_to_string(folder.path().join("asked")).unwrap().lines().count();
        let failure = preflights.look("a", &long, &caller).await.unwrap_err();
        assert!(failure.message.ends_with(": Not logged in"), "{}", failure.message);
        let again = preflights.look("a", &long, &caller).await.unwrap_err();
        assert_eq!((again, asked()), (failure, 1), "it is asked once");
        preflights.look("b", &short, &caller).await.unwrap_err();
        std::fs::write(folder.path().join("login"), "").unwrap();
        assert!(preflights.look("b", &short, &caller).await.is_ok());
        assert_eq!(asked(), 3);
        let looks = (0..5).map(|_| preflights.look("c", &long, &caller));
        assert!(futures::future::join_all(looks).await.iter().all(Result::is_ok));
        assert_eq!(asked(), 4, "and once by those that begin together");
    }

    #[tokio::test]
    async fn a_command_that_says_much_is_not_ended_by_that() {
        let settings = settings("command = [\"sh\", \"-c\", \"head -c 1000000 /dev/zero\"]");
        assert_eq!(code_of(&settings, &AgentEnvironment::default()).await, None);
    }

    #[tokio::test]
    async fn a_command_that_does_not_end_is_given_up_and_says_nothing_of_credentials() {
        let settings = settings("command = [\"sleep\", \"60\"]\ntimeout = \"100ms\"");
        let failure =
            Preflights::default().look("a", &settings, &AgentEnvironment::default()).await.unwrap_err();
        assert_eq!(failure.code.as_deref(), Some(NO_ANSWER));
        assert!(failure.message.ends_with("`sleep 60` took longer than 100ms"), "{}", failure.message);
        assert!(failure.hint().contains("preflight.a.timeout"), "{}", failure.hint());
    }

    /// A mistyped command was called `UNAUTHORISED`.
    #[tokio::test]
    async fn a_command_that_is_not_there_is_told_apart_from_a_program_that_is_not_logged_in() {
        let code = async |command: &str| {
            let settings = settings(&format!("command = {command}"));
            code_of(&settings, &AgentEnvironment::default()).await
        };
        assert_eq!(code("[\"no-such-program-anywhere\", \"status\"]").await.as_deref(), Some(NO_PROGRAM));
        let shell = "[\"sh\", \"-c\", \"no-such-program-anywhere status\"]";
        assert_eq!(code(shell).await.as_deref(), Some(NO_PROGRAM), "as a shell says it");
        assert_eq!(code("[\"sh\", \"-c\", \"exit 1\"]").await.as_deref(), Some(UNAUTHORISED));
        assert_eq!(code("[\"true\"]").await, None);
    }

    #[test]
    fn settings_that_mean_nothing_are_refused() {
        for (text, why) in [
            ("network = [\"example.org\"]", "HOST:PORT"),
            ("keep = \"2h\"", "keep: at most"),
            ("timeout = \"soon\"", "timeout:"),
            ("credentials = [\"\"]", "credentials:"),
        ] {
            let settings: PreflightSettings = toml::from_str(text).unwrap();
            assert!(settings.check().unwrap_err().contains(why), "{text}");
        }
    }
}
