//! The schemas of `api/src/schema` against the types that they mirror: the same fields, the same variants, the same
//! words.
//!
//! Law: an example names every field of its type, so a field that is added to the type does not compile here before
//! the schema has it; the words of an enum are those that its own reader names. Rows, lists and events, which only the
//! routes can make, are compared as the routes answer them.

use std::collections::{BTreeMap, BTreeSet};

use everfold_api::http::document;
use everfold_engine::artefact::Workspace;
use everfold_engine::breaker_resets::Reset;
use everfold_engine::definition::{OnLimit, OnOver, Period, UnblockDecision, Vote};
use everfold_engine::driver::{BreakerStand, BreakerView, LineView, PoolView, RateView, Reason, Waiting};
use everfold_engine::event::{
    ApprovalTerms, AskedBy, BlockReason, Comment, Hearing, KeptVote, LogSeal, Measure, Origin, OriginKind,
    QuestionTerms, Seen, SeenKind, SeenPart, SignalTaker, SlotKind, WantedSlot,
};
use everfold_engine::failure::FailureKind;
use everfold_engine::id::{Attempt, AttemptId, EffectId, Position, Round, RunId, StepId, Version};
use everfold_engine::json::{Hash, JsonText, Payload};
use everfold_engine::policy::Verdict;
use everfold_engine::state::{RunStatus, StepStatus};
use everfold_engine::time::Timestamp;
use everfold_engine::tokens::{Role, Token};
use everfold_engine::why::{CauseKind, CauseNode, CauseSubject, Evidence, LookedAt};
use everfold_projections::{
    AskedRecheck, AttemptFailure, AttemptRow, AttemptRowEnd, AttemptSpared, AwaitedAction, AwaitedActionKind,
    Decision, DecisionKind, GroupBy, ModelStatus, ModelStop, OverrideDecision, Remark, Task, TaskKind,
};
use everfold_workflows::remote::{
    AttemptName, HeartbeatReply, HeldView, Job, RemoteView, ReportedFailure, ReportedFailureKind, WorkerView,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::fixtures::in_memory::Api;

type Names = BTreeSet<String>;
/// Each variant with its fields.
type Variants = BTreeMap<String, Names>;

fn schema(name: &str) -> &'static Value {
    let schema = &document()["components"]["schemas"][name];
    assert!(schema.is_object(), "the document has no schema {name}");
    schema
}

/// The schema that a reference leads to, or the schema itself.
fn resolved(schema: &'static Value) -> &'static Value {
    match schema["$ref"].as_str() {
        Some(reference) => document().pointer(&reference[1..]).unwrap(),
        None => schema,
    }
}

fn keys(object: &Value) -> Names {
    object.as_object().into_iter().flat_map(|map| map.keys().cloned()).collect()
}

/// The fields of a schema, and those of the variant of `value` where the schema takes one in.
fn properties(schema: &'static Value, value: &Value) -> Names {
    let mut names = keys(&schema["properties"]);
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let part = resolved(part);
        names.extend(properties(part, value));
        if part["oneOf"].is_array() {
            let kind = value["kind"].as_str().unwrap();
            let taken_in = variants(part, Some("kind"));
            names.extend(taken_in.get(kind).cloned().unwrap_or_default());
            names.insert("kind".to_owned());
        }
    }
    names
}

/// The variants of a schema; `tag` names the field that says which one.
fn variants(schema: &'static Value, tag: Option<&str>) -> Variants {
    let mut all = Variants::new();
    for variant in schema["oneOf"].as_array().unwrap() {
        let own = &variant["properties"];
        let (name, fields) = match tag {
            Some(tag) => {
                let mut fields = keys(own);
                fields.remove(tag);
                (own[tag]["enum"][0].as_str().unwrap().to_owned(), fields)
            }
            None => match variant["enum"][0].as_str() {
                Some(word) => (word.to_owned(), Names::new()),
                None => {
                    let (name, inner) = own.as_object().unwrap().iter().next().unwrap();
                    (name.clone(), keys(&resolved(inner)["properties"]))
                }
            },
        };
        all.insert(name, fields);
    }
    all
}

/// The variant of a value with its fields.
fn variant_of(value: &Value, tag: Option<&str>) -> (String, Names) {
    let Some(map) = value.as_object() else { return (value.as_str().unwrap().to_owned(), Names::new()) };
    match tag {
        Some(tag) => {
            let mut fields = keys(value);
            fields.remove(tag);
            (map[tag].as_str().unwrap().to_owned(), fields)
        }
        None => {
            let (name, inner) = map.iter().next().unwrap();
            (name.clone(), keys(inner))
        }
    }
}

