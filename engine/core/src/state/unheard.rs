//! Why no step takes a signal that a run recorded.

use super::control::KEPT_MAX;
use super::key::Key;
use super::run_state::RunState;
use super::step::Phase;
use everfold_base::actor::Actor;
use everfold_language::definition::Work;
use everfold_language::expr::Loaded;

/// Listeners of which a reason says where they stand.
const LISTENERS_MAX: usize = 3;

impl RunState {
    /// Why nothing takes a signal of this name now: where each step stands that listens to it. `condition` says what
    /// the conditions of an active step, or of the run, have against it.
    pub(crate) fn why_not_taken(
        &self,
        signal: &str,
        condition: &dyn Fn(Option<usize>) -> Option<String>,
    ) -> String {
        let short = self.run().map(|run| run.short()).unwrap_or_default();
        if !self.listens_to(signal) {
            return format!("nothing in run {short} listens to “{signal}”");
        }
        let listeners = self.graph.listeners(signal);
        let steps = listeners.iter().flat_map(|listeners| listeners.waits.iter().chain(&listeners.steps));
        let mut steps: Vec<usize> = steps.chain(self.graph.woken_by(signal)).copied().collect();
        steps.sort_unstable();
        steps.dedup();
        // A signal that comes after the decision is answered with who decided and when, and not with where each step stands.
        if !steps.iter().any(|at| self.is_active(*at))
            && let Some(decided) = steps.iter().rev().find_map(|at| self.decided_before(*at))
        {
            return decided;
        }
        let more = steps.len().saturating_sub(LISTENERS_MAX);
        let stand = |at: &usize| format!("“{}” {}", self.step_id(*at), self.deafness(*at, signal, condition));
        let mut parts: Vec<String> = steps.iter().take(LISTENERS_MAX).map(stand).collect();
        if more > 0 {
            parts.push(format!("and {more} more steps"));
        }
        if self.definition().on_signal.contains_key(signal) {
            let routes = "the pipeline's own routes for it do not hold, or the run is about to end";
            let failed = condition(None).map(|failed| format!("of the pipeline's own routes {failed}"));
            parts.push(failed.unwrap_or_else(|| routes.to_owned()));
        }
        if listeners.is_some_and(|listeners| !listeners.waits.is_empty())
            && self.facts.order.kept.len() >= KEPT_MAX
        {
            parts.push(format!("{KEPT_MAX} signals are kept already"));
        }
        format!("nothing in run {short} takes “{signal}” now: {}", parts.join("; "))
    }

    /// Whether the run is about to end, and no step that is still to come or in progress listens to a signal of this name:
    /// only those of `on_finish` go on by then.
    #[must_use]
    pub fn is_deaf_at_its_end(&self, signal: &str) -> bool {
        // Behind its last step a run that succeeds has no outcome before `on_finish` has ended.
        let is_main_over = || (0..self.graph.main_len()).all(|at| self.facts.steps[at].phase.is_ended());
        if self.facts.ended.is_some() || self.facts.outcome.is_none() && !is_main_over() {
            return false;
        }
        let listeners = self.graph.listeners(signal);
        let steps = listeners.iter().flat_map(|listeners| listeners.waits.iter().chain(&listeners.steps));
        let may_hear = |at: &usize| {
            // A second cancel passes over those that have not begun.
            let is_to_come = self.facts.cancels < 2 && !self.facts.steps[*at].phase.is_ended();
            self.graph.is_finish(*at) && (is_to_come || self.is_active(*at))
        };
        !steps.chain(self.graph.woken_by(signal)).any(may_hear)
    }

    /// What was decided at an approval whose step has not begun anew since, by whom and when.
    pub(crate) fn decided_before(&self, at: usize) -> Option<String> {
        let step = &self.facts.steps[at];
        if !matches!(self.graph.step(at).work, Some(Work::Approval(_))) {
            return None;
        }
        // A value that is kept apart hides who decided.
        let outputs = [&step.unit.output, &step.output].into_iter();
        let mut known = outputs.filter_map(|output| output.value(&Loaded::NONE).ok());
        let output = known.rfind(|output| output["decision"].is_string())?;
        let decision = match output["decision"].as_str()? {
            "approve" => "approved",
            "reject" => "rejected",
            _changes => "sent back for changes",
        };
        let by = output["by"].as_array().into_iter().flatten();
        let by = by.filter_map(|by| Some(by.as_str()?.parse::<Actor>().ok()?.plain_name()));
        let by: Vec<String> = by.collect();
        let by = if by.is_empty() { String::new() } else { format!(" by {}", by.join(", ")) };
        let when = step.ended_at.map(|at| format!(" at {at}")).unwrap_or_default();
        Some(format!("“{}” was already {decision}{by}{when}", self.step_id(at)))
    }

    /// Why a step that listens to a signal does not take it, in words behind its name.
    fn deafness(
        &self,
        at: usize,
        signal: &str,
        condition: &dyn Fn(Option<usize>) -> Option<String>,
    ) -> String {
        let stands = match &self.facts.steps[at].phase {
            Phase::Pending => "has not begun",
            ended if ended.is_ended() => "has ended",
            _active if !self.is_live(at) => "is ended with the run",
            _active
                if self.graph.woken_by(signal).contains(&at)
                    && !self.graph.step(at).on_signal.contains_key(signal)
                    && !self.hears(at) =>
            {
                "does not judge the gate that it wakes now"
            }
            active if self.is_wait_at_rest(at, signal) => match active {
                Phase::Blocked(_) => "is blocked: it waits for a signal again once it is retried",
                _active => "does not wait for it now",
            },
            _active => {
                return condition(Some(at))
                    .unwrap_or_else(|| "listens, and none of its conditions holds".to_owned());
            }
        };
        stands.to_owned()
    }

    /// Whether a step that would take the signal only as a `wait` waits for none now.
    fn is_wait_at_rest(&self, at: usize, signal: &str) -> bool {
        let step = self.graph.step(at);
        let is_wait = matches!(&step.work, Some(Work::Wait(wait)) if wait.signal.as_deref() == Some(signal));
        is_wait
            && !step.on_signal.contains_key(signal)
            && self.facts.order.waiting.range(Key::step(at)..Key::step(at + 1)).next().is_none()
    }
}
