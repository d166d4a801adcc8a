//! The built-in pipeline `delivery` on the demo's project: the pure core decides, the real executors,
//! probers and workspaces act, one effect after the other.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::fixtures::home::{Home, git, observer};
use everfold_base::actor::Actor;
use everfold_base::data_folder::Layout;
use everfold_base::id::{AttemptId, EffectId, InputId};
use everfold_base::json::{Hash, JsonText, Payload, Value, canonical};
use everfold_base::time::Timestamp;
use everfold_core::decide::{ADMIT, Decision, Loaded, decide, plan, rejudge};
use everfold_core::effect::Effect;
use everfold_core::event::{AdmissionEvidence, RunEvent, VoteCast};
use everfold_core::input::{Input, InputKind, Start, StartOptions};
use everfold_core::state::{Awaited, EventMeta, RunState, RunStatus, effects};
use everfold_language::definition::{
    Definition, ExecutorTask, Gate, Keep, Vote, WorkspaceSpec, input, parse,
};
use everfold_language::expr::{EvalError, ValueRef};
use everfold_ports::{
    AttemptEnd, AttemptRequest, AttemptResult, Executor, GitWorkdir, Inspector as _, LookRequest,
    ProbeRequest, Prober, RequestedFile, RequestedJson, RequestedOutputs, Workdir, WorkspaceRequest,
    Workspaces,
};
use everfold_system::clock;
use everfold_workflows::WorkspaceInspector;
use everfold_workflows::agent::AgentExecutor;
use everfold_workflows::builtin;
use everfold_workflows::command::CommandExecutor;
use everfold_workflows::demo::{EXECUTIONS, LONG_STEP, Scratch};
use everfold_workflows::git::GitWorkspaces;
use everfold_workflows::probe::{CommandProber, DiffProber, FileProber, FrontmatterProber};
use everfold_workflows::shim::protocol::ShimRecord;

/// Evidence on which each gate of `admit` passes: a start asks for it before there is a run.
fn admitted(definition: &Definition) -> Vec<AdmissionEvidence> {
    let evidence = serde_json::json!({ "ok": true, "reason": "it is ready", "exit": 0, "output": "" });
    let of = |gate: &Gate| AdmissionEvidence {
        gate: gate.id.clone(),
        evidence: Some(JsonText::new(&evidence)),
        message: None,
        took_ms: 1,
    };
    definition.admit.gates.iter().map(of).collect()
}

struct Run {
    home: Home,
    layout: Layout,
    state: RunState,
    texts: HashMap<Hash, JsonText>,
    loaded: Loaded,
    events: Vec<RunEvent>,
    inputs: i64,
}

impl Run {
    fn start(home: Home, pipeline: &str, run_input: &Value) -> Self {
        let pipeline = builtin::find(pipeline).unwrap();
        let definition = parse(pipeline.text, pipeline.name, pipeline).unwrap().definition;
        let run_input = input::check(definition.input.as_ref().unwrap(), run_input).unwrap();
        let admission = admitted(&definition);
        let mut run = Self {
            layout: Layout::new(home.path("data")),
            state: RunState::new(Arc::new(definition)),
            texts: HashMap::new(),
            loaded: Loaded::default(),
            events: Vec::new(),
            inputs: 0,
            home,
        };
        run.tell(InputKind::Start(Start {
            run: run.home.run,
            options: StartOptions::new(JsonText::new(&run_input)),
            entropy: 1,
            config: None,
            admission,
            number: None,
        }));
        run
    }

    fn tell(&mut self, kind: InputKind) {
        self.inputs += 1;
        let id = InputId::derive(&self.inputs.to_string());
        let input = Input { id, at: Timestamp(1_790_000_000_000 + self.inputs), actor: Actor::Engine, kind };
        let before = self.state.clone();
        loop {
            match decide(&mut self.state, &input, &self.loaded).unwrap() {
                Decision::Needs(values) => self.load(values),
                Decision::Events(batch) => {
                    for event in &batch.events {
                        self.remember(&serde_json::to_value(event).unwrap());
                    }
                    for (blob, text) in batch.blobs {
                        self.texts.insert(blob.hash, text);
                    }
                    self.judge_again(before, &input, &batch.events);
                    self.events.extend(batch.events);
                    return;
                }
            }
        }
    }

