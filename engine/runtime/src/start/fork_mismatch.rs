//! The event of a history that does not fit the definition with which a fork is to continue.
//!
//! Called by the fork after it was refused, for the reader of the refusal: the core knows what does not
//! fit, and the history says since when.

use crate::load::decode;
use crate::runtime::Runtime;
use everfold_base::envelope::StreamId;
use everfold_base::id::{RunId, Version};
use everfold_core::decide::{Misfit, Refusal};
use everfold_core::event::RunEvent;

/// Events that are read at once.
const PAGE: usize = 1_000;

impl Runtime {
    /// Adds to a refusal the first event that names anything of what does not fit; others stay as they are.
    pub(crate) async fn since_when(&self, origin: RunId, until: Version, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::Unfit { misfits, first: None } => {
                let first = self.first_of(origin, until, &misfits).await;
                Refusal::Unfit { misfits, first }
            }
            other => other,
        }
    }

    async fn first_of(
        &self,
        origin: RunId,
        until: Version,
        misfits: &[Misfit],
    ) -> Option<(Version, &'static str, usize)> {
        let mut found: Vec<Option<(Version, &'static str)>> = vec![None; misfits.len()];
        let mut next = Version::FIRST;
        while next <= until {
            // A history that cannot be read now is named without the event.
            let page = self.store.read(&StreamId::run(origin), next, PAGE).await.ok()?;
            for envelope in page.iter().take_while(|envelope| envelope.header.version <= until) {
                let event = decode(origin, envelope).ok()?;
                for (misfit, found) in misfits.iter().zip(&mut found) {
                    if forgets(&event, misfit) {
                        *found = None;
                    } else if found.is_none() && names(&event, misfit) {
                        *found = Some((envelope.header.version, event.name()));
                    }
                }
                next = envelope.header.version.next();
            }
            if page.len() < PAGE {
                break;
            }
        }
        let found = found.into_iter().enumerate();
        found.filter_map(|(at, found)| found.map(|(version, name)| (version, name, at))).min()
    }
}

/// Whether a former fork let the step begin anew.
fn forgets(event: &RunEvent, misfit: &Misfit) -> bool {
    matches!(event, RunEvent::RunForked(forked) if forked.reset.contains(&misfit.step))
}

fn names(event: &RunEvent, misfit: &Misfit) -> bool {
    let (step, gate) = match event {
        RunEvent::StepScheduled(event) => (&event.id.path.step, None),
        RunEvent::StepSkipped(event) => (&event.path.step, None),
        RunEvent::StepFailed(event) => (&event.path.step, None),
        RunEvent::StepBlocked(event) => (&event.path.step, None),
        RunEvent::StepCancelled(event) => (&event.path.step, None),
        RunEvent::ReworkRequested(event) => (&event.target, None),
        RunEvent::ProbeScheduled(event) => (&event.id.path.step, Some(&event.gate)),
        RunEvent::ProbeFailed(event) => (&event.id.path.step, Some(&event.gate)),
        RunEvent::GateEvaluated(event) => (&event.id.path.step, Some(&event.gate)),
        // Every other event that names a step comes after one of these.
        _later => return false,
    };
    *step == misfit.step && misfit.gate.as_ref().is_none_or(|wanted| gate == Some(wanted))
}
