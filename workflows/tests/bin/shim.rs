//! The supervisor alone, and a bare engine that runs one command, for the tests of this crate, which
//! cannot see the command line's binary.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use everfold_base::id::{Attempt, AttemptId, EffectId, Round, RunId, StepPath};
use everfold_base::json::BlobRef;
use everfold_ports::{AttemptObserver, AttemptRequest, Executor, RequestedOutputs, Workdir};
use everfold_workflows::Blobs;
use everfold_workflows::command::CommandExecutor;
use everfold_workflows::process::{Processes, ShimProgram};
use everfold_workflows::settings::WorkflowSettings;
use everfold_workflows::shim::shim_main;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["shim", folder] => shim_main(Path::new(folder)),
        ["engine", attempt, workdir, script] => engine(attempt, workdir, script),
        _ => ExitCode::from(2),
    }
}

/// Waits until `go` stands in the working folder, then runs the script as an attempt.
fn engine(folder: &str, workdir: &str, script: &str) -> ExitCode {
    let run = async {
        while !Path::new(workdir).join("go").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let shim = ShimProgram::current()?;
        let settings = Arc::new(WorkflowSettings::default());
        let executor = CommandExecutor::new(Processes::new(shim, Arc::new(NoBlobs), settings));
        executor.start(request(folder, workdir, script), Arc::new(SilentObserver)).await;
        std::io::Result::Ok(())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn request(folder: &str, workdir: &str, script: &str) -> AttemptRequest {
    let path = StepPath::step(&"build".into());
    AttemptRequest {
        id: EffectId {
            run: RunId(Default::default()),
            attempt: AttemptId { path, round: Round(1), attempt: Attempt(1) },
        },
        spec: serde_json::json!({"shell": script}),
        env: Default::default(),
        idempotent: None,
        on_lost: None,
        secrets: Default::default(),
        reset_to: None,
        session: None,
        resumption: None,
        held: None,
        stop: Default::default(),
        timeout: None,
        grace: Duration::from_secs(1),
        input: serde_json::Value::Null,
        outputs: RequestedOutputs::default(),
        folder: PathBuf::from(folder),
        workdir: Workdir { path: PathBuf::from(workdir), git: None },
    }
}

struct NoBlobs;

impl Blobs for NoBlobs {
    fn put(&self, _run: RunId, _bytes: &[u8]) -> std::io::Result<BlobRef> {
        Err(std::io::Error::other("nothing is kept here"))
    }

    fn get(&self, _run: RunId, _blob: &BlobRef) -> std::io::Result<Vec<u8>> {
        Err(std::io::Error::other("nothing is kept here"))
    }
}

struct SilentObserver;

impl AttemptObserver for SilentObserver {
    fn started(&self) {}

    fn line(&self, _line: &str) {}
}
