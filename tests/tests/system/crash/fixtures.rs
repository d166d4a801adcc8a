//! A scratch folder with pipelines, the program in it, and what its processes leave behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

use crate::workflow_fixtures::program::write_program;

/// A shell line that leaves one line per execution: step, round, attempt.
pub(crate) const TRACE: &str = r#"echo "$EVERFOLD_STEP $EVERFOLD_ROUND $EVERFOLD_ATTEMPT" >> "$TRACE""#;
/// A shell line that waits until the test makes the file `go`.
pub(crate) const UNTIL_GO: &str = r#"until [ -e "$LAB/go" ]; do sleep 0.02; done"#;

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    /// The exit code; `None` where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    #[track_caller]
    pub(crate) fn ended_with(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn was_killed(&self) -> &Self {
        assert_eq!(self.code, None, "it was to be killed\n{}\n{}", self.out, self.err);
        self
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// A scratch folder. What still runs in it ends with it.
pub(crate) struct Lab {
    _folder: TempDir,
    root: PathBuf,
    variables: BTreeMap<String, String>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        Self { _folder: folder, root, variables: BTreeMap::new() }
    }

    /// A folder with one pipeline, `p.yaml`.
    pub(crate) fn with(pipeline: &str) -> Self {
        let lab = Self::new();
        lab.write("p.yaml", pipeline);
        lab
    }

    /// Sets a variable for the programs to come.
    fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Makes a git repository with one commit in `repo`.
    pub(crate) fn repository(&self) {
        self.write("repo/file", "text\n");
        for args in [
            &["init", "-q", "-b", "main"][..],
            &["add", "."],
            &["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-q", "-m", "first"],
        ] {
            self.git(args);
        }
    }

    /// Puts a `git` into the path of the programs to come that does `act` in place of its first
    /// `worktree add`; there `$REAL` is git itself.
    pub(crate) fn wrap_git(&mut self, act: &str) {
        let found = Command::new("sh").args(["-c", "command -v git"]).output().unwrap();
        let real = String::from_utf8(found.stdout).unwrap();
        let wrapper = format!(
            "#!/bin/sh\nREAL={} LAB='{}'\ncase \"$*\" in *'worktree add'*) if ! [ -e \"$LAB/hit\" ]; then : > \"$LAB/hit\"; {act}; fi;; esac\nexec \"$REAL\" \"$@\"\n",
            real.trim(),
            // The engine's git sees no variables but those that git needs.
            self.path("").display()
        );
        write_program(&self.path("bin/git"), &wrapper);
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        self.set("PATH", &path);
    }

    /// What git says in `repo`.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let done: Done =
            Command::new("git").args(args).current_dir(self.path("repo")).output().unwrap().into();
        done.ended_with(0).out.clone()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path(".everfold")
    }

    /// Writes `everfold.toml`.
    pub(crate) fn settings(&self, text: &str) {
        self.write(".everfold/everfold.toml", text);
    }

    /// Lets what waits for `go` go on.
    pub(crate) fn go(&self) {
        self.write("go", "");
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_everfold-under-test"));
        command
            .args(args)
            .current_dir(&self.root)
            .env_remove("EVERFOLD_DIR")
            .env_remove("EVERFOLD_LOG")
            .env("EVERFOLD_USER", "ada")
            .env("NO_COLOR", "1")
            .env("LAB", &self.root)
            .env("TRACE", self.path("trace"))
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Done {
        self.start(args).end()
    }

    /// Starts the program and goes on.
    pub(crate) fn start(&self, args: &[&str]) -> Engine {
        // Output goes to files: a process that inherits a pipe would keep `end` waiting.
        let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let mut command = self.command(args);
        command.stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap());
        Engine { child: Some(command.spawn().unwrap()), out, err }
    }

    /// The history of a run.
    pub(crate) fn events(&self, run: &str) -> Vec<Event> {
        let done = self.run(&["events", run, "--json"]);
        done.ended_with(0);
        done.out.lines().map(|line| Event(serde_json::from_str(line).unwrap())).collect()
    }

    pub(crate) fn view(&self, run: &str) -> Value {
        let done = self.run(&["show", run, "--json"]);
        done.ended_with(0).json()
    }

    /// Waits for an event of this type of the newest run; there is an owner meanwhile.
    pub(crate) fn await_event(&self, kind: &str) -> Event {
        await_that(&format!("event {kind}"), || {
            std::thread::sleep(ASK_EVERY);
            let done = self.run(&["events", "@", "--json"]);
            let mut lines = done.out.lines().filter_map(|line| Some(Event(serde_json::from_str(line).ok()?)));
            lines.find(|event| event.kind() == kind)
        })
    }

    /// Waits until the newest run is in a status; there is an owner meanwhile.
    pub(crate) fn await_status(&self, status: &str) -> Value {
        await_that(&format!("status {status}"), || {
            std::thread::sleep(ASK_EVERY);
            let view: Value = serde_json::from_str(&self.run(&["show", "@", "--json"]).out).ok()?;
            (view["status"] == status).then_some(view)
        })
    }

    /// Waits until so many moments of a schedule led to something; there is an owner meanwhile.
    pub(crate) fn await_ticks(&self, schedule: &str, count: usize) {
        await_that(&format!("{count} moments of {schedule}"), || {
            std::thread::sleep(ASK_EVERY);
            let done = self.run(&["schedule", "show", schedule, "--json"]);
            let view: Value = serde_json::from_str(&done.out).ok()?;
            (view["ticks"].as_array()?.len() >= count).then_some(())
        });
    }

    /// Waits until a process listens on the folder's socket.
    pub(crate) fn await_owner(&self) {
        let socket = self.data().join("everfold.sock");
        await_that("an owner", || std::os::unix::net::UnixStream::connect(&socket).ok());
    }

    /// The process that says that it owns the folder.
    pub(crate) fn owner(&self) -> Option<i32> {
        let record: Value =
            serde_json::from_slice(&std::fs::read(self.data().join("owner.json")).ok()?).ok()?;
        record["pid"].as_i64()?.try_into().ok()
    }

    /// Waits for a file that is not empty.
    pub(crate) fn await_file(&self, name: &str) -> String {
        let path = self.path(name);
        await_that(name, || std::fs::read_to_string(&path).ok().filter(|text| !text.is_empty()))
    }

    /// What was executed, in order.
    pub(crate) fn trace(&self) -> Vec<String> {
        lines(&self.path("trace"))
    }

    #[track_caller]
    pub(crate) fn assert_trace(&self, expected: &[&str]) {
        assert_eq!(self.trace(), expected);
    }

    /// The folders of the attempts and probes of all runs, by name.
    pub(crate) fn attempts(&self) -> BTreeMap<String, PathBuf> {
        let runs = std::fs::read_dir(self.data().join("attempts")).into_iter().flatten().flatten();
        runs.flat_map(|run| std::fs::read_dir(run.path()).into_iter().flatten().flatten())
            .map(|attempt| (attempt.file_name().to_string_lossy().into_owned(), attempt.path()))
            .collect()
    }

    /// A file of an attempt's folder, once it is there.
    pub(crate) fn await_attempt(&self, attempt: &str, file: &str) -> Value {
        await_that(&format!("{attempt}/{file}"), || {
            let text = std::fs::read(self.attempts().get(attempt)?.join(file)).ok()?;
            serde_json::from_slice(&text).ok()
        })
    }

    /// The supervisor of an attempt.
    pub(crate) fn supervisor(&self, attempt: &str) -> Pid {
        let record = self.await_attempt(attempt, "lock");
        Pid::from_raw(record["shim"]["pid"].as_i64().unwrap().try_into().unwrap()).unwrap()
    }

    /// Kills a supervisor and the group of its command, as a reboot would.
    pub(crate) fn vanish(&self, attempt: &str) {
        let record = self.await_attempt(attempt, "lock");
        let supervisor = self.supervisor(attempt);
        kill_process(supervisor, Signal::KILL).unwrap();
        let head = Pid::from_raw(record["command"]["pid"].as_i64().unwrap().try_into().unwrap()).unwrap();
        let _gone = kill_process_group(head, Signal::KILL);
        await_that("they vanished", || self.session(supervisor).is_empty().then_some(()));
    }

    /// The living processes of a supervisor's session.
    pub(crate) fn session(&self, supervisor: Pid) -> Vec<i32> {
        let leader = supervisor.as_raw_nonzero().get();
        processes().filter(|process| process.session == leader).map(|process| process.pid).collect()
    }

    /// The living processes that work for this folder: engines, supervisors, and what these run.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let root = self.root.as_os_str().as_encoded_bytes();
        let names_root = |pid: i32, file: &str| {
            std::fs::read(format!("/proc/{pid}/{file}"))
                .is_ok_and(|text| text.windows(root.len()).any(|part| part == root))
        };
        let own = std::process::id().cast_signed();
        let living = processes().filter(|process| process.pid != own).map(|process| process.pid);
        living.filter(|pid| names_root(*pid, "environ") || names_root(*pid, "cmdline")).collect()
    }

    /// Waits until nothing of this folder runs any more.
    pub(crate) fn await_quiet(&self) {
        let since = Instant::now();
        while !self.processes().is_empty() {
            assert!(since.elapsed() < LIMIT, "still there: {:#?}", self.described());
            std::thread::sleep(ASK_EVERY);
        }
    }

    /// The command lines of what runs for this folder.
    fn described(&self) -> Vec<String> {
        let command_line = |pid: i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            format!("{pid}: {}", String::from_utf8_lossy(&line).replace('\0', " "))
        };
        self.processes().into_iter().map(command_line).collect()
    }

    /// The store is sound, and every decision of every run would be taken again.
    pub(crate) fn assert_sound(&self) {
        self.run(&["store", "verify"]).ended_with(0);
        let runs = self.run(&["runs", "--json"]).json();
        for run in runs["items"].as_array().unwrap() {
            let replayed = self.run(&["replay", run["id"].as_str().unwrap(), "--json"]);
            replayed.ended_with(0);
            assert_eq!(replayed.json()["differences"], serde_json::json!([]), "{run}");
        }
    }

    /// The end of every test: nothing is left, and what is stored is sound.
    pub(crate) fn assert_left_in_order(&self) {
        self.await_quiet();
        self.assert_sound();
        self.await_quiet();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // What a failed test left, by ids that name this folder.
        for pid in self.processes() {
            if let Some(pid) = Pid::from_raw(pid) {
                let _gone = kill_process(pid, Signal::KILL);
            }
        }
    }
}

