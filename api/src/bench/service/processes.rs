//! The service and its worker, as processes.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use everfold_engine::clock::Stopwatch;
use everfold_engine::json::Value;
use everfold_workflows::function::{Call, Function, StepError};
use everfold_workflows::remote::Worker;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::super::engine::BenchError;
use super::client::ServiceClient;

/// The function that the worker does.
pub(super) const FUNCTION: &str = "bench.nothing";
/// How many attempts the worker holds at once.
const CAPACITY: usize = 64;
/// How long the service may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// The settings of the service: one client may ask as often as it likes, and one function is left to workers.
const SETTINGS: &str = r#"
[serve]
rate = 1000000
burst = 1000000

[workers.functions."bench.nothing"]
summary = "Does nothing."
"#;

/// A process that ends with this one: by the end of its input, or when it is dropped.
pub(super) struct BenchProcess(Child);

impl BenchProcess {
    pub(super) fn id(&self) -> u32 {
        self.0.id().unwrap_or_default()
    }

    /// Ends it by the end of its input, and waits.
    pub(super) async fn end(mut self) -> Result<(), BenchError> {
        drop(self.0.stdin.take());
        if tokio::time::timeout(PATIENCE, self.0.wait()).await.is_err() {
            self.0.kill().await?;
        }
        Ok(())
    }
}

/// `everfold serve` over a new folder.
pub(super) struct BenchService {
    pub(super) process: BenchProcess,
    pub(super) client: ServiceClient,
    pub(super) url: String,
    /// From its start until it said that it serves.
    pub(super) ready: Duration,
}

impl BenchService {
    pub(super) async fn start(folder: &Path) -> Result<Self, BenchError> {
        let data = folder.join("data");
        std::fs::create_dir_all(&data)?;
        std::fs::write(data.join("everfold.toml"), SETTINGS)?;
        let started = Stopwatch::start();
        let mut child = own_program()?
            .args(["serve", "--listen", "127.0.0.1:0", "--until-input-ends", "--json"])
            .arg("--dir")
            .arg(&data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("the service has no output")?;
        let said = tokio::time::timeout(PATIENCE, announced(BufReader::new(stdout))).await;
        let said = said.map_err(|_| "the service did not begin within a minute")??;
        let ready = started.elapsed();
        let (url, token) =
            (said["url"].as_str().unwrap_or_default(), said["token"].as_str().unwrap_or_default());
        Ok(Self {
            process: BenchProcess(child),
            client: ServiceClient::new(url, token),
            url: url.to_owned(),
            ready,
        })
    }

    /// A worker of this service.
    pub(super) async fn worker(&self) -> Result<BenchProcess, BenchError> {
        let wish = json!({ "name": "bench", "role": "worker" });
        let made = self.client.ask(axum::http::Method::POST, "/api/v1/tokens", Some(&wish)).await?;
        let token = made["token"].as_str().unwrap_or_default();
        let child = own_program()?
            .args(["bench", "--service", "--work-at", &self.url])
            .env("EVERFOLD_TOKEN", token)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(BenchProcess(child))
    }
}

/// The document that the service prints when it serves, over several lines.
async fn announced(mut output: impl tokio::io::AsyncBufRead + Unpin) -> Result<Value, BenchError> {
    let mut text = String::new();
    loop {
        if output.read_line(&mut text).await? == 0 {
            return Err("the service ended before it served".into());
        }
        if let Ok(document) = serde_json::from_str(&text) {
            return Ok(document);
        }
    }
}

/// This program again; it ends with its input.
fn own_program() -> Result<Command, BenchError> {
    let mut command = Command::new(std::env::current_exe()?);
    command.stdin(Stdio::piped()).kill_on_drop(true);
    for name in ["EVERFOLD_DIR", "EVERFOLD_SERVER", "EVERFOLD_CONTEXT"] {
        command.env_remove(name);
    }
    Ok(command)
}

/// The worker's process: does the function that does nothing for the service at `url` until `stop` is cancelled.
///
/// # Errors
/// The service does not take it.
pub async fn work(url: &str, token: &str, stop: CancellationToken) -> Result<(), BenchError> {
    async fn nothing(_call: Call, _with: Value) -> Result<Value, StepError> {
        Ok(Value::Null)
    }
    let worker = Worker::at(url, token).function(Function::new(FUNCTION, nothing))?.capacity(CAPACITY);
    worker.run(stop).await?;
    Ok(())
}
