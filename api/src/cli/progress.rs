//! How a run that is waited for is shown: a line per step on a terminal, plain lines elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::time::Duration;

use everfold_engine::clock;
use everfold_engine::driver::Waiting;
use everfold_engine::event::{RunEvent, ScheduledWork};
use everfold_engine::state::StepStatus;
use everfold_engine::time::Timestamp;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::lines::item_lines::{ItemLine, ItemLines};
use super::output::note;
use super::run_text::step_line;
use crate::text::span;
use crate::view::{RunView, ShownEvent, StepView, event_detail};

/// An attempt that has waited in the queue for so long gets a plain line.
const LONG: Duration = Duration::from_secs(1);

/// The eyes on a run.
pub(crate) enum RunProgress {
    /// A line per step that moves.
    Terminal(Box<StepBoard>),
    /// A line per thing that happened.
    Plain(Box<PlainLines>),
    /// Prints nothing.
    Silent,
}

/// What plain lines have said so far.
#[derive(Default)]
pub(crate) struct PlainLines {
    began_at: Option<Timestamp>,
    reported: BTreeSet<String>,
    begins: Begins,
    items: ItemLines,
    /// What waits in the scheduler's queue and was not printed yet.
    in_line: Vec<Waiting>,
}

impl PlainLines {
    /// The time of the run at which an event was recorded. What a copy takes over was the origin's: its own time begins with
    /// it.
    fn passed(&mut self, event: Option<&RunEvent>, at: Timestamp) -> Duration {
        if matches!(event, Some(RunEvent::RunForked(_))) {
            self.began_at = Some(at);
        }
        at.since(*self.began_at.get_or_insert(at))
    }

    /// Says once who waits for what. What goes on at once is not worth a line.
    fn tell_who_waits(&mut self) {
        let now = clock::now();
        let reported = &mut self.reported;
        self.in_line.retain(|waiting| {
            let Some(reason) = waiting.reasons.first().filter(|_| now.since(waiting.since) >= LONG) else {
                return true;
            };
            let step = waiting.attempt.path.step.to_string();
            if reported.insert(format!("{step} {}", waiting.attempt.round.get())) {
                note(format!("  {step} waits for {reason}"));
            }
            false
        });
    }
}

/// The moving lines.
pub(crate) struct StepBoard {
    screen: MultiProgress,
    lines: Vec<ProgressBar>,
    newest: Option<RunView>,
    /// What was known before: steps that had ended then are not shown again.
    seen: Option<RunView>,
}

impl RunProgress {
    /// What suits the place that stderr goes to. Of a run that was `seen` before, times are those since its start.
    pub(crate) fn new(json: bool, seen: Option<RunView>) -> Self {
        match std::io::stderr().is_terminal() {
            _ if json => Self::Silent,
            true => Self::Terminal(Box::new(StepBoard {
                screen: MultiProgress::new(),
                lines: Vec::new(),
                newest: None,
                seen,
            })),
            false => Self::Plain(Box::new(PlainLines {
                began_at: seen.as_ref().map(|seen| seen.started_at),
                items: ItemLines::of(seen.as_ref()),
                begins: Begins {
                    has_budgets: seen.is_some_and(|seen| !seen.budget.is_empty()),
                    ..Begins::default()
                },
                ..PlainLines::default()
            })),
        }
    }

    /// Whether it wants to be called now and then.
    pub(crate) fn ticks(&self) -> Option<Duration> {
        match self {
            Self::Terminal(_) => Some(Duration::from_millis(250)),
            Self::Plain(lines) => (!lines.in_line.is_empty()).then_some(LONG),
            Self::Silent => None,
        }
    }

    /// Says a line that stays.
    pub(crate) fn say(&self, text: &str) {
        match self {
            Self::Terminal(board) => board.screen.suspend(|| note(text)),
            Self::Plain(_) => note(text),
            Self::Silent => {}
        }
    }

