//! The end of a play: no fault occurs any more, every task is answered, and what is left open then is reported.

use std::time::Duration;

use everfold_engine::driver::Which;
use everfold_engine::effect::Effect;
use everfold_engine::id::RunId;
use everfold_engine::pauses::PauseOrder;
use everfold_engine::state::{RunState, effects};
use everfold_engine::store::EventStore as _;

use super::super::user_acts::{self, Help};
use super::Stage;

/// Turns in which everybody helps.
const TURNS_MAX: usize = 4_000;
/// Turns in which nothing moves, each of ten minutes at most.
const STILL_MAX: usize = 300;

impl Stage<'_> {
    /// Everything goes well from now on, and everybody does what is awaited of them.
    pub(super) async fn bring_to_end(&mut self) -> Result<(), String> {
        let (mut still, mut position) = (0, self.store.last_position());
        for turn in 0..TURNS_MAX {
            self.check()?;
            let mut is_any_open = false;
            let mut has_helped = false;
            self.see_to_set_aside().await?;
            for run in self.runs().await {
                let Some(Ok(state)) = self.look(run).await? else { continue };
                if state.is_ended() {
                    // Its notices are sent, down to the last one.
                    is_any_open |= !effects(&state).is_empty();
                    continue;
                }
                is_any_open = true;
                names_what_it_awaits(run, &state)?;
                match user_acts::help(&state, turn) {
                    None => {}
                    Some(Help::Release(scope)) => {
                        self.halted(PauseOrder::Release, scope).await?;
                        has_helped = true;
                    }
                    Some(Help::Input(actor, kind)) => {
                        let about = format!("help {turn} {run}");
                        let submission = user_acts::submission(run, (actor, kind), &about);
                        let engine = self.engine.clone();
                        self.while_it_lives(async move { drop(engine.submit(submission).await) }).await?;
                        has_helped = true;
                    }
                }
            }
            let is_quiet = !is_any_open
                && self.machine.living().is_empty()
                && self.side_effects.busy_keys().is_empty()
                && self.side_effects.busy_counters().is_empty();
            if is_quiet && (!self.listens() || self.trigger_record().await.unhandled().is_empty()) {
                self.while_it_lives(tokio::time::sleep(Duration::from_secs(5))).await?;
                if self.machine.living().is_empty() && self.store.last_position() == position {
                    return Ok(());
                }
            }
            let now = self.store.last_position();
            still = if now == position { still + 1 } else { 0 };
            position = now;
            if still > STILL_MAX {
                return Err(self.stuck().await);
            }
            let pause = match (has_helped, still) {
                (true, 0) => 20,
                (_, 0..20) => 1_000,
                _ => 600_000,
            };
            self.while_it_lives(tokio::time::sleep(Duration::from_millis(pause))).await?;
        }
        Err(format!("after {TURNS_MAX} turns: {}", self.stuck().await))
    }

    /// An operator recovers the runs that are set aside.
    pub(super) async fn see_to_set_aside(&mut self) -> Result<(), String> {
        for (run, _) in self.engine.set_aside() {
            let engine = self.engine.clone();
            self.while_it_lives(async move { drop(engine.recover(Which::Only(run)).await) }).await?;
        }
        Ok(())
    }

    async fn stuck(&mut self) -> String {
        let mut report = vec!["starvation: the world is quiet, and not everything has ended".to_owned()];
        for run in self.runs().await {
            match self.look(run).await {
                Ok(Some(Ok(state))) if state.is_ended() => {
                    let effects = effects(&state);
                    if !effects.is_empty() {
                        report.push(format!("{run} has ended, and wants {effects:?}"));
                    }
                }
                Ok(Some(Ok(state))) => {
                    let awaited = state.awaited();
                    let effects = effects(&state);
                    report
                        .push(format!("{run} is {}, awaits {awaited:?}, wants {effects:?}", state.status()));
                }
                Ok(Some(Err(error))) => report.push(format!("{run}: {error}")),
                Ok(None) => report.push(format!("{run}: the engine died")),
                Err(error) => report.push(error),
            }
        }
        report.push(format!("at work: {:?}", self.side_effects.at_work()));
        report.push(format!("keys in use: {:?}", self.side_effects.busy_keys()));
        report.push(format!("counters that keep something free: {:?}", self.side_effects.busy_counters()));
        report.push(format!("not handled: {:?}", self.trigger_record().await.unhandled()));
        report.push(format!("set aside: {:?}", self.engine.set_aside()));
        report.join("\n  ")
    }
}

/// A view of a run that has not ended shows what goes on in it, or what it awaits.
pub(super) fn names_what_it_awaits(run: RunId, state: &RunState) -> Result<(), String> {
    let is_telling = |effect: &Effect| matches!(effect, Effect::Notice { .. } | Effect::SpendReport { .. });
    let goes_on = || effects(state).iter().any(|effect| !is_telling(effect));
    match state.is_ended() || !state.awaited().is_empty() || goes_on() {
        true => Ok(()),
        false => Err(format!("silence: {run} is {}, and says nothing of what it awaits", state.status())),
    }
}
