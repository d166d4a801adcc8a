//! The next command to type. Every answer that leaves something to do ends with one.

use std::time::Duration;

use everfold_engine::definition::Money;
use everfold_engine::duration::format as format_span;
use everfold_engine::event::Measure;
use everfold_engine::failure::FailureKind;
use everfold_engine::state::{RunStatus, StepStatus};
use owo_colors::OwoColorize as _;
use serde_json::{Value, json};

use super::awaits::AwaitView;
use super::budget::BudgetStatus;
use super::run::RunView;
use super::seen::SeenView;
use crate::text::quoted;

/// A command and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NextStep {
    pub(crate) command: String,
    pub(crate) why: String,
}

/// What can be done about a run, the most likely first. `program` is how commands begin.
pub(crate) fn next_steps(view: &RunView, program: &str) -> Vec<NextStep> {
    let run = &view.short_id;
    let mut commands = Vec::new();
    let mut add = |command: String, why: &str| {
        commands.push(NextStep { command: format!("{program} {command}"), why: crate::text::cut(why, 80) });
    };
    for awaited in &view.awaits {
        match awaited {
            AwaitView::Approval { task, title, changes, seen, .. } => {
                let seen = seen.as_ref().map(SeenView::option).unwrap_or_default();
                add(format!("approve {task}{seen}"), title);
                if *changes {
                    add(format!("changes {task} -m 'what is to change'"), "");
                }
                add(format!("reject {task} -m 'what is missing'"), "");
            }
            AwaitView::Question { task, title, options, items, draft, .. } => {
                add(format!("answer {task}{}", answer_words(options, items, draft)), title);
            }
            AwaitView::Unblock { step, message, .. } => {
                let why = format!("or recheck, proceed, skip, fail: {message}");
                add(format!("unblock {run} {} --decision retry", quoted(step)), &why);
                if has_log(view, step) {
                    add(format!("logs {run} {}", quoted(step)), "what it wrote");
                }
            }
            AwaitView::Signal { step, name, .. } => {
                add(format!("signal {run} {}", quoted(name)), &format!("{step} waits for it"));
            }
            AwaitView::Resume => {
                for pause in &view.paused {
                    let command = match (&pause.pipeline, pause.shared) {
                        (Some(name), _) => format!("resume --pipeline {}", quoted(name)),
                        (None, true) => "resume --all".to_owned(),
                        (None, false) => format!("resume {run}"),
                    };
                    match pause.interrupted.is_empty() {
                        true => add(command, "it is paused"),
                        false => {
                            add(format!("{command} -p 'what is to change'"), "what was interrupted goes on")
                        }
                    }
                }
            }
            AwaitView::Slot { holders, .. } => {
                if let Some(holder) = holders.first() {
                    add(format!("show {}", holder.short()), "it waits for this run's end");
                }
            }
            AwaitView::Budget { budget, .. } => {
                let which = if view.budget.len() > 1 {
                    format!(" --budget {}", quoted(budget))
                } else {
                    String::new()
                };
                let known = view.budget.iter().find(|known| known.id == *budget);
                let over = known.and_then(|known| known.over).unwrap_or(Measure::Cost);
                if let Some((scope, known)) = known.and_then(|it| Some((it.scope.as_ref()?, it)))
                    && !known.set.run.has(over)
                {
                    let command = scope_limits(scope, known, over);
                    add(command, "paid work waits for the limit of its scope");
                    continue;
                }
                let amount = match over {
                    Measure::Tokens => "--tokens 100000",
                    Measure::Wall => "--wall 1h",
                    Measure::Cost => "--add 2.00",
                };
                add(format!("budget {run}{which} {amount} -m 'why'"), "paid work waits for it");
            }
            AwaitView::Timer { .. } => {}
        }
    }
    if let Some(child) = view.awaited_runs.first() {
        add(format!("show {}", child.short()), "it waits for this run's end");
    }
    match view.status {
        RunStatus::Running | RunStatus::Queued | RunStatus::Stopping if view.driven => {
            add(format!("watch {run}"), "it goes on");
        }
        RunStatus::Running | RunStatus::Queued | RunStatus::Stopping => {
            add(format!("resume {run}"), "no engine goes on with it")
        }
        RunStatus::Waiting | RunStatus::Blocked if !view.driven && waits_for_time(view) => {
            add(format!("resume {run}"), "no engine looks after its timers");
        }
        RunStatus::Failed => {
            let failed = view.failure.as_ref().and_then(|failure| failure.step.clone());
            let failed = failed.or_else(|| {
                let steps = view.steps.iter().rev();
                steps.clone().find(|step| step.status == StepStatus::Failed).map(|step| step.id.clone())
            });
            match failed.filter(|step| has_log(view, step)) {
                _ if view
                    .failure
                    .as_ref()
                    .is_some_and(|failure| failure.hint.contains("everfold doctor")) =>
                {
                    add("doctor".to_owned(), "git, the agents' programs, the disk");
                }
                Some(step) => add(format!("logs {run} {}", quoted(&step)), "what it wrote"),
                None => add(format!("events {run}"), "everything that happened"),
            }
            match wanted_input(view) {
                Some((step, input)) => {
                    let command = format!("restart {run} --from {} -i {input}", quoted(&step));
                    add(command, "with this input, as a new run that keeps what succeeded");
                }
                None => match full_scope(view) {
                    // A retry would fail at once, and name itself again.
                    Some((scope, known, over)) if known.set.run.has(over) => {
                        add(format!("budget list {}", quoted(scope)), WITHOUT_ROOM);
                    }
                    Some((scope, known, over)) => {
                        add(scope_limits(scope, known, over), WITHOUT_ROOM);
                        add(format!("retry {run}"), "then, as a new run that keeps what succeeded");
                    }
                    None => add(format!("retry {run}"), "as a new run that keeps what succeeded"),
                },
            }
        }
        _nothing_more => {}
    }
    if view.status.is_ended() && view.notices.iter().any(|one| one.failing.is_some()) {
        add(format!("resume {run}"), "its notices are tried now");
    }
    if let Some(one) = view.notices_given_up.first() {
        add(format!("notices retry {}", one.id), "it was given up");
    }
    commands
}

