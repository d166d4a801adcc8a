//! From a step's parameters and a profile to a process.

use std::sync::Arc;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use everfold_language::definition::{OnLost, similar};
use everfold_ports::{
    AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult, Executor, LossTraits, RequestedJson, Service,
    Traits,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::answer::AnswerTerms;
use super::call::{ARGUMENT_BYTES_MAX, AgentCall, Spec};
use super::preflight::{AgentEnvironment, MissingPolicy, Preflights};
use super::settings::{AgentProfile, OutputFormat, PromptBy};
use super::{answer, claude, codex, profile, prompt};
use crate::attempt_end::ended_now;
use crate::process::{Begun, Interpret, Plan, Processes, absolute, attempt, cancel};

/// The prompt, as a file of the attempt's folder and as the name of the kept blob.
const PROMPT_FILE: &str = "prompt.md";
const PROMPT_KEPT: &str = "everfold.prompt";
const STDOUT_BYTES_MAX: u64 = 16 * 1024 * 1024;
const STDOUT_TAIL_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The profile of a step that names none.
pub const DEFAULT_PROFILE: &str = "claude";

/// Does the work of `agent` steps.
#[derive(Clone)]
pub struct AgentExecutor {
    processes: Processes,
    preflights: Preflights,
}

impl AgentExecutor {
    /// Runs agents by the profiles of the settings.
    #[must_use]
    pub fn new(processes: Processes) -> Self {
        Self { processes, preflights: Preflights::default() }
    }

    /// The same, with findings that it shares.
    pub(crate) fn with_preflights(self, preflights: Preflights) -> Self {
        Self { preflights, ..self }
    }

    fn make(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
        begun: Begun,
    ) -> BoxFuture<'static, AttemptEnd> {
        let request = absolute(request);
        let plan = self.plan(&request);
        let executor = self.clone();
        let made = async move {
            if plan.is_ok()
                && begun == Begun::Perhaps
                && let Err(failure) = executor.preflight(&request, observer.as_ref()).await
            {
                return ended_now(AttemptResult::Failed(failure));
            }
            attempt(executor.processes, request, plan, observer, begun).await
        };
        made.boxed()
    }

    /// Looks whether the agent can work at all, where that is asked for and the attempt was not begun before; waits
    /// until it can where the settings say so. One that is stopped meanwhile ends as any other that has not begun.
    async fn preflight(
        &self,
        request: &AttemptRequest,
        observer: &dyn AttemptObserver,
    ) -> Result<(), Failure> {
        let spec = spec(&request.spec)?;
        let name = spec.profile.as_deref().unwrap_or(DEFAULT_PROFILE);
        let Some(settings) = self.processes.settings.preflight.get(name) else { return Ok(()) };
        let caller = AgentEnvironment::of(request, &self.profile(name)?, &self.processes.settings.withheld);
        let (mut is_said, wait) = (false, self.preflights.findings().wait(&request.id));
        loop {
            // A request in its folder, an end that was reported, or the mark of its stop: nothing is to be judged.
            if request.folder.exists() {
                return Ok(());
            }
            let Err(missing) = self.preflights.look(name, settings, &caller).await else { return Ok(()) };
            if settings.on_missing == MissingPolicy::Fail {
                return Err(missing);
            }
            wait.goes_on(name, &missing);
            observer.line(&format!("waits: {}", missing.message));
            if !std::mem::replace(&mut is_said, true) {
                let (reason, hint) = (&missing.message, missing.hint());
                tracing::warn!(attempt = %request.id, reason, hint, "an agent does not begin: it waits for what it needs");
            }
            tokio::time::sleep(settings.pause()).await;
        }
    }

    fn plan(&self, request: &AttemptRequest) -> Result<Plan, Failure> {
        let spec = spec(&request.spec)?;
        let name = spec.profile.clone().unwrap_or_else(|| DEFAULT_PROFILE.to_owned());
        let profile = self.profile(&name)?;
        let prompt = spec.prompt.clone().unwrap_or_else(|| default_prompt(&spec));
        let resumption = request.resumption.as_ref();
        // What a program is given that does not remember its task.
        let prompt = prompt::with_resumption(prompt, resumption);
        if profile.prompt == PromptBy::Argument && prompt.len() > ARGUMENT_BYTES_MAX {
            return Err(invalid("the prompt is too long for an argument")
                .with_hint(format!("give agents.{name} prompt = \"stdin\" or \"file\"")));
        }
        let json_file = match &request.outputs.json {
            Some(RequestedJson::File(path)) => Some(path.clone()),
            _said => None,
        };
        let (folder, workdir) = (request.folder.clone(), request.workdir.path.clone());
        let call = AgentCall { profile, spec, folder, workdir, json_file };
        let wanted = request.session.clone().filter(|_| call.spec.continues() || resumption.is_some());
        let can_continue = profile::can_continue(&call.profile);
        let remark = (wanted.is_some() && !can_continue).then(|| {
            format!(
                "the profile {name} has no {{session}}, so the session is not continued: a new one begins"
            )
        });
        let session = wanted.filter(|_| can_continue);
        let said = prompt::to_session(&prompt, resumption.filter(|_| session.is_some()));
        let made = call.make(PROMPT_FILE, &said, session.as_deref());
        if made.argv.is_empty() {
            return Err(Failure::new(FailureKind::Spawn, format!("the profile {name} has no program"))
                .with_hint(
                    "give the step `args: [PROGRAM, …]`, or the profile a `command` in everfold.toml",
                ));
        }
        let (output, spec) = (call.profile.output, call.spec.clone());
        Ok(Plan {
            missing_hint: format!(
                "install {}, or set agents.{name}.command in everfold.toml; `everfold doctor` checks the profiles",
                made.argv[0]
            ),
            argv: made.argv,
            env: made.env,
            stdin: made.stdin,
            files: vec![(PROMPT_FILE.to_owned(), said.into_bytes())],
            kept: vec![(PROMPT_KEPT.to_owned(), PROMPT_FILE.to_owned())],
            stdout_max_bytes: STDOUT_BYTES_MAX,
            stdout_tail_max_bytes: STDOUT_TAIL_BYTES_MAX,
            progress: match output {
                OutputFormat::Claude => claude::progress,
                OutputFormat::Codex => codex::progress,
                OutputFormat::Text | OutputFormat::Json => |line| Some(line.to_owned()),
            },
            interpret: interpret(output, &spec, call.model(), resumption.is_some()),
            meter: match output {
                OutputFormat::Claude => Some(|| Box::new(claude::Messages::default())),
                OutputFormat::Codex => Some(|| Box::new(codex::CodexTurns::default())),
                OutputFormat::Text | OutputFormat::Json => None,
            },
            model: call.model(),
            next: super::turn::next(call, prompt, session),
            remark,
            on_lost: self.traits(&request.spec).loss.on_lost,
        })
    }

    fn profile(&self, name: &str) -> Result<AgentProfile, Failure> {
        let settings = &self.processes.settings;
        settings.profile(name).ok_or_else(|| {
            let names = settings.profile_names();
            let near = similar(name, names.iter().map(String::as_str));
            let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            Failure::new(FailureKind::Spawn, format!("there is no agent profile {name}{near}")).with_hint(
                format!("there are {}; add [agents.{name}] to everfold.toml for another", names.join(", ")),
            )
        })
    }
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Validation, message)
}