    /// Takes an event.
    pub(crate) fn event(&mut self, event: &Value) {
        let Self::Plain(lines) = self else { return };
        let shown = ShownEvent(event);
        let Ok(at) = shown.at().parse::<Timestamp>() else { return };
        let event = shown.event();
        let passed = lines.passed(event.as_ref(), at);
        let Some(event) = event else { return };
        let place = shown.place();
        let own = word(&event).map(|word| (place.clone(), word, event_detail(&event)));
        let print = |place: &str, word: &str, detail: &str| print_line(passed, place, word, detail);
        if let Some((step, count)) = lines.items.expanded(&event) {
            print(&step, "items", &count);
        }
        for (place, word, detail) in lines.begins.sort(&event, &place, own) {
            match lines.items.line(&event, &place, word) {
                ItemLine::Whole => print(&place, word, &detail),
                ItemLine::Last => {
                    print(&place, word, &detail);
                    print("", "", "what becomes of further items of this step is only counted");
                }
                ItemLine::Counted => {}
            }
        }
    }

    /// Takes a state.
    pub(crate) fn state(&mut self, view: &RunView) {
        match self {
            Self::Terminal(board) => {
                board.newest = Some(view.clone());
                board.draw();
            }
            Self::Plain(lines) => {
                let passed = view.updated_at.since(view.started_at);
                for (step, count) in lines.items.counts(view) {
                    print_line(passed, &step, "items", &count);
                }
                lines.in_line.clone_from(&view.in_line);
                lines.tell_who_waits();
            }
            Self::Silent => {}
        }
    }

    /// Draws the same state at a later time.
    pub(crate) fn tick(&mut self) {
        match self {
            Self::Terminal(board) => board.draw(),
            Self::Plain(lines) => lines.tell_who_waits(),
            Self::Silent => {}
        }
    }

    /// Leaves the last lines standing, also those that found no room on the screen.
    pub(crate) fn finish(&mut self) {
        if let Self::Terminal(board) = self {
            board.stand();
        }
    }

    /// Leaves the lines as they are: the terminal has shown what was typed, so the cursor's
    /// place is unknown.
    pub(crate) fn interrupt(&mut self) {
        if let Self::Terminal(board) = self {
            board.screen.set_draw_target(ProgressDrawTarget::hidden());
            board.newest = None;
            note("");
        }
    }
}

/// Prints a plain line: when, where, what.
fn print_line(passed: Duration, place: &str, word: &str, detail: &str) {
    let line = format!("{:>8}  {place:<24} {word:<10} {detail}", format!("+{}", span(passed)));
    note(line.trim_end());
}

impl StepBoard {
    fn draw(&mut self) {
        let Some(view) = &self.newest else { return };
        let texts = fitting(&begun(view, self.seen.as_ref()), rows());
        let texts: Vec<String> = texts.into_iter().map(coloured).collect();
        while self.lines.len() > texts.len() {
            if let Some(line) = self.lines.pop() {
                self.screen.remove(&line);
            }
        }
        while self.lines.len() < texts.len() {
            let style = ProgressStyle::with_template("{wide_msg}");
            let line = ProgressBar::no_length();
            line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            self.lines.push(self.screen.add(line));
        }
        for (line, text) in self.lines.iter().zip(texts) {
            line.set_message(text);
        }
    }

    fn stand(&mut self) {
        let Some(view) = self.newest.take() else { return };
        // What cannot be cleared would stand there twice.
        if self.screen.clear().is_ok() {
            begun(&view, self.seen.as_ref()).into_iter().for_each(|line| note(coloured(line.text)));
        }
        self.lines.clear();
    }
}

/// The line of a step that has begun.
struct StepLine {
    text: String,
    is_ended: bool,
}

fn begun(view: &RunView, seen: Option<&RunView>) -> Vec<StepLine> {
    let now = clock::now();
    let width = view.steps.iter().map(|step| step.id.chars().count()).max().unwrap_or(0).clamp(4, 24);
    let begun = view.steps.iter().filter(|step| step.status != StepStatus::Pending || step.round > 0);
    let is_new = |step: &&StepView| {
        let known = seen.and_then(|seen| seen.step(&step.id));
        known.is_none_or(|known| {
            !is_ended(known.status)
                || (known.status, known.round, known.attempt) != (step.status, step.round, step.attempt)
        })
    };
    begun
        .filter(is_new)
        .map(|step| StepLine { text: step_line(step, width, now), is_ended: is_ended(step.status) })
        .collect()
}

fn is_ended(status: StepStatus) -> bool {
    match status {
        StepStatus::Succeeded | StepStatus::Failed | StepStatus::Skipped | StepStatus::Cancelled => true,
        StepStatus::Pending
        | StepStatus::Scheduled
        | StepStatus::Running
        | StepStatus::Gating
        | StepStatus::Waiting
        | StepStatus::Blocked => false,
    }
}