/// What a shared budget has to do with a run that failed for want of its room.
const WITHOUT_ROOM: &str = "a retry fails as long as this budget has no room";

/// The shared budget that a run failed for and that has no room now: its scope, how it stands, what of it is used up.
fn full_scope(view: &RunView) -> Option<(&str, &BudgetStatus, Measure)> {
    view.failure.as_ref().filter(|failure| failure.kind == FailureKind::Budget)?;
    view.budget.iter().find_map(|known| Some((known.scope.as_deref()?, known, known.over?)))
}

/// The command that raises the limit of a scope to twice as much. It names the others as well: what it sets takes the place
/// of all that the scope has.
fn scope_limits(scope: &str, known: &BudgetStatus, over: Measure) -> String {
    let own = &known.set.scope;
    let twice =
        |measure: Measure, amount: u64| if measure == over { amount.saturating_mul(2) } else { amount };
    let cost = own.cost_usd.as_deref().and_then(Money::parse);
    let cost = cost.map(|Money(micros)| Money(twice(Measure::Cost, micros)).to_string());
    let tokens = own.tokens.map(|tokens| twice(Measure::Tokens, tokens).to_string());
    let wall = own.wall_ms.map(|ms| format_span(Duration::from_millis(twice(Measure::Wall, ms))));
    let mut command = format!("budget set {}", quoted(scope));
    command.push_str(&format!(" --per {}", json!(known.per).as_str().unwrap_or("total")));
    if let Some(zone) = &known.zone {
        command.push_str(&format!(" --zone {}", quoted(zone)));
    }
    let cost = cost.map(|cost| cost.trim_end_matches(" USD").to_owned());
    for (measure, option, own, example) in [
        (Measure::Cost, "--cost", cost, "500.00"),
        (Measure::Tokens, "--tokens", tokens, "1000000"),
        (Measure::Wall, "--wall", wall, "40h"),
    ] {
        let amount = own.or_else(|| (measure == over).then(|| example.to_owned()));
        if let Some(amount) = amount {
            command.push_str(&format!(" {option} {amount}"));
        }
    }
    command.push_str(" -m 'why'");
    command
}

/// The step to begin anew at, and the input that it lacks. Work says so by `-i KEY=VALUE` in its last words, which it
/// would repeat without it; an expression fails on a field of the input that is not there.
fn wanted_input(view: &RunView) -> Option<(String, String)> {
    let failure = view.failure.as_ref()?;
    let step = failure.step.as_ref()?.split('.').next()?.to_owned();
    let said = failure.detail.iter().flat_map(|detail| detail.lines()).rev();
    if let Some(input) = said.chain([failure.message.as_str()]).find_map(input_in) {
        return Some((step, input));
    }
    let (expression, why) = failure.message.strip_prefix("`input.")?.split_once("`: there is no “")?;
    let is_field = !expression.is_empty() && expression.chars().all(|c| c.is_alphanumeric() || c == '_');
    (is_field && why.starts_with(expression)).then(|| (step, format!("{expression}=VALUE")))
}

/// `KEY=VALUE` behind `-i` in a line, as a word of a shell.
fn input_in(line: &str) -> Option<String> {
    let typed = line.split(" -i ").nth(1).or_else(|| line.strip_prefix("-i "))?;
    let (key, rest) = typed.split_once('=')?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let value = match rest.strip_prefix('\'') {
        Some(text) => text.split_once('\'').map(|(value, _)| value)?,
        None => rest.split([' ', ',', ';', ')']).next()?,
    };
    (is_key && !value.is_empty()).then(|| format!("{key}={}", quoted(&crate::text::plain(value))))
}

/// A remark for which there is less room is left out.
const REMARK_MIN: usize = 8;

