//! What bounds a loop of reworks: its number of uses, a person, the rounds of a step or of the run.

use everfold_language::definition::{Code, Route, RouteMax, RouteTo, Setting, Work};

use super::fixtures::{codes, read, steps};

#[test]
fn l12_a_rework_has_three_uses_unless_a_person_causes_it() {
    let definition = read(&steps(
        "  - {id: a, command: x, on_fail: {rework: a, then: {fail: {code: C}}}}\n  - id: b\n    approval: {title: t, on_reject: {rework: a}}",
    ));
    let route = &definition.steps[0].on_fail.0[0];
    assert_eq!(route.max, Some(RouteMax::Times(Setting::Fixed(3))));
    assert!(
        matches!(route.then.as_deref(), Some(Route { to: RouteTo::Fail { code: Some(code), .. }, .. }) if code == "C")
    );
    let Some(Work::Approval(approval)) = &definition.steps[1].work else { panic!("an approval") };
    assert_eq!(approval.on_reject.0[0].max, Some(RouteMax::Unlimited));
    // Who causes these is known when they are used.
    let definition = read(&steps(
        "  - {id: a, approval: {title: t}, on_fail: {rework: a}, on_signal: {s: {rework: a}, t: {rework: a, max: 2}}}",
    ));
    let ask = &definition.steps[0];
    assert_eq!((&ask.on_fail.0[0].max, &ask.on_signal["s"].0[0].max), (&None, &None));
    assert_eq!(ask.on_signal["t"].0[0].max, Some(RouteMax::Times(Setting::Fixed(2))));
    let definition = read(
        "name: x\ndefaults: {on_fail: {rework: a, then: {rework: a}}}\nsteps:\n  - {id: a, command: x}\n  - {id: b, approval: {title: t}}",
    );
    let three = Some(RouteMax::Times(Setting::Fixed(3)));
    for (step, max) in definition.steps.iter().zip([three, None]) {
        let route = &step.on_fail.0[0];
        let then = route.then.as_deref().and_then(|then| then.max.as_ref());
        assert_eq!((route.max.as_ref(), then), (max.as_ref(), max.as_ref()), "{}", step.id);
    }
}

#[test]
fn l12_an_unlimited_rework_needs_a_person_or_a_limit_of_rounds() {
    let bounded = "  - {id: a, max_rounds: 5, command: x}\n  - {id: b, command: x, on_fail: {rework: a, max: unlimited}}";
    let person = "  - {id: a, command: x}\n  - {id: p, approval: {title: t}}\n  - {id: b, command: x, on_fail: {rework: a, max: unlimited}}";
    let aside = "  - {id: a, command: x}\n  - {id: p, approval: {title: t}}\n  - {id: b, needs: [a], command: x, on_fail: {rework: a, max: unlimited}}";
    assert_eq!(codes(&steps(bounded)), []);
    // The rounds of the target are used up, too, and `then` follows.
    let then = "{rework: a, max: unlimited, then: {finish: succeeded}}";
    assert_eq!(codes(&steps(&bounded.replace("{rework: a, max: unlimited}", then))), []);
    assert_eq!(codes(&steps(&person.replace("{rework: a, max: unlimited}", then))), [Code::Combination]);
    assert_eq!(codes(&steps(person)), []);
    assert_eq!(codes(&steps(aside)), [Code::Unbounded]);
}

#[test]
fn a_held_rework_and_a_question_bound_a_loop() {
    for (line, fine) in [
        ("  - {id: a, command: x, on_fail: {rework: a, max: unlimited, hold: true}}", true),
        (
            "  - {id: a, question: {title: t}}\n  - {id: b, command: x, on_fail: {rework: a, max: unlimited}}",
            true,
        ),
        ("  - {id: a, command: x, on_signal: {s: {rework: a, max: unlimited}}}", false),
        ("  - {id: a, approval: {title: t, on_changes: {rework: a, max: unlimited}}}", true),
        ("  - {id: a, approval: {title: t, timeout: 1h, on_timeout: {rework: a, max: unlimited}}}", false),
        (
            "  - {id: a, command: x, gates: [{command: y, poll: {every: 1s, max: 2, on_timeout: {rework: a, max: unlimited}}}]}",
            false,
        ),
    ] {
        let expected: &[Code] = if fine { &[] } else { &[Code::Unbounded] };
        assert_eq!(codes(&steps(line)), expected, "{line}");
    }
}

