//! Probes that are judged together: one gate with several members (L15).

use everfold_base::json::Payload;
use everfold_core::effect::Effect;
use everfold_core::event::{GateEvaluated, RunEvent};
use everfold_core::input::InputKind;
use everfold_core::policy::Verdict;
use serde_json::{Value, json};

use crate::fixtures::gates::{asked, command, judged, verdict, work_ended};
use crate::fixtures::scenario::{names, with};
use crate::fixtures::simulated_run::{World, definition};

fn member(id: &str, more: Value) -> Value {
    command(id, more)
}

fn evidence(judged: &GateEvaluated) -> Value {
    let Payload::Inline(text) = &judged.evidence else { panic!("small") };
    text.value()
}

fn answer(id: &str, exit_code: i64) -> Value {
    json!({"id": id, "kind": "command", "evidence": {"argv": [id], "exit": exit_code, "output": format!("{id} says {exit_code}")}})
}

#[test]
fn l15_members_are_one_probe_that_says_what_each_is_asked_and_what_is_known() {
    let gate = json!({"id": "g", "probe": {"all": [
        member("unit", json!({})),
        {"probe": {"expression": "output.n == 1"}},
        {"id": "deep", "when": "output.n > 1", "otherwise": "n is ${output.n}", "probe": {"expression": "true"}},
        {"id": "either", "probe": {"any": [member("x", json!({})), {"probe": {"expression": "false"}}]}},
    ]}});
    let world = judged(json!([gate]));
    let (kind, task) = asked(&work_ended(&world));
    assert_eq!(kind, "members");
    let known = |value: bool, source: &str| json!({"id": "expression", "kind": "expression", "evidence": {"value": value, "source": {"expression": source}}});
    assert_eq!(
        task["spec"]["members"],
        json!([
            {"id": "unit", "kind": "command", "spec": {"name": "unit"}},
            known(true, "output.n == 1"),
            {"id": "deep", "kind": "expression", "skipped": "n is 1"},
            {"id": "either", "kind": "any", "spec": {"members": [
                {"id": "x", "kind": "command", "spec": {"name": "x"}},
                known(false, "false"),
            ]}},
        ])
    );
}

#[test]
fn l15_each_member_is_judged_by_its_own_policy_and_says_so_in_the_evidence() {
    let gate = |how: Value| json!({"id": "g", "probe": how, "on_fail": [{"to": "block"}]});
    let of = || {
        json!([
            member("unit", json!({})),
            member("lint", json!({"policy": "evidence.exit < 3"})),
            member("e2e", json!({}))
        ])
    };
    let all = |members: [Value; 3]| json!({ "members": members });
    for (how, answers, expected, reason) in [
        (json!({"all": of()}), [0, 2, 0], Verdict::Pass, "all 3 pass: unit, lint, e2e"),
        (
            json!({"all": of()}),
            [1, 3, 0],
            Verdict::Fail,
            "unit: exit 1: unit says 1; lint: `evidence.exit < 3` is false",
        ),
        (json!({"any": of()}), [1, 2, 1], Verdict::Pass, "lint: `evidence.exit < 3` is true"),
        (
            json!({"at_least": {"n": 2, "of": of()}}),
            [0, 3, 1],
            Verdict::Fail,
            "1 of 3 pass, 2 needed; lint: `evidence.exit < 3` is false; e2e: exit 1: e2e says 1",
        ),
    ] {
        let mut world = judged(json!([gate(how)]));
        let [unit, lint, e2e] = answers;
        let mut found = all([answer("unit", unit), answer("lint", lint), answer("e2e", e2e)]);
        found["n"] = json!(2);
        let judged = verdict(&world.probe("a/1/1", "g", 1, found));
        assert_eq!((judged.verdict, judged.reason.as_str()), (expected, reason));
        let said = &evidence(&judged)["members"][1];
        assert_eq!(said["policy"], "evidence.exit < 3");
        assert_eq!(said["verdict"], if lint < 3 { "pass" } else { "fail" });
    }
    let mut world = judged(json!([gate(json!({"not": member("unit", json!({}))}))]));
    let judged = verdict(&world.probe("a/1/1", "g", 1, json!({"members": [answer("unit", 0)]})));
    assert_eq!((judged.verdict, judged.reason.as_str()), (Verdict::Fail, "must not pass: unit: exit 0"));
    assert_eq!(judged.policy, "default:not");
}

#[test]
fn l15_a_member_without_evidence_is_pending_and_never_passes() {
    let of = json!([member("unit", json!({})), member("e2e", json!({}))]);
    let silent = |permanent: bool| json!({"id": "e2e", "kind": "command", "message": "no network", "permanent": permanent});
    for (how, unit, expected) in [
        ("all", 0, Verdict::Pending),
        ("all", 1, Verdict::Fail),
        ("any", 0, Verdict::Pass),
        ("any", 1, Verdict::Pending),
    ] {
        let mut world = judged(json!([{"id": "g", "probe": {how: of}}]));
        let found = json!({"members": [answer("unit", unit), silent(false)]});
        let judged = verdict(&world.probe("a/1/1", "g", 1, found));
        assert_eq!(judged.verdict, expected, "{how} {unit}");
    }
    let mut world = judged(json!([{"id": "g", "probe": {"not": member("e2e", json!({}))}}]));
    let judged_now = verdict(&world.probe("a/1/1", "g", 1, json!({"members": [silent(false)]})));
    assert_eq!(
        (judged_now.verdict, judged_now.reason.as_str()),
        (Verdict::Pending, "e2e: no evidence: no network")
    );
    let mut world = judged(json!([{"id": "g", "probe": {"all": of}}]));
    let batch = world.probe("a/1/1", "g", 1, json!({"members": [answer("unit", 0), silent(true)]}));
    assert_eq!(names(&batch), ["ProbeFailed", "StepBlocked"], "it will never have any");
}

