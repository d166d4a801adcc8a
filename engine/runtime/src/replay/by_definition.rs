//! Decides a run's recorded inputs by another definition, and compares the events with the recorded ones.
//!
//! Law: nothing is recorded and no work begins. Each input is decided on the state that the recorded history has before
//! it, which goes over to the definition as a fork does ([`OtherDefinition::carry_over`]). What the definition would
//! have decided of one input has no part in the next one.

use crate::error::LoadError;
use crate::load::{apply, meta};
use crate::replay::decision::{Undecided, decided};
use crate::replay::difference::{BatchEnd, InputComparison, compared};
use crate::replay::recorded_inputs::{InputEvents, RecordedInputs, blobs};
use crate::replay::report::{DIFFERENCES_MAX, OtherDecision, Redecided, ReplayError, WholeDecision};
use crate::runtime::Runtime;
use everfold_base::id::{InputId, RunId, Version};
use everfold_base::json::Payload;
use everfold_core::decide::{Batch, OtherDefinition, Refusal};
use everfold_core::effect::{Effect, Touched};
use everfold_core::event::RunEvent;
use everfold_core::input::{Input, InputKind};
use everfold_core::replay_input::input_of;
use everfold_core::state::{EventMeta, RunState, effects_of};
use everfold_language::expr::{Loaded, ValueRef};

/// Events that one input leads to at most; what is further back than that belongs to another input.
const BATCH_MAX: u64 = 1_000;
/// How often a decision that stopped for a value is continued.
const CONTINUED_MAX: usize = 16;

/// What an input comes to by the other definition.
struct OtherBatch {
    ahead: Vec<RunEvent>,
    decided: Result<Vec<RunEvent>, Undecided>,
}

/// Decides all inputs of a run, or the one that recorded a version.
pub(crate) async fn decide_by(
    shared: &Runtime,
    run: RunId,
    other: &OtherDefinition,
    version: Option<Version>,
) -> Result<Redecided, ReplayError> {
    let mut found = Redecided {
        definition: other.hash(),
        is_recorded: true,
        inputs: 0,
        events: 0,
        otherwise: 0,
        unfit: 0,
        differences: Vec::new(),
        decision: None,
    };
    if let Some(version) = version {
        let group = input_at(shared, run, version).await?;
        let mut state = state_before(shared, run, &group).await?;
        decide_one(shared, run, (&mut state, other), &group, (&mut found, true)).await?;
        return Ok(found);
    }
    let mut inputs = RecordedInputs::from(shared, run, Version::FIRST);
    let mut state: Option<RunState> = None;
    while let Some(group) = inputs.next().await? {
        let state = match &mut state {
            Some(state) => state,
            none => none.insert(state_before(shared, run, &group).await?),
        };
        decide_one(shared, run, (state, other), &group, (&mut found, false)).await?;
        // A run may be long, and the caller may have gone away.
        tokio::task::yield_now().await;
    }
    if found.inputs == 0 { Err(LoadError::NotFound(run).into()) } else { Ok(found) }
}

/// The input that recorded a version.
async fn input_at(shared: &Runtime, run: RunId, version: Version) -> Result<InputEvents, ReplayError> {
    let from = Version(version.0.saturating_sub(BATCH_MAX).max(Version::FIRST.0));
    let mut inputs = RecordedInputs::from(shared, run, from);
    let mut last = Version::ZERO;
    while let Some(group) = inputs.next().await? {
        if (group.version()..=group.last()).contains(&version) {
            return Ok(group);
        }
        last = group.last();
    }
    match shared.loader().fold(run, None).await {
        Ok(folded) => Err(LoadError::NotYet { run, wanted: version, last: folded.version.max(last) }.into()),
        Err(error) => Err(error.into()),
    }
}

/// The recorded state before an input.
async fn state_before(shared: &Runtime, run: RunId, group: &InputEvents) -> Result<RunState, ReplayError> {
    let version = group.version();
    if version > Version::FIRST {
        return Ok(shared.loader().fold(run, Some(Version(version.0 - 1))).await?.state);
    }
    match group.events.first() {
        Some(RunEvent::RunStarted(started)) => {
            let definition = shared.definitions.get(started.definition).await;
            Ok(RunState::new(definition.map_err(|source| LoadError::Definition { run, source })?))
        }
        first => {
            let name = first.map_or("nothing", RunEvent::name);
            let what = "a history begins with RunStarted".into();
            Err(LoadError::Illegal { run, version, name, what }.into())
        }
    }
}

/// Decides one input and compares; the state then takes what was recorded.
async fn decide_one(
    shared: &Runtime,
    run: RunId,
    (state, other): (&mut RunState, &OtherDefinition),
    group: &InputEvents,
    (found, is_whole): (&mut Redecided, bool),
) -> Result<(), ReplayError> {
    let (version, meta) = (group.version(), meta(&group.first));
    let batch = decide_other(shared, run, (state, other), (group, &meta)).await?;
    for (event, version) in group.events.iter().zip(version.0..) {
        shared.loader().go_on_by(run, state, event).await?;
        apply(state, (run, Version(version)), event, &meta)?;
    }
    state.take_touched();
    found.is_recorded &= state.definition_hash() == Some(other.hash());
    found.inputs += 1;
    found.events += group.events.len() as u64;
    let end = BatchEnd { may_be_cut: group.may_be_cut, goes_on: goes_on(state) };
    let outcome = compared(&group.events, &batch.decided, end);
    note(found, group, outcome);
    if is_whole && let Ok(decided) = batch.decided {
        let (recorded, ahead) = (group.events.clone(), batch.ahead);
        found.decision = Some(WholeDecision { version, recorded, ahead, decided });
    }
    Ok(())
}

