//! One decision in full: the values that it asks for are loaded, and a panic is caught.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::LoadError;
use crate::panic::panic_text;
use crate::runtime::Runtime;
use everfold_base::id::RunId;
use everfold_core::decide::{Batch, Decision, Refusal, decide};
use everfold_core::input::Input;
use everfold_core::state::RunState;
use everfold_language::expr::Loaded;

/// How often one decision may ask for further values.
const NEEDS_MAX: usize = 64;

/// Why an input is not decided.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecided {
    #[error("{0}")]
    Panicked(String),
    #[error("refused: {0}")]
    Refused(Refusal),
    #[error("it asks for ever more values")]
    Endless,
}

/// Decides an input, and folds what follows into the state. What is loaded for it is added to `loaded`.
pub(crate) async fn decided(
    shared: &Runtime,
    run: RunId,
    state: &mut RunState,
    input: &Input,
    loaded: &mut Loaded,
) -> Result<Result<Batch, Undecided>, LoadError> {
    for _ in 0..NEEDS_MAX {
        match catch_unwind(AssertUnwindSafe(|| decide(state, input, loaded))) {
            Err(panic) => return Ok(Err(Undecided::Panicked(panic_text(panic.as_ref())))),
            Ok(Err(refusal)) => return Ok(Err(Undecided::Refused(refusal))),
            Ok(Ok(Decision::Events(batch))) => return Ok(Ok(batch)),
            Ok(Ok(Decision::Needs(wanted))) => {
                shared.values.fetch(run, wanted).await?.into_decision(loaded);
            }
        }
    }
    Ok(Err(Undecided::Endless))
}