/// A notice mentions the large output that the judging asked for, too. Decided again by its fact alone, the
/// input led further than it had been recorded to.
#[test]
fn h5_a_verdict_that_there_cannot_be_leads_as_far_as_its_fact_alone() {
    let of = json!([member("unit", json!({})), member("e2e", json!({}))]);
    let document = json!({
        "name": "p",
        "notify": [{"id": "all", "events": ["*"], "function": "f", "with": "${steps.a.output}"}],
        "steps": [{"id": "a", "work": {"task": {"kind": "function", "spec": {"name": "f"}}},
            "gates": [{"id": "g", "probe": {"all": of}}]}],
    });
    let mut world = World::start(definition(document), json!({}));
    world.succeed("a/1/1", json!("x".repeat(2_000)));
    if world.effects().contains(&Effect::Advance) {
        world.give(InputKind::Advance).expect("never refused");
    }
    let silent = json!({"id": "e2e", "kind": "command", "message": "no network", "permanent": true});
    let batch = world.probe("a/1/1", "g", 1, json!({"members": [answer("unit", 0), silent]}));
    assert_eq!(names(&batch), ["ProbeFailed", "StepBlocked", "NoticeQueued", "NoticeQueued"]);
}

#[test]
fn l15_findings_come_from_the_members_that_failed_and_a_policy_may_look_at_all_of_them() {
    let inner = json!({"id": "inner", "probe": {"all": [member("b", json!({})), member("c", json!({}))]}});
    let own = json!({"policy": "{'verdict': evidence.exit == 0, 'findings': 'look at ' + evidence.output}"});
    let gate =
        json!({"id": "g", "probe": {"all": [member("a", own), inner]}, "on_fail": [{"to": {"rework": "a"}}]});
    let mut world = judged(json!([gate.clone()]));
    let found = json!({"members": [answer("a", 1), {"id": "inner", "kind": "all", "evidence": {"members": [answer("b", 2), answer("c", 0)]}}]});
    let batch = world.probe("a/1/1", "g", 1, found.clone());
    let findings = batch.iter().find_map(|event| match event {
        RunEvent::ReworkRequested(rework) => Some(rework.findings.clone()),
        _other => None,
    });
    let Some(Payload::Inline(findings)) = findings else { panic!("{batch:?}") };
    let findings = findings.value();
    let text = findings.as_str().expect("a text");
    for part in [
        "gate “g” failed",
        "a: the policy says fail\nlook at a says 1",
        "inner/b: exit 2: b says 2\nb says 2",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains("c says"), "{text}");
    let lenient = with(
        gate,
        json!({"policy": "evidence.members.exists(m, m.verdict == 'pass') || evidence.members[1].evidence.members[1].evidence.exit == 0"}),
    );
    let mut world = judged(json!([lenient]));
    assert_eq!(verdict(&world.probe("a/1/1", "g", 1, found)).verdict, Verdict::Pass);
}

#[test]
fn findings_of_the_only_member_that_failed_stay_the_map_that_they_are() {
    let member =
        |id: &str| json!({"id": id, "probe": {"task": {"kind": "frontmatter", "spec": {"name": id}}}});
    let gate = json!({"id": "g", "probe": {"all": [member("spec"), member("review")]}, "on_fail": [{"to": {"rework": "a"}}]});
    let answered = |id: &str, word: &str, text: &str| {
        json!({"id": id, "kind": "frontmatter", "evidence": {"file": format!("{id}.md"), "fields": {"verdict": word},
            "order": ["verdict"], "fail": ["REJECTED"], "text": text}})
    };
    let findings = |members: Value| -> Value {
        let mut world = judged(json!([gate.clone()]));
        let batch = world.probe("a/1/1", "g", 1, json!({ "members": members }));
        let found = batch.iter().find_map(|event| match event {
            RunEvent::ReworkRequested(rework) => Some(rework.findings.clone()),
            _other => None,
        });
        let Some(Payload::Inline(findings)) = found else { panic!("{batch:?}") };
        findings.value()
    };
    let one = findings(json!([answered("spec", "ok", "fine"), answered("review", "rejected", "too slow")]));
    assert_eq!(one, json!({"reason": "verdict is REJECTED", "file": "review.md", "text": "too slow"}));
    let both =
        findings(json!([answered("spec", "rejected", "vague"), answered("review", "rejected", "too slow")]));
    let text = both.as_str().expect("a text");
    assert!(text.contains("spec: verdict is REJECTED\nspec.md:\nvague\n\nreview: "), "{text}");
    assert!(!text.contains('{'), "{text}");
}

#[test]
fn l15_members_that_ask_nobody_are_judged_at_once() {
    let gate = json!({"id": "g", "probe": {"any": [
        {"probe": {"expression": "output.n > 5"}}, {"id": "small", "probe": {"expression": "output.n < 5"}},
        {"when": "false", "probe": {"task": {"kind": "command", "spec": {}}}}]}});
    let world = judged(json!([gate]));
    let judged_now = verdict(&work_ended(&world));
    assert_eq!(
        (judged_now.verdict, judged_now.reason.as_str()),
        (Verdict::Pass, "small: `output.n < 5` is true")
    );
    let none = json!({"id": "g", "probe": {"all": [{"when": "false", "probe": {"expression": "true"}}]}});
    let judged_now = verdict(&work_ended(&judged(json!([none]))));
    assert_eq!((judged_now.verdict, judged_now.reason.as_str()), (Verdict::Skipped, "no member applies"));
}
