//! Tests of the figures.

use super::*;

fn row(status: &str, started_at: &str, seconds: i64, step: Option<&str>) -> PipelineRun {
    let ended_at = (status == "succeeded" || status == "failed").then(|| {
        let at: jiff::Timestamp = started_at.parse().expect("the test writes a time");
        (at + jiff::SignedDuration::from_secs(seconds)).to_string()
    });
    PipelineRun {
        short_id: "0a0b0c0d".to_owned(),
        pipeline: "greet".to_owned(),
        title: Some(" ".to_owned()),
        status: status.to_owned(),
        started_by: "user:ada".to_owned(),
        started_at: started_at.to_owned(),
        ended_at,
        active_steps: vec!["approve".to_owned()],
        note: None,
        failure: step
            .map(|step| PipelineRunFailure { message: "exit 1".to_owned(), step: Some(step.to_owned()) }),
        usage: PipelineRunUsage { cost_usd: "0.250000".to_owned() },
    }
}

#[test]
fn figures_tell_success_and_quantiles_of_what_succeeded() {
    let rows: Vec<PipelineRun> = (1..=20)
        .map(|seconds| row("succeeded", "2026-03-10T08:00:00Z", seconds, None))
        .chain((0..5).map(|_| row("failed", "2026-03-11T08:00:00Z", 900, Some("test"))))
        .chain([row("waiting", "2026-03-11T09:00:00Z", 0, None)])
        .collect();
    let figures = Figures::of(&rows);
    assert_eq!(figures.success(), "80 %");
    assert_eq!((figures.quantile(50), figures.quantile(95)), ("10 s".to_owned(), "19 s".to_owned()));
    assert_eq!(figures.bar_words(), "20 succeeded, 5 failed, 1 not ended");
    assert_eq!(figures.cost(), "6.50 USD");
    assert_eq!(rows[0].name(), "0a0b0c0d");
}

#[test]
fn without_runs_nothing_is_claimed() {
    let figures = Figures::of(&[]);
    assert_eq!((figures.success(), figures.quantile(95)), ("–".to_owned(), "–".to_owned()));
    assert_eq!(figures.bar_words(), "no runs");
    assert_eq!(figures.bar_until(20_000).len(), usize::try_from(DAYS).expect("it is small"));
}

#[test]
fn a_lone_failure_is_seen_beside_a_busy_day() {
    let mut rows: Vec<PipelineRun> =
        (0..400).map(|_| row("succeeded", "2026-03-10T08:00:00Z", 1, None)).collect();
    rows.push(row("failed", "2026-03-11T08:00:00Z", 1, Some("test")));
    let today = words::millis("2026-03-11T12:00:00Z").expect("the test writes a time") / DAY_MS;
    let bar = Figures::of(&rows).bar_until(today);
    let failed: Vec<&DayPiece> = bar.iter().filter(|piece| piece.class == "bad").collect();
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].x, failed[0].height), (65, 2));
}

#[test]
fn the_most_failing_step_comes_first_with_its_newest_message() {
    let rows = [
        row("failed", "2026-03-11T08:00:00Z", 1, Some("lint")),
        row("failed", "2026-03-11T07:00:00Z", 1, Some("test")),
        row("failed", "2026-03-11T06:00:00Z", 1, Some("test")),
    ];
    let steps = failing_steps(&rows);
    assert_eq!(
        steps.iter().map(|step| (step.step.as_str(), step.failed)).collect::<Vec<_>>(),
        [("test", 2), ("lint", 1)]
    );
    assert!(standing_steps(&rows).is_empty());
}

fn verdict(gate: &str, verdict: &str, round: u32) -> CountedDecision {
    CountedDecision {
        kind: "gate".to_owned(),
        step: "develop".to_owned(),
        gate: Some(gate.to_owned()),
        verdict: Some(verdict.to_owned()),
        round: Some(round),
        reason: Some(format!("round {round}")),
        route: None,
    }
}

fn rework(gate: Option<&str>, route: &str) -> CountedDecision {
    CountedDecision {
        kind: "rework".to_owned(),
        step: "design".to_owned(),
        gate: gate.map(str::to_owned),
        route: Some(route.to_owned()),
        ..CountedDecision::default()
    }
}

#[test]
fn a_gate_is_counted_by_its_verdicts_and_by_what_it_sent_back() {
    let gates = gates(&[
        verdict("tests", "pass", 3),
        verdict("tests", "pending", 3),
        verdict("tests", "skipped", 1),
        rework(Some("tests"), "develop/on_fail/0"),
        verdict("tests", "fail", 2),
        rework(Some("tests"), "develop/gate:tests/0"),
        verdict("tests", "fail", 1),
    ]);
    let [gate] = gates.as_slice() else { panic!("there is one gate: {gates:?}") };
    assert_eq!((gate.passed, gate.failed, gate.reworks, gate.most_rounds), (1, 2, 2, 3));
    assert_eq!((gate.step.as_str(), gate.last_reason.as_str()), ("develop", "round 2"));
}

#[test]
fn a_later_round_that_something_else_began_is_no_rework_of_the_gate() {
    // A person rejected what came behind, and another gate of the step failed: this one passed in each round.
    let gates = gates(&[
        verdict("lint", "pass", 3),
        rework(None, "accept/on_reject/0"),
        verdict("lint", "pass", 2),
        rework(Some("tests"), "develop/gate:tests/0"),
        verdict("tests", "fail", 1),
        verdict("lint", "pass", 1),
    ]);
    let of =
        |name: &str| gates.iter().find(|gate| gate.gate == name).map(|gate| (gate.reworks, gate.most_rounds));
    assert_eq!((of("lint"), of("tests")), (Some((0, 3)), Some((1, 1))));
}
