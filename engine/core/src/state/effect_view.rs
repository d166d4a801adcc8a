//! What a run's state says of work that is not done.

use crate::event::EffectLimits;
use crate::state::RunState;
use crate::state::step::Stage;
use everfold_base::id::{AttemptId, RunId, StepPath, Version};

/// What a fork takes from the record of its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedSpan {
    /// The origin.
    pub run: RunId,
    /// The last version that was copied.
    pub from: Version,
    /// The last version of the record.
    pub to: Version,
}

/// What a gate judges, seen from the record of the origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JudgedWork {
    /// Work of the origin: it was copied.
    Copied,
    /// It was spared, and this event stood in for it.
    Spared(Option<Version>),
    /// This run made it.
    Made,
}

/// An attempt that was held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldBack<'a> {
    /// The attempt.
    pub id: &'a AttemptId,
    /// What it would have done, in one line.
    pub would: &'a str,
    /// The event of the origin whose output it was given.
    pub version: Option<Version>,
}

impl RunState {
    /// What of its work is not done; `None`: all is.
    #[must_use]
    pub fn effect_limits(&self) -> Option<EffectLimits> {
        self.facts.effects.limits
    }

    /// The part of its origin's history that stands in for work; `None`: none does.
    #[must_use]
    pub fn recorded_span(&self) -> Option<RecordedSpan> {
        let (limits, origin) = (self.facts.effects.limits?, self.origin()?);
        Some(RecordedSpan { run: origin.run, from: origin.version, to: limits.recorded_to })
    }

    /// Whether the work of an attempt is recorded as begun.
    #[must_use]
    pub fn has_begun(&self, id: &AttemptId) -> bool {
        let unit = self.current(id).and_then(|key| self.unit_at(key));
        unit.is_some_and(|unit| unit.stage == Stage::Running)
    }

    /// The event of the record that the newest spared attempt of a step or item took.
    #[must_use]
    pub fn last_taken(&self, path: &StepPath) -> Option<Version> {
        self.facts.effects.spared.get(path).and_then(|(_, version)| *version)
    }

    /// The first attempts that were held back.
    pub fn held_back(&self) -> impl Iterator<Item = HeldBack<'_>> {
        let held = self.facts.effects.held.iter();
        held.map(|(id, would, version)| HeldBack { id, would, version: *version })
    }

    /// How many attempts were held back, and for how many a record stood in.
    #[must_use]
    pub fn spared_totals(&self) -> (u32, u32) {
        self.facts.effects.totals
    }

    /// The head of the worktree when the newest attempt of a step or item was scheduled; `None`: there was none yet, or
    /// nothing stands in for work of this run.
    #[must_use]
    pub fn scheduled_head(&self, path: &StepPath) -> Option<&str> {
        self.facts.effects.heads.get(path).map(String::as_str)
    }

    /// Whose work a gate of this attempt judges.
    #[must_use]
    pub fn judged_work(&self, id: &AttemptId) -> JudgedWork {
        match self.facts.effects.spared.get(&id.path) {
            Some((spared, version)) if spared == id => JudgedWork::Spared(*version),
            _other if self.facts.effects.made.contains(&id.path) => JudgedWork::Made,
            _other => JudgedWork::Copied,
        }
    }

    /// Steps and items of which this run made an attempt itself, where a record stands in for others.
    pub fn made_here(&self) -> impl Iterator<Item = &StepPath> {
        self.facts.effects.made.iter()
    }
}
