//! Looks at what people approve: before they are asked, and then its bytes are kept; when they vote; and before what they
//! approved is used.
//!
//! Law: what a look found is judged by the core; here bytes are compared only to keep work from starting.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use everfold_base::failure::{Failure, FailureKind, NO_ROOM_CODE};
use everfold_base::id::{RunId, StepId};
use everfold_base::json::Value;
use everfold_core::artefact::Artefact;
use everfold_core::event::SeenPart;
use everfold_core::seen::{CHANGED_CODE, LookSpec, NOT_APPROVED_CODE, differences};
use everfold_language::words::OnLost;
use everfold_ports::{
    AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult, Executor, Inspector, KeepRequest,
    LookRequest, LossTraits, Traits, Workdir,
};
use everfold_system::clock::Clock;

/// Looks, where the engine has something to look with.
pub(crate) async fn look(
    inspector: Option<Arc<dyn Inspector>>,
    run: RunId,
    workdir: Workdir,
    spec: LookSpec,
) -> Result<Vec<SeenPart>, Failure> {
    if spec.is_empty() {
        return Ok(Vec::new());
    }
    match inspector {
        Some(inspector) => inspector.look(LookRequest { run, workdir, spec }).await,
        // What may be a path, and is wanted as no file, is a text.
        None if !spec.commit && spec.files.values().all(|is_wanted| !is_wanted) => Ok(Vec::new()),
        None => Err(Failure::new(FailureKind::Spawn, "this engine cannot look at files")
            .with_hint("give its `Edge` an `inspector`, or show texts only")),
    }
}

/// The executor of kind `look`: its output is what it found.
pub(crate) struct Looks {
    pub(crate) inspector: Option<Arc<dyn Inspector>>,
    pub(crate) now: Clock,
}

impl Executor for Looks {
    fn traits(&self, _spec: &Value) -> Traits {
        let loss = LossTraits { idempotent: true, on_lost: OnLost::Retry };
        Traits { supervised: false, loss, paid: false, reads_input: false }
    }

    fn start(
        &self,
        request: AttemptRequest,
        _observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let (inspector, now) = (self.inspector.clone(), Arc::clone(&self.now));
        async move {
            match shown(inspector, request).await {
                Ok((found, artefacts)) => {
                    let end = AttemptEnd::new(AttemptResult::Succeeded(found), now());
                    AttemptEnd { artefacts, ..end }
                }
                Err(failure) if failure.code.as_deref() == Some(NO_ROOM_CODE) => {
                    AttemptEnd::new(AttemptResult::NoRoom { reason: failure.message }, now())
                }
                Err(failure) => AttemptEnd::new(AttemptResult::Failed(failure), now()),
            }
        }
        .boxed()
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        self.start(request, observer)
    }

    fn cancel(&self, _request: AttemptRequest) -> BoxFuture<'static, ()> {
        // It changes nothing, and its end comes soon.
        std::future::ready(()).boxed()
    }
}

/// What people are to be shown: what was found, as the attempt's output, and the files whose bytes are kept.
async fn shown(
    inspector: Option<Arc<dyn Inspector>>,
    request: AttemptRequest,
) -> Result<(Value, Vec<Artefact>), Failure> {
    let AttemptRequest { id, spec, workdir, secrets, .. } = request;
    let spec: LookSpec = serde_json::from_value(spec)
        .map_err(|error| Failure::new(FailureKind::Validation, format!("the look: {error}")))?;
    // A step with gates alone looks for nothing: it waited for an approval.
    if spec.is_empty() {
        return Ok((Value::Null, Vec::new()));
    }
    let found = look(inspector.clone(), id.run, workdir.clone(), spec).await?;
    let output = serde_json::json!(found);
    let kept = match inspector {
        Some(inspector) => inspector.keep(KeepRequest { run: id.run, workdir, found, secrets }).await?,
        None => Vec::new(),
    };
    Ok((output, kept))
}

/// An approval without which an attempt does not start.
#[derive(Clone)]
pub(crate) struct ApprovedWork {
    pub(crate) step: StepId,
    /// Why it was not given; `None`: it was.
    pub(crate) refused: Option<String>,
    pub(crate) parts: Vec<SeenPart>,
    /// Where its bytes lie.
    pub(crate) workdir: Workdir,
}

/// Looks whether what an attempt is to use still is what people approved.
pub(crate) async fn check_approved(
    inspector: Option<Arc<dyn Inspector>>,
    run: RunId,
    approved: Vec<ApprovedWork>,
) -> Result<(), Failure> {
    for ApprovedWork { step, refused, parts, workdir } in approved {
        if let Some(why) = refused {
            let message = format!("“{step}” has not approved it: {why}");
            return Err(coded(NOT_APPROVED_CODE, message)
                .with_hint("nothing was started; ask again with a rework of that step"));
        }
        let found = look(inspector.clone(), run, workdir, LookSpec::of(&parts)).await?;
        let what = differences(&parts, &found);
        if !what.is_empty() {
            let message = format!("it is not what “{step}” approved: {}", what.join(", "));
            return Err(coded(CHANGED_CODE, message).with_hint(
                "nothing was started; put it back, or have the new bytes approved with a rework",
            ));
        }
    }
    Ok(())
}

fn coded(code: &str, message: String) -> Failure {
    Failure { code: Some(code.to_owned()), ..Failure::new(FailureKind::Conflict, message) }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn an_engine_that_cannot_look_shows_texts_and_refuses_files_and_commits() {
        let look_for = |is_wanted: bool, commit: bool| {
            let spec = LookSpec { files: [("v1.2".to_owned(), is_wanted)].into(), commit };
            look(None, RunId(Uuid::from_u128(1)), Workdir { path: "/".into(), git: None }, spec)
        };
        assert!(look_for(false, false).await.expect("a text needs no look").is_empty());
        assert!(look_for(true, false).await.is_err());
        assert!(look_for(false, true).await.is_err());
    }
}
