//! Why a step is blocked, in words.

use crate::event::BlockReason;

/// Why a step is blocked, in words; `said` is what its gate's newest probe said that gave no verdict.
#[must_use]
pub fn block_message(reason: &BlockReason, said: Option<&str>) -> String {
    match reason {
        BlockReason::Lost => "an attempt vanished, and it is not known what it did".to_owned(),
        BlockReason::Failed => "the work failed".to_owned(),
        BlockReason::Gate { gate } => format!("the gate {gate} failed"),
        BlockReason::UsedUp { target, gate: Some(gate) } => {
            format!("the gate {gate} failed, and {target} was reworked as often as it may be")
        }
        BlockReason::UsedUp { target, gate: None } => format!("{target} was reworked as often as it may be"),
        BlockReason::NoEvidence { gate } => match said {
            Some(said) => format!("the gate {gate} has no verdict: {said}"),
            None => format!("the gate {gate} has no verdict"),
        },
        BlockReason::Broken { gate } => match said {
            Some(said) => format!("the gate {gate} cannot be judged: {said}"),
            None => format!("the gate {gate} cannot be judged"),
        },
        BlockReason::Rejected => "a person rejected".to_owned(),
        BlockReason::Held => "its new round waits for a person".to_owned(),
        BlockReason::Unchanged { gate, .. } => format!("the gate {gate} failed on unchanged evidence"),
        BlockReason::Signal { name } => format!("the signal {name} says so"),
        BlockReason::Asked => "the work asked more often than it may".to_owned(),
    }
}