/// The next commands, as lines behind an answer. In a terminal that has no room for a remark it is cut; a command is
/// not, because it is copied.
pub(crate) fn next_lines(view: &RunView, program: &str, within: Option<usize>) -> Vec<String> {
    let commands = next_steps(view, program);
    if commands.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), "next".bold().to_string()];
    for next in commands {
        let taken = next.command.chars().count() + "     # ".len();
        let room = within.map_or(usize::MAX, |within| within.saturating_sub(taken));
        let why = if next.why.is_empty() || room < REMARK_MIN {
            String::new()
        } else {
            format!("   # {}", crate::text::cut(&next.why, room)).dimmed().to_string()
        };
        lines.push(format!("  {}{why}", next.command));
    }
    lines
}

/// An answer that can be typed as it stands, but for its words; what was saved, resolved or dismissed is not asked again.
pub(crate) fn answer_words(options: &[String], items: &Value, draft: &Value) -> String {
    let mut words = String::new();
    if let Some(option) = options.first().filter(|_| draft["choice"].is_null()) {
        words.push_str(&format!(" {}", quoted(option)));
    }
    let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
    for item in items {
        let id = item["id"].as_str().unwrap_or_default();
        if !draft["items"][id].is_null()
            || matches!(draft["states"][id].as_str(), Some("resolved" | "dismissed"))
        {
            continue;
        }
        let text = item["options"][0].as_str().unwrap_or("your answer");
        words.push_str(&format!(" --item {}", quoted(&format!("{id}={text}"))));
    }
    let is_whole = !items.is_empty() || !options.is_empty() || !draft["text"].is_null();
    if words.is_empty() && !is_whole { " 'your answer'".to_owned() } else { words }
}

/// Whether a process of the step left a log: one that could not be started left none.
fn has_log(view: &RunView, step: &str) -> bool {
    let id = step.split('.').next().unwrap_or(step);
    view.step(id).is_some_and(|step| {
        let is_process = step.kind == "command" || step.kind == "agent";
        let began = step.failure.as_ref().is_none_or(|failure| failure.kind != FailureKind::Spawn);
        is_process && began && step.round > 0
    })
}

fn waits_for_time(view: &RunView) -> bool {
    let waits =
        |awaited: &AwaitView| matches!(awaited, AwaitView::Timer { .. }) || awaited.reminders().1.is_some();
    view.awaits.iter().any(waits)
}

#[cfg(test)]
mod tests {
    use everfold_engine::definition::{OnOver, Period};

    use super::super::budget::{AmountsView, SetLimits};
    use super::*;

    /// What it sets takes the place of all limits of the scope, of one period in one zone.
    #[test]
    fn the_command_that_raises_the_limit_of_a_scope_names_all_that_belongs_to_it() {
        let own =
            AmountsView { cost_usd: Some("2.500000".to_owned()), tokens: Some(20), wall_ms: Some(60_000) };
        let known = |zone: Option<&str>, scope: AmountsView| BudgetStatus {
            id: "budget".to_owned(),
            scope: Some("my team".to_owned()),
            per: Period::Month,
            zone: zone.map(str::to_owned),
            on_over: OnOver::Pause,
            limit: scope.clone(),
            set: SetLimits { scope, ..SetLimits::default() },
            spent: AmountsView::default(),
            reserved_usd: "0.000000".to_owned(),
            raised: AmountsView::default(),
            over: Some(Measure::Tokens),
            is_reserved: false,
            until: None,
            summary: String::new(),
        };
        assert_eq!(
            scope_limits("my team", &known(Some("Europe/Berlin"), own), Measure::Tokens),
            "budget set 'my team' --per month --zone Europe/Berlin --cost 2.50 --tokens 40 --wall 1m -m 'why'"
        );
        assert_eq!(
            scope_limits("team", &known(None, AmountsView::default()), Measure::Cost),
            "budget set team --per month --cost 500.00 -m 'why'"
        );
    }

    #[test]
    fn what_was_said_of_an_item_is_not_asked_again() {
        let items = json!([{"id": "a", "options": ["x", "y"]}, {"id": "b"}, {"id": "c"}, {"id": "d"}]);
        let words = |draft: Value| answer_words(&["all".to_owned()], &items, &draft);
        let all = " all --item a=x --item 'b=your answer' --item 'c=your answer' --item 'd=your answer'";
        assert_eq!(words(Value::Null), all);
        let draft = json!({
            "choice": "all", "items": {"a": "y", "b": null},
            "states": {"c": "resolved", "d": "dismissed", "b": "open"},
        });
        assert_eq!(words(draft), " --item 'b=your answer'");
        let whole = json!({"choice": "all", "items": {"a": "y", "b": "z"}, "states": {"c": "resolved", "d": "dismissed"}});
        assert_eq!(words(whole), "", "what was saved is the answer");
        assert_eq!(answer_words(&[], &Value::Null, &Value::Null), " 'your answer'");
    }

    #[test]
    fn an_input_that_work_asks_for_is_read_from_its_words() {
        for (line, wanted) in [
            ("no tests were found; say how they are run: -i test='make test'", Some("test='make test'")),
            ("-i repo=/srv/code, or another", Some("repo=/srv/code")),
            ("say -i task=x; then go", Some("task=x")),
            ("sed -i s/a=b/c/ file", None),
            ("grep -i = file", None),
            ("-i test='open", None),
            ("exit 1", None),
        ] {
            assert_eq!(input_in(line).as_deref(), wanted, "{line}");
        }
    }
}
