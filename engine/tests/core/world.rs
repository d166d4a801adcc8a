//! A world for the core: it answers effects with inputs, and checks every law after every batch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use everfold_engine::actor::Actor;
use everfold_engine::decide::{Decision, Loaded, Refusal, decide};
use everfold_engine::definition::Definition;
use everfold_engine::effect::{Effect, Touched, effects, effects_of};
use everfold_engine::event::{Origin, OriginKind, RunEvent, StopReason};
use everfold_engine::expr::ValueRef;
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::{AttemptId, InputId, RunId, StepId, StepPath, Version};
use everfold_engine::input::{Fork, Input, InputKind, Start};
use everfold_engine::json::{Hash, JsonText, Payload};
use everfold_engine::state::{EventMeta, RunState, Stage};
use everfold_engine::time::Timestamp;
use everfold_engine::trace::Usage;
use serde_json::{Value, json};

mod checks;
mod luck;

use checks::is_telling;

pub const RUN: RunId = RunId(uuid::Uuid::from_u128(0x0198_c1f0_0000_7000_8000_0000_dead_beef));

/// A run and everything that is known of it from outside.
pub struct World {
    pub state: RunState,
    pub history: Vec<(EventMeta, RunEvent)>,
    pub now: Timestamp,
    blobs: BTreeMap<Hash, JsonText>,
    outstanding: BTreeMap<Touched, Vec<Effect>>,
    scheduled: BTreeSet<AttemptId>,
    ended: BTreeSet<AttemptId>,
    inputs: u64,
    pub touched: usize,
    /// Steps that began anew with a fork, and how much of the history came before it.
    anew: (usize, Vec<StepId>),
}

/// A pipeline from its canonical document.
pub fn definition(document: Value) -> Arc<Definition> {
    Arc::new(serde_json::from_value(document).expect("a canonical document"))
}

impl World {
    pub fn new(definition: Arc<Definition>) -> Self {
        Self {
            state: RunState::new(definition),
            history: Vec::new(),
            now: Timestamp(1_000_000),
            blobs: BTreeMap::new(),
            outstanding: BTreeMap::new(),
            scheduled: BTreeSet::new(),
            ended: BTreeSet::new(),
            inputs: 0,
            touched: 0,
            anew: (0, Vec::new()),
        }
    }

    pub fn start(definition: Arc<Definition>, input: Value) -> Self {
        let mut world = Self::new(definition);
        world.give_as(Actor::User("ada".into()), start(input)).expect("the start is accepted");
        world
    }

    /// Gives an input as the engine.
    pub fn give(&mut self, kind: InputKind) -> Result<Vec<RunEvent>, Refusal> {
        self.give_as(Actor::Engine, kind)
    }

    /// Gives an input, checks every law, and gives it again.
    pub fn give_as(&mut self, actor: Actor, kind: InputKind) -> Result<Vec<RunEvent>, Refusal> {
        self.inputs += 1;
        self.now = self.now.plus(std::time::Duration::from_millis(7));
        let input = Input { id: InputId::derive(&self.inputs.to_string()), at: self.now, actor, kind };
        let before = self.state.clone();
        let batch = match self.decide(&input) {
            Err(refusal) => {
                assert_eq!(self.state, before, "a refusal changes nothing");
                return Err(refusal);
            }
            Ok(batch) => batch,
        };
        let meta = EventMeta { at: self.now, actor: input.actor.clone(), input: input.id };
        for event in &batch {
            self.note(event);
            self.history.push((meta.clone(), event.clone()));
        }
        self.check(&before, &input, &batch);
        let mut repeated = self.state.clone();
        if let Ok(Decision::Events(again)) = decide(&mut repeated, &input, &Loaded::default()) {
            assert!(again.events.is_empty(), "the same input twice: {:?} then {:?}", batch, again.events);
        }
        Ok(batch)
    }

