//! How a run that is waited for is shown: a line per step on a terminal, plain lines elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::time::Duration;

use everfold_engine::clock;
use everfold_engine::driver::Waiting;
use everfold_engine::state::StepStatus;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::describe::Shown;
use super::format::span;
use super::output::note;
use super::show::step_line;
use crate::view::RunView;

/// What waits in line for so long is told where lines are plain.
const LONG: Duration = Duration::from_secs(1);

/// The eyes on a run.
pub(crate) enum Progress {
    /// A line per step that moves.
    Terminal(Box<Board>),
    /// A line per thing that happened.
    Plain(Box<Lines>),
    /// Nobody looks.
    Silent,
}

/// What plain lines have said so far.
#[derive(Default)]
pub(crate) struct Lines {
    began_at: Option<i64>,
    told: BTreeSet<String>,
    begins: Begins,
    /// What waits in line, as far as it was not told.
    in_line: Vec<Waiting>,
}

impl Lines {
    /// Says once who waits for what. What goes on at once is not worth a line.
    fn tell_who_waits(&mut self) {
        let now = clock::now();
        let told = &mut self.told;
        self.in_line.retain(|waiting| {
            let Some(reason) = waiting.reasons.first().filter(|_| now.since(waiting.since) >= LONG) else {
                return true;
            };
            let step = waiting.attempt.path.step.to_string();
            if told.insert(format!("{step} {}", waiting.attempt.round.get())) {
                note(format!("  {step} waits for {reason}"));
            }
            false
        });
    }
}

/// The moving lines.
pub(crate) struct Board {
    screen: MultiProgress,
    lines: Vec<ProgressBar>,
    newest: Option<RunView>,
}

