//! What may stand in place of an argument: runs with their titles, steps, tasks, pipelines; for completions.
//!
//! Law: a completion says nothing beside its candidates, makes no folder and drives no run. It looks as `everfold runs` does:
//! the owner of the folder answers, this process for the moment where there is none, or the server; where none does in time,
//! or the server's token takes a command, candidates come from what is built in and from files.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use clap_complete::engine::ValueCompleter as _;
use clap_complete::{ArgValueCompleter, CompletionCandidate, PathCompleter};
use everfold_engine::data_folder::Layout;
use everfold_engine::state::RunStatus;
use everfold_workflows::builtin;
use serde_json::Value;

use super::args;
use super::target::{CommandTarget, Where};
use crate::client::{Client, FolderOptions, Leave, ServerTokenSource, encode};
use crate::fault::Fault;
use crate::http::UNBLOCK_WORDS;
use crate::text::cut;

/// How long a person waits for candidates.
const PATIENCE: Duration = Duration::from_secs(4);
/// How many there are at most.
const CANDIDATES_MAX: usize = 200;
/// The length of a remark.
const REMARK: usize = 60;

/// The description of the program, with candidates for what names something.
pub(super) fn described() -> clap::Command {
    with_candidates(args::command(), "")
}

fn with_candidates(command: clap::Command, above: &str) -> clap::Command {
    let verb = command.get_name().to_owned();
    let command = command.mut_args(|arg| match of(above, &verb, arg.get_id().as_str()) {
        Some(completer) => arg.add(completer),
        None => arg,
    });
    command.mut_subcommands(|below| with_candidates(below, &verb))
}

/// The candidates of an argument, by the verb above, the verb and the argument's name.
fn of(above: &str, verb: &str, arg: &str) -> Option<ArgValueCompleter> {
    if above == "schedule" && arg == "name" {
        return (verb != "add").then(|| ArgValueCompleter::new(schedules));
    }
    Some(match (verb, arg) {
        (_, "run") | ("runs", "parent" | "top") | ("diff", "other") | ("signal", "words") => {
            ArgValueCompleter::new(runs)
        }
        ("restart", "from") | ("fork", "until") | (_, "step" | "steps") => ArgValueCompleter::new(steps),
        ("approve" | "reject" | "changes", "task") => {
            ArgValueCompleter::new(|current: &OsStr| tasks(current, "approval"))
        }
        ("answer", "task") => ArgValueCompleter::new(|current: &OsStr| tasks(current, "question")),
        ("unblock", "decision") => ArgValueCompleter::new(decisions),
        ("runs", "status") => ArgValueCompleter::new(statuses),
        ("run" | "check" | "show" | "diff" | "graph", "pipeline" | "pipelines" | "from" | "to") => {
            ArgValueCompleter::new(pipelines_and_files)
        }
        (_, "definition") => ArgValueCompleter::new(pipelines_and_files),
        ("save", "file") => ArgValueCompleter::new(files),
        (_, "pipeline") => ArgValueCompleter::new(pipelines),
        _no_name => return None,
    })
}

fn runs(current: &OsStr) -> Vec<CompletionCandidate> {
    let page = asked(&format!("/api/v1/runs?limit={CANDIDATES_MAX}"));
    let candidate = |run: &Value| {
        let text = |name: &str| run[name].as_str().unwrap_or_default().to_owned();
        let what = match text("title").as_str() {
            "" => text("pipeline"),
            title => format!("{}: {title}", text("pipeline")),
        };
        (text("short_id"), format!("{}, {what}", text("status")))
    };
    fitting(current, items(&page).map(candidate))
}

fn steps(current: &OsStr) -> Vec<CompletionCandidate> {
    let run = Typed::now().run().unwrap_or_else(|| "@".to_owned());
    let view = asked(&format!("/api/v1/runs/{}", encode(&run)));
    let steps = view["steps"].as_array().cloned().unwrap_or_default();
    let candidate = |step: &Value| {
        let text = |name: &str| step[name].as_str().unwrap_or_default().to_owned();
        (text("id"), format!("{}, {}", text("kind"), text("status")))
    };
    fitting(current, steps.iter().map(candidate))
}

