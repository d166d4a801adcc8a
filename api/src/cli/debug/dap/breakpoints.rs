//! Where it stops: at events of a step or a gate, and at events of a kind, each also by a condition.

use everfold_pages::{EventNature, EventSearch};
use serde_json::Value;

use crate::view::ShownEvent;

/// What an event must be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PointPlace {
    pub(super) step: String,
    /// An item of a `foreach`.
    pub(super) item: Option<u64>,
    pub(super) gate: Option<String>,
}

/// A place at which it stops.
#[derive(Debug, Clone)]
pub(super) struct EventPoint {
    pub(super) id: u64,
    pub(super) place: PointPlace,
    pub(super) condition: Option<EventSearch>,
}

/// A kind of event at which it stops.
#[derive(Debug, Clone)]
pub(super) struct KindPoint {
    /// `failure`, `verdict` or `decision`.
    pub(super) filter: &'static str,
    pub(super) condition: Option<EventSearch>,
}

/// Everything at which it stops.
#[derive(Debug, Clone, Default)]
pub(super) struct BreakpointTable {
    pub(super) lines: Vec<EventPoint>,
    pub(super) steps: Vec<EventPoint>,
    pub(super) kinds: Vec<KindPoint>,
}

/// Why it stops at an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PointHit {
    /// As the protocol names it.
    pub(super) reason: &'static str,
    pub(super) text: String,
    pub(super) ids: Vec<u64>,
}

impl BreakpointTable {
    /// Whether it stops at an event; what people set at a place goes before kinds of events.
    pub(super) fn hit(&self, event: &Value) -> Option<PointHit> {
        let (about, nature) = (PointPlace::of(event), EventNature::of(event));
        let fits = |condition: &Option<EventSearch>| condition.as_ref().is_none_or(|it| it.fits(event));
        let at = |points: &[EventPoint]| -> Vec<u64> {
            let Some(about) = &about else { return Vec::new() };
            let hit = points.iter().filter(|point| point.place.holds(about) && fits(&point.condition));
            hit.map(|point| point.id).collect()
        };
        let (lines, steps) = (at(&self.lines), at(&self.steps));
        let text = about.as_ref().map(|about| about.step.clone()).unwrap_or_default();
        if !lines.is_empty() {
            return Some(PointHit { reason: "breakpoint", text, ids: [lines, steps].concat() });
        }
        if !steps.is_empty() {
            return Some(PointHit { reason: "function breakpoint", text, ids: steps });
        }
        let is_of = |filter: &str| match filter {
            "failure" => is_failure(event, &nature),
            "verdict" => is_failed_verdict(event),
            _decision => nature.is_decision,
        };
        let kind = self.kinds.iter().find(|point| is_of(point.filter) && fits(&point.condition))?;
        let kind_text = ShownEvent(event).name().to_owned();
        Some(PointHit {
            reason: "exception",
            text: format!("{kind_text} ({})", kind.filter),
            ids: Vec::new(),
        })
    }
}

/// Something failed, and it is no verdict, which has a filter of its own.
pub(super) fn is_failure(event: &Value, nature: &EventNature) -> bool {
    nature.is_failure && ShownEvent(event).name() != "GateEvaluated"
}

/// A gate failed.
pub(super) fn is_failed_verdict(event: &Value) -> bool {
    ShownEvent(event).name() == "GateEvaluated" && event["event"]["verdict"] == "fail"
}

impl PointPlace {
    /// What an event is about; none: the run itself.
    pub(super) fn of(event: &Value) -> Option<Self> {
        let step = EventNature::of(event).step.filter(|step| !step.starts_with('$'))?;
        let fields = &event["event"];
        let items = [&fields["id"]["path"]["item"], &fields["path"]["item"]];
        let gate = fields["gate"].as_str().map(str::to_owned);
        Some(Self { step, item: items.into_iter().find_map(Value::as_u64), gate })
    }

    /// Whether something is at this place: what is said of a step is said of its items and gates, too.
    fn holds(&self, other: &Self) -> bool {
        self.step == other.step
            && self.item.is_none_or(|item| other.item == Some(item))
            && self.gate.as_ref().is_none_or(|gate| other.gate.as_ref() == Some(gate))
    }
}
