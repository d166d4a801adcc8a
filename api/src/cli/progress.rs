//! How a run that is waited for is shown: a line per step on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use everfold_engine::clock;
use everfold_engine::state::StepStatus;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use super::describe::Shown;
use super::output::note;
use super::show::step_line;
use crate::view::RunView;

/// The eyes on a run.
pub(crate) enum Progress {
    /// A line per step that moves.
    Terminal(Box<Board>),
    /// A line per thing that happened.
    Plain { began_at: Option<i64> },
    /// Nobody looks.
    Silent,
}

/// The moving lines.
pub(crate) struct Board {
    lines: MultiProgress,
    steps: BTreeMap<String, ProgressBar>,
    newest: Option<RunView>,
}

impl Progress {
    /// What suits the place that stderr goes to.
    pub(crate) fn new(json: bool) -> Self {
        match std::io::stderr().is_terminal() {
            _ if json => Self::Silent,
            true => Self::Terminal(Box::new(Board {
                lines: MultiProgress::new(),
                steps: BTreeMap::new(),
                newest: None,
            })),
            false => Self::Plain { began_at: None },
        }
    }

    /// Whether it wants to be called now and then.
    pub(crate) fn ticks(&self) -> Option<Duration> {
        matches!(self, Self::Terminal(_)).then_some(Duration::from_millis(250))
    }

    /// Says a line that stays.
    pub(crate) fn say(&self, text: &str) {
        match self {
            Self::Terminal(board) => board.lines.suspend(|| note(text)),
            Self::Plain { .. } => note(text),
            Self::Silent => {}
        }
    }

    /// Takes an event.
    pub(crate) fn event(&mut self, event: &Value) {
        let Self::Plain { began_at } = self else { return };
        let shown = Shown(event);
        let Ok(at) = shown.at().parse::<everfold_engine::time::Timestamp>() else { return };
        let began = *began_at.get_or_insert(at.0);
        if let Some(word) = word(shown.name()) {
            let line = format!(
                "{:>8}  {:<24} {word:<10} {}",
                format!(
                    "+{}",
                    super::format::span(Duration::from_millis(u64::try_from(at.0 - began).unwrap_or(0)))
                ),
                shown.place(),
                shown.detail()
            );
            note(line.trim_end());
        }
    }

    /// Takes a state.
    pub(crate) fn state(&mut self, view: &RunView) {
        if let Self::Terminal(board) = self {
            board.newest = Some(view.clone());
            board.draw();
        }
    }

    /// Draws the same state at a later time.
    pub(crate) fn tick(&mut self) {
        if let Self::Terminal(board) = self {
            board.draw();
        }
    }

    /// Leaves the last lines standing.
    pub(crate) fn finish(&mut self) {
        if let Self::Terminal(board) = self {
            board.draw();
            board.steps.values().for_each(ProgressBar::abandon);
        }
    }
}

impl Board {
    fn draw(&mut self) {
        let Some(view) = &self.newest else { return };
        let now = clock::now();
        let width = view.steps.iter().map(|step| step.id.chars().count()).max().unwrap_or(0).clamp(4, 24);
        for step in &view.steps {
            if step.status == StepStatus::Pending && !self.steps.contains_key(&step.id) {
                continue;
            }
            let line = self.steps.entry(step.id.clone()).or_insert_with(|| {
                let style = ProgressStyle::with_template("{wide_msg}");
                let line = ProgressBar::no_length();
                line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                self.lines.add(line)
            });
            let text = step_line(step, width, now);
            // These lines do not pass the stream that leaves colours out.
            let plain = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
            line.set_message(if plain { anstream::adapter::strip_str(&text).to_string() } else { text });
        }
    }
}

/// The word for an event that a reader of plain lines wants to see.
fn word(name: &str) -> Option<&'static str> {
    Some(match name {
        "RunStarted" => "started",
        "StepScheduled" => "begins",
        "AttemptFailed" => "failed",
        "AttemptLost" => "lost",
        "RetryScheduled" => "retries",
        "StepSucceeded" => "succeeded",
        "StepSkipped" => "skipped",
        "StepFailed" => "failed",
        "StepBlocked" => "blocked",
        "GateEvaluated" => "gate",
        "ProbeFailed" => "no evidence",
        "ReworkRequested" => "rework",
        "ApprovalRequested" => "asks",
        "ApprovalDecided" => "decided",
        "RunPaused" => "paused",
        "RunResumed" => "resumed",
        "RunUnblocked" => "unblocked",
        "CancelRequested" => "cancel",
        _quiet => return None,
    })
}
