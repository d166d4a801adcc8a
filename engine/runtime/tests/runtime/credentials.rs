//! Credentials of a request: kept before the start, asked for before anything is touched, gone with the run.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use everfold_base::actor::Actor;
use everfold_base::data_folder::Layout;
use everfold_base::id::RunId;
use everfold_base::json::{Hash, Value};
use everfold_core::decide::Refusal;
use everfold_core::event::{CancelRequested, OriginKind, RunEvent};
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use everfold_core::triggers::Outcome;
use everfold_language::definition::Definition;
use everfold_ports::{BroughtCredentials, Credentials as _};
use everfold_runtime::{Engine, ForkRequest, StartError, StartRequest};
use everfold_store::{Dedup, DedupKeep, EventStore as _};
use serde_json::json;

use crate::fixtures::credential_memory::{Asks, Checks, CredentialMemory, Leaves};
use crate::fixtures::fork_requests;
use crate::fixtures::test_engine::{Rig, command, definition, function, request};
use crate::fixtures::trigger_setup::{outcome, pass, pipeline, save, settled};

/// A rig whose engine keeps credentials.
fn rig(kept: &Arc<CredentialMemory>) -> Rig {
    let mut rig = Rig::new();
    rig.engine = engine(&rig, kept);
    rig
}

fn engine(rig: &Rig, kept: &Arc<CredentialMemory>) -> Engine {
    let mut edge = rig.machine.edge();
    edge.credentials = Some(kept.clone());
    edge.probers.insert("credentials".into(), Arc::new(Asks(Arc::clone(kept))));
    edge.probers.insert("command".into(), Arc::new(Checks(Arc::clone(kept))));
    Engine::open(rig.config.clone(), rig.store.clone(), rig.machine.clone(), Layout::new("/data"), edge)
}

fn brought(values: &[(&str, &str)]) -> BroughtCredentials {
    let mut brought = BroughtCredentials::default();
    values.iter().for_each(|(name, value)| assert!(brought.add(*name, *value)));
    brought
}

fn bringing(definition: &Arc<Definition>, values: &[(&str, &str)]) -> StartRequest {
    StartRequest { credentials: brought(values), ..request(definition, json!({})) }
}

fn asks(names: &Value) -> Value {
    json!({"id": "login", "probe": {"task": {"kind": "credentials", "spec": {"names": names}}}})
}

/// A pipeline whose `admit` has these gates; its step takes so long, or fails.
fn gated(gates: Vec<Value>, step: Value) -> Arc<Definition> {
    let admit = json!({"gates": gates, "secrets": ["PASSWORD"]});
    let secrets = json!({"PASSWORD": {"credential": "claude"}});
    definition(json!({"name": "p", "secrets": secrets, "admit": admit, "steps": [step]}))
}

fn again(origin: RunId, how: OriginKind, values: &[(&str, &str)]) -> ForkRequest {
    let from_step = (how == OriginKind::Restart).then(|| "a".into());
    ForkRequest { from_step, credentials: brought(values), ..fork_requests::again(origin, how) }
}