impl Progress {
    /// What suits the place that stderr goes to.
    pub(crate) fn new(json: bool) -> Self {
        match std::io::stderr().is_terminal() {
            _ if json => Self::Silent,
            true => Self::Terminal(Box::new(Board {
                screen: MultiProgress::new(),
                lines: Vec::new(),
                newest: None,
            })),
            false => Self::Plain(Box::default()),
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
        let shown = Shown(event);
        let Ok(at) = shown.at().parse::<everfold_engine::time::Timestamp>() else { return };
        let began = *lines.began_at.get_or_insert(at.0);
        let passed = Duration::from_millis(u64::try_from(at.0 - began).unwrap_or(0));
        let own = word(shown.name()).map(|word| (shown.place(), word, shown.detail()));
        for (place, word, detail) in lines.begins.sort(&shown, own) {
            let line = format!("{:>8}  {place:<24} {word:<10} {detail}", format!("+{}", span(passed)));
            note(line.trim_end());
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

    /// Leaves the lines as they are: the terminal has shown what was typed, so nobody knows any more
    /// where the cursor is.
    pub(crate) fn interrupt(&mut self) {
        if let Self::Terminal(board) = self {
            board.screen.set_draw_target(ProgressDrawTarget::hidden());
            board.newest = None;
            note("");
        }
    }
}

impl Board {
    fn draw(&mut self) {
        let Some(view) = &self.newest else { return };
        let texts = fitting(&begun(view), rows());
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
            begun(&view).into_iter().for_each(|line| note(coloured(line.text)));
        }
        self.lines.clear();
    }
}

/// The line of a step that has begun.
struct Line {
    text: String,
    is_ended: bool,
}

fn begun(view: &RunView) -> Vec<Line> {
    let now = clock::now();
    let width = view.steps.iter().map(|step| step.id.chars().count()).max().unwrap_or(0).clamp(4, 24);
    let begun = view.steps.iter().filter(|step| step.status != StepStatus::Pending || step.round > 0);
    begun.map(|step| Line { text: step_line(step, width, now), is_ended: is_ended(step.status) }).collect()
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
fn fitting(lines: &[Line], rows: usize) -> Vec<String> {
    let room = rows.saturating_sub(ROWS_KEPT).max(1);
    if lines.len() <= room {
        return lines.iter().map(|line| line.text.clone()).collect();
    }
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by_key(|at| (lines[*at].is_ended, std::cmp::Reverse(*at)));
    let mut shown: Vec<usize> = order.into_iter().take(room - 1).collect();
    shown.sort_unstable();
    let missing = format!("… {} more", super::format::count((lines.len() - shown.len()) as u64, "step"));
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
type Said = (String, &'static str, String);

/// Work that a budget may hold begins when it is known that it may, not when it is scheduled.
#[derive(Default)]
struct Begins {
    has_budgets: bool,
    /// What is scheduled and has not begun, by place.
    waiting: BTreeMap<String, Said>,
}

impl Begins {
    /// What is to be said at an event, of which `own` is its own line.
    fn sort(&mut self, shown: &Shown<'_>, own: Option<Said>) -> Vec<Said> {
        match shown.name() {
            "BudgetsOpened" => self.has_budgets = true,
            "StepScheduled" if self.has_budgets => {
                self.waiting.extend(own.map(|said| (said.0.clone(), said)));
                return Vec::new();
            }
            // It is being asked whether there is room, and there may be none.
            "FundsRequested" | "FundsAnswered" | "BudgetExceeded" => return own.into_iter().collect(),
            _other => {}
        }
        let before = self.waiting.remove(&shown.place()).or_else(|| {
            // The end of a step names no attempt.
            let place = format!("{} ", shown.place());
            let of_step = self.waiting.keys().find(|waiting| waiting.starts_with(&place)).cloned();
            of_step.and_then(|place| self.waiting.remove(&place))
        });
        before.into_iter().chain(own).collect()
    }
}

/// The word for an event that a reader of plain lines wants to see.
fn word(name: &str) -> Option<&'static str> {
    Some(match name {
        "RunStarted" => "started",
        "StepScheduled" => "begins",
        "BudgetExceeded" => "held",
        "BudgetRaised" => "raised",
        "AttemptFailed" => "failed",
        "AttemptLost" => "lost",
        "RetryScheduled" => "retries",
        "StepSucceeded" => "succeeded",
        "StepSkipped" => "skipped",
        "StepFailed" => "failed",
        "StepBlocked" => "blocked",
        "GateEvaluated" => "gate",
        "ProbeFailed" => "no verdict",
        "ReworkRequested" => "rework",
        "ApprovalRequested" => "asks",
        "ApprovalDecided" => "decided",
        "RunPaused" => "paused",
        "RunResumed" => "resumed",
        "RunUnblocked" => "unblocked",
        "RecheckRequested" => "recheck",
        "CancelRequested" => "cancel",
        _quiet => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_budget_holds_begins_when_it_may() {
        let mut begins = Begins::default();
        let mut told = Vec::new();
        let id = serde_json::json!({"path": {"step": "a"}, "round": 1, "attempt": 1});
        let mut give = |name: &str, id: &Value| {
            let event = serde_json::json!({"event": {"type": name, "id": id, "path": id["path"]}});
            let shown = Shown(&event);
            let own = word(name).map(|word| (shown.place(), word, String::new()));
            told.extend(begins.sort(&shown, own).into_iter().map(|(_, word, _)| word));
        };
        for (name, id) in [
            ("StepScheduled", &id),
            ("BudgetsOpened", &Value::Null),
            ("StepScheduled", &id),
            ("FundsRequested", &id),
            ("BudgetExceeded", &id),
            ("BudgetRaised", &Value::Null),
            ("FundsGranted", &id),
            ("AttemptSucceeded", &id),
        ] {
            give(name, id);
        }
        assert_eq!(told, ["begins", "held", "raised", "begins"]);
    }

    #[test]
    fn of_more_steps_than_rows_those_that_go_on_are_seen() {
        let lines: Vec<Line> =
            (0..10).map(|at| Line { text: at.to_string(), is_ended: ![2, 9].contains(&at) }).collect();
        assert_eq!(fitting(&lines, 12).len(), 10);
        assert_eq!(fitting(&lines, 7), ["… 6 steps more", "2", "7", "8", "9"]);
        assert_eq!(fitting(&lines, 1), ["… 10 steps more"]);
    }
}
