//! The acts of a script: what happens at one moment, and who asks for it.

use std::collections::BTreeMap;
use std::time::Duration;

use everfold_engine::actor::Actor;
use everfold_engine::budgets::{OwnLimit, OwnLimitSet};
use everfold_engine::definition::Period;
use everfold_engine::driver::{
    BudgetError, By, ForkRequest, HaltError, StartError, StartRequest, SubmitError,
};
use everfold_engine::envelope::{Envelope, flag};
use everfold_engine::event::{HaltScope, OriginKind, RunEvent};
use everfold_engine::id::Version;
use everfold_engine::input::StartOptions;
use everfold_engine::json::JsonText;
use everfold_engine::pauses::PauseOrder;
use serde_json::json;

use super::super::invariants;
use super::super::plan::ScriptedAct;
use super::super::triggers;
use super::super::user_acts;
use super::completion::names_what_it_awaits;
use super::{DONE, Stage, again, once};

/// Runs that a script starts at most.
const RUNS_MAX: usize = 5;

impl Stage<'_> {
    pub(super) async fn pause(&mut self, act: &ScriptedAct) -> Result<(), String> {
        let luck = u64::from(act.luck);
        let span = match act.pause {
            0..100 => {
                for _ in 0..act.pause % 32 {
                    tokio::task::yield_now().await;
                }
                Duration::ZERO
            }
            100..180 => Duration::from_millis(luck),
            180..240 => Duration::from_millis(luck * 80),
            _ => Duration::from_secs(luck * 4),
        };
        if !span.is_zero() {
            self.while_it_lives(tokio::time::sleep(span)).await?;
        }
        Ok(())
    }

    pub(super) async fn act(&mut self, at: usize, act: &ScriptedAct) -> Result<(), String> {
        match act.kind {
            _ if at == 0 => self.start(at, act).await,
            0..28 if self.starts < RUNS_MAX => self.start(at, act).await,
            28..50 => {
                for _ in 0..act.luck {
                    tokio::task::yield_now().await;
                }
                self.crash(act.kind < 32).await
            }
            50..54 => self.halt(act).await,
            54..58 => self.limit_team(Some(u64::from(act.luck) * 20_000), at).await,
            58..70 => self.fork(at, act).await,
            70..104 if self.listens() => self.deliver(act).await,
            104..114 if self.listens() => {
                self.until_taken(|engine| triggers::redeliver(engine, at, act.clone())).await
            }
            114..130 if self.listens() => {
                self.until_taken(|engine| triggers::schedule(engine, at, act.clone())).await
            }
            _ => self.person(at, act).await,
        }
    }

    async fn start(&mut self, at: usize, act: &ScriptedAct) -> Result<(), String> {
        self.starts += 1;
        let definition = act.pick.get(&self.definitions).clone();
        let options = StartOptions {
            cwd: Some("/sim".into()),
            priority: i32::from(act.luck % 3),
            labels: BTreeMap::from([("at".to_owned(), at.to_string())]),
            ..StartOptions::new(JsonText::new(&json!({"n": 1})))
        };
        let request = StartRequest {
            dedup: once(&format!("start {at}")),
            ..StartRequest::new(definition, options, Actor::User("ada".into()))
        };
        self.until_taken(|engine| {
            let request = request.clone();
            async move {
                match engine.start(request).await {
                    Ok(_) | Err(StartError::Refused(_)) => DONE,
                    Err(StartError::Submit(error)) if user_acts::may_repeat(&error) => again(error),
                    // Whether it was kept cannot be read; a repeated one is recognised.
                    Err(
                        error
                        @ (StartError::Submit(SubmitError::SetAside { .. }) | StartError::Definition(_)),
                    ) => again(error),
                    Err(error) => Err(format!("start: {error}")),
                }
            }
        })
        .await
    }

    /// The pipelines that listen are saved, in their order.
    pub(super) async fn save(&mut self) -> Result<(), String> {
        let listening =
            self.plan.pipelines.iter().zip(&self.definitions).filter(|(piece, _)| piece.listens());
        let listening: Vec<_> = listening.map(|(_, definition)| definition.clone()).collect();
        for definition in listening {
            self.until_taken(|engine| {
                let definition = definition.clone();
                async move {
                    let saved = engine.save_pipeline(&definition, None, Actor::User("ada".into())).await;
                    saved.map_or_else(again, |_| DONE)
                }
            })
            .await?;
        }
        Ok(())
    }

    /// A delivery comes, perhaps from a sender that does not wait for the answer.
    async fn deliver(&mut self, act: &ScriptedAct) -> Result<(), String> {
        let delivery = triggers::delivery(act.luck);
        if act.luck.is_multiple_of(2) {
            let engine = self.engine.clone();
            self.errands.spawn(async move { drop(triggers::deliver(engine, delivery).await) });
            return Ok(());
        }
        self.until_taken(|engine| triggers::deliver(engine, delivery.clone())).await
    }

    async fn halt(&mut self, act: &ScriptedAct) -> Result<(), String> {
        let scope = match act.luck % 2 {
            0 => HaltScope::Engine,
            _ => HaltScope::Pipeline(["generated", "other"][usize::from(act.luck % 4 / 2)].into()),
        };
        let wanted = if act.kind < 52 { PauseOrder::Halt } else { PauseOrder::Release };
        self.halted(wanted, scope).await
    }

    /// An operator gives the scope that runs share a limit of its own, or takes it away.
    pub(super) async fn limit_team(&mut self, cost_micros: Option<u64>, at: usize) -> Result<(), String> {
        let limit = OwnLimit { cost_micros, ..OwnLimit::default() };
        let scope = "team".to_owned();
        let set = OwnLimitSet { scope, per: Period::Month, zone: None, limit, written: None, reason: None };
        self.until_taken(|engine| {
            let set = set.clone();
            let by = By { actor: Actor::User("ada".into()), dedup: once(&format!("limit {at}")) };
            async move {
                match engine.set_own_limit(set, by).await {
                    Ok(_) => DONE,
                    Err(error @ (BudgetError::Store(_) | BudgetError::ShuttingDown)) => again(error),
                    Err(error) => Err(format!("limit: {error}")),
                }
            }
        })
        .await
    }

    pub(super) async fn halted(&mut self, wanted: PauseOrder, scope: HaltScope) -> Result<(), String> {
        self.until_taken(|engine| {
            let scope = scope.clone();
            async move {
                match engine.halt(wanted, scope, None, Actor::User("ada".into())).await {
                    Ok(_) | Err(HaltError::Refused(_)) => DONE,
                    Err(error) => again(error),
                }
            }
        })
        .await
    }

    async fn fork(&mut self, at: usize, act: &ScriptedAct) -> Result<(), String> {
        let runs = self.runs().await;
        if runs.is_empty() || runs.len() > RUNS_MAX * 4 {
            return Ok(());
        }
        let origin = *act.pick.get(&runs);
        let Some(Ok(state)) = self.look(origin).await? else { return Ok(()) };
        let steps: Vec<_> = state.steps().map(|(step, _)| step.id.clone()).collect();
        let step = act.pick.get(&steps).clone();
        let version = Version(1 + u64::from(act.luck) % state.version().0.max(1));
        let (how, cut, from_step) = match act.kind % 4 {
            0 => (OriginKind::Fork, Some(version), None),
            1 => (OriginKind::Fork, None, None),
            2 => (OriginKind::Restart, None, Some(step)),
            _ => (OriginKind::Retry, None, None),
        };
        let until_step =
            act.luck.is_multiple_of(5).then(|| steps[usize::from(act.luck) % steps.len()].clone());
        let request = ForkRequest {
            origin,
            how,
            at: cut,
            moment: act.luck.is_multiple_of(7).then(|| (self.config.clock)()),
            from_step,
            input: None,
            config: None,
            definition: None,
            title: None,
            live: act.luck.is_multiple_of(2),
            replay_effects: act.luck.is_multiple_of(3),
            until_step,
            actor: Actor::User("ada".into()),
            dedup: once(&format!("fork {at}")),
            credentials: Default::default(),
        };
        self.until_taken(|engine| {
            let request = request.clone();
            async move {
                match engine.fork(request).await {
                    Ok(_) | Err(StartError::Refused(_)) => DONE,
                    Err(StartError::Submit(error)) if user_acts::may_repeat(&error) => again(error),
                    Err(StartError::Submit(SubmitError::NotFound(_) | SubmitError::SetAside { .. })) => DONE,
                    Err(error @ StartError::Definition(_)) => again(error),
                    Err(error) => Err(format!("fork: {error}")),
                }
            }
        })
        .await
    }

    async fn person(&mut self, at: usize, act: &ScriptedAct) -> Result<(), String> {
        let runs = self.runs().await;
        if runs.is_empty() {
            return Ok(());
        }
        let run = *act.pick.get(&runs);
        let Some(Ok(state)) = self.look(run).await? else { return Ok(()) };
        names_what_it_awaits(run, &state)?;
        let history = invariants::history(&self.store.inner, run).await?;
        // What reports an origin's work knows nothing of those who went on with its history.
        let is_own = |envelope: &Envelope| envelope.header.flags & flag::COPIED == 0;
        let own = history.into_iter().filter(|(envelope, _)| is_own(envelope));
        let history: Vec<RunEvent> = own.map(|(_, event)| event).collect();
        let Some(done) = user_acts::act(&state, &history, act, (self.config.clock)()) else { return Ok(()) };
        let mut submission = user_acts::submission(run, done, &format!("act {at}"));
        if act.luck.is_multiple_of(3) {
            submission.dedup = once(&format!("act {at}"));
        }
        match act.luck % 5 {
            // No caller waits for the answer, and it may come twice.
            0 | 1 => {
                for _ in 0..=act.luck % 2 {
                    let (engine, submission) = (self.engine.clone(), submission.clone());
                    self.errands.spawn(async move { drop(engine.submit(submission).await) });
                }
                Ok(())
            }
            _ => {
                self.until_taken(|engine| {
                    let submission = submission.clone();
                    async move {
                        match engine.submit(submission).await {
                            Err(error) if user_acts::may_repeat(&error) => again(error),
                            _taken_or_refused => DONE,
                        }
                    }
                })
                .await
            }
        }
    }
}