    /// Decides as a driver does: loads what is asked for.
    fn decide(&mut self, input: &Input) -> Result<Vec<RunEvent>, Refusal> {
        let mut loaded = Loaded::default();
        for _ in 0..10 {
            match decide(&mut self.state, input, &loaded)? {
                Decision::Events(batch) => {
                    self.blobs.extend(batch.blobs.iter().map(|(blob, text)| (blob.hash, text.clone())));
                    return Ok(batch.events);
                }
                Decision::Needs(values) => {
                    assert!(!values.is_empty());
                    for value in values {
                        loaded.insert(&value, self.load(value.version, value.hash));
                    }
                }
            }
        }
        panic!("the core never has enough loaded: {input:?}");
    }

    fn load(&self, version: Version, hash: Hash) -> JsonText {
        let (_, event) = &self.history[usize::try_from(version.0 - 1).expect("small")];
        let payload =
            event.payloads().into_iter().find(|payload| payload.hash() == hash).expect("the value is there");
        match payload {
            Payload::Inline(text) => text.clone(),
            Payload::Blob(blob) => self.blobs[&blob.hash].clone(),
        }
    }

    /// Every value of the history, as if it had been asked for.
    fn all_loaded(&self) -> Loaded {
        let mut loaded = Loaded::default();
        for (at, (_, event)) in self.history.iter().enumerate() {
            for payload in event.payloads() {
                let version = Version(at as u64 + 1);
                let (hash, size_bytes) = (payload.hash(), payload.size_bytes());
                let value = ValueRef { version, hash, size_bytes };
                loaded.insert(&value, self.load(version, hash));
            }
        }
        loaded
    }

    fn note(&mut self, event: &RunEvent) {
        match event {
            RunEvent::StepScheduled(event) => drop(self.scheduled.insert(event.id.clone())),
            RunEvent::RetryScheduled(event) => drop(self.scheduled.insert(event.id.clone())),
            RunEvent::AttemptSucceeded(event) => {
                assert!(self.ended.insert(event.id.clone()), "{} ended twice", event.id)
            }
            RunEvent::AttemptFailed(event) => {
                assert!(self.ended.insert(event.id.clone()), "{} ended twice", event.id)
            }
            RunEvent::AttemptLost(event) => {
                assert!(self.ended.insert(event.id.clone()), "{} ended twice", event.id)
            }
            RunEvent::StopRequested(event) if event.reason == StopReason::Parent => {
                // What they started lives on, and is to end.
                self.ended.retain(|id| !event.ids.contains(id));
            }
            RunEvent::ChildStopped(event) => {
                assert!(self.ended.insert(event.id.clone()), "{} ended twice", event.id)
            }
            RunEvent::AttemptAsked(event) => {
                assert!(self.ended.insert(event.id.clone()), "{} ended twice", event.id)
            }
            RunEvent::ChildFinished(event) => {
                assert!(self.ended.insert(event.id.clone()), "{} ended twice", event.id)
            }
            _other => {}
        }
    }

    /// Another run that goes on from this one's history up to a version; `None`: that is refused.
    pub fn forked(&self, until: usize, how: OriginKind, from_step: Option<StepId>) -> Option<Self> {
        self.forked_by(until, how, from_step, self.state.definition_hash().unwrap_or(Hash::ZERO))
    }

