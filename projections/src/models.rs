//! All read models, and how far they are.
//!
//! Law: an event is folded once: one at or before the position is passed over. An event that cannot
//! be read sets its run aside here too; the other runs go on.

use std::collections::HashMap;

use everfold_engine::envelope::Envelope;
use everfold_engine::event::{self, RunEvent};
use everfold_engine::id::{Position, RunId, Version};

use crate::{Attempts, Audit, Fact, Inbox, Projection, RunRows, SpendRows};

/// An event that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The run.
    pub run: RunId,
    /// The event.
    pub version: Version,
    /// What was found.
    pub what: String,
}

/// How many unreadable events are remembered.
const UNREADABLE_MAX: usize = 1_000;

/// All read models.
#[derive(Debug, Default, PartialEq)]
pub struct Models {
    /// The runs.
    pub runs: RunRows,
    /// What people are asked.
    pub inbox: Inbox,
    /// Every decision.
    pub audit: Audit,
    /// Every attempt.
    pub attempts: Attempts,
    /// What was used up.
    pub spend: SpendRows,
    position: Position,
    unreadable: Vec<Unreadable>,
    /// Copied histories that are no runs yet.
    copied: HashMap<RunId, Vec<Envelope>>,
}

impl Models {
    /// The names of the models with their schema numbers.
    pub const NAMES: [(&'static str, u32); 5] = [
        (RunRows::NAME, RunRows::SCHEMA),
        (Inbox::NAME, Inbox::SCHEMA),
        (Audit::NAME, Audit::SCHEMA),
        (Attempts::NAME, Attempts::SCHEMA),
        (SpendRows::NAME, SpendRows::SCHEMA),
    ];

    /// Folds one event of the log.
    pub fn apply(&mut self, envelope: &Envelope) {
        if envelope.position <= self.position {
            return;
        }
        self.position = envelope.position;
        let Some(run) = envelope.header.stream.as_run() else { return };
        let header = &envelope.header;
        match event::decode(header.kind, header.schema, &envelope.payload) {
            Ok(event) => {
                let fact = Fact { run, envelope, event: &event };
                if fact.is_copied() {
                    return self.copied.entry(run).or_default().push(envelope.clone());
                }
                if matches!(event, RunEvent::RunForked(_)) {
                    self.take_over(run);
                }
                self.runs.apply(&fact);
                self.inbox.apply(&fact);
                self.audit.apply(&fact);
                self.attempts.apply(&fact);
                self.spend.apply(&fact);
            }
            Err(error) if self.unreadable.len() < UNREADABLE_MAX => {
                self.unreadable.push(Unreadable { run, version: header.version, what: error.to_string() });
            }
            Err(_) => {}
        }
    }

    /// A copied history becomes a run's own: what it did and was asked so far, but not what was decided
    /// and spent, which stays its origin's.
    fn take_over(&mut self, run: RunId) {
        for envelope in self.copied.remove(&run).unwrap_or_default() {
            let header = &envelope.header;
            // The end of the origin is none of this run.
            if RunEvent::ends_run(header.kind) {
                continue;
            }
            if let Ok(event) = event::decode(header.kind, header.schema, &envelope.payload) {
                let fact = Fact { run, envelope: &envelope, event: &event };
                self.runs.apply(&fact);
                self.inbox.apply(&fact);
                // Its pipeline and roles; copied use counts for nobody.
                self.spend.apply(&fact);
            }
        }
    }

    /// The last event that was folded.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Events that could not be read.
    #[must_use]
    pub fn unreadable(&self) -> &[Unreadable] {
        &self.unreadable
    }
}