/// The open tasks of a kind: those that the verb decides.
fn tasks(current: &OsStr, kind: &str) -> Vec<CompletionCandidate> {
    let page = asked(&format!("/api/v1/inbox?limit={CANDIDATES_MAX}"));
    let candidate = |task: &Value| {
        let text = |name: &str| task[name].as_str().unwrap_or_default().to_owned();
        let what = if text("title").is_empty() { text("message") } else { text("title") };
        (text("id"), format!("{}: {what}", text("kind")))
    };
    fitting(current, items(&page).filter(|task| task["kind"] == kind).map(candidate))
}

fn schedules(current: &OsStr) -> Vec<CompletionCandidate> {
    let page = asked("/api/v1/schedules");
    let candidate = |schedule: &Value| {
        let text = |name: &str| schedule[name].as_str().unwrap_or_default().to_owned();
        (text("name"), text("pipeline"))
    };
    fitting(current, items(&page).map(candidate))
}

fn decisions(current: &OsStr) -> Vec<CompletionCandidate> {
    words(current, UNBLOCK_WORDS)
}

fn statuses(current: &OsStr) -> Vec<CompletionCandidate> {
    words(current, RunStatus::ALL.map(RunStatus::as_str))
}

fn words<const N: usize>(current: &OsStr, words: [&str; N]) -> Vec<CompletionCandidate> {
    fitting(current, words.into_iter().map(|word| (word.to_owned(), String::new())))
}

fn pipelines(current: &OsStr) -> Vec<CompletionCandidate> {
    let page = asked("/api/v1/pipelines");
    if page.is_null() {
        return fitting(current, builtin::pipelines().iter().map(|it| (it.name.to_owned(), String::new())));
    }
    let candidate = |pipeline: &Value| {
        let text = |name: &str| pipeline[name].as_str().unwrap_or_default().to_owned();
        (text("name"), text("description"))
    };
    fitting(current, items(&page).map(candidate))
}

fn files(current: &OsStr) -> Vec<CompletionCandidate> {
    let is_pipeline =
        |path: &Path| path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|it| end == *it));
    PathCompleter::file().filter(is_pipeline).complete(current)
}

fn pipelines_and_files(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut candidates = pipelines(current);
    candidates.extend(files(current));
    candidates
}

fn items(page: &Value) -> impl Iterator<Item = &Value> {
    page["items"].as_array().into_iter().flatten()
}

fn fitting(current: &OsStr, candidates: impl Iterator<Item = (String, String)>) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let fitting = candidates.filter(|(name, _)| !name.is_empty() && name.starts_with(current.as_ref()));
    let shown = fitting.take(CANDIDATES_MAX).enumerate();
    shown
        .map(|(order, (name, what))| {
            CompletionCandidate::new(name).help(Some(cut(&what, REMARK).into())).display_order(Some(order))
        })
        .collect()
}

/// What a route answers where the typed command works; null where it does not answer.
fn asked(path: &str) -> Value {
    Typed::now().place().ok().and_then(|place| answer(&place, path)).unwrap_or_default()
}