#[test]
fn row_40_a_person_bounds_a_loop_only_where_every_way_round_leads_through_one_who_must_act() {
    let round = "on_fail: {rework: a, max: unlimited}";
    let between = |person: &str| {
        format!("  - {{id: a, command: x}}\n  - {{id: p, {person}}}\n  - {{id: z, command: x, {round}}}")
    };
    let beside = |person: &str, way: &str| {
        format!(
            "  - {{id: a, command: x}}\n  - {{id: p, needs: [a], {person}}}\n  - {{id: q, needs: [a], command: x}}\n  \
             - {{id: z, needs: {{{way}: [p, q]}}, command: x, {round}}}"
        )
    };
    let lists = "needs: [a], foreach: {in: LIST}, approval: {title: t}";
    for (lines, fine) in [
        (between("approval: {title: t}"), true),
        // A time limit that ends the round, and one that lets it go on.
        (between("approval: {title: t, timeout: 1h}"), true),
        (between("approval: {title: t, timeout: 1h, on_timeout: block}"), true),
        (between("approval: {title: t, timeout: 1h, on_timeout: {rework: a}}"), true),
        (between("approval: {title: t, timeout: 1h, on_timeout: {rework: a, then: continue}}"), false),
        (between("approval: {title: t, timeout: 1h, on_timeout: continue}"), false),
        (between("approval: {title: t, timeout: 1h}, on_fail: continue"), false),
        (between("approval: {title: t}, deadline: 1h, on_fail: continue"), false),
        (between("question: {title: t, timeout: 1h, on_timeout: [{when: input == 1, continue: }, block]}"), false),
        // Who may be passed over.
        (between("approval: {title: t}, when: input == 1"), false),
        (beside("approval: {title: t}", "done"), true),
        (beside("approval: {title: t}", "any"), false),
        (beside("approval: {title: t}", "succeeded"), true),
        (between("needs: {succeeded: [a]}, approval: {title: t}"), true),
        (
            "  - {id: a, command: x, on_fail: continue}\n  - {id: p, needs: {succeeded: [a]}, approval: {title: t}}\n  - {id: z, command: x, \
             on_fail: {rework: a, max: unlimited}}"
                .to_owned(),
            false,
        ),
        (between(&lists.replace("LIST", "[1, 2]")), true),
        (between(&lists.replace("LIST", "[]")), false),
        (between(&lists.replace("LIST", "'${input}'")), false),
        // A standby one is there in the round that named it.
        (
            "  - {id: a, standby: true, approval: {title: t}}\n  - {id: z, needs: [a], command: x, on_fail: {rework: a, max: unlimited}}"
                .to_owned(),
            true,
        ),
        (
            "  - {id: a, command: x}\n  - {id: p, standby: true, approval: {title: t}}\n  - {id: z, needs: [a, p], command: x, \
             on_fail: [{when: input == 1, rework: p}, {rework: a, max: unlimited}]}"
                .to_owned(),
            false,
        ),
        // Its own time limit is the loop.
        ("  - {id: a, question: {title: t, timeout: 1s, on_timeout: {rework: a, max: unlimited}}}".to_owned(), false),
        ("  - {id: a, approval: {title: t, timeout: 1s}, on_fail: {rework: a, max: unlimited}}".to_owned(), false),
        ("  - {id: a, approval: {title: t}, on_fail: {rework: a, max: unlimited}}".to_owned(), true),
    ] {
        let expected: &[Code] = if fine { &[] } else { &[Code::Unbounded] };
        assert_eq!(codes(&steps(&lines)), expected, "{lines}");
    }
}

#[test]
fn row_40_rounds_of_a_run_are_bounded_and_what_is_the_default_leaves_the_hash_alone() {
    let of = |line: &str| format!("name: x\n{line}steps: [{{id: a, command: x}}]");
    assert_eq!(read(&of("rounds: 7\n")).rounds, Some(7));
    assert_eq!(read(&of("rounds: 1000\n")).hash(), read(&of("")).hash());
    assert_ne!(read(&of("rounds: 7\n")).hash(), read(&of("")).hash());
    assert!(!read(&of("")).document().contains("rounds"));
    for (line, code) in [
        ("rounds: 0\n", Code::TooSmall),
        ("rounds: 1000001\n", Code::TooLarge),
        ("rounds: many\n", Code::Type),
    ] {
        assert_eq!(codes(&of(line)), [code], "{line}");
    }
    let retry =
        |attempts: u32| codes(&steps(&format!("  - {{id: a, command: x, retry: {{attempts: {attempts}}}}}")));
    assert_eq!((retry(100), retry(101)), (vec![], vec![Code::TooLarge]));
}
