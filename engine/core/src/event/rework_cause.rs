//! What a rework is counted under.
//!
//! Called by the fold of runs, and by read models.

use super::kinds::ReworkRequested;
use everfold_base::id::StepId;

impl ReworkRequested {
    /// What it is counted under: the gate that failed, what people or a signal said; `None`: how the work failed.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        if let Some(gate) = &self.source.gate {
            return Some(gate.clone());
        }
        match self.place() {
            "on_reject" => Some("rejected".to_owned()),
            "on_changes" => Some("changes".to_owned()),
            signal if signal.starts_with("on_signal:") => Some(signal.trim_start_matches("on_").to_owned()),
            _failure => None,
        }
    }

    /// The route of a person's retry that begins with an earlier step (`retry_from`).
    pub(crate) fn retry_route(step: &StepId) -> String {
        format!("{step}/retry")
    }

    /// The step whose retry by a person it is, where that begins with an earlier one.
    pub(crate) fn retried(&self) -> Option<&StepId> {
        let step = &self.source.id.path.step;
        (self.route == Self::retry_route(step)).then_some(step)
    }

    /// The route of a person's retry of a step whose round begins anew.
    pub(crate) fn unblock_route(step: &StepId) -> String {
        format!("{step}/unblock")
    }

    /// Whether a person has the step itself done again: what its retry keeps is kept.
    pub(crate) fn is_retry_of(&self, step: &StepId) -> bool {
        self.source.id.path.step == *step && self.target == *step && self.route == Self::unblock_route(step)
    }

    /// Where its route stands: `on_reject`, `on_fail`, `on_signal:NAME`.
    #[must_use]
    pub fn place(&self) -> &str {
        let of_run = self.route.starts_with("on_signal:");
        let place = match self.route.split_once('/') {
            Some((_step, place)) if !of_run => place,
            _of_run => self.route.as_str(),
        };
        // `on_changes/0/then/then`: the routes' number, and what follows a used-up one.
        let place = place.trim_end_matches("/then");
        place.rsplit_once('/').map_or(place, |(place, _number)| place)
    }
}