/// What a route answers where a command works.
fn answer(place: &args::Cli, path: &str) -> Option<Value> {
    let client = match Where::of(place).ok()?.target {
        CommandTarget::Folder(folder) => Client::new(FolderOptions {
            layout: Layout::new(folder),
            config: place.config.clone(),
            url: None,
            crash_after: None,
            create: false,
            progress: None,
        }),
        // The command may ask the person at the terminal.
        CommandTarget::Server(server) if matches!(server.tokens(), ServerTokenSource::Command(_)) => {
            return None;
        }
        CommandTarget::Server(server) => Client::at(*server),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().ok()?;
    let answer = runtime.block_on(async {
        let answer = tokio::time::timeout(PATIENCE, client.get(path)).await;
        client.leave(Leave::Nothing).await;
        answer
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    answer.ok()?.ok()
}

/// The words of the command line that is being completed, up to the one at the cursor.
struct Typed(Vec<String>);

/// The flags that say where a command works; each has a value.
const PLACES: [&str; 6] = ["--dir", "--server", "--context", "--ca", "--patience", "--config"];

impl Typed {
    fn now() -> Self {
        let words = std::env::args_os().skip_while(|word| word != "--").skip(2);
        let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let before = words.len().saturating_sub(1);
        Self(words.into_iter().take(before).collect())
    }

    /// A command that works where the typed one does.
    fn place(&self) -> Result<args::Cli, Fault> {
        let mut words: Vec<OsString> = vec!["everfold".into()];
        let mut typed = self.0.iter();
        while let Some(word) = typed.next() {
            if PLACES.contains(&word.as_str()) {
                words.push(word.into());
                words.extend(typed.next().map(OsString::from));
            } else if PLACES.iter().any(|flag| word.strip_prefix(flag).is_some_and(|it| it.starts_with('=')))
            {
                words.push(word.into());
            }
        }
        words.push("runs".into());
        args::read(words).map_err(|error| Fault::new(crate::fault::Code::Usage, error.to_string()))
    }

    /// The run that is named before the cursor: the first word behind the verb that is no flag.
    fn run(&self) -> Option<String> {
        let mut words = Vec::new();
        let mut typed = self.0.iter();
        while let Some(word) = typed.next() {
            if PLACES.contains(&word.as_str()) {
                typed.next();
            } else if !word.starts_with('-') {
                words.push(word);
            }
        }
        words.get(1).map(|run| (*run).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_before_the_cursor_is_found_among_flags() {
        let run = |line: &str| Typed(line.split(' ').map(str::to_owned).collect()).run();
        assert_eq!(run("--dir data logs 5b8093ed").as_deref(), Some("5b8093ed"));
        assert_eq!(run("restart @1 --from").as_deref(), Some("@1"));
        assert_eq!(run("logs"), None);
        let place =
            Typed(["--dir", "data", "logs", "--server=x", "@"].map(str::to_owned).to_vec()).place().unwrap();
        assert_eq!((place.dir.as_deref(), place.server.as_deref()), (Some(Path::new("data")), Some("x")));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_completion_looks_with_and_without_an_owner_and_makes_no_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("data");
        let dir = folder.display().to_string();
        let asked = || {
            let typed = Typed(vec!["--dir".to_owned(), dir.clone(), "show".to_owned()]);
            tokio::task::spawn_blocking(move || answer(&typed.place().unwrap(), "/api/v1/pipelines"))
        };
        asked().await.unwrap();
        assert!(!folder.exists(), "a completion makes no folder");

        let place = FolderOptions {
            layout: Layout::new(folder.clone()),
            config: None,
            url: None,
            crash_after: None,
            create: true,
            progress: None,
        };
        let owner = Client::new(place.clone());
        let page: Value = owner.get("/api/v1/pipelines").await.unwrap();
        assert_eq!(asked().await.unwrap(), Some(page.clone()), "the owner answers");
        owner.leave(Leave::Nothing).await;
        assert_eq!(asked().await.unwrap(), Some(page.clone()), "without an owner the folder is opened");

        let next: Value = Client::new(place).get("/api/v1/pipelines").await.unwrap();
        assert_eq!(next, page, "a completion leaves the folder");
    }

    #[test]
    fn what_names_something_has_candidates() {
        for (above, verb, arg) in [
            ("", "show", "run"),
            ("", "logs", "step"),
            ("", "approve", "task"),
            ("", "run", "pipeline"),
            ("pipeline", "check", "pipelines"),
            ("schedule", "pause", "name"),
            ("", "unblock", "decision"),
            ("", "runs", "status"),
        ] {
            assert!(of(above, verb, arg).is_some(), "{above} {verb} {arg}");
        }
        assert!(of("", "events", "from").is_none() && of("schedule", "add", "name").is_none());
        described().debug_assert();
    }
}
