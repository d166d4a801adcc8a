//! Evidence of a command: its exit code and the end of what it printed.

use std::time::Duration;

use everfold_base::json::Value;
use everfold_ports::{ProbeFailure, ProbeRequest, Prober, Secrets};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;

use super::failures::{never, not_now};
use crate::command::{CommandInvocation, STDOUT_BYTES_MAX, command_line};
use crate::private_file::{if_there, make_private};
use crate::process::environment::env_removed;
use crate::process::{
    Begun, Processes, Says, attach, cancel, ceiling, is_killed, make_absolute, millis, tell_data_folder,
};
use crate::secret::SecretResolver;
use crate::shim::Handover;
use crate::shim::log;
use crate::shim::protocol::{CommandOutcome, CommandRequest, LOG, PROTOCOL, PROTOCOL_SECRETS, STARTED};

const GRACE_MS: u64 = 10_000;
/// How often it is tried again while the system has too little of what a command needs.
const SHORTAGE_PAUSE: Duration = Duration::from_secs(1);
const OUTPUT_LINES: usize = 200;
const OUTPUT_BYTES_MAX: usize = 16 * 1024;
/// Of one argument, as evidence.
const ARGUMENT_BYTES_MAX: usize = 4 * 1024;

/// Runs the command of a gate under a supervisor, in the probe's folder.
#[derive(Clone)]
pub struct CommandProber {
    processes: Processes,
}

impl CommandProber {
    /// Runs commands like the executor does.
    #[must_use]
    pub fn new(processes: Processes) -> Self {
        Self { processes }
    }
}

impl Prober for CommandProber {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        probe(self.processes.clone(), request).boxed()
    }

    fn cancel(&self, mut request: ProbeRequest) -> BoxFuture<'static, ()> {
        make_absolute(&mut request.folder);
        cancel(self.processes.shim.clone(), request.folder).boxed()
    }
}

async fn probe(processes: Processes, mut request: ProbeRequest) -> Result<Value, ProbeFailure> {
    make_absolute(&mut request.folder);
    make_absolute(&mut request.workdir.path);
    let line = command_line(&request.spec).map_err(|failure| never(failure.message))?;
    let shim_request = shim_request(&processes, &request, &line);
    let mut repeated = false;
    loop {
        make_private(&request.folder).map_err(|error| not_now(format!("the probe's folder: {error}")))?;
        let handover = match !request.secrets.is_empty() && !request.folder.join(STARTED).exists() {
            true => Some(handover(&processes.secrets, &request.secrets).await?),
            false => None,
        };
        let mut begun = Begun::Perhaps;
        let attached =
            attach(&processes.shim, &request.folder, &shim_request, handover.as_ref(), None, &mut begun);
        let record = match attached.await {
            Ok(record) => record,
            // That is no evidence, and no lack of it: the gate is asked when the system has what it needs.
            Err(error) if error.says() == Says::NotNow => {
                tokio::time::sleep(SHORTAGE_PAUSE).await;
                continue;
            }
            Err(error) => return Err(not_now(error.explained())),
        };
        let (exit, timed_out) = match record.outcome {
            CommandOutcome::Exited { code: 127 } => {
                let said = log::tail(&request.folder.join(LOG), 1);
                return Err(not_now(format!("a program of the command is not installed (exit 127): {said}")));
            }
            CommandOutcome::Exited { code } => (code, false),
            CommandOutcome::Signalled { signal } if !is_killed(&record.outcome) => (128 + signal, false),
            CommandOutcome::TimedOut => (124, true),
            CommandOutcome::Cancelled => return Err(not_now("the probe was cancelled")),
            CommandOutcome::NotStarted { reason, .. } => {
                return Err(not_now(format!("the command could not be started: {reason}")));
            }
            // A probe only looks, so one without a record is repeated under its number, as one that others ended is.
            CommandOutcome::Lost { .. } | CommandOutcome::Signalled { .. } if !repeated => {
                repeated = true;
                if_there(std::fs::remove_dir_all(&request.folder))
                    .map_err(|error| not_now(format!("the lost probe's folder: {error}")))?;
                continue;
            }
            CommandOutcome::Lost { reason } => return Err(not_now(reason)),
            CommandOutcome::Signalled { signal } => {
                return Err(not_now(format!(
                    "the command was ended by signal {signal}, which Everfold did not send"
                )));
            }
        };
        return Ok(evidence(&request, &line, exit, timed_out));
    }
}

/// The variables of the judged step's process are the command's, too.
async fn handover(resolver: &SecretResolver, secrets: &Secrets) -> Result<Handover, ProbeFailure> {
    let found = resolver.look_up(secrets).await;
    let values = found.map_err(|failure| not_now(format!("{}; {}", failure.message, failure.hint())))?;
    let env = values.variables(secrets);
    Ok(Handover { env, values: values.texts().cloned().collect(), ..Handover::default() })
}

fn evidence(request: &ProbeRequest, line: &CommandInvocation, exit: i32, timed_out: bool) -> Value {
    let argv: Vec<String> =
        line.argv.iter().map(|argument| cut(argument, ARGUMENT_BYTES_MAX).to_owned()).collect();
    let printed = log::tail(&request.folder.join(LOG), OUTPUT_LINES);
    let mut from = printed.len().saturating_sub(OUTPUT_BYTES_MAX);
    while !printed.is_char_boundary(from) {
        from += 1;
    }
    let mut evidence = json!({
        "argv": argv,
        "exit": exit,
        "output": &printed[from..],
        "source": {"argv": argv, "exit": exit, "folder": request.workdir.path},
    });
    if timed_out {
        evidence["timed_out"] = true.into();
    }
    evidence
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn shim_request(processes: &Processes, request: &ProbeRequest, line: &CommandInvocation) -> CommandRequest {
    let id = &request.id.attempt;
    let mut env = line.env.clone();
    env.extend(request.env.iter().map(|(name, value)| (name.clone(), value.clone())));
    for (name, value) in [
        ("RUN", request.id.run.to_string()),
        ("STEP", id.path.to_string()),
        ("ROUND", id.round.to_string()),
        ("ATTEMPT", id.attempt.to_string()),
        ("GATE", request.gate.clone()),
        ("WORKSPACE", request.workdir.path.display().to_string()),
    ] {
        env.insert(format!("EVERFOLD_{name}"), value);
    }
    env.extend(ceiling(&request.workdir, &env));
    tell_data_folder(&mut env, &request.folder, request.id.run);
    let secrets = !request.secrets.is_empty();
    CommandRequest {
        protocol: if secrets { PROTOCOL_SECRETS } else { PROTOCOL },
        secrets,
        declared: Vec::new(),
        redact: Some(processes.settings.redact.clone()),
        argv: line.argv.clone(),
        env,
        env_remove: env_removed(&processes.settings.withheld, &request.secrets),
        cwd: request.workdir.path.clone(),
        stdin: None,
        timeout_ms: Some(millis(request.timeout)),
        grace_ms: GRACE_MS,
        log_max_bytes: processes.settings.logs.max_bytes,
        stdout_max_bytes: STDOUT_BYTES_MAX,
        stdout_tail_max_bytes: 0,
        handles: crate::handles::former(),
    }
}