/// The words that the reader of an enum names when it is given another one.
fn words<T: DeserializeOwned>(other: Value) -> Names {
    let message = serde_json::from_value::<T>(other).err().unwrap().to_string();
    let (_, expected) = message.split_once(", expected ").unwrap_or_else(|| panic!("{message}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn same_fields(name: &str, example: impl Serialize) {
    let value = serde_json::to_value(example).unwrap();
    assert_eq!(properties(schema(name), &value), keys(&value), "{name}");
}

fn same_words<T: DeserializeOwned>(name: &str) {
    let said = schema(name)["enum"].as_array().unwrap().iter();
    let said: Names = said.map(|word| word.as_str().unwrap().to_owned()).collect();
    assert_eq!(said, words::<T>(json!("?")), "{name}");
}

fn same_variants<T: Serialize>(name: &str, tag: Option<&str>, examples: &[T]) -> Names {
    let values = examples.iter().map(|example| serde_json::to_value(example).unwrap());
    let examples: Variants = values.map(|value| variant_of(&value, tag)).collect();
    assert_eq!(variants(schema(name), tag), examples, "{name}");
    examples.into_keys().collect()
}

fn run() -> RunId {
    "0198c1f0-0000-7000-8000-0000deadbeef".parse().unwrap()
}

fn attempt() -> AttemptId {
    "deploy.7/2/1".parse().unwrap()
}

fn step() -> StepId {
    attempt().path.step
}

fn payload() -> Payload {
    Payload::Inline(JsonText::null())
}

fn comment() -> Comment {
    Comment { on: None, shown: None, line: None, quote: None, text: String::new() }
}

fn name() -> AttemptName {
    AttemptName(EffectId { run: run(), attempt: attempt() })
}

const AT: Timestamp = Timestamp(0);

#[test]
fn every_enum_has_the_words_of_its_mirror() {
    same_words::<Role>("Role");
    same_words::<Period>("Period");
    same_words::<OnOver>("OnOver");
    same_words::<Measure>("Measure");
    same_words::<Verdict>("Verdict");
    same_words::<RunStatus>("RunStatus");
    same_words::<CauseKind>("CauseKind");
    same_words::<StepStatus>("StepStatus");
    same_words::<FailureKind>("FailureKind");
    same_words::<OriginKind>("OriginKind");
    same_words::<AwaitedActionKind>("AwaitsKind");
    same_words::<Hearing>("Hearing");
    same_words::<UnblockDecision>("Unblocking");
    same_words::<Vote>("Voting");
    same_words::<BreakerStand>("BreakerStand");
    same_words::<ReportedFailureKind>("ToldKind");
    let all = [GroupBy::Status, GroupBy::Stage].map(|it| match it {
        GroupBy::Status | GroupBy::Stage => serde_json::to_value(it).unwrap(),
    });
    assert_eq!(schema("GroupBy")["enum"], json!(all));
}

#[test]
fn every_mirror_of_the_engine_has_the_fields_of_its_type() {
    same_fields("StepPath", attempt().path);
    same_fields("AttemptId", attempt());
    same_fields("Origin", Origin { run: run(), version: Version::FIRST, how: OriginKind::Fork });
    let kind = SlotKind::Concurrency { limit: 1, on_limit: OnLimit::default() };
    same_fields("WantedSlot", WantedSlot { key: String::new(), kind });
    let (repository, branch, base, commit) = (None, None, None, None);
    same_fields("Workspace", Workspace { path: String::new(), repository, branch, base, commit });
    same_fields(
        "Token",
        Token {
            name: String::new(),
            role: Role::Viewer,
            approves: Vec::new(),
            created_at: AT,
            created_by: String::new(),
            expires_at: None,
            revoked_at: None,
        },
    );
    let (gate, target, name) = (String::new, step, String::new);
    let reasons = [
        BlockReason::Lost,
        BlockReason::Failed,
        BlockReason::Gate { gate: gate() },
        BlockReason::UsedUp { target: target(), gate: None },
        BlockReason::NoEvidence { gate: gate() },
        BlockReason::Rejected,
        BlockReason::Held,
        BlockReason::Unchanged { target: target(), gate: gate() },
        BlockReason::Asked,
        BlockReason::Signal { name: name() },
        BlockReason::Broken { gate: gate() },
    ];
    assert_eq!(same_variants("BlockReason", None, &reasons), words::<BlockReason>(json!("?")));
    let takers = [
        SignalTaker::Gate { id: attempt(), gate: gate() },
        SignalTaker::Wait(attempt()),
        SignalTaker::Step(attempt()),
        SignalTaker::Run,
        SignalTaker::Nobody,
    ];
    assert_eq!(same_variants("SignalTaker", None, &takers), words::<SignalTaker>(json!("?")));
}

#[test]
fn every_mirror_of_what_waits_has_the_fields_of_its_type() {
    let text = String::new;
    let reasons = [
        Reason::Resource { name: text(), in_use: 1, size: 1, line: 1 },
        Reason::Unknown { name: text() },
        Reason::Withheld { name: text(), run: Some(run()) },
        Reason::Place { name: text(), in_use: 1, size: 1, line: 1 },
        Reason::Rate { service: text(), next: AT, starts: 1, per: text() },
        Reason::Breaker { service: text(), since: AT, next: AT, last: Some(text()) },
    ];
    let known = same_variants("WaitReason", Some("kind"), &reasons);
    assert_eq!(known, words::<Reason>(json!({ "kind": "?" })));
    let [reason, ..] = reasons;
    let waiting =
        Waiting { attempt: attempt(), gate: Some(text()), since: AT, priority: 0, reasons: vec![reason] };
    same_fields("Waiting", waiting);
    let line = LineView {
        fair_by: text(),
        places: Vec::new(),
        resources: Vec::new(),
        rates: Vec::new(),
        breakers: Vec::new(),
    };
    let mut limits = serde_json::to_value(line).unwrap();
    limits["slots"] = json!([]);
    limits["resets"] = json!([]);
    same_fields("LimitsAnswer", limits);
    same_fields("Reset", Reset { service: text(), failures: 1, reason: None, by: text(), at: AT });
    same_fields("PoolView", PoolView { name: text(), size: 1, in_use: 1, waiting: 1 });
    let rate =
        RateView { service: text(), starts: 1, per: text(), burst: 1, left: 1, next: None, waiting: 1 };
    same_fields("RateView", rate);
    same_fields(
        "BreakerView",
        BreakerView {
            service: text(),
            state: BreakerStand::Closed,
            failures: 1,
            failures_max: 1,
            since: None,
            next: None,
            last: None,
            last_at: None,
            waiting: 1,
        },
    );
}

#[test]
fn every_mirror_of_the_read_models_has_the_fields_of_its_type() {
    let text = String::new;
    let failure = AttemptFailure {
        kind: FailureKind::Error,
        code: None,
        message: text(),
        hint: text(),
        exit_code: None,
    };
    same_fields("AttemptFailure", &failure);
    let log = LogSeal { hash: Hash::ZERO, lines: 1, bytes: 1, lost_bytes: 0 };
    same_fields("LogSeal", &log);
    let end =
        AttemptRowEnd { at: AT, failure: Some(failure), commit: Some("4f0c".to_owned()), log: Some(log) };
    same_fields("AttemptEnd", &end);
    let spared = AttemptSpared { why: "held", would: Some(text()), version: Some(Version::FIRST) };
    same_fields("AttemptSpared", &spared);
    same_fields(
        "AttemptRow",
        AttemptRow {
            step: text(),
            round: Round(1),
            attempt: Attempt(1),
            kind: text(),
            scheduled_at: AT,
            started_at: None,
            spared: Some(spared),
            end: Some(end),
        },
    );
    let stop = ModelStop { run: None, position: Position::FIRST, what: text() };
    same_fields("Stopped", &stop);
    same_fields(
        "ModelStatus",
        ModelStatus {
            name: "runs",
            schema: 1,
            position: Position::FIRST,
            lag: 0,
            checkpoint: Position::FIRST,
            stopped: Some(stop),
            rebuilding: None,
        },
    );
    let subject = CauseSubject {
        run: Some(run()),
        step: Some(text()),
        round: Some(1),
        attempt: Some(1),
        name: Some(text()),
    };
    same_fields("CauseSubject", &subject);
    let evidence = Evidence {
        run: Some(run()),
        version: Version::FIRST,
        position: Position::FIRST,
        event: text(),
        actor: text(),
    };
    same_fields("CauseEvidence", &evidence);
    let looked_at = LookedAt { name: text(), value: Value::Null };
    same_fields("LookedAt", &looked_at);
    let cause = CauseNode {
        evidence: Some(evidence),
        values: vec![looked_at],
        ..CauseNode::new(CauseKind::Slot, subject, "it waits")
    };
    same_fields("Cause", cause);
    let awaited = AwaitedAction { step: text(), kind: AwaitedActionKind::Approval, roles: Vec::new() };
    same_fields("Awaits", awaited);
    same_fields("Remark", Remark { by: text(), comment: comment() });
    for kind in task_kinds() {
        let task = Task {
            id: text(),
            run: run(),
            short_id: text(),
            pipeline: text(),
            run_title: None,
            step: text(),
            round: Round(1),
            attempt: Attempt(1),
            kind,
            since: AT,
            expires_at: None,
            reminded: 0,
            remind_at: None,
            position: Position::FIRST,
        };
        same_fields("Task", task);
    }
    let known = same_variants("TaskKind", Some("kind"), &task_kinds());
    assert_eq!(known, words::<TaskKind>(json!({ "kind": "?" })));
    for kind in decision_kinds() {
        let (version, position) = (Version::FIRST, Position::FIRST);
        let decision = Decision { version, position, at: AT, actor: text(), step: None, round: None, kind };
        same_fields("Decision", &decision);
        let mut of_run = serde_json::to_value(decision).unwrap();
        of_run["run"] = json!(run());
        of_run["short_id"] = json!(run().short());
        same_fields("RunDecision", of_run.clone());
        of_run["pipeline"] = json!(text());
        of_run["title"] = json!(text());
        same_fields("ListedDecision", of_run);
    }
    same_variants("DecisionKind", Some("kind"), &decision_kinds());
}

fn task_kinds() -> [TaskKind; 4] {
    let terms = ApprovalTerms {
        roles: Vec::new(),
        quorum: 1,
        veto: false,
        self_approval: false,
        comment: Vec::new(),
        changes: false,
        remind_ms: None,
    };
    let asked = QuestionTerms {
        by: AskedBy::Step,
        options: Vec::new(),
        items: None,
        roles: Vec::new(),
        remind_ms: None,
    };
    [
        TaskKind::Approval {
            title: String::new(),
            show: payload(),
            shown: BTreeMap::new(),
            seen: Some(seen()),
            value: None,
            terms,
            votes: BTreeMap::new(),
            comments: Vec::new(),
        },
        TaskKind::Question { title: String::new(), text: None, terms: asked, draft: None, saved_by: None },
        TaskKind::Blocked { message: String::new(), reason: BlockReason::Lost },
        TaskKind::Budget { budget: String::new(), message: String::new(), until: None },
    ]
}

fn seen() -> Seen {
    let part = SeenPart { kind: SeenKind::File, what: "plan.md".to_owned(), hash: None };
    let kept = KeptVote { by: "user:ada".to_owned(), round: Round(1), at: AT, comment: None };
    Seen::new(vec![part], vec![kept])
}

fn asked() -> AskedRecheck {
    let gate = Some("g".to_owned());
    AskedRecheck { version: Version(1), at: AT, actor: "user:ada".to_owned(), reason: None, gate }
}

fn decision_kinds() -> [DecisionKind; 11] {
    let policies = || BTreeMap::from([("gate".to_owned(), "true".to_owned())]);
    let all = [
        DecisionKind::Gate {
            gate: String::new(),
            attempt: Attempt::FIRST,
            probe_no: 1,
            verdict: Verdict::Pass,
            reason: String::new(),
            evidence: payload(),
            policy: String::new(),
            policy_hash: Hash::ZERO,
            evaluator: 1,
            tolerated: false,
        },
        DecisionKind::Vote {
            vote: "approve",
            comment: None,
            comments: vec![comment()],
            edited: Some(payload()),
            seen: Some(Hash::ZERO),
        },
        DecisionKind::Part { answer: payload() },
        DecisionKind::Answer { answer: payload() },
        DecisionKind::Expiry { due: AT },
        DecisionKind::Approval { decision: "approve", by: Vec::new(), comment: None, seen: Some(seen()) },
        DecisionKind::Override {
            decision: OverrideDecision::Unblock(UnblockDecision::Skip),
            signal: Some("merged".into()),
            reason: None,
            policies: policies(),
            bypassed: vec!["ci".into()],
            output: Some(payload()),
        },
        DecisionKind::Recheck { reason: None, policies: policies(), displaced: Some(asked()) },
        DecisionKind::Unjudged {
            gate: "g".to_owned(),
            attempt: Attempt::FIRST,
            probe_no: 1,
            reason: "no answer".to_owned(),
            permanent: true,
            asked: asked(),
        },
        DecisionKind::Rework { gate: None, by: None, route: "a/on_fail/0".to_owned(), used: 1, max: None },
        DecisionKind::Cancel { reason: None, signal: Some("merged".into()) },
    ];
    for kind in &all {
        // It has no reader that names its words: a new variant is to be added above, too.
        match kind {
            DecisionKind::Gate { .. }
            | DecisionKind::Vote { .. }
            | DecisionKind::Part { .. }
            | DecisionKind::Answer { .. }
            | DecisionKind::Expiry { .. }
            | DecisionKind::Approval { .. }
            | DecisionKind::Override { .. }
            | DecisionKind::Recheck { .. }
            | DecisionKind::Unjudged { .. }
            | DecisionKind::Rework { .. }
            | DecisionKind::Cancel { .. } => {}
        }
    }
    all
}

#[test]
fn every_mirror_of_the_workers_has_the_fields_of_its_type() {
    let text = String::new;
    let job = Job {
        id: name(),
        lease: text(),
        lease_until: AT,
        lease_seconds: 1.0,
        function: text(),
        with: Value::Null,
        run: text(),
        step: text(),
        round: 1,
        attempt: 1,
        idempotency_key: text(),
        timeout_seconds: None,
        context: Value::Null,
    };
    same_fields("Job", job);
    let held = HeldView {
        id: name(),
        run: run(),
        step: text(),
        function: text(),
        since: AT,
        lease_until: AT,
        stopping: None,
    };
    same_fields("HeldView", &held);
    let worker = WorkerView {
        name: text(),
        instance: None,
        functions: Vec::new(),
        polls: 0,
        since: AT,
        seen_at: AT,
        holds: vec![held],
    };
    same_fields("WorkerView", worker);
    same_fields("RemoteView", RemoteView { name: text(), summary: text(), waiting: 0, polls: 0 });
    same_fields("Heard", HeartbeatReply { lease_until: AT, cancel: false, reason: None });
    let kind = ReportedFailureKind::Error;
    same_fields("Told", ReportedFailure { message: text(), kind, code: None, hint: None, detail: None });
}

/// A run that fails, with what lists, boards and the history say of it.
#[tokio::test]
async fn every_mirror_of_a_list_has_the_fields_that_the_routes_answer() {
    const FAILS: &str = "\
name: fails
description: A gate that nothing passes.
steps:
  - id: a
    function: everfold.noop
    gates: [{ id: wrong, expression: 1 == 2 }]
";
    let api = Api::new();
    let (status, run) = api.post("/api/v1/runs", json!({ "definition": FAILS })).await;
    assert_eq!(status, 201, "{run}");
    api.until(run["id"].as_str().unwrap(), "failed").await;
    let position = api.held.node().store().last_position().get();
    let get = async |path: String| {
        let (status, answer) = api.get(&path).await;
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let mut row = get(format!("/api/v1/runs?min_position={position}")).await["items"][0].clone();
    // It is left out where the starter is behind the start.
    assert_eq!(row.get("initiator"), None, "{row}");
    row["initiator"] = "user:ada".into();
    same_fields("RunRow", &row);
    same_fields("RowFailure", &row["failure"]);
    same_fields("Stats", get("/api/v1/stats?by=status".into()).await);
    let stats = get(format!("/api/v1/pipelines/fails/stats?min_position={position}")).await;
    same_fields("StepFigures", &stats["steps"][0]);
    same_fields("TimeFigures", &stats["steps"][0]["machine"]);
    let events = get(format!("/api/v1/runs/{}/events", run["id"].as_str().unwrap())).await;
    same_fields("EventLine", &events["items"][0]);
    let verdicts = get(format!("/api/v1/audit/gates?min_position={position}")).await;
    same_fields("RunDecision", &verdicts["items"][0]);
    let decisions = get(format!("/api/v1/audit/decisions?min_position={position}")).await;
    same_fields("ListedDecision", &decisions["items"][0]);
    let unused = "name: p\nsteps:\n  - { id: a, function: everfold.noop, with: 7 }\n";
    let (_, problem) = api.post("/api/v1/pipelines/check", json!({ "definition": unused })).await;
    same_fields("FileProblem", &problem["errors"][0]);
}