    /// Every verdict is given again on its evidence.
    fn judge_again(&mut self, mut state: RunState, input: &Input, events: &[RunEvent]) {
        let meta = EventMeta { at: input.at, actor: input.actor.clone(), input: input.id };
        for event in events {
            if let RunEvent::GateEvaluated(verdict) = event {
                let evidence = match &verdict.evidence {
                    Payload::Inline(text) => text.value(),
                    Payload::Blob(blob) => self.texts[&blob.hash].value(),
                };
                let judged = loop {
                    match rejudge(&state, &self.loaded, input.at, verdict, &evidence, None) {
                        Err(EvalError::Needs(values)) => self.load(values),
                        judged => break judged.unwrap().unwrap(),
                    }
                };
                assert_eq!((judged.verdict, &judged.reason), (verdict.verdict, &verdict.reason));
            }
            state.apply(event, &meta);
        }
    }

    fn remember(&mut self, value: &Value) {
        self.texts.insert(Hash::of(canonical(value).as_bytes()), JsonText::new(value));
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.remember(item)),
            Value::Object(fields) => fields.values().for_each(|field| self.remember(field)),
            _ => {}
        }
    }

    fn load(&mut self, values: Vec<ValueRef>) {
        for value in values {
            self.loaded.insert(&value, self.texts[&value.hash].clone());
        }
    }

    fn planned<T>(&mut self, plan: impl Fn(&RunState, &Loaded) -> Result<T, EvalError>) -> T {
        loop {
            match plan(&self.state, &self.loaded) {
                Err(EvalError::Needs(values)) => self.load(values),
                other => return other.unwrap(),
            }
        }
    }

    fn effect_id(&self, id: &AttemptId) -> EffectId {
        EffectId { run: self.home.run, attempt: id.clone() }
    }

    fn workdir(&mut self, id: &AttemptId) -> Workdir {
        let workspace = self.state.workspace().unwrap().clone();
        let Some(WorkspaceSpec::Git(spec)) = self.state.definition().workspace.clone() else { panic!() };
        let save = self.planned(|state, loaded| plan::save(state, id, &spec, loaded));
        let git = GitWorkdir {
            save: spec.save,
            message: save.message,
            author: save.author,
            base_commit: workspace.commit.unwrap(),
            is_copy: false,
            repository: workspace.repository.unwrap().into(),
            branch: workspace.branch,
        };
        Workdir { path: PathBuf::from(workspace.path), git: Some(git) }
    }

    fn attempt_request(&mut self, id: &AttemptId) -> (String, AttemptRequest) {
        let plan = self.planned(|state, loaded| plan::attempt(state, id, loaded)).unwrap();
        let files = plan.outputs["files"].as_object().into_iter().flatten().map(|(name, file)| {
            let flag = |key: &str| file[key] == true;
            let path = file["path"].as_str().unwrap().to_owned();
            (name.clone(), RequestedFile { path, optional: flag("optional"), fresh: flag("fresh") })
        });
        let matches = plan.outputs["matches"].as_object().into_iter().flatten();
        let outputs = RequestedOutputs {
            files: files.collect(),
            json: plan.outputs["json"].as_str().map(|_| RequestedJson::Lenient),
            matches: matches
                .map(|(name, regex)| (name.clone(), regex.as_str().unwrap().to_owned()))
                .collect(),
        };
        let input = self.planned(|state, loaded| plan::work_context(state, id, &plan.spec, loaded));
        let folder = self.layout.attempt(&self.effect_id(id));
        let request = AttemptRequest {
            id: self.effect_id(id),
            spec: plan.spec,
            env: plan.env,
            idempotent: plan.idempotent,
            on_lost: plan.on_lost,
            secrets: Default::default(),
            reset_to: None,
            session: None,
            resumption: None,
            held: None,
            stop: Default::default(),
            timeout: plan.timeout,
            grace: plan.grace,
            input,
            outputs,
            folder,
            workdir: self.workdir(id),
        };
        (plan.kind, request)
    }

    fn executor(&self, kind: &str) -> Box<dyn Executor> {
        match kind {
            "command" => Box::new(CommandExecutor::new(self.home.processes())),
            "agent" => Box::new(AgentExecutor::new(self.home.processes())),
            other => panic!("{other}"),
        }
    }

    async fn attempt(&mut self, id: AttemptId) {
        let (kind, request) = self.attempt_request(&id);
        if id.path.step.as_str() == LONG_STEP {
            // The engine goes while the agent works: the executor and its future are gone.
            let folder = request.folder.clone();
            tokio::select! {
                end = self.executor(&kind).start(request.clone(), observer()) => panic!("too fast: {end:?}"),
                () = crate::fixtures::home::until("the start", || ShimRecord::read(&folder).is_some()) => {}
            }
        }
        let end = match id.path.step.as_str() == LONG_STEP {
            _look if kind == ExecutorTask::LOOK => {
                let (run, workdir) = (request.id.run, request.workdir);
                let spec = serde_json::from_value(request.spec).unwrap();
                let found =
                    WorkspaceInspector::default().look(LookRequest { run, workdir, spec }).await.unwrap();
                AttemptEnd::new(AttemptResult::Succeeded(serde_json::json!(found)), clock::now())
            }
            true => self.executor(&kind).reattach(request, observer()).await,
            false => self.executor(&kind).start(request, observer()).await,
        };
        let (commit, artefacts, ended_at) = (end.commit, end.artefacts, end.ended_at);
        let result = match end.result {
            AttemptResult::Succeeded(output) => Ok(JsonText::new(&output)),
            AttemptResult::Failed(failure) => Err(failure),
            AttemptResult::Lost { reason } => panic!("{id} is lost: {reason}"),
            AttemptResult::NoRoom { reason } | AttemptResult::Unreadable { reason } => {
                panic!("{id}: {reason}")
            }
        };
        self.tell(InputKind::AttemptFinished {
            id,
            result,
            commit,
            artefacts,
            ended_at,
            notes: Default::default(),
            ask: None,
        });
    }

    async fn probe(&mut self, id: AttemptId, gate: String, probe_no: u32) {
        let plan = self.planned(|state, loaded| plan::probe(state, &id, &gate, loaded)).unwrap();
        let processes = self.home.processes();
        let prober: Box<dyn Prober> = match plan.kind.as_str() {
            "command" => Box::new(CommandProber::new(processes)),
            "file" => Box::new(FileProber::new(processes)),
            "frontmatter" => Box::new(FrontmatterProber::new(processes)),
            _ => Box::new(DiffProber),
        };
        let request = ProbeRequest {
            id: self.effect_id(&id),
            gate: gate.clone(),
            secrets: Default::default(),
            probe_no,
            spec: plan.spec,
            env: plan.env,
            timeout: crate::fixtures::home::PATIENCE,
            folder: self.layout.probe(&self.effect_id(&id), &gate, probe_no),
            workdir: self.workdir(&id),
            fresh: None,
        };
        let evidence = JsonText::new(&prober.probe(request).await.unwrap());
        self.tell(InputKind::ProbeFinished { id, gate, probe_no, evidence, took_ms: 1 });
    }

    async fn act(&mut self) -> bool {
        let next = effects(&self.state).into_iter().find(|effect| !matches!(effect, Effect::Timer { .. }));
        match next {
            Some(Effect::Attempt { id, .. }) => self.attempt(id).await,
            Some(Effect::Probe { id, gate, probe_no }) => self.probe(id, gate, probe_no).await,
            Some(Effect::Advance) => self.tell(InputKind::Advance),
            Some(Effect::Workspace) => {
                let wanted = self.planned(plan::workspace).unwrap();
                let plan::WorkspacePlan::Git { repository, base, from, branch } = wanted else {
                    panic!("{wanted:?}")
                };
                let (keep, keep_branch) = (Keep::Never, true);
                let repository = repository.into();
                let request = WorkspaceRequest::Git { repository, base, from, branch, keep, keep_branch };
                let workspaces = GitWorkspaces::new(&self.layout.worktrees());
                let made = workspaces.prepare(self.home.run, request).await;
                self.tell(InputKind::WorkspacePrepared(made));
            }
            Some(other) => panic!("{other:?}"),
            None => {
                let approval = self.state.awaited().into_iter().find_map(|awaited| match awaited {
                    Awaited::Approval { id, .. } => Some(id),
                    _ => None,
                });
                let Some(id) = approval else { return false };
                self.tell(InputKind::Vote(VoteCast {
                    id,
                    vote: Vote::Approve,
                    comment: None,
                    roles: Vec::new(),
                    comments: Vec::new(),
                    edited: None,
                    seen: None,
                }));
            }
        }
        true
    }

    fn verdicts(&self) -> Vec<String> {
        let events = self.events.iter().filter_map(|event| match event {
            RunEvent::GateEvaluated(judged) if judged.id.path.step.as_str() != ADMIT => {
                Some(format!("{}/{} {} {}", judged.id.path, judged.id.round, judged.gate, judged.verdict))
            }
            _ => None,
        });
        events.collect()
    }
}

