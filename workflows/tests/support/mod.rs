//! A data folder with executors over it, for tests with real processes.
#![allow(dead_code, unreachable_pub)] // Each test program uses a part.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use everfold_engine::definition::Save;
use everfold_engine::driver::Blobs;
use everfold_engine::execution::{
    AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult, GitWorkdir, ProbeRequest, RequestedOutputs,
    Workdir,
};
use everfold_engine::failure::Failure;
use everfold_engine::id::{Attempt, AttemptId, EffectId, Round, RunId, StepPath};
use everfold_engine::json::{BlobRef, Hash, Value};
use everfold_engine::policy::{Verdict, judge_default};
use everfold_workflows::process::{Processes, ShimProgram};
use everfold_workflows::settings::Settings;
use serde_json::json;

/// Long enough for a slow machine; nothing waits for it when all is well.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Home {
    folder: tempfile::TempDir,
    pub run: RunId,
}

pub struct FolderBlobs(PathBuf);

impl Blobs for FolderBlobs {
    fn put(&self, _run: RunId, bytes: &[u8]) -> std::io::Result<BlobRef> {
        let blob = BlobRef { hash: Hash::of(bytes), size_bytes: bytes.len() as u64 };
        std::fs::write(self.0.join(blob.hash.to_string()), bytes)?;
        Ok(blob)
    }

    fn get(&self, _run: RunId, blob: &BlobRef) -> std::io::Result<Vec<u8>> {
        std::fs::read(self.0.join(blob.hash.to_string()))
    }
}

impl FolderBlobs {
    pub fn at(folder: &Path) -> Arc<Self> {
        Arc::new(Self(folder.to_owned()))
    }
}

impl Home {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["blobs", "work"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder, run: "0198c1f0-0000-7000-8000-0000deadbeef".parse().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn work(&self, name: &str) -> PathBuf {
        self.path("work").join(name)
    }

    pub fn blob(&self, blob: BlobRef) -> String {
        std::fs::read_to_string(self.path("blobs").join(blob.hash.to_string())).unwrap()
    }

    pub fn processes(&self) -> Processes {
        self.processes_with("")
    }

    pub fn processes_with(&self, settings: &str) -> Processes {
        Processes::new(
            ShimProgram::at(Path::new(env!("CARGO_BIN_EXE_everfold-shim-under-test"))),
            Arc::new(FolderBlobs(self.path("blobs"))),
            Arc::new(Settings::parse(settings, Path::new("everfold.toml")).unwrap()),
        )
    }

    pub fn id(&self, step: &str) -> EffectId {
        let path: StepPath = step.parse().unwrap();
        EffectId { run: self.run, attempt: AttemptId { path, round: Round(1), attempt: Attempt(1) } }
    }

    pub fn request(&self, spec: Value) -> AttemptRequest {
        AttemptRequest {
            id: self.id("build"),
            spec,
            env: BTreeMap::new(),
            idempotent: None,
            secrets: Default::default(),
            reset_to: None,
            session: None,
            timeout: Some(PATIENCE),
            grace: Duration::from_millis(300),
            input: json!({"input": {"task": "x"}, "round": 1}),
            outputs: RequestedOutputs::default(),
            folder: self.path("attempt"),
            workdir: Workdir { path: self.path("work"), git: None },
        }
    }

    pub fn shell(&self, script: &str) -> AttemptRequest {
        self.request(json!({"shell": script, "vars": {}}))
    }
}

#[derive(Default)]
pub struct Seen {
    pub lines: Mutex<Vec<String>>,
    pub started: Mutex<u32>,
}

impl AttemptObserver for Seen {
    fn started(&self) {
        *self.started.lock().unwrap() += 1;
    }

    fn line(&self, line: &str) {
        self.lines.lock().unwrap().push(line.to_owned());
    }
}

pub fn nobody() -> Arc<Seen> {
    Arc::default()
}

pub fn output(end: &AttemptEnd) -> &Value {
    match &end.result {
        AttemptResult::Succeeded(output) => output,
        other => panic!("not succeeded: {other:?}"),
    }
}

pub fn failure(end: &AttemptEnd) -> &Failure {
    match &end.result {
        AttemptResult::Failed(failure) => failure,
        other => panic!("not failed: {other:?}"),
    }
}

pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub async fn pid_in(path: &Path) -> i32 {
    until("a pid", || std::fs::read_to_string(path).is_ok_and(|text| text.ends_with('\n'))).await;
    std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

pub fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rfind(')').is_some_and(|end| !stat[end..].starts_with(") Z"))
}

pub fn kill_hard(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    match rustix::process::kill_process(pid, rustix::process::Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {} // It may just have ended.
        Err(errno) => panic!("{errno}"),
    }
}

pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new("git").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub fn repository(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    git(folder, &["init", "--quiet", "--initial-branch=main"]);
    git(folder, &["config", "user.name", "Ada"]);
    git(folder, &["config", "user.email", "ada@example.org"]);
    std::fs::write(folder.join("readme"), "one\n").unwrap();
    git(folder, &["add", "."]);
    git(folder, &["commit", "--quiet", "-m", "first"]);
}

/// A probe in the home's working folder.
pub fn probe_request(home: &Home, spec: Value) -> ProbeRequest {
    ProbeRequest {
        id: home.id("build"),
        gate: "g".to_owned(),
        secrets: Default::default(),
        probe_no: 1,
        spec,
        env: [("GREETING".to_owned(), "hello".to_owned())].into(),
        timeout: PATIENCE,
        folder: home.path("probe"),
        workdir: Workdir { path: home.path("work"), git: None },
        fresh: None,
    }
}

/// The same where the working folder is a worktree; its base is the first commit.
pub fn in_git(home: &Home, spec: Value) -> ProbeRequest {
    let mut request = probe_request(home, spec);
    request.workdir.git = Some(GitWorkdir {
        save: Save::None,
        message: None,
        author: None,
        base_commit: git(&home.path("work"), &["rev-list", "--max-parents=0", "HEAD"]),
        is_copy: false,
        repository: home.path("work"),
        branch: None,
    });
    request
}

/// What the default policy of a kind says.
pub fn judged(kind: &str, evidence: &Value) -> (Verdict, String) {
    let judgement = judge_default(kind, evidence).unwrap();
    (judgement.verdict, judgement.reason)
}
