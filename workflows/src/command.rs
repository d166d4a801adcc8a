//! The executor `command`: a shell text or a program with arguments.

use std::collections::BTreeMap;
use std::sync::Arc;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::{Value, canonical};
use everfold_language::definition::OnLost;
use everfold_ports::{AttemptEnd, AttemptObserver, AttemptRequest, Executor, LossTraits, Service, Traits};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use crate::process::{Answer, Begun, EndedProcess, Plan, Processes, absolute, attempt, cancel};

/// Standard output that is kept as it came.
pub(crate) const STDOUT_BYTES_MAX: u64 = 1024 * 1024;
/// The end of it, where it is longer.
pub(crate) const STDOUT_TAIL_BYTES_MAX: u64 = 64 * 1024;
/// The largest value that is handed over as a variable.
const VARIABLE_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Spec {
    Shell {
        shell: String,
        #[serde(default)]
        vars: BTreeMap<String, Value>,
    },
    Argv {
        argv: Vec<Value>,
    },
}

/// The arguments and variables of a command.
pub(crate) struct CommandInvocation {
    pub(crate) argv: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
}

/// Reads a command's parameters, `{"shell", "vars"}` or `{"argv"}`.
pub(crate) fn command_line(spec: &Value) -> Result<CommandInvocation, Failure> {
    let invalid = |message: String| Failure::new(FailureKind::Validation, message);
    match serde_json::from_value(spec.clone()).map_err(|error| invalid(format!("`command`: {error}")))? {
        Spec::Argv { argv } => {
            let argv: Vec<String> = argv.iter().map(text).collect();
            if argv.first().is_none_or(String::is_empty) {
                return Err(invalid("`command` names no program".to_owned()));
            }
            Ok(CommandInvocation { argv, env: BTreeMap::new() })
        }
        Spec::Shell { shell, vars } => {
            let env: BTreeMap<String, String> =
                vars.iter().map(|(name, value)| (name.clone(), text(value))).collect();
            if let Some((_, value)) = env.iter().find(|(_, value)| value.len() > VARIABLE_BYTES_MAX) {
                return Err(invalid(format!(
                    "a value in the command has {} bytes; at most {VARIABLE_BYTES_MAX} fit into a variable",
                    value.len()
                ))
                .with_hint("read it from the JSON file that EVERFOLD_INPUT names"));
            }
            if let Some((name, _)) = env.iter().find(|(_, value)| value.contains('\0')) {
                return Err(invalid(format!("the value of {name} holds a zero byte, which no variable can")));
            }
            Ok(CommandInvocation { argv: ["sh", "-e", "-c", &shell].map(str::to_owned).to_vec(), env })
        }
    }
}

/// A value as the text of an argument or variable: text as it is, null as nothing, else JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => canonical(other),
    }
}

/// Does the work of `command` steps.
#[derive(Clone)]
pub struct CommandExecutor {
    processes: Processes,
}

impl CommandExecutor {
    /// Runs commands under supervisors.
    #[must_use]
    pub fn new(processes: Processes) -> Self {
        Self { processes }
    }

    fn make(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
        begun: Begun,
    ) -> BoxFuture<'static, AttemptEnd> {
        let request = absolute(request);
        let plan = plan(&request);
        attempt(self.processes.clone(), request, plan, observer, begun).boxed()
    }
}

fn plan(request: &AttemptRequest) -> Result<Plan, Failure> {
    let CommandInvocation { argv, env } = command_line(&request.spec)?;
    Ok(Plan {
        argv,
        env,
        stdin: None,
        files: Vec::new(),
        kept: Vec::new(),
        stdout_max_bytes: STDOUT_BYTES_MAX,
        stdout_tail_max_bytes: STDOUT_TAIL_BYTES_MAX,
        progress: |line| Some(line.to_owned()),
        meter: None,
        model: None,
        interpret: Arc::new(interpret),
        next: None,
        remark: None,
        on_lost: OnLost::Block,
        missing_hint: "install the program, or give its full path; PATH is the engine's unless `env` sets it"
            .to_owned(),
    })
}

/// The result file, else the exit code and what was printed.
fn interpret(ended: &EndedProcess<'_>) -> Answer {
    let output = ended.result.cloned().unwrap_or_else(|| {
        let mut output = json!({"exit_code": ended.exit_code, "stdout": ended.stdout.text});
        if ended.stdout.tail.is_some() {
            output["stdout_truncated"] = true.into();
        }
        output
    });
    Answer::plain(output)
}

impl Executor for CommandExecutor {
    fn traits(&self, _spec: &Value) -> Traits {
        Traits {
            supervised: true,
            loss: LossTraits { idempotent: false, on_lost: OnLost::Block },
            paid: false,
            reads_input: true,
        }
    }

    /// The program, without its folder; `sh` for a command that is a text.
    fn services(&self, spec: &Value) -> Vec<Service> {
        let program = spec["argv"][0].as_str().unwrap_or("sh");
        let name = program.rsplit('/').next().unwrap_or(program);
        vec![Service::new("command", name)]
    }

    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        self.make(request, observer, Begun::Perhaps)
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        self.make(request, observer, Begun::Surely)
    }

    fn cancel(&self, request: AttemptRequest) -> BoxFuture<'static, ()> {
        cancel(self.processes.shim.clone(), absolute(request).folder).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_reach_the_shell_as_variables() {
        let line = command_line(
            &json!({"shell": "echo \"$V1\"", "vars": {"V1": "a; rm -rf /", "V2": {"b": 1}, "V3": null}}),
        )
        .unwrap();
        assert_eq!(line.argv, ["sh", "-e", "-c", "echo \"$V1\""]);
        assert_eq!(line.env["V1"], "a; rm -rf /");
        assert_eq!((line.env["V2"].as_str(), line.env["V3"].as_str()), ("{\"b\":1}", ""));
    }

    #[test]
    fn a_value_over_64_kib_is_refused_and_the_input_file_named() {
        let failure = command_line(&json!({"shell": "x", "vars": {"V1": "x".repeat(70_000)}})).err().unwrap();
        assert_eq!(failure.kind, FailureKind::Validation);
        assert!(failure.hint().contains("EVERFOLD_INPUT"));
        assert!(command_line(&json!({"argv": []})).is_err());
        assert!(command_line(&json!({"run": "x"})).is_err());
    }
}