struct Process {
    pid: i32,
    session: i32,
}

/// All processes that are no zombies.
fn processes() -> impl Iterator<Item = Process> {
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let is_living = !matches!(fields[0], "Z" | "X");
        is_living.then_some(Process { pid, session: fields[3].parse().ok()? })
    })
}

/// Whether a process lives.
pub(crate) fn lives(pid: i32) -> bool {
    processes().any(|process| process.pid == pid)
}

/// An event of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event(pub(crate) Value);

impl Event {
    pub(crate) fn kind(&self) -> &str {
        self.0["event"]["type"].as_str().unwrap()
    }

    pub(crate) fn field(&self, name: &str) -> &Value {
        &self.0["event"][name]
    }

    /// `step round.attempt`, as far as the event has them.
    pub(crate) fn place(&self) -> String {
        let event = &self.0["event"];
        let id = [&event["id"], &event["timer"]["id"]].into_iter().find(|id| id["path"].is_object());
        let id = id.or(event["id"]["id"].is_object().then(|| &event["id"]["id"])).unwrap_or(event);
        let step = id["path"]["step"].as_str().unwrap_or_default();
        let item = id["path"]["item"].as_u64().map(|item| format!(".{item}")).unwrap_or_default();
        format!("{step}{item} {}.{}", id["round"].as_u64().unwrap_or(0), id["attempt"].as_u64().unwrap_or(0))
    }
}

