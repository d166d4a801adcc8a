//! A run in an embedding program: its state, waiting for it, signals and answers to it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use everfold_engine::clock::draw_u128;
use everfold_engine::definition::Vote;
use everfold_engine::envelope::StreamId;
use everfold_engine::event::UnblockDecision;
use everfold_engine::id::RunId;
use everfold_projections::{Task, TaskKind};
use serde::Serialize;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::access::Caller;
use crate::client::{document, encode};
use crate::fault::{Code, Fault};
use crate::node::Node;
use crate::view::{RunView, whole};

/// A run. Cheap to clone; it holds nothing of the run, and may be asked as long as its
/// [`super::Everfold`] is open.
#[derive(Clone)]
pub struct Run {
    id: RunId,
    owner: Arc<Node>,
    routes: Router,
    user: String,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Run").field(&self.id).finish()
    }
}

impl Run {
    pub(super) fn new(id: RunId, owner: Arc<Node>, routes: Router, user: String) -> Self {
        Self { id, owner, routes, user }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.id
    }

    /// The run as it is now: its status, its steps, its output, what it waits for.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn view(&self) -> Result<RunView, Fault> {
        self.owner.view(self.id).await
    }

    /// Waits until something holds of the run; looks again when something was recorded of it. A run that waits for a
    /// person or a signal waits here, too.
    ///
    /// # Errors
    /// It cannot be read, also where it is set aside meanwhile, or the engine ends.
    pub async fn until(&self, holds: impl Fn(&RunView) -> bool) -> Result<RunView, Fault> {
        // Before the first look: what comes behind it is heard.
        let mut run = self.owner.store().watch(&StreamId::run(self.id));
        let mut ended = std::pin::pin!(self.owner.engine().until_end(self.id));
        let mut is_going = true;
        loop {
            let view = self.view().await?;
            if holds(&view) {
                return Ok(view);
            }
            tokio::select! {
                changed = run.changed() => changed?,
                // A run that is set aside records nothing of it.
                ended = &mut ended, if is_going => is_going = !ended?,
                () = self.owner.closing() => return Err(ending()),
            }
        }
    }

    /// Waits for its end, however that is: the view's `status` says it, `output` is the result, `failure`
    /// why it failed.
    ///
    /// # Errors
    /// As for [`Run::until`].
    pub async fn ended(&self) -> Result<RunView, Fault> {
        let is_ended = tokio::select! {
            ended = self.owner.engine().until_end(self.id) => ended?,
            () = self.owner.closing() => false,
        };
        if is_ended { self.view().await } else { Err(ending()) }
    }

    /// Its output in full: one of more than 256 KiB stands in the view as a reference. Null before its end.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn output(&self) -> Result<Value, Fault> {
        let engine = self.owner.engine();
        let kept = engine.with_state(self.id, |state| state.output().clone()).await?;
        let apart = match kept.reference() {
            Some(reference) => engine.value(self.id, reference).await?.value(),
            None => Value::Null,
        };
        Ok(whole(&kept, &apart))
    }

    /// What people are asked in this run, oldest first.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn tasks(&self) -> Result<Vec<Task>, Fault> {
        let run = self.id;
        self.owner.inbox(None, move |inbox| inbox.of_run(run)).await
    }

    /// Decides the open approval of a step, with a comment where it is not empty.
    ///
    /// # Errors
    /// The step asks for no decision, or the run refuses it.
    pub async fn decide(&self, step: &str, vote: Vote, comment: &str) -> Result<RunView, Fault> {
        let is_approval = |kind: &TaskKind| matches!(kind, TaskKind::Approval { .. });
        let task = self.open(step, "for no decision", is_approval).await?;
        let comment = Some(comment).filter(|comment| !comment.is_empty());
        self.post(&format!("/api/v1/inbox/{task}"), json!({ "decision": vote, "comment": comment })).await
    }

    /// Answers the open question of a step: `{choice, text, items}`.
    ///
    /// # Errors
    /// The step asks no question, or it does not take this answer.
    pub async fn answer(&self, step: &str, answer: impl Serialize) -> Result<RunView, Fault> {
        let is_question = |kind: &TaskKind| matches!(kind, TaskKind::Question { .. });
        let task = self.open(step, "no question", is_question).await?;
        self.post(&format!("/api/v1/inbox/{task}"), json!({ "answers": value_of(answer)? })).await
    }

    /// Decides what becomes of a blocked step.
    ///
    /// # Errors
    /// The step is not blocked.
    pub async fn unblock(&self, step: &str, decision: UnblockDecision) -> Result<RunView, Fault> {
        self.tell("unblock", json!({ "step": step, "decision": decision })).await
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// The run has ended.
    pub async fn signal(&self, name: &str, payload: impl Serialize) -> Result<RunView, Fault> {
        let verb = format!("signals/{}", encode(name));
        let answer: Value = self.tell(&verb, json!({ "payload": value_of(payload)? })).await?;
        drop(answer);
        self.view().await
    }

    /// Cancels the run: what runs is stopped, `on_finish` runs.
    ///
    /// # Errors
    /// The run has ended otherwise.
    pub async fn cancel(&self, reason: &str) -> Result<RunView, Fault> {
        self.tell("cancel", json!({ "reason": reason })).await
    }

    /// Starts nothing more until [`Run::resume`]; what runs goes on.
    ///
    /// # Errors
    /// The run has ended.
    pub async fn pause(&self, reason: &str) -> Result<RunView, Fault> {
        self.tell("pause", json!({ "reason": reason })).await
    }

    /// Starts nothing more, and stops what runs, until [`Run::resume`] or [`Run::resume_with`]: its rounds go on then,
    /// agents in the same session.
    ///
    /// # Errors
    /// The run has ended.
    pub async fn interrupt(&self, reason: &str) -> Result<RunView, Fault> {
        self.tell("interrupt", json!({ "reason": reason })).await
    }

    /// Goes on after [`Run::interrupt`], with a word for the agents that were interrupted.
    ///
    /// # Errors
    /// The run has ended, or nothing of it was interrupted.
    pub async fn resume_with(&self, prompt: &str) -> Result<RunView, Fault> {
        self.tell("resume", json!({ "prompt": prompt })).await
    }

    /// Goes on after [`Run::pause`]; a run that is set aside is loaded again first.
    ///
    /// # Errors
    /// The run has ended.
    pub async fn resume(&self) -> Result<RunView, Fault> {
        self.tell("resume", json!({})).await
    }

    /// The open task of a step.
    async fn open(&self, step: &str, asks: &str, fits: impl Fn(&TaskKind) -> bool) -> Result<String, Fault> {
        let tasks = self.tasks().await?;
        let open = |task: &Task| task.step == step && fits(&task.kind);
        match tasks.iter().find(|task| open(task)) {
            Some(task) => Ok(encode(&task.id)),
            None => {
                let asking: Vec<&str> = tasks.iter().map(|task| task.step.as_str()).collect();
                let fault = Fault::new(Code::NoTask, format!("the step {step} asks {asks} at this moment"));
                Err(match asking.as_slice() {
                    [] => fault.hint("no task of this run is open: wait with `until`"),
                    steps => fault.hint(format!("what is open: {}", steps.join(", "))),
                })
            }
        }
    }

    async fn tell<T: serde::de::DeserializeOwned>(&self, verb: &str, body: Value) -> Result<T, Fault> {
        self.post(&format!("/api/v1/runs/{}/{verb}", self.id), body).await
    }

    async fn post<T: serde::de::DeserializeOwned>(&self, path: &str, body: Value) -> Result<T, Fault> {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", format!("{:032x}", draw_u128()))
            .extension(Caller::local(&self.user))
            .body(Body::from(body.to_string()))
            .map_err(|error| Fault::new(Code::Usage, error.to_string()))?;
        let response = self.routes.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        document(response).await
    }
}

fn ending() -> Fault {
    Fault::new(Code::Ending, "the engine ends; the run goes on when it is opened again")
}

fn value_of(value: impl Serialize) -> Result<Value, Fault> {
    serde_json::to_value(value)
        .map_err(|error| Fault::new(Code::Invalid, format!("this is no JSON: {error}")))
}