fn refusal<T: std::fmt::Debug>(result: Result<T, StartError>) -> Refusal {
    match result {
        Err(StartError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// Waits until nothing is kept for a run: its removal goes on beside the run's end.
async fn until_gone(kept: &CredentialMemory, run: RunId) {
    let gone = async {
        while kept.has_any(run) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("it is removed");
}

#[tokio::test(start_paused = true)]
async fn a_credential_is_there_while_its_run_is_at_work_and_gone_after_each_end() {
    let kept = Arc::new(CredentialMemory::default());
    let rig = rig(&kept);
    let gates = || vec![asks(&json!(["claude"]))];
    let succeeds = gated(gates(), command("a", &[], 600_000));
    let run =
        rig.engine.start(bringing(&succeeds, &[("claude", "right"), ("git", "g-1")])).await.unwrap().run;
    assert_eq!(kept.of(run), ["claude", "git"]);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    until_gone(&kept, run).await;
    let fails = gated(gates(), function("a", &[], "fail", json!({})));
    let run = rig.engine.start(bringing(&fails, &[("claude", "right")])).await.unwrap().run;
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    until_gone(&kept, run).await;
    let cancelled = rig.engine.start(bringing(&succeeds, &[("claude", "right")])).await.unwrap().run;
    rig.submit(cancelled, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(cancelled).await, RunStatus::Cancelled);
    until_gone(&kept, cancelled).await;
    assert!(kept.is_empty());
    let history = format!("{:?}", rig.history(run).await);
    assert!(!history.contains("right"), "no event holds a value");
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_asked_for_by_name_and_nothing_is_kept_or_stored() {
    let kept = Arc::new(CredentialMemory::default());
    let rig = rig(&kept);
    let gated = gated(vec![asks(&json!(["claude", "git"]))], command("a", &[], 5));
    let before = rig.store.inner.last_position();
    let found = refusal(rig.engine.start(bringing(&gated, &[("git", "g-1")])).await);
    let Refusal::CredentialRequired { gate, missing } = &found else { panic!("{found:?}") };
    assert_eq!((gate.as_str(), missing.as_slice()), ("login", &["claude".to_owned()][..]));
    assert_eq!(found.code(), "credential_required");
    assert!(kept.is_empty() && rig.store.inner.last_position() == before);
    // Also where a refusal is recorded otherwise: the request can be sent again.
    let mut document = serde_json::to_value(&*gated).unwrap();
    document["admit"]["on_refused"] = json!("fail");
    let fails = definition(document);
    assert_eq!(refusal(rig.engine.start(request(&fails, json!({}))).await).code(), "credential_required");
    assert!(kept.is_empty() && rig.store.inner.last_position() == before);
}

#[tokio::test(start_paused = true)]
async fn which_are_asked_for_may_be_computed_and_none_is_a_pass() {
    let kept = Arc::new(CredentialMemory::default());
    let rig = rig(&kept);
    let computed = gated(vec![asks(&json!("${input.vendors}"))], command("a", &[], 5));
    let none = rig.engine.start(request(&computed, json!({"vendors": []}))).await.unwrap().run;
    assert_eq!(rig.end(none).await, RunStatus::Succeeded);
    let one = rig.engine.start(request(&computed, json!({"vendors": ["acme"]}))).await;
    assert!(matches!(refusal(one), Refusal::CredentialRequired { missing, .. } if missing == ["acme"]));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_given_a_credential_refuses_it_or_asks_for_it() {
    let kept = Arc::new(CredentialMemory::default());
    let rig = rig(&kept);
    let check = json!({"id": "password", "probe": {"task": {"kind": "command", "spec": {"argv": ["check"]}}}, "code": "WRONG"});
    let gated = gated(vec![check], command("a", &[], 5));
    let before = rig.store.inner.last_position();
    let wrong = refusal(rig.engine.start(bringing(&gated, &[("claude", "wrong")])).await);
    let Refusal::CredentialRefused { gate, names, code, reason } = &wrong else { panic!("{wrong:?}") };
    assert_eq!(
        (gate.as_str(), names.as_slice(), code.as_deref()),
        ("password", &["claude".to_owned()][..], Some("WRONG"))
    );
    assert!(wrong.code() == "credential_refused" && reason.contains("says the service"), "{reason}");
    let missing = refusal(rig.engine.start(request(&gated, json!({}))).await);
    assert!(
        matches!(&missing, Refusal::CredentialRequired { missing, .. } if missing == &["claude"]),
        "{missing:?}"
    );
    assert!(kept.is_empty() && rig.store.inner.last_position() == before);
    let run = rig.engine.start(bringing(&gated, &[("claude", "right")])).await.unwrap().run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(kept.checked.lock().unwrap().last().unwrap().iter().collect::<Vec<_>>(), ["PASSWORD"]);
    until_gone(&kept, run).await;
}

#[tokio::test(start_paused = true)]
async fn a_check_is_given_the_credential_of_the_role_in_whose_name_it_asks() {
    let kept = Arc::new(CredentialMemory::default());
    let rig = rig(&kept);
    for (role, refused) in [("dev", "credential_refused"), ("tester", "not_admitted")] {
        let check = json!({"id": "password", "as": role, "probe": {"task": {"kind": "command", "spec": {"argv": ["check"]}}}});
        let plain = gated(vec![check], command("a", &[], 5));
        let mut document = serde_json::to_value(&*plain).unwrap();
        document["secrets"]["PASSWORD"] =
            json!({"of": {"roles": {"dev": {"credential": "claude"}, "tester": {"env": "PATH"}}}});
        let wrong = refusal(rig.engine.start(bringing(&definition(document), &[("claude", "wrong")])).await);
        assert_eq!(wrong.code(), refused, "{role}");
        if let Refusal::CredentialRefused { names, .. } = &wrong {
            assert_eq!(names, &["claude"]);
        }
    }
    assert!(kept.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_judged_before_the_live_run_is_touched() {
    let kept = Arc::new(CredentialMemory::default());
    let rig = rig(&kept);
    let check =
        json!({"id": "password", "probe": {"task": {"kind": "command", "spec": {"argv": ["check"]}}}});
    let gated = gated(vec![asks(&json!(["claude"])), check], command("a", &[], 3_600_000));
    let live = rig.engine.start(bringing(&gated, &[("claude", "right")])).await.unwrap().run;
    rig.until(live, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    let before = rig.store.inner.last_position();
    for (values, code) in
        [(&[][..], "credential_required"), (&[("claude", "wrong")][..], "credential_refused")]
    {
        for how in [OriginKind::Restart, OriginKind::Fork] {
            assert_eq!(refusal(rig.engine.fork(again(live, how, values)).await).code(), code);
        }
    }
    assert_eq!((rig.status(live).await, rig.store.inner.last_position()), (RunStatus::Running, before));
    assert_eq!(kept.of(live), ["claude"], "the live run keeps its own");
    let run = rig.engine.fork(again(live, OriginKind::Restart, &[("claude", "right")])).await.unwrap().run;
    assert_eq!(rig.end(live).await, RunStatus::Cancelled);
    until_gone(&kept, live).await;
    assert_eq!(kept.of(run), ["claude"]);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    until_gone(&kept, run).await;
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_restart_leaves_no_folder_of_what_its_gates_ran() {
    let kept = Arc::new(CredentialMemory::default());
    let mut rig = rig(&kept);
    let folder = tempfile::tempdir().unwrap();
    let layout = || Layout::new(folder.path());
    let mut edge = rig.machine.edge();
    edge.credentials = Some(kept.clone());
    let leaves = Leaves { layout: layout(), checks: Checks(Arc::clone(&kept)) };
    edge.probers.insert("command".into(), Arc::new(leaves));
    rig.engine = Engine::open(rig.config.clone(), rig.store.clone(), rig.machine.clone(), layout(), edge);
    let check =
        json!({"id": "password", "probe": {"task": {"kind": "command", "spec": {"argv": ["check"]}}}});
    let gated = gated(vec![check], command("a", &[], 3_600_000));
    let live = rig.engine.start(bringing(&gated, &[("claude", "right")])).await.unwrap().run;
    rig.until(live, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    for how in [OriginKind::Restart, OriginKind::Fork] {
        let refused = rig.engine.fork(again(live, how, &[("claude", "wrong")])).await;
        assert_eq!(refusal(refused).code(), "credential_refused");
    }
    let left = std::fs::read_dir(layout().all_attempts()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [std::ffi::OsString::from(live.to_string())]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_asks_again_and_a_refused_one_leaves_the_failed_run_retryable() {
    let kept = Arc::new(CredentialMemory::default());
    let rig = rig(&kept);
    let gated = gated(vec![asks(&json!(["claude"]))], function("a", &[], "fail", json!({})));
    let failed = rig.engine.start(bringing(&gated, &[("claude", "right")])).await.unwrap().run;
    assert_eq!(rig.end(failed).await, RunStatus::Failed);
    until_gone(&kept, failed).await;
    for _ in 0..2 {
        let refused = rig.engine.fork(again(failed, OriginKind::Retry, &[])).await;
        assert_eq!(refusal(refused).code(), "credential_required");
        assert!(kept.is_empty());
    }
    let run = rig.engine.fork(again(failed, OriginKind::Retry, &[("claude", "right")])).await.unwrap().run;
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    until_gone(&kept, run).await;
}

#[tokio::test(start_paused = true)]
async fn a_repeated_start_gives_the_run_that_is_there_and_leaves_nothing_behind() {
    let kept = Arc::new(CredentialMemory::default());
    let rig = rig(&kept);
    let plain = definition(json!({"name": "p", "steps": [command("a", &[], 3_600_000)]}));
    let key = |body: &str| Dedup {
        key: Hash::of(b"key"),
        body: Hash::of(body.as_bytes()),
        keep: DedupKeep::Stream,
    };
    let asked = |value: &str, body: &str| StartRequest {
        dedup: Some(key(body)),
        ..bringing(&plain, &[("claude", value)])
    };
    let run = rig.engine.start(asked("first", "same")).await.unwrap().run;
    let repeated = rig.engine.start(asked("second", "same")).await.unwrap();
    assert!(repeated.repeated && repeated.run == run);
    assert!(rig.engine.start(asked("third", "another")).await.is_err());
    assert_eq!(kept.value(run, "claude").as_deref(), Some("first"));
    assert_eq!(kept.runs().unwrap(), [run]);
    // The answer to a taken key is another run: what was brought is not given to it.
    let held = json!({"name": "k", "key": {"value": "one", "on_taken": "return"}, "steps": [command("a", &[], 3_600_000)]});
    let held = definition(held);
    let first = rig.engine.start(request(&held, json!({}))).await.unwrap().run;
    let answer = rig.engine.start(bringing(&held, &[("claude", "fourth")])).await.unwrap();
    assert!(answer.held && answer.run == first);
    assert_eq!(kept.runs().unwrap(), [run]);
}

#[tokio::test(start_paused = true)]
async fn a_child_uses_those_of_the_run_at_the_top() {
    let kept = Arc::new(CredentialMemory::default());
    let rig = rig(&kept);
    let child = gated(vec![asks(&json!(["claude"]))], command("a", &[], 3_600_000));
    rig.engine.save_pipeline(&child, None, Actor::User("ada".into())).await.unwrap();
    let middle = json!({"name": "middle", "steps": [{"id": "c", "work": {"task": {"kind": "run", "spec": {"pipeline": "p"}}}}]});
    rig.engine.save_pipeline(&definition(middle), None, Actor::User("ada".into())).await.unwrap();
    let top = json!({"name": "top", "steps": [{"id": "m", "work": {"task": {"kind": "run", "spec": {"pipeline": "middle"}}}}]});
    let top = definition(top);
    let run = rig.engine.start(bringing(&top, &[("claude", "right")])).await.unwrap().run;
    let shared = async {
        while kept.runs().unwrap().len() < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), shared).await.expect("both children began");
    for child in kept.runs().unwrap().into_iter().filter(|child| *child != run) {
        // The nearest first: the run at the top is the last of them.
        assert_eq!(kept.kept.lock().unwrap()[&child].of.last(), Some(&run));
        assert_eq!(kept.value(child, "claude").as_deref(), Some("right"));
    }
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    for child in kept.runs().unwrap() {
        until_gone(&kept, child).await;
    }
    let without = rig.engine.start(request(&top, json!({}))).await.unwrap().run;
    assert_eq!(rig.end(without).await, RunStatus::Failed);
    let history = format!("{:?}", rig.history(without).await);
    assert!(history.contains("CREDENTIAL_REQUIRED"), "{history}");
}

#[tokio::test(start_paused = true)]
async fn a_sweep_takes_what_is_too_old_or_belongs_to_no_living_run_and_nothing_else() {
    let kept = Arc::new(CredentialMemory::default());
    let mut rig = rig(&kept);
    let plain = definition(json!({"name": "p", "steps": [command("a", &[], 3_600_000 * 48)]}));
    let run = rig.engine.start(bringing(&plain, &[("old", "old value")])).await.unwrap().run;
    // Killed between the file and the start: no run came of it.
    let orphan: RunId = "0198c1f0-0000-7000-8000-0000deadbeef".parse().unwrap();
    kept.keep(orphan, &brought(&[("claude", "right")]), (rig.config.clock)()).unwrap();
    let ended = rig.engine.start(bringing(&plain, &[("claude", "right")])).await.unwrap().run;
    kept.is_stuck.store(true, Ordering::SeqCst);
    rig.submit(ended, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(ended).await, RunStatus::Cancelled, "a removal that fails ends nothing");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(kept.has_any(ended));
    kept.is_stuck.store(false, Ordering::SeqCst);
    // As the next owner does when it opens the folder.
    rig.engine = engine(&rig, &kept);
    rig.engine.sweep_credentials().await.unwrap();
    assert_eq!(kept.runs().unwrap(), [run]);
    tokio::time::sleep(Duration::from_secs(23 * 3_600)).await;
    rig.engine.bring(run, brought(&[("new", "new value")])).await.unwrap();
    rig.engine.sweep_credentials().await.unwrap();
    assert_eq!(kept.of(run), ["new", "old"]);
    tokio::time::sleep(Duration::from_secs(2 * 3_600)).await;
    rig.engine.sweep_credentials().await.unwrap();
    assert_eq!(kept.of(run), ["new"]);
    let over = rig.engine.bring(ended, brought(&[("new", "new value")])).await;
    assert!(matches!(refusal(over), Refusal::Ended(_)));
}

#[tokio::test(start_paused = true)]
async fn the_start_of_a_schedule_or_a_delivery_brings_none_and_is_refused_with_that_code() {
    let kept = Arc::new(CredentialMemory::default());
    let rig = rig(&kept);
    let admit = json!({"gates": [asks(&json!(["claude"]))]});
    let ticks = json!([{"on": {"schedule": {"every": "10s"}}, "start": {}}]);
    save(&rig, &pipeline("nightly", 10, json!({"admit": admit, "triggers": ticks}))).await;
    pass(&rig, 12).await;
    let ticked = settled(&rig).await;
    let calls = json!([{"on": {"hook": "forge"}, "start": {}}]);
    save(&rig, &pipeline("called", 10, json!({"admit": admit, "triggers": calls}))).await;
    let called = outcome(&rig, "d1", json!({"n": 1})).await;
    for outcome in ticked.iter().chain([&called]) {
        let Outcome::Refused { code, message } = outcome else { panic!("{outcome:?}") };
        assert!(code == "credential_required" && message.contains("claude"), "{message}");
    }
    assert!(!ticked.is_empty() && kept.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_keeps_none_refuses_a_request_that_brings_some() {
    let rig = Rig::new();
    let plain = definition(json!({"name": "p", "steps": [command("a", &[], 5)]}));
    let refused = rig.engine.start(bringing(&plain, &[("claude", "right")])).await;
    assert!(matches!(refused, Err(StartError::Credentials(_))), "{refused:?}");
    let run = rig.start(&plain).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
}
