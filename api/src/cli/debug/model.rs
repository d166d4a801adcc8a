//! What the debugger shows: the run, the version, what was read of it, and what is asked.
//!
//! Law: pure. Keys (`keys`) and answers (`answers`) change it; [`DebugModel::needs`] names what to ask for it to be whole.

use ratatui::layout::Size;
use serde_json::Value;

use super::confirm::ForkQuestion;
use super::log_view::LogView;
use super::requests::{DebugRequest, LoggedAttempt};
use super::tree::StateTree;
use super::window::{EventLine, EventWindow};
use crate::text::plain;
use crate::view::RunView;

/// What is known of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DebuggedRun {
    pub(super) id: String,
    pub(super) short_id: String,
    pub(super) title: Option<String>,
    pub(super) pipeline: String,
    /// Its last version so far.
    pub(super) last: u64,
    pub(super) is_ended: bool,
    pub(super) breakpoints: Vec<String>,
}

impl DebuggedRun {
    pub(super) fn of(view: &RunView) -> Self {
        Self {
            id: view.id.to_string(),
            short_id: plain(&view.short_id),
            title: view.title.as_deref().map(plain),
            pipeline: plain(&view.pipeline),
            last: view.version.get(),
            is_ended: view.status.is_ended(),
            breakpoints: view.breakpoints.clone(),
        }
    }
}

/// A part of the screen that takes keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DebugPane {
    Events,
    State,
    Side,
}

impl DebugPane {
    /// The one behind it, or before it.
    pub(super) fn beside(self, is_forward: bool) -> Self {
        match (self, is_forward) {
            (Self::Events, true) | (Self::Side, false) => Self::State,
            (Self::State, true) | (Self::Events, false) => Self::Side,
            (Self::Side, true) | (Self::State, false) => Self::Events,
        }
    }
}

/// What stands beside the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SideContent {
    Why,
    Event,
    Log,
    /// The steps as they stood.
    Map,
    /// What today's definition would decide here.
    Today,
}

/// What waits for an answer of the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DebugPrompt {
    Help,
    /// What is searched for, as far as it is typed.
    Search(String),
    /// A version or a time.
    GoTo(String),
    Fork(ForkQuestion),
}

/// A line for the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DebugNotice {
    pub(super) text: String,
    pub(super) kind: NoticeTone,
}

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoticeTone {
    /// Something was done, or there is nothing.
    Said,
    /// What was asked for by a key failed; the next key takes it away.
    Failed,
    /// What the screen needs cannot be had; it is tried again, and an answer takes it away.
    Away,
}

/// Causes of where the run stood, as the route gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShownCauses {
    pub(super) version: u64,
    pub(super) lines: Vec<String>,
}

/// What today's definition would decide, as the route gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShownToday {
    pub(super) version: u64,
    pub(super) lines: Vec<String>,
}

/// How far the side pane is scrolled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SideScroll {
    pub(super) top: usize,
    /// It was scrolled by hand: a log does not go on to its newest line.
    pub(super) is_by_hand: bool,
}

/// The debugger.
pub(super) struct DebugModel {
    pub(super) run: DebuggedRun,
    pub(super) version: u64,
    /// The last version is shown whenever there is a new one.
    pub(super) is_following: bool,
    pub(super) window: EventWindow,
    pub(super) tree: StateTree,
    pub(super) causes: Option<ShownCauses>,
    pub(super) today: Option<ShownToday>,
    pub(super) log: LogView,
    pub(super) focus: DebugPane,
    pub(super) side: SideContent,
    pub(super) scroll: SideScroll,
    pub(super) prompt: Option<DebugPrompt>,
    pub(super) notice: Option<DebugNotice>,
    /// What was searched for last.
    pub(super) searched: String,
    pub(super) size: Size,
    /// Asked and not answered.
    pub(super) asked: Vec<DebugRequest>,
    /// How often the clock struck since something came, while an answer is awaited.
    pub(super) silence: u32,
    /// Something the screen needs was refused: it is not asked for again at once.
    pub(super) is_held: bool,
    pub(super) is_over: bool,
}

impl DebugModel {
    /// A run at its last version.
    pub(super) fn new(run: DebuggedRun, size: Size) -> Self {
        Self {
            version: run.last,
            is_following: true,
            run,
            window: EventWindow::default(),
            tree: StateTree::default(),
            causes: None,
            today: None,
            log: LogView::default(),
            focus: DebugPane::Events,
            side: SideContent::Why,
            scroll: SideScroll::default(),
            prompt: None,
            notice: None,
            searched: String::new(),
            size,
            asked: Vec::new(),
            silence: 0,
            is_held: false,
            is_over: false,
        }
    }

    /// Shows another version; what is not within the history is its nearest one.
    pub(super) fn go(&mut self, version: u64) {
        let version = version.clamp(1, self.run.last.max(1));
        self.is_following = version == self.run.last;
        if version != self.version {
            self.version = version;
            self.scroll = SideScroll::default();
        }
    }

    /// The event of the version.
    pub(super) fn event(&self) -> Option<&EventLine> {
        self.window.get(self.version)
    }

    /// The step of the pipeline that the event is about.
    pub(super) fn step(&self) -> Option<&str> {
        self.event()?.nature.step.as_deref().filter(|step| !step.starts_with('$'))
    }

