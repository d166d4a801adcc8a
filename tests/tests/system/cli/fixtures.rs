//! A scratch folder with pipelines, and the program in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A scratch folder.
pub(crate) struct Scratch {
    folder: TempDir,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_replays();
        }
    }
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path(".everfold")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_everfold-under-test"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_remove("EVERFOLD_DIR")
            .env_remove("EVERFOLD_SERVER")
            .env_remove("EVERFOLD_CONTEXT")
            .env_remove("EVERFOLD_TOKEN")
            .env_remove("EVERFOLD_LOG")
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("EVERFOLD_USER", "ada")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Every decision and every verdict of every run would be the same again, where the store can be read.
    fn assert_replays(&self) {
        if !self.data().exists() {
            return;
        }
        let runs = self.run(&["runs", "--json"]);
        if runs.code != 0 {
            return;
        }
        for run in runs.json()["items"].as_array().into_iter().flatten() {
            let replayed = self.run(&["replay", run["id"].as_str().unwrap(), "--json"]);
            if matches!(replayed.code, 0 | 1) {
                assert_eq!(replayed.json()["differences"], serde_json::json!([]), "{run}");
            }
        }
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Done {
        self.command(args).output().unwrap().into()
    }

    /// Starts the program and goes on.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running(Some(self.command(args).spawn().unwrap()))
    }

    /// The short id of a run.
    pub(crate) fn short(&self, run: &str) -> String {
        self.run(&["show", run, "--json"]).json()["short_id"].as_str().unwrap().to_owned()
    }

    /// Waits until a run is in a status.
    pub(crate) fn await_status(&self, run: &str, status: &str) -> Value {
        await_that(&format!("run {run} is {status}"), || {
            let done = self.run(&["show", run, "--json"]);
            let view: Value = serde_json::from_str(&done.out).ok()?;
            (view["status"] == status).then_some(view)
        })
    }

    /// Waits until a process listens on the folder's socket.
    pub(crate) fn await_owner(&self) {
        let socket = self.data().join("everfold.sock");
        await_that("an owner listens", || std::os::unix::net::UnixStream::connect(&socket).ok());
    }
}

/// What `serve` said when it began.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) url: String,
    pub(crate) token: String,
}

impl Served {
    /// The flags of the same place, for a server that begins anew.
    pub(crate) fn listen(&self) -> String {
        self.url.rsplit('/').next().unwrap().to_owned()
    }
}

impl Scratch {
    /// Serves the folder, with flags beside `--listen`. The first server of a folder has a token.
    pub(crate) fn serve(&self, flags: &[&str]) -> (Running, Served) {
        let mut args = vec!["serve", "--json"];
        args.extend(flags);
        if !flags.contains(&"--listen") {
            args.extend(["--listen", "127.0.0.1:0"]);
        }
        let mut child = self.command(&args).stderr(Stdio::inherit()).spawn().unwrap();
        let said = serde_json::Deserializer::from_reader(child.stdout.as_mut().unwrap())
            .into_iter::<Value>()
            .next()
            .unwrap()
            .unwrap();
        let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        (Running(Some(child)), Served { url: text("url"), token: text("token") })
    }

    /// The program, at a server.
    pub(crate) fn far(&self, served: &Served, args: &[&str]) -> Command {
        let mut command = self.command(&["--server", &served.url]);
        command.args(args).env("EVERFOLD_TOKEN", &served.token);
        command
    }

    /// Runs the program at a server to its end.
    pub(crate) fn run_far(&self, served: &Served, args: &[&str]) -> Done {
        self.far(served, args).output().unwrap().into()
    }

    /// Starts the program at a server and goes on.
    pub(crate) fn start_far(&self, served: &Served, args: &[&str]) -> Running {
        Running(Some(self.far(served, args).spawn().unwrap()))
    }
}

/// A process that is ended with the test.
pub(crate) struct Running(Option<Child>);

impl Running {
    pub(crate) fn kill(&mut self) {
        self.child().kill().unwrap();
        self.child().wait().unwrap();
    }

    pub(crate) fn signal(&mut self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(self.child());
        rustix::process::kill_process(pid, signal).unwrap();
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    pub(crate) fn pid(&mut self) -> u32 {
        self.child().id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child().try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Done {
        self.0.take().unwrap().wait_with_output().unwrap().into()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _gone = child.kill();
            let _gone = child.wait();
        }
    }
}

/// Waits for something, looking often.
pub(crate) fn await_that<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The verbs that a help text names: in groups, or below `Commands:`.
pub(crate) fn verbs_in(help: &str) -> Vec<String> {
    let (mut verbs, mut heading) = (Vec::new(), "");
    for line in help.lines() {
        if !line.starts_with(' ') && line.ends_with(':') {
            heading = line;
        }
        let lists_verbs = !heading.is_empty()
            && !["Arguments:", "Examples:"].contains(&heading)
            && !heading.starts_with("Options");
        // What a verb says of itself may go on in a line of its own.
        if let Some(line) = line.strip_prefix("  ").filter(|line| lists_verbs && !line.starts_with(' ')) {
            verbs.extend(line.split_whitespace().next().filter(|verb| *verb != "help").map(str::to_owned));
        }
    }
    verbs
}

/// Lines of a file; none where it is not there.
pub(crate) fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Puts words in place of what differs from run to run: ids, times, folders.
pub(crate) fn fixed(text: &str, scratch: &Scratch, runs: &[(&str, &str)]) -> String {
    let mut text =
        text.replace(&scratch.path("").display().to_string().trim_end_matches('/').to_owned(), "FOLDER");
    for (id, name) in runs {
        text = text.replace(id, name);
    }
    text
}
