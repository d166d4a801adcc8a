//! One request for an action: who asks, for what, of which run, and with what typed.

use serde_json::Value;

use super::acting_run::ActingRun;
use super::verb::Verb;
use crate::form::Fields;
use crate::frame::{NavPlace, Visit};
use crate::problem::Problem;
use crate::words::encoded;

/// One request for an action.
pub(super) struct Act {
    pub(super) visit: Visit,
    pub(super) verb: Verb,
    pub(super) run: ActingRun,
    /// What the address says, and what was typed.
    pub(super) typed: Fields,
}

impl Act {
    /// Reads the run that it is about.
    ///
    /// # Errors
    /// There is no such action, or the run cannot be read.
    pub(super) async fn of(mut visit: Visit, run: &str, verb: &str, typed: Fields) -> Result<Self, Problem> {
        let verb = Verb::of(verb).ok_or_else(|| Verb::unknown(verb))?;
        if verb == Verb::Fork {
            // There the moment is where the new run begins, not what the page shows.
            visit.at = None;
        }
        if visit.at.is_some() {
            // A moment before the run began is refused as on the run's other pages.
            let path = visit.at_moment(&format!("/runs/{}/graph?detail=names", encoded(run)));
            visit.rest.get::<Value>(&path).await?;
        }
        let run = match ActingRun::load(&visit, run).await {
            Ok(run) => run,
            // What cannot be shown can still be given up, or tried again.
            Err(problem) if matches!(verb, Verb::Abandon | Verb::Resume) && problem.is_set_aside() => {
                ActingRun::unknown(run, &problem)
            }
            Err(problem) => return Err(problem),
        };
        Ok(Self { visit, verb, run, typed })
    }

    /// Why the caller cannot do this, here and now.
    pub(super) fn not_allowed(&self) -> Option<String> {
        let frame = self.visit.frame("", NavPlace::Elsewhere);
        if !frame.is_now() {
            return Some(
                "This page shows the past, where nothing can be changed: go back to now first.".to_owned(),
            );
        }
        if frame.may_operate() {
            return None;
        }
        let role = self.visit.who.role.map_or("no role", |role| role.word());
        Some(format!(
            "This takes the role operator, and you have the role {role}. An admin makes a token that may: everfold token create NAME --role operator"
        ))
    }
}