    /// The same, by its definition under this hash.
    pub fn forked_by(
        &self,
        until: usize,
        how: OriginKind,
        from_step: Option<StepId>,
        hash: Hash,
    ) -> Option<Self> {
        let mut other = Self::new(self.state.definition().clone());
        (other.now, other.inputs, other.blobs) = (self.now, self.inputs + 1, self.blobs.clone());
        for (meta, event) in &self.history[..until] {
            other.note(event);
            other.state.apply(event, meta);
            other.history.push((meta.clone(), event.clone()));
        }
        other.now = other.now.plus(std::time::Duration::from_secs(3_600));
        if self.state.definition_hash() != Some(hash) {
            other.state.goes_on_by(hash, self.state.definition().clone());
        }
        let run = RunId(uuid::Uuid::from_u128(RUN.0.as_u128() + 1));
        let fork = Fork {
            run,
            origin: Origin { run: RUN, version: Version(until as u64), how },
            definition: hash,
            input: json!({"n": 2}).into(),
            config: None,
            from_step,
            title: None,
            entropy: 5,
            until_step: None,
        };
        let kind = InputKind::Fork(Box::new(fork));
        let id = InputId::derive(&format!("fork/{}", other.inputs));
        let input = Input { id, at: other.now, actor: Actor::User("ada".into()), kind };
        let before = other.state.clone();
        let meta = EventMeta { at: input.at, actor: input.actor.clone(), input: input.id };
        let Ok(batch) = other.decide(&input) else {
            assert_eq!(other.state, before, "a refusal changes nothing");
            return None;
        };
        for event in batch {
            if let RunEvent::RunForked(event) = &event {
                other.ended.retain(|id| !event.reset.contains(&id.path.step));
                other.anew = (until, event.reset.clone());
            }
            if let RunEvent::StopRequested(event) = &event {
                // A signal that was put off interrupts them at once.
                other.scheduled.extend(event.ids.iter().cloned());
            }
            other.note(&event);
            other.history.push((meta.clone(), event));
        }
        // What was in progress goes on as attempts that no other event scheduled.
        for (step, state) in other.state.steps() {
            let items = state.items.as_ref().map_or(&[][..], |items| &items.units).iter().zip(0..);
            let items = items.map(|(unit, item)| (StepPath::item(&step.id, item), unit));
            for (path, unit) in items.chain([(StepPath::step(&step.id), &state.unit)]) {
                if unit.stage.is_in_flight() {
                    let id = AttemptId { path, round: state.round, attempt: unit.attempt };
                    assert!(
                        unit.stage == Stage::Scheduled && !other.ended.contains(&id),
                        "{id} is the origin's"
                    );
                    other.scheduled.insert(id);
                }
            }
        }
        assert_eq!(other.state.run(), Some(run));
        other.outstanding = other.every_part();
        let goes_on = effects(&other.state).iter().any(|effect| !is_telling(effect));
        let awaits = other.state.is_ended() || !other.state.awaited().is_empty();
        assert!(goes_on || awaits, "stuck in silence after {:?}", other.names());
        Some(other)
    }

    /// The effects of every part of the run, as a driver lists them when it has loaded it.
    fn every_part(&mut self) -> BTreeMap<Touched, Vec<Effect>> {
        let steps = self.state.steps().map(|(step, state)| {
            let items = state.items.as_ref().map_or(0, |items| items.units.len());
            let items = (0..items as u32).map(|item| StepPath::item(&step.id, item));
            items.chain([StepPath::step(&step.id)]).map(Touched::Path).collect::<Vec<_>>()
        });
        let mut parts: Vec<Touched> = steps.flatten().chain([Touched::Run]).collect();
        // Channels, and items of a round that the fork left behind, whose work is still being stopped.
        parts.extend(self.state.take_touched());
        let listed = parts.into_iter().map(|part| (part.clone(), effects_of(&self.state, &part)));
        listed.filter(|(_, effects)| !effects.is_empty()).collect()
    }

    /// A run without the checks after each input, which cost O(run).
    pub fn without_checks(definition: Arc<Definition>, input: Value) -> Self {
        let mut world = Self::new(definition);
        world.give_quickly(start(input));
        world
    }

    fn give_quickly(&mut self, kind: InputKind) {
        self.inputs += 1;
        let input =
            Input { id: InputId::derive(&self.inputs.to_string()), at: self.now, actor: Actor::Engine, kind };
        let meta = EventMeta { at: self.now, actor: Actor::Engine, input: input.id };
        let events = self.decide(&input).expect("reports are never refused");
        self.history.extend(events.into_iter().map(|event| (meta.clone(), event)));
    }

