//! `notify.command`: a program that gets the notice on its standard input.

use std::process::Stdio;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::message::text;
use crate::function::Call;
use crate::process::environment::removed_here;

/// What is read of a program's complaints.
const STDERR_BYTES_MAX: u64 = 4 * 1024;

/// Runs `with.argv` with `{id, notice, text, as, with, event, run}` as JSON on standard input.
///
/// The arguments are a list, never a shell's text: what a notice says is not parsed as code. Dropping the future
/// kills the program.
pub(super) async fn run(call: Call, with: Value) -> Result<Value, Failure> {
    let argv = argv(&with)?;
    let mut document = call.context().clone();
    if !document.is_object() {
        document = json!({ "input": document });
    }
    document["text"] = json!(text(&call, &with));
    document["with"] = with;
    let (program, arguments) = argv
        .split_first()
        .ok_or_else(|| Failure::new(FailureKind::Validation, "`with.argv` is an empty list"))?;
    let mut command = Command::new(program);
    for name in removed_here(&["EVERFOLD_CREDENTIAL_*".to_owned()]) {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .env("EVERFOLD_NOTICE", call.idempotency_key())
        .env("EVERFOLD_RUN", call.run().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let child = command
        .spawn()
        .map_err(|error| Failure::new(FailureKind::Spawn, format!("could not start {program}: {error}")))?;
    attend(child, document.to_string())
        .await
        .map_err(|error| Failure::new(FailureKind::Error, format!("{program} was not heard: {error}")))?
}

async fn attend(mut child: Child, document: String) -> std::io::Result<Result<Value, Failure>> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program need not read its standard input.
            let _closed = stdin.write_all(document.as_bytes()).await;
        }
    };
    let read = async {
        let mut complaints = Vec::new();
        if let Some(mut stderr) = stderr {
            (&mut stderr).take(STDERR_BYTES_MAX).read_to_end(&mut complaints).await?;
            // The rest is read and dropped, so that the program does not wait for a reader.
            tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
        }
        std::io::Result::Ok(String::from_utf8_lossy(&complaints).into_owned())
    };
    let ((), complaints) = tokio::join!(write, read);
    let complaints = complaints?;
    let status = child.wait().await?;
    if status.success() {
        return Ok(Ok(Value::Null));
    }
    Ok(Err(
        Failure::new(FailureKind::Exit, format!("the program ended with {status}")).with_detail(complaints)
    ))
}

fn argv(with: &Value) -> Result<Vec<String>, Failure> {
    let wrong = || {
        Failure::new(FailureKind::Validation, "`with.argv` is the list of the program and its arguments")
            .with_hint("argv: [notify-send, Everfold]; the notice itself comes as JSON on standard input")
    };
    let items = with["argv"].as_array().ok_or_else(wrong)?;
    items.iter().map(|item| item.as_str().map(ToOwned::to_owned).ok_or_else(wrong)).collect()
}
