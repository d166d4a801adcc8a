//! Why a run stands still, in words: its own pause, the pauses that it shares with others, a budget without room.
//!
//! Law: each reason stands until what it is the reason of is over, whatever else begins or ends meanwhile.
//! Part of [`super::record`], where it is stored.

use std::collections::BTreeMap;

use everfold_core::budgets::named;
use everfold_core::event::{BudgetExceeded, HaltScope, RunEvent};
use serde::{Deserialize, Serialize};

use super::row_state::AT_BREAKPOINT;

/// The reasons of all that a run stands still for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PauseNotes {
    /// Of its own pause: a reason, where one was given, or the breakpoint.
    own: Option<Option<String>>,
    /// Of the scopes that are paused and that it belongs to, where one was given.
    halts: BTreeMap<HaltScope, Option<String>>,
    /// Of the budget that its paid work waits for, or that has stopped it.
    budget: Option<String>,
}

impl PauseNotes {
    /// Folds an event; `waits`: paid work of the run waits for a budget behind it.
    pub(super) fn apply(&mut self, event: &RunEvent, waits: bool) {
        match event {
            RunEvent::RunPaused(event) => self.own = Some(event.reason.clone()),
            RunEvent::BreakpointHit(event) => {
                self.own = Some(Some(format!("{AT_BREAKPOINT}{}", event.path)));
            }
            RunEvent::RunResumed(_) => self.own = None,
            RunEvent::RunHalted(event) => {
                self.halts.insert(event.scope.clone(), event.reason.clone());
            }
            RunEvent::RunReleased(event) => {
                self.halts.remove(&event.scope);
            }
            RunEvent::BudgetExceeded(event) => self.budget = Some(without_room(event)),
            RunEvent::FundsGranted(_) if !waits => self.budget = None,
            _no_pause => {}
        }
    }

    /// All of them in one line, its own first; `None`: none was given.
    pub(super) fn text(&self) -> Option<String> {
        let halted = |(scope, reason): (&HaltScope, &Option<String>)| {
            let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{scope} is paused{reason}")
        };
        let mut all: Vec<String> = self.halts.iter().map(halted).chain(self.budget.clone()).collect();
        match &self.own {
            Some(Some(reason)) => all.insert(0, reason.clone()),
            // Else the others would seem to be all that it stands still for, since then.
            Some(None) if !all.is_empty() => all.insert(0, "the run itself is paused".to_owned()),
            Some(None) | None => {}
        }
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// What is reserved comes free or is spent while the run waits, and the run hears of neither: both leave no room.
fn without_room(event: &BudgetExceeded) -> String {
    let budget = named(&event.reading.budget);
    match event.is_reserved() {
        true => format!("{budget} leaves no room"),
        false => format!("{budget} is {}", event.taken()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use everfold_base::id::{AttemptId, StepPath};
    use everfold_core::event::{
        BreakpointHit, BudgetReading, FundsGranted, Measure, RunHalted, RunPaused, RunReleased, RunResumed,
        Spent,
    };

    use super::*;

    fn said(events: &[(RunEvent, bool)]) -> Option<String> {
        let mut notes = PauseNotes::default();
        events.iter().for_each(|(event, waits)| notes.apply(event, *waits));
        notes.text()
    }

    fn paused(reason: Option<&str>) -> (RunEvent, bool) {
        (RunPaused { reason: reason.map(str::to_owned), interrupt: false }.into(), false)
    }

    fn halted(scope: HaltScope, reason: &str) -> (RunEvent, bool) {
        (RunHalted { scope, reason: Some(reason.to_owned()) }.into(), false)
    }

    /// The last one said took the place of the others, and the end of one took all of them away.
    #[test]
    fn a_pause_keeps_its_reason_until_it_is_lifted_itself() {
        let pipeline = || HaltScope::Pipeline("p".to_owned());
        let released = || (RunReleased { scope: pipeline() }.into(), false);
        let resumed = || (RunResumed { reason: None, prompt: None }.into(), false);
        let all =
            [paused(Some("lunch")), halted(HaltScope::Engine, "a move"), halted(pipeline(), "a freeze")];
        let both = "the whole engine is paused: a move; the pipeline p is paused: a freeze";
        assert_eq!(said(&all), Some(format!("lunch; {both}")));
        let [one, two, three] = all;
        assert_eq!(said(&[one.clone(), two.clone(), three.clone(), resumed()]), Some(both.to_owned()));
        let left = said(&[one, two, three, released()]);
        assert_eq!(left.as_deref(), Some("lunch; the whole engine is paused: a move"));
        let unreasoned = [paused(None), halted(pipeline(), "x")];
        let beside = "the run itself is paused; the pipeline p is paused: x";
        assert_eq!(said(&unreasoned).as_deref(), Some(beside));
        let [one, two] = unreasoned;
        assert_eq!(said(&[one, two, released()]), None);
        let path: StepPath = "build".parse().unwrap();
        let hit = || (BreakpointHit { path: path.clone() }.into(), false);
        let at = said(&[hit(), halted(pipeline(), "x"), released()]);
        assert_eq!(at.as_deref(), Some("a breakpoint before build"));
    }

    /// It went on saying *reserved* behind the end of the work for which that was kept, and the end of a pause took it away.
    #[test]
    fn a_budget_without_room_is_told_while_work_waits_for_it() {
        let id: AttemptId = "a/1/1".parse().unwrap();
        let exceeded = |spent: u64| {
            let spent = Spent { cost_micros: spent, ..Spent::default() };
            let raised = Spent::default();
            let reading =
                BudgetReading { budget: "team".to_owned(), spent, reserved_micros: 5, raised, until: None };
            (BudgetExceeded { reading, measure: Measure::Cost, id: Some(id.clone()) }.into(), true)
        };
        let granted = |waits| (FundsGranted { id: id.clone(), exempt: false }.into(), waits);
        let resumed = || (RunResumed { reason: None, prompt: None }.into(), true);
        assert_eq!(said(&[exceeded(0)]).as_deref(), Some("the budget team leaves no room"));
        let used_up = Some("the budget team is used up".to_owned());
        assert_eq!(said(&[exceeded(9), paused(Some("lunch")), resumed()]), used_up);
        assert_eq!(said(&[exceeded(9), granted(true)]), used_up, "another one waits still");
        assert_eq!(said(&[exceeded(9), granted(false)]), None);
    }
}
