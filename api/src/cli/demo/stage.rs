//! Where the demo is played: a folder with a repository, agents and a data folder; and how this
//! program is reached from there.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use everfold_engine::data_folder::Layout;
use everfold_workflows::demo::{Execution, Scratch, TASK};
use owo_colors::OwoColorize as _;
use serde::de::DeserializeOwned;
use tokio::process::Command;

use super::fault::stopped;
use super::screen::Screen;
use crate::cli::args::DemoArgs;
use crate::cli::data_folder::absolute;
use crate::cli::store_progress::store_progress;
use crate::client::{Client, FolderOptions};
use crate::fault::{Code, Fault};
use crate::serve;
use crate::text::quoted;

/// The folder's name begins like this.
const PREFIX: &str = "everfold-demo-";
/// The longest a piece of work may take.
const PACE_S_MAX: f64 = 5.0;

pub(super) struct DemoStage {
    /// This program's file.
    pub(super) program: PathBuf,
    /// How a user types it, with the data folder.
    pub(super) typed: String,
    /// All of it.
    pub(super) folder: String,
    pub(super) scratch: Scratch,
    pub(super) layout: Layout,
}

impl DemoStage {
    /// Makes the folder, the repository with its first commit, and the agents.
    pub(super) fn set(args: &DemoArgs) -> Result<Self, Fault> {
        must_run("git", &["--version"])?;
        must_run("sh", &["-c", ":"])?;
        let (program, own_name) = own_program()?;
        let folder = demo_folder(args.folder.as_deref())?;
        let Some(name) = folder.to_str().map(str::to_owned) else {
            return Err(Fault::new(
                Code::File,
                format!("{} is no UTF-8, so no run can name it", folder.display()),
            )
            .hint("name another folder: --folder DIR"));
        };
        let scratch = Scratch::write(&folder).map_err(|error| {
            Fault::new(Code::DemoStopped, format!("the scratch repository could not be made: {error}"))
                .hint(format!("what there is of it stays in {name}"))
        })?;
        let pace = if args.pace.is_finite() { args.pace.clamp(0.0, PACE_S_MAX) } else { 1.0 };
        scratch
            .set_pace(Duration::from_secs_f64(pace))
            .map_err(stopped("the agents' folder cannot be written"))?;
        let layout = Layout::new(folder.join("data"));
        let typed = format!("{} --dir {}", quoted(&own_name), quoted(&format!("{name}/data")));
        Ok(Self { program, typed, folder: name, scratch, layout })
    }

    /// What is played here.
    pub(super) fn show(&self, screen: &Screen) {
        screen.line("Everfold demo: a delivery whose engine is killed half-way".bold().to_string());
        screen.line("");
        screen.fact(
            "program",
            "a shell script that knows four Roman numerals, with tests, in a git repository",
        );
        screen.fact("task", TASK);
        screen.fact("agents", "four scripts that really edit and commit; any program can be an agent");
        screen.fact("folder", &self.folder);
    }

