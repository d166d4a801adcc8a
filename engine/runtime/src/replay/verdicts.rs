//! The verdicts of a batch, judged again on the evidence they were given on.

use crate::load::apply;
use crate::replay::report::{Difference, ReplayError, Replayed};
use crate::runtime::Runtime;
use everfold_base::id::{RunId, Version};
use everfold_core::decide::rejudge;
use everfold_core::event::{GateEvaluated, RunEvent};
use everfold_core::policy::Judgement;
use everfold_core::state::{EventMeta, RunState};
use everfold_language::expr::{EvalError, Loaded};

/// How often one verdict may ask for further values.
const NEEDS_MAX: usize = 16;

/// Judges every verdict of a batch again, each on the state right before it.
pub(crate) async fn again(
    shared: &Runtime,
    run: RunId,
    before: &RunState,
    (first, meta): (Version, &EventMeta),
    batch: &[RunEvent],
    replayed: &mut Replayed,
) -> Result<(), ReplayError> {
    if !batch.iter().any(|event| matches!(event, RunEvent::GateEvaluated(_))) {
        return Ok(());
    }
    let mut state = before.clone();
    for (event, version) in batch.iter().zip(first.0..) {
        let version = Version(version);
        if let RunEvent::GateEvaluated(recorded) = event {
            replayed.verdicts += 1;
            if let Some(message) = differs(shared, run, &state, (version, meta), recorded).await? {
                let (recorded, decided) = (Some(event.clone()), None);
                replayed.push(Difference { version, fact: event.name(), recorded, decided, message });
            }
        }
        // From here on a fork has another definition.
        shared.loader().go_on_by(run, &mut state, event).await?;
        apply(&mut state, (run, version), event, meta)?;
    }
    Ok(())
}

async fn differs(
    shared: &Runtime,
    run: RunId,
    state: &RunState,
    (version, meta): (Version, &EventMeta),
    recorded: &GateEvaluated,
) -> Result<Option<String>, ReplayError> {
    let evidence = shared.values.text(run, &recorded.evidence).await;
    let evidence = evidence.map_err(|what| ReplayError::Value { run, version, what })?.value();
    let mut loaded = Loaded::default();
    for _ in 0..NEEDS_MAX {
        match rejudge(state, &loaded, meta.at, recorded, &evidence, None) {
            Ok(None) => return Ok(None),
            Ok(Some(judged)) => return Ok(compare(recorded, &judged)),
            Err(EvalError::Needs(wanted)) => {
                for (value, text) in shared.values.load(run, wanted).await? {
                    loaded.insert(&value, text);
                }
            }
            Err(failed @ EvalError::Failed { .. }) => {
                return Ok(Some(format!(
                    "the verdict of gate “{}” cannot be given again: {failed}",
                    recorded.gate
                )));
            }
        }
    }
    Ok(Some(format!("gate “{}” asks for ever more values", recorded.gate)))
}

fn compare(recorded: &GateEvaluated, judged: &Judgement) -> Option<String> {
    let same = recorded.verdict == judged.verdict && recorded.reason == judged.reason;
    (!same).then(|| {
        format!(
            "gate “{}” said {} ({}); on the same evidence it says {} ({}) now",
            recorded.gate, recorded.verdict, recorded.reason, judged.verdict, judged.reason
        )
    })
}