    /// The status of the run at the version, once its state is here.
    pub(super) fn status(&self) -> Option<String> {
        let state = self.tree.state().filter(|_| self.tree.version() == Some(self.version))?;
        state["status"].as_str().map(plain)
    }

    /// The attempt that the event is about: its own, else the one that its step was at.
    pub(super) fn attempt(&self) -> Option<LoggedAttempt> {
        let event = self.event()?;
        let step = self.step()?;
        let fields = &event.value["event"];
        let id = if fields["id"].is_object() { &fields["id"] } else { &fields["timer"]["id"] };
        let state = self.tree.state();
        let now = state.and_then(|state| state["steps"].as_array()?.iter().find(|one| one["id"] == step));
        let number = |from: &Value, name: &str| from[name].as_u64().filter(|number| *number > 0);
        let of_step = |name: &str| now.and_then(|now| number(now, name));
        let item = [&id["path"]["item"], &fields["path"]["item"]].into_iter().find_map(Value::as_u64);
        let named = item.map_or_else(|| step.to_owned(), |item| format!("{step}.{item}"));
        Some(LoggedAttempt {
            step: named,
            round: number(id, "round").or_else(|| of_step("round"))?,
            attempt: number(id, "attempt").or_else(|| of_step("attempt"))?,
            is_agent: now.is_some_and(|now| now["kind"] == "agent"),
        })
    }

    /// What to ask now, for the screen to be whole. One request of a kind is under way at a time, then that of the version
    /// which is shown by then: who holds a key asks faster than answers come.
    pub(super) fn needs(&mut self) -> Vec<DebugRequest> {
        if self.is_held || self.version == 0 {
            return Vec::new();
        }
        let version = self.version;
        let mut wanted = Vec::new();
        if let Some(events) = self.window.missing(version, self.run.last) {
            wanted.push(events);
        }
        let has_state = self.tree.version() == Some(version);
        if !has_state {
            wanted.push(DebugRequest::State { version });
        }
        let has_causes = self.causes.as_ref().is_some_and(|causes| causes.version == version);
        if self.side == SideContent::Why && has_state && !has_causes {
            wanted.push(DebugRequest::Causes { version });
        }
        let has_today = self.today.as_ref().is_some_and(|today| today.version == version);
        if self.side == SideContent::Today && has_state && !has_today {
            wanted.push(DebugRequest::Today { version });
        }
        if let Some(attempt) = self.attempt().filter(|_| self.side == SideContent::Log && has_state)
            && self.log.attempt.as_ref() != Some(&attempt)
        {
            self.log = LogView::open(attempt.clone());
            self.scroll = SideScroll::default();
            wanted.push(DebugRequest::Log(attempt));
        }
        wanted.retain(|one| !self.is_under_way(one));
        // A log is a stream: its answers do not end it.
        self.asked.extend(wanted.iter().filter(|one| !matches!(one, DebugRequest::Log(_))).cloned());
        wanted
    }

    /// Asks for what a key wants.
    pub(super) fn ask(&mut self, request: DebugRequest) -> Vec<DebugRequest> {
        self.asked.push(request.clone());
        vec![request]
    }

    /// Whether a request of the same kind is not answered yet.
    fn is_under_way(&self, request: &DebugRequest) -> bool {
        let kind = std::mem::discriminant(request);
        self.asked.iter().any(|asked| std::mem::discriminant(asked) == kind)
    }

    /// The session's clock strikes, every so many seconds: the model asks again for what a route refused, and says how long
    /// it has waited. The client waits for a server that is away without a sign of it.
    pub(super) fn strike(&mut self, seconds: u64) {
        self.is_held = false;
        self.silence = if self.asked.is_empty() { 0 } else { self.silence + 1 };
        if self.silence > 1 {
            let silent = u64::from(self.silence - 1) * seconds;
            self.say(NoticeTone::Away, format!("no answer for {silent} s; it is waited for, q ends"));
        }
    }

    /// Takes an answered request away; `false`: the model does not wait for it any more.
    pub(super) fn answered(&mut self, request: &DebugRequest) -> bool {
        let at = self.asked.iter().position(|asked| asked == request);
        at.map(|at| self.asked.remove(at)).is_some()
    }

    /// Waits no longer for what is looked for.
    pub(super) fn stop_looking(&mut self) -> bool {
        let before = self.asked.len();
        self.asked.retain(|asked| !matches!(asked, DebugRequest::Find { .. } | DebugRequest::GoTo(_)));
        self.asked.len() < before
    }

    /// What is looked for at the moment.
    pub(super) fn looked_for(&self) -> Option<String> {
        self.asked.iter().find_map(|asked| match asked {
            DebugRequest::Find { goal, is_forward: true, .. } => Some(format!("the next {}", goal.words())),
            DebugRequest::Find { goal, .. } => Some(format!("the {} before", goal.words())),
            DebugRequest::GoTo(text) => Some(format!("“{text}”")),
            _other => None,
        })
    }

    /// Says something in the last line.
    pub(super) fn say(&mut self, kind: NoticeTone, text: impl AsRef<str>) {
        self.notice = Some(DebugNotice { text: plain(text.as_ref()), kind });
    }
}