#[tokio::test]
async fn a_delivery_is_reworked_once_merged_and_nothing_runs_twice() {
    let home = Home::new();
    let scratch = Scratch::write(&home.path("scratch")).unwrap();
    scratch.set_pace(Duration::from_millis(100)).unwrap();
    let mut run = Run::start(home, "delivery", &scratch.input());
    while run.act().await {
        assert!(run.inputs < 100, "{:?}", run.verdicts());
    }
    assert_eq!(run.state.status(), RunStatus::Succeeded, "{:?} {:?}", run.state.failure(), run.verdicts());
    assert_eq!(
        run.verdicts(),
        [
            "analyse/1 brief-ready pass",
            "design/1 plan-ready pass",
            "develop/1 changed pass",
            "review/1 review-approved pass",
            "test/1 tests fail",
            "develop/2 changed pass",
            "review/2 review-approved pass",
            "test/2 tests pass",
            "staging/1 staging-tests pass",
            "done/1 merged pass",
        ]
    );
    let executed = scratch.executions().unwrap();
    let executed: Vec<(&str, u32)> = executed.iter().map(|it| (it.step.as_str(), it.round)).collect();
    assert_eq!(executed, EXECUTIONS);
    let repository = scratch.repository;
    let output = run.state.output().value(&run.loaded).unwrap();
    assert_eq!(output["merged"], git(&repository, &["rev-parse", "main"]));
    assert_eq!(output["rounds"], 2);
    let first = git(&repository, &["log", "-1", "--format=%s%n%P"]);
    let (subject, parents) = first.split_once('\n').unwrap();
    assert!(subject.starts_with("Merge delivery/") && parents.contains(' '), "{first}");
    assert_eq!(git(&repository, &["status", "--porcelain"]), "");
    assert_eq!(git(&repository, &["cat-file", "-t", "main:docs/delivery"]), "tree");
    let numeral =
        std::process::Command::new("sh").arg("roman.sh").arg("1994").current_dir(&repository).output();
    assert_eq!(String::from_utf8(numeral.unwrap().stdout).unwrap(), "MCMXCIV\n");
}