fn spec(value: &Value) -> Result<Spec, Failure> {
    let spec: Spec = match value {
        Value::String(role) => Spec { role: Some(role.clone()), ..Spec::default() },
        value => {
            serde_json::from_value(value.clone()).map_err(|error| invalid(format!("`agent`: {error}")))?
        }
    };
    if let Some(schema) = &spec.schema {
        answer::check_schema(schema)?;
    }
    Ok(spec)
}

fn default_prompt(spec: &Spec) -> String {
    let role =
        spec.role.as_deref().map(|role| format!("You are the {role} of this project. ")).unwrap_or_default();
    let with = spec.with.as_ref().map(|with| format!("\n\n{with:#}")).unwrap_or_default();
    format!("{role}Your task is in the JSON file that the variable EVERFOLD_INPUT names.{with}\n")
}

fn interpret(format: OutputFormat, spec: &Spec, model: Option<String>, goes_on: bool) -> Interpret {
    let terms = AnswerTerms {
        format,
        schema: spec.schema.clone(),
        on_invalid: spec.on_invalid.unwrap_or_default(),
        on_incomplete: spec.on_incomplete.unwrap_or_default(),
        continues: spec.continues() || goes_on,
    };
    Arc::new(move |ended| {
        let mut answer = answer::interpret(&terms, ended);
        // A program that tells no model works with the one that it was given.
        for usage in answer.usage.iter_mut().filter(|usage| usage.model.is_none()) {
            usage.model.clone_from(&model);
        }
        answer
    })
}

impl Executor for AgentExecutor {
    fn traits(&self, value: &Value) -> Traits {
        let profile = spec(value).ok().and_then(|spec| {
            self.processes.settings.profile(spec.profile.as_deref().unwrap_or(DEFAULT_PROFILE))
        });
        let on_lost = profile.and_then(|profile| profile.on_lost).unwrap_or(OnLost::Block);
        Traits {
            supervised: true,
            loss: LossTraits { idempotent: false, on_lost },
            paid: true,
            reads_input: true,
        }
    }

    fn unknown(&self, spec: &Value) -> Option<Failure> {
        let name = spec["profile"].as_str().unwrap_or(DEFAULT_PROFILE);
        // One that is computed is known when the step begins.
        if name.contains("${") { None } else { self.profile(name).err() }
    }

    /// The profile.
    fn services(&self, spec: &Value) -> Vec<Service> {
        vec![Service::new("agent", spec["profile"].as_str().unwrap_or(DEFAULT_PROFILE))]
    }

    fn is_outage(&self, failure: &Failure) -> bool {
        crate::outage_classifier::is_agent_outage(failure)
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