/// The places of all events of a type.
pub(crate) fn places(events: &[Event], kind: &str) -> Vec<String> {
    events.iter().filter(|event| event.kind() == kind).map(Event::place).collect()
}

/// The only event of a type.
#[track_caller]
pub(crate) fn only<'a>(events: &'a [Event], kind: &str) -> &'a Event {
    let found: Vec<&Event> = events.iter().filter(|event| event.kind() == kind).collect();
    assert_eq!(found.len(), 1, "{kind} in {events:#?}");
    found[0]
}

/// The program at work; killed with the test.
pub(crate) struct Engine {
    child: Option<Child>,
    out: std::fs::File,
    err: std::fs::File,
}

impl Engine {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Whether it has printed this so far.
    pub(crate) fn said(&self, text: &str) -> bool {
        read(&self.out).contains(text) || read(&self.err).contains(text)
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(mut self) -> Done {
        self.child.as_mut().unwrap().kill().unwrap();
        self.end()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Done {
        let mut child = self.child.take().unwrap();
        let since = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if since.elapsed() > LIMIT {
                let _gone = child.kill();
                let _gone = child.wait();
                panic!("it did not end within {LIMIT:?}\n{}\n{}", read(&self.out), read(&self.err));
            }
            std::thread::sleep(LOOK_EVERY);
        };
        Done { code: status.code(), out: read(&self.out), err: read(&self.err) }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _gone = child.kill();
            let _gone = child.wait();
        }
    }
}

fn read(file: &std::fs::File) -> String {
    use std::os::unix::fs::FileExt as _;
    let mut bytes = vec![0; file.metadata().unwrap().len().try_into().unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Longer than any of this takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Where a look costs something: a program that is asked, all processes read.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// The time of this machine, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_millis().try_into().unwrap()
}

/// Waits for something, looking often.
#[track_caller]
pub(crate) fn await_that<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(since.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Lines of a file; none where it is not there.
pub(crate) fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}