/// A delivery on a scratch project, stopped before the first attempt of `step`.
async fn until_step(scratch: &Scratch, home: Home, input: &Value, step: &str) -> Run {
    scratch.set_pace(Duration::from_millis(20)).unwrap();
    let mut run = Run::start(home, "delivery", input);
    let is_next = |run: &Run| {
        effects(&run.state)
            .into_iter()
            .any(|effect| matches!(effect, Effect::Attempt { id, .. } if id.path.step.as_str() == step))
    };
    while !is_next(&run) {
        assert!(run.act().await, "{step} was never reached: {:?}", run.verdicts());
    }
    run
}

#[tokio::test]
async fn a_base_that_moved_since_staging_is_staged_again() {
    let home = Home::new();
    let scratch = Scratch::write(&home.path("scratch")).unwrap();
    let mut run = until_step(&scratch, home, &scratch.input(), "deploy").await;
    std::fs::write(scratch.repository.join("NEWS"), "meanwhile\n").unwrap();
    git(&scratch.repository, &["add", "NEWS"]);
    git(&scratch.repository, &["commit", "--quiet", "-m", "Meanwhile"]);
    while run.act().await {}
    assert_eq!(run.state.status(), RunStatus::Succeeded, "{:?}", run.state.failure());
    assert!(run.verdicts().contains(&"staging/2 staging-tests pass".to_owned()), "{:?}", run.verdicts());
    assert!(scratch.repository.join("NEWS").exists() && scratch.repository.join("docs/delivery").is_dir());
}

#[tokio::test]
async fn a_base_that_is_checked_out_nowhere_is_merged_without_touching_a_folder() {
    let home = Home::new();
    let scratch = Scratch::write(&home.path("scratch")).unwrap();
    git(&scratch.repository, &["checkout", "--quiet", "-b", "mine"]);
    std::fs::write(scratch.repository.join("README.md"), "being edited\n").unwrap();
    let mut input = scratch.input();
    input["base"] = "main".into();
    input["unattended"] = true.into();
    let mut run = until_step(&scratch, home, &input, "deploy").await;
    while run.act().await {}
    assert_eq!(run.state.status(), RunStatus::Succeeded, "{:?}", run.state.failure());
    assert_eq!(git(&scratch.repository, &["log", "-1", "--format=%p", "main"]).split(' ').count(), 2);
    assert_eq!(git(&scratch.repository, &["status", "--porcelain"]), "M README.md");
    assert!(!run.events.iter().any(|event| matches!(event, RunEvent::ApprovalRequested(_))));
}