    /// What starts the run.
    pub(super) fn run_arguments(&self) -> Vec<String> {
        let mut arguments = vec!["run".to_owned(), "delivery".to_owned()];
        for (key, value) in self.scratch.input().as_object().into_iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            arguments.extend(["-i".to_owned(), format!("{key}={value}")]);
        }
        arguments
    }

    /// The arguments of a process of this program that works in the data folder.
    pub(super) fn arguments(&self, arguments: &[String]) -> Vec<String> {
        let dir = ["--dir".to_owned(), format!("{}/data", self.folder)];
        dir.into_iter().chain(arguments.iter().cloned()).collect()
    }

    /// The same as a user would type it; a long one over several lines.
    pub(super) fn shown(&self, arguments: &[String]) -> String {
        let mut command = self.typed.clone();
        for argument in arguments {
            let is_input = argument == "-i";
            command.push_str(if is_input { " \\\n       " } else { " " });
            command.push_str(&quoted(argument));
        }
        command
    }

    /// The folder as a word of a shell.
    pub(super) fn folder_typed(&self) -> String {
        quoted(&self.folder)
    }

    /// Asks the owner of the data folder; `None` while there is none.
    pub(super) async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Fault> {
        if serve::connect(&self.layout.socket()).await.is_err() {
            return Ok(None);
        }
        self.client().get(path).await.map(Some)
    }

    /// A way to the routes, as the owner where there is none.
    pub(super) fn client(&self) -> Client {
        Client::new(FolderOptions {
            layout: self.layout.clone(),
            config: None,
            url: None,
            crash_after: None,
            create: false,
            progress: Some(store_progress()),
        })
    }

    /// What this program answers when it is started with these arguments.
    pub(super) async fn answer(&self, arguments: &[String]) -> Result<String, Fault> {
        let output = Command::new(&self.program)
            .args(self.arguments(arguments))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(stopped("this program could not be started"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let message = format!("{} failed ({})", self.shown(arguments), output.status);
        Err(Fault::new(Code::DemoStopped, message)
            .hint(format!("it said\n    {}", said.trim().replace('\n', "\n    "))))
    }

    /// Fails where a process still owns the data folder.
    pub(super) async fn must_have_no_owner(&self) -> Result<(), Fault> {
        match serve::connect(&self.layout.socket()).await {
            Err(_nobody) => Ok(()),
            Ok(_) => Err(Fault::new(
                Code::DemoStopped,
                "the engine was killed, but another one answers for the folder",
            )),
        }
    }

    /// What the agents executed so far.
    pub(super) fn executions(&self) -> Result<Vec<Execution>, Fault> {
        self.scratch.executions().map_err(stopped("the agents' own record cannot be read"))
    }

    /// Lets the agent end that is kept at work.
    pub(super) fn let_go(&self) {
        // It ends by itself after a while, with or without this.
        let _gone = self.scratch.hold(false);
    }
}

/// Checks that a program is there.
pub(super) fn must_run(program: &str, arguments: &[&str]) -> Result<(), Fault> {
    let ran = std::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match ran {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Fault::new(
            Code::DemoStopped,
            format!("the demo needs {program}, which does not run ({status})"),
        )
        .hint(format!("try `{program} {}`", arguments.join(" ")))),
        Err(error) => Err(Fault::new(
            Code::DemoStopped,
            format!("the demo needs {program}, which does not run: {error}"),
        )
        .hint(format!("install {program}, or add its folder to PATH"))),
    }
}

/// A new folder, or the given one if it is new or empty.
pub(super) fn demo_folder(given: Option<&Path>) -> Result<PathBuf, Fault> {
    let Some(given) = given else {
        // An empty TMPDIR is no place; a relative one is one from here.
        let place = Some(std::env::temp_dir()).filter(|place| !place.as_os_str().is_empty());
        let place = absolute(&place.unwrap_or_else(|| PathBuf::from("/tmp")))?;
        let made = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&place);
        let canonical = made.and_then(|folder| folder.keep().canonicalize());
        return canonical.map_err(|error| {
            Fault::new(Code::File, format!("no folder can be made in {}: {error}", place.display()))
                .hint("set TMPDIR to a folder that can be written, or name one: --folder DIR")
        });
    };
    let given = absolute(given)?;
    let failed = |error: std::io::Error| {
        Fault::new(Code::File, format!("{} cannot be used: {error}", given.display()))
            .hint("--folder takes a new or empty folder")
    };
    std::fs::create_dir_all(&given).map_err(failed)?;
    if std::fs::read_dir(&given).map_err(failed)?.next().is_some() {
        return Err(Fault::new(Code::File, format!("{} is not empty", given.display()))
            .hint("--folder takes a new or empty folder, so that nothing of yours is touched"));
    }
    given.canonicalize().map_err(failed)
}

/// This program's file, and how a user types it.
pub(super) fn own_program() -> Result<(PathBuf, String), Fault> {
    let program = std::env::current_exe().map_err(|error| {
        Fault::new(Code::DemoStopped, format!("this program does not find itself: {error}"))
    })?;
    let typed = typed(&program);
    Ok((program, typed))
}

/// How a user types this program from here: by its name where the shell finds it, else by its path.
fn typed(program: &Path) -> String {
    let real = program.canonicalize().ok();
    let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(&name)).find(|file| file.is_file());
    if found.is_some_and(|found| found.canonicalize().ok() == real) {
        return name;
    }
    let below =
        std::env::current_dir().ok().and_then(|here| program.strip_prefix(here).ok().map(Path::to_owned));
    match below {
        Some(below) if below.components().count() == 1 => format!("./{}", below.display()),
        Some(below) => below.display().to_string(),
        None => program.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_holds_something_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        assert!(demo_folder(Some(&scratch.path().join("new/one"))).unwrap().is_dir());
        let refused = demo_folder(Some(scratch.path())).unwrap_err();
        assert!(refused.message.ends_with("is not empty"), "{refused}");
        let file = scratch.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(demo_folder(Some(&file)).unwrap_err().code, Code::File);
    }

    #[test]
    fn a_missing_program_is_named() {
        let fault = must_run("no-such-program", &["--version"]).unwrap_err();
        assert!(fault.message.contains("needs no-such-program"), "{fault}");
    }
}
