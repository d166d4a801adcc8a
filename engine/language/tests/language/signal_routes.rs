//! Routes of signals: those that several steps share, the stage above, refusals, and steps that send signals.

use everfold_language::definition::{Code, Definition, RouteTo, Routes};
use serde_json::json;

use super::fixtures::{check, codes, read, spec, steps};

const STAGES: &str = "  - {id: analyse, stage: analysis, command: x}
  - {id: sign, approval: {title: t}}
  - {id: fixer, standby: true, command: x}
  - {id: build, stage: development, needs: [sign, fixer], command: x, gates: [{file: y, on_fail: {rework: fixer}}]}
  - {id: lint, command: x}
  - {id: review, stage: review, command: x}
";

fn with_signals(on_signal: &str) -> String {
    format!("name: x\non_signal: {on_signal}\nsteps:\n{STAGES}")
}

fn of<'a>(definition: &'a Definition, step: &str, signal: &str) -> Option<&'a Routes> {
    definition.steps.iter().find(|other| other.id.as_str() == step)?.on_signal.get(signal)
}

fn target(definition: &Definition, step: &str) -> String {
    match &of(definition, step, "back").unwrap().0[0].to {
        RouteTo::Rework(target) => target.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_route_of_the_pipeline_that_names_steps_is_theirs_behind_their_own() {
    let definition = read(&with_signals(
        "{back: [{steps: [sign, review], rework: analyse}, {refuse: too late}], stop: {steps: [lint], fail: {code: C}}}",
    ));
    for step in ["sign", "review"] {
        assert!(matches!(of(&definition, step, "back").unwrap().0[0].to, RouteTo::Rework(_)), "{step}");
    }
    assert_eq!(of(&definition, "build", "back"), None);
    assert_eq!(definition.on_signal["back"].0.len(), 1, "what names no steps stays the pipeline's");
    assert!(!definition.on_signal.contains_key("stop"));
    let own = read(
        "name: x\non_signal: {s: [{steps: all, when: 'true', block: true}, {steps: [b], ignore: true}]}\nsteps:\n  - {id: a, command: x, on_signal: {s: ignore}}\n  - {id: b, command: x}",
    );
    assert_eq!(of(&own, "a", "s").unwrap().0.len(), 1, "its own is always taken");
    let shared = &of(&own, "b", "s").unwrap().0;
    assert!(matches!((&shared[0].to, &shared[1].to), (RouteTo::Block, RouteTo::Ignore)), "{shared:?}");
    // It is the same as written out.
    let written = "name: x\nsteps:\n  - {id: a, command: x, on_signal: {s: {rework: a}}}\n  - {id: b, command: x, on_signal: {s: {rework: a}}}";
    let shared = "name: x\non_signal: {s: {steps: [a, b], rework: a}}\nsteps:\n  - {id: a, command: x}\n  - {id: b, command: x}";
    assert_eq!(read(written).hash(), read(shared).hash());
}

#[test]
fn the_previous_stage_is_that_of_the_step_above_and_the_first_is_its_own() {
    let definition = read(&with_signals("{back: {steps: all, rework: previous}}"));
    for (step, expected) in [
        ("analyse", "analyse"),
        ("sign", "analyse"),
        ("build", "analyse"),
        ("lint", "analyse"),
        ("review", "build"),
    ] {
        assert_eq!(target(&definition, step), expected, "{step}");
    }
    // Without stages each step is one by itself, and a step of that name is meant by it.
    let plain = read(&steps(
        "  - {id: a, command: x}\n  - {id: b, command: x, on_signal: {back: {rework: previous}}}",
    ));
    assert_eq!(target(&plain, "b"), "a");
    let named = read(&steps(
        "  - {id: previous, command: x}\n  - {id: a, command: x}\n  - {id: b, command: x, on_signal: {back: {rework: previous}}}",
    ));
    assert_eq!(target(&named, "b"), "previous");
    // A route of `defaults`, and one that follows when another is used up.
    let defaults = read(
        "name: x\ndefaults: {on_fail: {rework: previous, then: {rework: previous, max: 1}}}\nsteps:\n  - {id: a, command: x}\n  - {id: b, command: x}",
    );
    let route = &defaults.steps[1].on_fail.0[0];
    let targets = [&route.to, &route.then.as_ref().unwrap().to];
    assert!(
        targets.iter().all(|to| matches!(to, RouteTo::Rework(step) if step.as_str() == "a")),
        "{route:?}"
    );
    assert_eq!(
        codes("name: x\non_signal: {s: {rework: previous}}\nsteps:\n  - {id: a, command: x}"),
        [Code::ReworkTarget]
    );
}

#[test]
fn a_shared_route_is_checked_as_a_route_of_each_of_its_steps() {
    for (on_signal, expected) in [
        ("{s: {steps: [nope], block: true}}", vec![Code::UnknownStep]),
        ("{s: {steps: [build], approve: true}}", vec![Code::SignalRoute]),
        ("{s: {steps: [sign], rework: review}}", vec![Code::ReworkTarget]),
        ("{s: {steps: [], block: true}}", vec![Code::Type]),
        ("{s: {steps: [sign], approve: true}}", vec![]),
        ("{s: {steps: [build, lint], block: true, when: signal.x == stpes.y}}", vec![Code::UnknownName]),
    ] {
        assert_eq!(codes(&with_signals(on_signal)), expected, "{on_signal}");
    }
    let own = steps("  - {id: a, command: x, on_signal: {s: {steps: [a], block: true}}}");
    assert_eq!(codes(&own), [Code::Combination]);
    assert_eq!(codes(&steps("  - {id: a, command: x, on_fail: {refuse: no}}")), [Code::SignalRoute]);
    assert_eq!(codes(&steps("  - {id: a, command: x, on_signal: {s: refuse}}")), [Code::Value]);
    assert_eq!(codes(&steps("  - {id: a, command: x, on_signal: {s: {refuse: 'not ${signal.x}'}}}")), []);
}

#[test]
fn a_step_that_sends_a_signal_names_it_and_its_receivers() {
    let sends = |signal: &str| steps(&format!("  - {{id: a, signal: {signal}}}"));
    let found =
        spec(&sends("{name: done, to: {labels: {epic: '${run.short_id}'}}, payload: {n: '${1 + 1}'}}"));
    let to = json!({"labels": {"epic": "${run.short_id}"}});
    assert_eq!(found, json!({"name": "done", "to": to, "payload": {"n": "${1 + 1}"}}));
    for (signal, expected) in [
        ("{name: done}", Code::MissingKey),
        ("{to: {key: k}}", Code::MissingKey),
        ("{name: 'not one', to: {key: k}}", Code::Value),
        ("{name: done, to: {key: k, run: r}}", Code::Combination),
        ("{name: done, to: {labels: {}}}", Code::Value),
        ("{name: done, to: {key: k}, park: true}", Code::UnknownKey),
        ("done", Code::Type),
    ] {
        assert!(codes(&sends(signal)).contains(&expected), "{signal}: {:?}", codes(&sends(signal)));
    }
    let two = steps("  - {id: a, command: x, signal: {name: s, to: {key: k}}}");
    assert_eq!(codes(&two), [Code::TwoWorks]);
    assert!(
        check(&steps(
            "  - {id: a, signal: {name: '${input.s}', to: {run: '${input.r}'}}, retry: {attempts: 2}}"
        ))
        .is_ok()
    );
}

#[test]
fn a_trigger_says_what_does_not_fit_and_reads_settings_at_fixed_paths() {
    let with = |trigger: &str| {
        format!(
            "name: x\nkey: k\nconfig: {{fixed: [/etc/x.yaml, {{a: 1}}], own: ['${{input.repo}}/x.yaml']}}\ntriggers: [{trigger}]\nsteps:\n  - {{id: a, command: x}}"
        )
    };
    for (trigger, expected) in [
        (
            "{hook: h, when: config.fixed.a == 1, otherwise: 'not ${config.fixed.b}', start: {park: true}}",
            vec![],
        ),
        ("{hook: h, when: event.ok, park_when: config.fixed.a == 1, start: true}", vec![]),
        ("{hook: h, when: config.own.a == 1, start: true}", vec![Code::UnknownName]),
        ("{hook: h, when: config.none.a == 1, start: true}", vec![Code::UnknownName]),
        ("{hook: h, otherwise: x, start: true}", vec![Code::Combination]),
        ("{hook: h, park_when: 'true', start: true}", vec![Code::Combination]),
        ("{schedule: 1h, start: {park: true}}", vec![Code::Combination]),
        ("{schedule: 1h, when: 'true', park_when: 'true', start: true}", vec![Code::Combination]),
        ("{hook: h, when: input.x == 1, start: true}", vec![Code::UnknownName]),
    ] {
        assert_eq!(codes(&with(trigger)), expected, "{trigger}");
    }
    let definition = read(&with("{hook: h, when: config.fixed.a == 1, start: true}, {hook: h, start: true}"));
    let reads: Vec<bool> = definition.triggers.iter().map(|trigger| trigger.reads_config()).collect();
    assert_eq!((reads, definition.fixed_config().len()), (vec![true, false], 1));
}

#[test]
fn a_raise_is_the_runs_own_and_leaves_the_routes_behind_it() {
    let definition = read(&with_signals(
        "{go: [{raise: 5 USD}, {raise: \"${input.n} USD\"}, {steps: all, unblock: retry}]}",
    ));
    let routes = &definition.on_signal["go"].0;
    assert!(matches!((&routes[0].to, &routes[1].to), (RouteTo::Raise(_), RouteTo::Raise(_))), "{routes:?}");
    for wrong in ["{go: {steps: all, raise: 5 USD}}", "{go: {raise: much}}", "{go: raise}"] {
        assert!(!codes(&with_signals(wrong)).is_empty(), "{wrong}");
    }
    let at_step = steps("  - {id: a, command: x, on_signal: {go: {raise: 1 USD}}}");
    assert_eq!(codes(&at_step), [Code::SignalRoute]);
}