/// Counts an input, and lists it where it is not alike.
fn note(found: &mut Redecided, group: &InputEvents, outcome: InputComparison) {
    let (mut recorded, mut decided, mut misfits) = (None, None, Vec::new());
    let message = match outcome {
        InputComparison::Alike => return,
        InputComparison::Otherwise { message, recorded: was, decided: is } => {
            found.otherwise += 1;
            (recorded, decided) = (was, is);
            message
        }
        InputComparison::Unfit(unfit) => {
            found.unfit += 1;
            misfits = unfit;
            if let Some(last) = found.differences.last_mut()
                && last.misfits == misfits
                && last.until.next() == group.version()
            {
                last.until = group.last();
                return;
            }
            let all: Vec<String> = misfits.iter().map(ToString::to_string).collect();
            all.join("; ")
        }
    };
    if found.differences.len() < DIFFERENCES_MAX {
        let (version, fact) = (group.version(), group.events[0].name());
        let until = group.last();
        found.differences.push(OtherDecision { version, until, fact, recorded, decided, misfits, message });
    }
}

/// What the other definition would decide of one input.
async fn decide_other(
    shared: &Runtime,
    run: RunId,
    (state, other): (&RunState, &OtherDefinition),
    (group, meta): (&InputEvents, &EventMeta),
) -> Result<OtherBatch, ReplayError> {
    let version = group.version();
    let mut batch = OtherBatch { ahead: Vec::new(), decided: Ok(Vec::new()) };
    let lacking = |what: String| ReplayError::Value { run, version, what };
    let blobs = blobs(shared, run, &group.events[0]).await.map_err(lacking)?;
    let mut input = match input_of(&group.events[0], meta, &|blob| blobs.get(blob).cloned()) {
        Ok(input) => input,
        Err(no_input) => return Err(lacking(no_input.to_string())),
    };
    let mut loaded = Loaded::default();
    let mut state = if let InputKind::Fork(fork) = &mut input.kind {
        // The fork itself goes over.
        let mut state = state.clone();
        fork.definition = other.hash();
        state.goes_on_by(other.hash(), other.definition().clone());
        state
    } else {
        let mut carried = match other.carry_over(state) {
            Ok(carried) => carried,
            Err(refusal @ Refusal::Unfit { .. }) => {
                batch.decided = Err(Undecided::Refused(refusal));
                return Ok(batch);
            }
            Err(refusal) => return Err(ReplayError::Refused(refusal)),
        };
        if let Some(ahead) = carried.ahead() {
            let before = carried.state.version();
            match decided(shared, run, &mut carried.state, &ahead, &mut loaded).await? {
                Ok(first) => {
                    keep_values(&mut loaded, before, &first);
                    batch.ahead = first.events;
                }
                Err(undecided) => {
                    batch.decided = Err(undecided);
                    return Ok(batch);
                }
            }
        }
        carried.into_state()
    };
    batch.decided = to_the_end(shared, run, &mut state, (&input, group.events.len()), &mut loaded).await?;
    Ok(batch)
}

/// Decides an input. Where the decision stops for a value that the recorded one did without, it is continued.
async fn to_the_end(
    shared: &Runtime,
    run: RunId,
    state: &mut RunState,
    (input, recorded): (&Input, usize),
    loaded: &mut Loaded,
) -> Result<Result<Vec<RunEvent>, Undecided>, ReplayError> {
    let mut events = Vec::new();
    let mut before = state.version();
    match decided(shared, run, state, input, loaded).await? {
        Ok(batch) => {
            keep_values(loaded, before, &batch);
            events.extend(batch.events);
        }
        Err(undecided) => return Ok(Err(undecided)),
    }
    for nth in 0..CONTINUED_MAX {
        if events.len() >= recorded || !goes_on(state) {
            break;
        }
        before = state.version();
        let id = InputId::derive(&format!("{}/{nth}", input.id));
        let next = Input { id, at: input.at, actor: input.actor.clone(), kind: InputKind::Advance };
        match decided(shared, run, state, &next, loaded).await? {
            Ok(batch) => {
                keep_values(loaded, before, &batch);
                let is_news = |event: &RunEvent| !matches!(event, RunEvent::Advanced(_));
                events.extend(batch.events.into_iter().filter(is_news));
            }
            Err(undecided) => return Ok(Err(undecided)),
        }
    }
    Ok(Ok(events))
}

/// Whether something is left that follows without another input.
fn goes_on(state: &RunState) -> bool {
    effects_of(state, &Touched::Run).contains(&Effect::Advance)
}

/// Keeps the values of events that are nowhere stored: what follows may ask for them.
fn keep_values(loaded: &mut Loaded, before: Version, batch: &Batch) {
    for (event, version) in batch.events.iter().zip(before.0 + 1..) {
        for payload in event.payloads() {
            let text = match payload {
                Payload::Inline(text) => Some(text),
                Payload::Blob(blob) => {
                    batch.blobs.iter().find(|(kept, _)| kept == blob).map(|(_, text)| text)
                }
            };
            if let Some(text) = text {
                let (hash, size_bytes) = (payload.hash(), payload.size_bytes());
                loaded.insert(&ValueRef { version: Version(version), hash, size_bytes }, text.clone());
            }
        }
    }
}
