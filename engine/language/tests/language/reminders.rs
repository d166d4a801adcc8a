//! `remind`: how it is read, what is refused, and that the builder writes the same.

use everfold_language::builder::{Approval, Ask, Budget, Defaults, Pipeline, Remind, Step, Wait};
use everfold_language::definition::{Code, Definition, Reminders, Setting, Span, Work};
use std::time::Duration;

use super::fixtures::{check, codes, read};

const REMINDING: &str = "\
name: x
budget: { cost: 1 USD, remind: { first: 2h } }
defaults: { remind: 1h }
steps:
  - { id: ask, approval: { title: Go?, remind: { first: 2h, every: \"${input.pause}\", max: 3 } } }
  - { id: work, command: 'true', remind: 30m, ask: { remind: 8h } }
  - { id: heard, wait: { signal: go, remind: { every: 1d, max: 2 } } }
on_finish:
  - { id: tidy, command: 'true' }
";

fn span(hours: u64) -> Span {
    Span(Duration::from_secs(hours * 3_600))
}

#[test]
fn reminders_are_read_everywhere_and_the_builder_writes_the_same() {
    let definition = read(REMINDING);
    let once = Reminders { first: Some(span(2)), every: None, max: None };
    assert_eq!(definition.budgets[0].remind, Some(once));
    let [ask, work, heard] = definition.steps.as_slice() else { panic!("three steps") };
    let Some(Work::Approval(approval)) = &ask.work else { panic!("an approval") };
    let remind = approval.remind.as_ref().unwrap();
    assert_eq!((&remind.first, remind.max), (&Some(Setting::Fixed(span(2))), Some(3)));
    assert!(matches!(remind.every, Some(Setting::Computed(_))));
    // A step that says nothing itself has those of `defaults`; a step of `on_finish` has none.
    assert_eq!(ask.remind, Some(Reminders::every(span(1))));
    assert_eq!(work.remind, Some(Reminders::every(Span(Duration::from_secs(1_800)))));
    assert_eq!(work.ask.as_ref().unwrap().remind, Some(Reminders::every(Setting::Fixed(span(8)))));
    assert_eq!(definition.on_finish[0].remind, None);
    let Some(Work::Wait(wait)) = &heard.work else { panic!("a wait") };
    assert_eq!(wait.remind, Some(Reminders { first: None, every: Some(span(24)), max: Some(2) }));

    let built = Pipeline::new("x")
        .budget(Budget::new("budget").cost("1 USD").remind(Remind::first("2h")))
        .defaults(Defaults::new().remind("1h"))
        .step(Step::approval(
            "ask",
            Approval::new("Go?").remind(Remind::first("2h").then_every("${input.pause}").at_most(3)),
        ))
        .step(Step::command("work", "true").remind("30m").ask(Ask::at_most(10).remind("8h")))
        .step(Step::wait("heard", Wait::signal("go").remind(Remind::every("1d").at_most(2))))
        .on_finish(Step::command("tidy", "true"))
        .build()
        .unwrap();
    assert_eq!(built, definition);
    let stored = serde_json::to_value(&built).unwrap();
    assert_eq!(stored["steps"][1]["remind"], "30m", "a plain span stays one");
    assert_eq!(serde_json::from_value::<Definition>(stored).unwrap(), built);
}

#[test]
fn what_cannot_remind_is_reported_with_what_to_write() {
    let of = |step: &str| format!("name: x\nsteps:\n  - {{ id: a, {step} }}\n");
    for (step, code, hint) in [
        ("command: x, remind: 0s", Code::TooSmall, "30m"),
        ("command: x, remind: '${input.x}'", Code::Value, "2h or 7d"),
        ("command: x, remind: {}", Code::MissingKey, "every: 8h"),
        ("command: x, remind: { max: 3 }", Code::MissingKey, "first: 2h"),
        ("command: x, remind: { first: 2h, max: 3 }", Code::Combination, "every: 8h"),
        ("command: x, remind: { every: 2h, max: 1001 }", Code::TooLarge, "100"),
        ("command: x, remind: { each: 2h }", Code::UnknownKey, "first"),
        ("wait: { for: 1h, remind: 1h }", Code::Combination, "wait for that"),
    ] {
        let text = of(step);
        let problems = check(&text).unwrap_err();
        assert!(codes(&text).contains(&code), "{step}: {problems}");
        let problem = problems.0.iter().find(|problem| problem.code == code).unwrap();
        let said = format!("{} {}", problem.message, problem.hint.as_deref().unwrap_or_default());
        assert!(said.contains(hint), "{step}: {said}");
    }
    for fine in ["command: x, remind: 1h", "question: { title: t, remind: '${input.x}' }"] {
        assert!(check(&of(fine)).is_ok(), "{fine}");
    }
    let finish = "name: x\nsteps: [{ id: a, command: x }]\non_finish: [{ id: b, command: x, remind: 1h }]\n";
    assert_eq!(codes(finish), [Code::OnFinish]);
}
