//! Rechecks that go on: a person had the gates of a step judged again, and the step has not come to the end of that.
//!
//! Law: it holds places; who asked and why is read from the event of the recheck itself.

use everfold_base::envelope::Envelope;
use everfold_base::id::{StepId, StepPath, Version};
use everfold_base::time::Timestamp;
use everfold_core::event::{self, RunEvent, UnblockDecision};
use everfold_core::policy::Verdict;
use serde::{Deserialize, Serialize};

/// The recheck that a decision is about: one that could not be judged, or that another one displaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecheckPlace {
    /// Where the recheck stands in its run.
    pub asked: Version,
    /// The event that names the gate that was to be judged; `None`: none was.
    pub gate: Option<Version>,
}

/// A recheck, as a decision that is about it tells of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AskedRecheck {
    /// Where it stands in its run.
    pub version: Version,
    /// When it was asked for.
    pub at: Timestamp,
    /// By whom.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// The gate that was to be judged; `None`: none was.
    pub gate: Option<String>,
}

impl AskedRecheck {
    /// What the event of a recheck says, and the one that names its gate; `None`: it is no recheck.
    #[must_use]
    pub fn of(asked: &Envelope, gate: Option<&Envelope>) -> Option<Self> {
        let read = |envelope: &Envelope| {
            let header = &envelope.header;
            event::decode(header.kind, header.schema, &envelope.payload).ok()
        };
        let reason = match read(asked)? {
            RunEvent::RecheckRequested(event) => event.reason,
            RunEvent::RunUnblocked(event) => event.unblocked.reason,
            _others => return None,
        };
        let gate = gate.and_then(read).and_then(|event| match event {
            RunEvent::ProbeScheduled(event) => Some(event.gate),
            RunEvent::GateEvaluated(event) => Some(event.gate),
            RunEvent::ProbeFailed(event) => Some(event.gate),
            _others => None,
        });
        let header = &asked.header;
        let (at, actor) = (header.recorded_at, header.actor.to_string());
        Some(Self { version: header.version, at, actor, reason, gate })
    }
}

/// The rechecks of a run that go on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct OpenRechecks(Vec<OpenRecheck>);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct OpenRecheck {
    step: StepId,
    place: RecheckPlace,
    /// The gates that could not be judged, each once: a poll fails as often as it asks.
    unjudged: Vec<String>,
}

impl OpenRechecks {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes an event in; gives the recheck that it fails to judge, or displaces.
    pub(crate) fn take(&mut self, event: &RunEvent, version: Version) -> Option<RecheckPlace> {
        match event {
            RunEvent::RecheckRequested(event) => self.begin(&event.path, version),
            RunEvent::RunUnblocked(event) if event.unblocked.decision == UnblockDecision::Recheck => {
                self.begin(&event.unblocked.path, version)
            }
            RunEvent::ProbeScheduled(event) => self.judge(&event.id.path, Some(version)),
            RunEvent::GateEvaluated(event) => {
                let is_open = event.verdict == Verdict::Pending;
                self.judge(&event.id.path, is_open.then_some(version))
            }
            RunEvent::ProbeFailed(event) => self.fail(&event.id.path, &event.gate, version),
            RunEvent::StepScheduled(event) => self.end(&event.id.path),
            RunEvent::ApprovalRequested(event) => self.end(&event.id.path),
            RunEvent::StepBlocked(event) => self.end(&event.path),
            RunEvent::StepSucceeded(event) => self.end(&event.path),
            RunEvent::StepFailed(event) => self.end(&event.path),
            RunEvent::StepSkipped(event) => self.end(&event.path),
            RunEvent::StepCancelled(event) => self.end(&event.path),
            RunEvent::ReworkRequested(event) => self.end(&event.source.id.path),
            _others => None,
        }
    }

    fn of(&mut self, path: &StepPath) -> Option<&mut OpenRecheck> {
        self.0.iter_mut().find(|open| path.item.is_none() && open.step == path.step)
    }

    fn begin(&mut self, path: &StepPath, version: Version) -> Option<RecheckPlace> {
        if path.item.is_some() {
            return None;
        }
        let at = self.0.iter().position(|open| open.step == path.step);
        let displaced = at.map(|at| self.0.swap_remove(at).place);
        let place = RecheckPlace { asked: version, gate: None };
        self.0.push(OpenRecheck { step: path.step.clone(), place, unjudged: Vec::new() });
        displaced
    }

    fn judge(&mut self, path: &StepPath, gate: Option<Version>) -> Option<RecheckPlace> {
        if let Some(open) = self.of(path) {
            open.place.gate = gate;
        }
        None
    }

    fn fail(&mut self, path: &StepPath, gate: &str, version: Version) -> Option<RecheckPlace> {
        let open = self.of(path)?;
        open.place.gate = Some(version);
        if open.unjudged.iter().any(|known| known == gate) {
            return None;
        }
        open.unjudged.push(gate.to_owned());
        Some(open.place)
    }

    fn end(&mut self, path: &StepPath) -> Option<RecheckPlace> {
        self.0.retain(|open| path.item.is_some() || open.step != path.step);
        None
    }
}