    /// The effects of what was touched since the last call: what a driver looks at.
    pub fn take_effects(&mut self) -> BTreeSet<Effect> {
        let touched = self.state.take_touched();
        self.touched += touched.len();
        touched.iter().flat_map(|part| effects_of(&self.state, part)).collect()
    }

    pub fn answer_quickly(&mut self, effect: &Effect) {
        let kind = match effect {
            Effect::Attempt { id, .. } => InputKind::AttemptFinished {
                id: id.clone(),
                result: Ok(json!(1).into()),
                commit: None,
                artefacts: Vec::new(),
                ended_at: self.now,
                told: Default::default(),
                ask: None,
            },
            Effect::Advance => InputKind::Advance,
            other => panic!("not in a fan-out: {other:?}"),
        };
        self.give_quickly(kind);
    }

    pub fn effects(&self) -> Vec<Effect> {
        effects(&self.state)
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.history.iter().map(|(_, event)| event.name()).collect()
    }

    pub fn succeed(&mut self, id: &str, output: Value) -> Vec<RunEvent> {
        self.finish(id, Ok(output.into()))
    }

    pub fn fail(&mut self, id: &str, message: &str) -> Vec<RunEvent> {
        self.finish(id, Err(Failure::new(FailureKind::Exit, message)))
    }

    pub fn finish(&mut self, id: &str, result: Result<JsonText, Failure>) -> Vec<RunEvent> {
        let ended_at = self.now;
        let id = id.parse().expect("an attempt id");
        self.give(InputKind::AttemptFinished {
            id,
            result,
            commit: None,
            artefacts: Vec::new(),
            ended_at,
            told: Default::default(),
            ask: None,
        })
        .expect("reports are never refused")
    }

    pub fn probe(&mut self, id: &str, gate: &str, probe_no: u32, evidence: Value) -> Vec<RunEvent> {
        let (id, gate) = (id.parse().expect("an attempt id"), gate.to_owned());
        self.give(InputKind::ProbeFinished { id, gate, probe_no, evidence: evidence.into(), took_ms: 5 })
            .expect("reports are never refused")
    }

    /// Work ends with a question to people.
    pub fn asks(&mut self, id: &str, ask: Value) -> Vec<RunEvent> {
        let ended_at = self.now;
        let kind = InputKind::AttemptFinished {
            id: id.parse().expect("an attempt id"),
            result: Ok(Value::Null.into()),
            commit: None,
            artefacts: Vec::new(),
            ended_at,
            told: Default::default(),
            ask: Some(ask.into()),
        };
        self.give(kind).expect("reports are never refused")
    }

    pub fn by(&mut self, name: &str, kind: InputKind) -> Result<Vec<RunEvent>, Refusal> {
        self.give_as(Actor::User(name.into()), kind)
    }

    /// An attempt says what it used up.
    pub fn use_up(&mut self, id: &AttemptId, cost_micros: u64) {
        let usage = Usage { input_tokens: 100, output_tokens: 10, cost_micros, ..Usage::default() };
        let kind = InputKind::Usage { id: id.clone(), seq: 1, usage };
        self.give(kind).expect("reports are never refused");
    }

    /// An attempt asks for funds.
    pub fn want_funds(&mut self, id: &str) -> Vec<RunEvent> {
        let id = id.parse().expect("an attempt id");
        self.give(InputKind::FundsWanted { id }).expect("reports are never refused")
    }
}

pub fn start(input: Value) -> InputKind {
    InputKind::Start(Start {
        run: RUN,
        input: input.into(),
        title: None,
        labels: BTreeMap::new(),
        cwd: None,
        entropy: 7,
        config: None,
        parent: None,
        priority: 0,
        admission: Vec::new(),
    })
}