/// The lines that a screen has room for: of too many, what goes on before what has ended, and of that the
/// newest; the first line says how many are missing.
fn fitting(lines: &[StepLine], rows: usize) -> Vec<String> {
    let room = rows.saturating_sub(ROWS_KEPT).max(1);
    if lines.len() <= room {
        return lines.iter().map(|line| line.text.clone()).collect();
    }
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by_key(|at| (lines[*at].is_ended, std::cmp::Reverse(*at)));
    let mut shown: Vec<usize> = order.into_iter().take(room - 1).collect();
    shown.sort_unstable();
    let missing = format!("… {} more", crate::text::count((lines.len() - shown.len()) as u64, "step"));
    std::iter::once(missing).chain(shown.into_iter().map(|at| lines[at].text.clone())).collect()
}

/// Rows that lines leave alone: the command, and where the cursor rests.
const ROWS_KEPT: usize = 2;

fn rows() -> usize {
    terminal_size::terminal_size_of(std::io::stderr()).map_or(24, |(_, height)| usize::from(height.0))
}

/// These lines do not pass the stream that leaves colours out.
fn coloured(text: String) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
    if plain { anstream::adapter::strip_str(&text).to_string() } else { text }
}

/// Place, word and detail of a plain line.
type PlainLine = (String, &'static str, String);

/// Work that a budget may hold begins when it is known that it may, not when it is scheduled.
#[derive(Default)]
struct Begins {
    has_budgets: bool,
    /// What is scheduled and has not begun, by place.
    waiting: BTreeMap<String, PlainLine>,
}

impl Begins {
    /// The lines of an event, of which `own` is its own one.
    fn sort(&mut self, event: &RunEvent, place: &str, own: Option<PlainLine>) -> Vec<PlainLine> {
        match event {
            RunEvent::BudgetsOpened(_) => self.has_budgets = true,
            RunEvent::StepScheduled(_) if self.has_budgets => {
                self.waiting.extend(own.map(|line| (line.0.clone(), line)));
                return Vec::new();
            }
            // It is being asked whether there is room, and there may be none.
            RunEvent::FundsRequested(_) | RunEvent::FundsAnswered(_) | RunEvent::BudgetExceeded(_) => {
                return own.into_iter().collect();
            }
            _goes_on => {}
        }
        let before = self.waiting.remove(place).or_else(|| {
            // The end of a step names no attempt.
            let place = format!("{place} ");
            let of_step = self.waiting.keys().find(|waiting| waiting.starts_with(&place)).cloned();
            of_step.and_then(|place| self.waiting.remove(&place))
        });
        before.into_iter().chain(own).collect()
    }
}

/// The word for an event that has a plain line of its own.
fn word(event: &RunEvent) -> Option<&'static str> {
    Some(match event {
        RunEvent::RunStarted(_) => "started",
        RunEvent::StepScheduled(event) if matches!(event.work, ScheduledWork::Kept(_)) => "kept",
        RunEvent::StepScheduled(_) => "begins",
        RunEvent::BudgetExceeded(_) => "held",
        RunEvent::BudgetRaised(_) => "raised",
        RunEvent::AttemptFailed(_) => "failed",
        RunEvent::AttemptLost(_) => "lost",
        RunEvent::RetryScheduled(_) => "retries",
        RunEvent::StepSucceeded(_) => "succeeded",
        RunEvent::StepSkipped(_) => "skipped",
        RunEvent::StepFailed(_) => "failed",
        RunEvent::StepBlocked(_) => "blocked",
        RunEvent::GateEvaluated(_) => "gate",
        RunEvent::ProbeFailed(_) => "no verdict",
        RunEvent::ReworkRequested(_) => "rework",
        RunEvent::ApprovalRequested(_) => "asks",
        RunEvent::ApprovalDecided(_) => "decided",
        RunEvent::RunPaused(_) | RunEvent::RunHalted(_) => "paused",
        RunEvent::RunResumed(_) | RunEvent::RunReleased(_) => "resumed",
        RunEvent::RunUnblocked(_) => "unblocked",
        RunEvent::RecheckRequested(_) => "recheck",
        RunEvent::CancelRequested(_) => "cancel",
        // What is not named here is seen in `events`, and in the state that follows from it.
        RunEvent::WorkspacePrepared(_)
        | RunEvent::ItemsExpanded(_)
        | RunEvent::AttemptStarted(_)
        | RunEvent::AttemptSucceeded(_)
        | RunEvent::StopRequested(_)
        | RunEvent::StepCancelled(_)
        | RunEvent::ProbeScheduled(_)
        | RunEvent::VoteCast(_)
        | RunEvent::TimerSet(_)
        | RunEvent::TimerFired(_)
        | RunEvent::UsageRecorded(_)
        | RunEvent::ProgressReported(_)
        | RunEvent::SearchSet(_)
        | RunEvent::WorkSpared(_)
        | RunEvent::RunCancelled(_)
        | RunEvent::RunSucceeded(_)
        | RunEvent::RunFailed(_)
        | RunEvent::Advanced(_)
        | RunEvent::NoteAdded(_)
        | RunEvent::RunQueued(_)
        | RunEvent::RunAdmitted(_)
        | RunEvent::ChildStarted(_)
        | RunEvent::ChildFinished(_)
        | RunEvent::QuestionAsked(_)
        | RunEvent::AnswerSaved(_)
        | RunEvent::QuestionAnswered(_)
        | RunEvent::AttemptAsked(_)
        | RunEvent::SignalReceived(_)
        | RunEvent::SignalTaken(_)
        | RunEvent::StepCancelRequested(_)
        | RunEvent::BreakpointsSet(_)
        | RunEvent::BreakpointHit(_)
        | RunEvent::BudgetsOpened(_)
        | RunEvent::RunForked(_)
        | RunEvent::NoticeQueued(_)
        | RunEvent::NoticeSent(_)
        | RunEvent::NoticeFailed(_)
        | RunEvent::ChildStopped(_)
        | RunEvent::FundsRequested(_)
        | RunEvent::FundsGranted(_)
        | RunEvent::BudgetPeriodBegan(_)
        | RunEvent::FundsAnswered(_)
        | RunEvent::SpendReported(_)
        | RunEvent::WorktreeReset(_)
        | RunEvent::WorkspaceShared(_)
        | RunEvent::ClockRead(_)
        | RunEvent::RunAbandoned(_)
        | RunEvent::WorkspaceRemoved(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_budget_holds_begins_when_it_may() {
        let mut begins = Begins::default();
        let mut words = Vec::new();
        let id = json!({"path": {"step": "a", "item": null}, "round": 1, "attempt": 1});
        let none = json!({"cost_micros": 0, "tokens": 0, "wall_ms": 0});
        let reading =
            json!({"budget": "b", "spent": none, "reserved_micros": 0, "raised": none, "until": null});
        let silent = json!({"labels": {}, "note": null, "code": null});
        for event in [
            json!({"type": "StepScheduled", "id": id, "work": "gates"}),
            json!({"type": "BudgetsOpened", "budgets": []}),
            json!({"type": "StepScheduled", "id": id, "work": "gates"}),
            json!({"type": "FundsRequested", "id": id}),
            json!({"type": "BudgetExceeded", "reading": reading, "measure": "cost", "id": id}),
            json!({"type": "BudgetRaised", "budget": "b", "add": none, "reason": null}),
            json!({"type": "FundsGranted", "id": id, "exempt": false}),
            json!({
                "type": "AttemptSucceeded", "id": id, "output": null, "commit": null, "artefacts": [],
                "ended_at": "2026-11-20T10:00:00Z", "told": silent,
            }),
        ] {
            let event = json!({ "event": event });
            let shown = ShownEvent(&event);
            let (place, event) = (shown.place(), shown.event().unwrap());
            let own = word(&event).map(|word| (place.clone(), word, String::new()));
            words.extend(begins.sort(&event, &place, own).into_iter().map(|(_, word, _)| word));
        }
        assert_eq!(words, ["begins", "held", "raised", "begins"]);
    }

    #[test]
    fn of_more_steps_than_rows_those_that_go_on_are_seen() {
        let lines: Vec<StepLine> =
            (0..10).map(|at| StepLine { text: at.to_string(), is_ended: ![2, 9].contains(&at) }).collect();
        assert_eq!(fitting(&lines, 12).len(), 10);
        assert_eq!(fitting(&lines, 7), ["… 6 steps more", "2", "7", "8", "9"]);
        assert_eq!(fitting(&lines, 1), ["… 10 steps more"]);
    }
}
