//! Recorded verdicts of gates, given again by another policy.
//!
//! Law: nothing is recorded, and no probe runs: the evidence is the recorded one, and everything else that a policy
//! sees is the run right before the verdict. The recorded policy gives the recorded verdict.

use crate::error::LoadError;
use crate::load::{apply, decode, meta};
use crate::runtime::Runtime;
use everfold_base::envelope::StreamId;
use everfold_base::id::{RunId, Version};
use everfold_base::time::Timestamp;
use everfold_core::decide::rejudge;
use everfold_core::event::{GateEvaluated, RunEvent};
use everfold_core::policy::Judgement;
use everfold_core::state::RunState;
use everfold_language::expr::{EvalError, Loaded};

/// How often one verdict may ask for further values.
const NEEDS_MAX: usize = 16;
/// Events that are read at once.
const PAGE: usize = 1_000;

/// A recorded verdict, and what another policy says.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejudged {
    /// The event.
    pub version: Version,
    /// When it was recorded.
    pub at: Timestamp,
    /// What it says.
    pub recorded: GateEvaluated,
    /// What the policy says.
    pub outcome: Outcome,
}

/// What a policy says of recorded evidence.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A judgement.
    Judged(Judgement),
    /// The recorded verdict was given without evidence, so no policy judged it.
    NotJudged,
    /// The policy gives no verdict on this evidence, and why.
    Failed(String),
}

/// Gives the verdicts at `versions` again, which are in ascending order; what stands at one of them and is no
/// verdict is left out.
pub(crate) async fn by_policy(
    shared: &Runtime,
    run: RunId,
    versions: &[Version],
    policy: &str,
) -> Result<Vec<Rejudged>, LoadError> {
    let (Some(first), Some(last)) = (versions.first(), versions.last()) else { return Ok(Vec::new()) };
    let loader = shared.loader();
    let before = Version(first.get().saturating_sub(1).max(Version::FIRST.get()));
    let mut state = loader.fold(run, Some(before)).await?.state;
    let (stream, mut next, mut found) = (StreamId::run(run), before.next(), Vec::new());
    while next <= *last {
        let room = usize::try_from(last.get() - next.get() + 1).unwrap_or(PAGE).min(PAGE);
        let page = shared.store.read(&stream, next, room).await?;
        if page.is_empty() {
            break;
        }
        for envelope in &page {
            let (event, meta) = (decode(run, envelope)?, meta(envelope));
            if let RunEvent::GateEvaluated(recorded) = &event
                && versions.binary_search(&next).is_ok()
            {
                // A policy may take long, and the caller may have gone away.
                tokio::task::yield_now().await;
                let outcome = judged(shared, run, &state, (next, meta.at), recorded, policy).await?;
                let (version, at, recorded) = (next, meta.at, recorded.clone());
                found.push(Rejudged { version, at, recorded, outcome });
            }
            loader.go_on_by(run, &mut state, &event).await?;
            apply(&mut state, (run, next), &event, &meta)?;
            state.take_touched();
            next = next.next();
        }
    }
    Ok(found)
}

async fn judged(
    shared: &Runtime,
    run: RunId,
    state: &RunState,
    (version, at): (Version, Timestamp),
    recorded: &GateEvaluated,
    policy: &str,
) -> Result<Outcome, LoadError> {
    let evidence = match shared.values.text(run, &recorded.evidence).await {
        Ok(text) => text.value(),
        Err(what) => return Ok(Outcome::Failed(format!("version {version}: {what}"))),
    };
    let mut loaded = Loaded::default();
    for _ in 0..NEEDS_MAX {
        match rejudge(state, &loaded, at, recorded, &evidence, Some(policy)) {
            Ok(Some(judgement)) => return Ok(Outcome::Judged(judgement)),
            Ok(None) => return Ok(Outcome::NotJudged),
            Err(EvalError::Needs(wanted)) => {
                for (value, text) in shared.values.load(run, wanted).await? {
                    loaded.insert(&value, text);
                }
            }
            Err(failed @ EvalError::Failed { .. }) => return Ok(Outcome::Failed(failed.to_string())),
        }
    }
    Ok(Outcome::Failed("it asks for ever more values".to_owned()))
}
