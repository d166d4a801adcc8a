//! What is written to runs: starts and inputs, and the order to go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use everfold_engine::actor::Actor;
use everfold_engine::decide::Refusal;
use everfold_engine::definition::{self, CheckedPipeline, Definition, similar};
use everfold_engine::driver::{Abandon, Accepted, StartRequest, Submission, SubmitError, Which};
use everfold_engine::envelope::StreamId;
use everfold_engine::execution::BroughtCredentials;
use everfold_engine::id::RunId;
use everfold_engine::input::{InputKind, StartOptions};
use everfold_engine::store::{Dedup, Writability};
use everfold_workflows::builtin;
use serde_json::{Value, json};

use super::credentials;
use super::handle::Node;
use super::idempotency::Idempotency;
use super::periodic;
use super::write_receipt::WriteReceipt;
use crate::fault::{Code, Fault};

/// Where a new run's pipeline comes from.
#[derive(Debug, Clone)]
pub enum PipelineSource {
    /// A name.
    Named(String),
    /// One that was built in Rust, and checked by that.
    Built(Arc<Definition>),
    /// A file's text.
    Text {
        /// YAML or JSON.
        text: String,
        /// The file's name in messages.
        file: Option<String>,
        /// Texts of the files that it names.
        files: BTreeMap<String, String>,
    },
}

/// A run to begin.
#[derive(Debug, Clone)]
pub struct StartRun {
    /// The pipeline.
    pub source: PipelineSource,
    /// What is recorded of the run.
    pub options: StartOptions,
    /// Who begins it.
    pub actor: Actor,
    /// Recognises a repeated request.
    pub dedup: Option<Dedup>,
    /// No command waits for it.
    pub detach: bool,
    /// What the request brings for it.
    pub credentials: BroughtCredentials,
}

/// A run that was begun, or is the answer to a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartedRun {
    /// The run.
    pub run: RunId,
    /// The place of its first event, or of its last where it had the key already; and whether it is the answer to
    /// the same start once more.
    pub went: WriteReceipt,
    /// It had the key already; nothing was started.
    pub held: bool,
}

/// The built-in pipeline of a name.
///
/// # Errors
/// [`Code::NoPipeline`], with the nearest name.
pub fn built_in(name: &str) -> Result<CheckedPipeline, Fault> {
    let Some(pipeline) = builtin::find(name) else {
        let near = similar(name, builtin::pipelines().iter().map(|pipeline| pipeline.name));
        return Err(Fault::new(Code::NoPipeline, format!("there is no pipeline “{name}”"))
            .hint("`everfold pipeline list` shows the names; a file has a / or ends in .yaml")
            .hinted(near.map(|near| format!("did you mean “{near}”?"))));
    };
    definition::parse(pipeline.text, pipeline.name, pipeline).map_err(|problems| bad(name, &problems))
}

/// The pipeline of a text.
///
/// # Errors
/// [`Code::BadPipeline`] with every problem.
pub fn parsed(
    text: &str,
    file: Option<&str>,
    files: &BTreeMap<String, String>,
) -> Result<CheckedPipeline, Fault> {
    let name = file.unwrap_or("definition");
    definition::parse(text, name, files).map_err(|problems| bad(name, &problems))
}

fn bad(name: &str, problems: &definition::Problems) -> Fault {
    let errors = problems.0.iter().map(|problem| serde_json::to_value(problem).unwrap_or(Value::Null));
    Fault::new(Code::BadPipeline, format!("{name}: {}", problems.summary())).errors(errors.collect())
}

/// Refuses an input that the schema of its pipeline does not take.
///
/// # Errors
/// [`Code::BadInput`], with every problem.
pub(crate) fn input_fits(definition: &Definition, input: &Value) -> Result<(), Fault> {
    let Some(Err(problems)) = definition.input.as_ref().map(|schema| definition::input::check(schema, input))
    else {
        return Ok(());
    };
    let errors = problems.iter().map(|problem| json!(problem)).collect();
    let message = format!("the input does not fit the schema of {}", definition.name);
    Err(Fault::new(Code::BadInput, message).errors(errors))
}

impl Node {
    /// Starts a run; resolves when that is durable.
    ///
    /// # Errors
    /// The pipeline or the input is not acceptable, or the store takes nothing.
    pub async fn begin(&self, begin: StartRun) -> Result<StartedRun, Fault> {
        self.may_write()?;
        self.attend_notices().await;
        let definition = self.definition_of(&begin.source).await?;
        input_fits(&definition, &begin.options.input.value())?;
        let started = self
            .engine
            .start(StartRequest {
                dedup: begin.dedup,
                credentials: begin.credentials,
                ..StartRequest::new(definition, begin.options, begin.actor)
            })
            .await?;
        if started.repeated {
            // It may have been begun through an owner that is gone.
            self.drive(started.run, begin.detach).await?;
        } else {
            self.note_driven(started.run, begin.detach);
        }
        Ok(StartedRun { run: started.run, went: started.into(), held: started.held })
    }

    /// Tells a run something; resolves when what followed is durable.
    ///
    /// # Errors
    /// The run refuses it, or the store takes nothing.
    pub(crate) async fn submit(
        &self,
        run: RunId,
        kind: InputKind,
        actor: Actor,
        once: Idempotency,
    ) -> Result<WriteReceipt, Fault> {
        self.may_write()?;
        self.attend_notices().await;
        let submission = Submission { run, kind, actor, id: Some(once.input), dedup: once.dedup };
        let accepted = match self.engine.submit(submission).await {
            Ok(accepted) => accepted,
            Err(SubmitError::Refused(Refusal::UnknownStep(path))) => {
                return Err(self.no_step(run, path).await);
            }
            Err(error) => return Err(error.into()),
        };
        self.note_driven(run, false);
        Ok(accepted.into())
    }

    /// Ends a run that is set aside; resolves when that is durable.
    ///
    /// # Errors
    /// It is not set aside, or the store takes nothing.
    pub(crate) async fn abandon(
        &self,
        run: RunId,
        reason: Option<String>,
        actor: Actor,
        once: Idempotency,
    ) -> Result<Accepted, Fault> {
        self.may_write()?;
        let abandon = Abandon { run, reason, actor, id: once.input, dedup: once.dedup };
        Ok(self.engine.abandon(abandon).await?)
    }

    /// Goes on with a run.
    ///
    /// # Errors
    /// There is no such run, or the store may not act.
    pub async fn drive(&self, run: RunId, detach: bool) -> Result<(), Fault> {
        let head = self.store.head(&StreamId::run(run)).await?;
        let head = head.ok_or_else(|| Fault::new(Code::NoRun, format!("there is no run {run}")))?;
        if head.note.open || head.note.busy {
            self.may_write()?;
            self.attend_notices().await;
            self.engine.recover(Which::Only(run)).await?;
            self.note_driven(run, detach);
        }
        Ok(())
    }

    /// Shows every unfinished run as driven from now on: [`Self::drive_all`] follows. Where the store may not act, it will
    /// not, and nothing is shown so.
    pub(crate) fn begin_to_drive_all(&self) {
        self.drives_all.store(self.may_write().is_ok(), Ordering::Release);
    }

    /// Goes on with every unfinished run, and with what comes by the clock: moments of schedules.
    ///
    /// # Errors
    /// The store may not act, or cannot say what is due.
    pub async fn drive_all(&self) -> Result<usize, Fault> {
        self.may_write()?;
        self.attend_notices().await;
        let recovered = self.engine.recover(Which::All).await?;
        // Before the read side is waited for: what comes by the clock is asked of the log alone.
        if !self.attended.swap(true, Ordering::AcqRel) {
            let kept = periodic::Kept { engine: self.engine.clone(), attempts: self.retention.clone() };
            let kept = periodic::keep(kept, self.closing.clone()).await;
            kept.map_err(|error| Fault::new(Code::Internal, format!("no ticks of the clock: {error}")))?;
            // Once at the beginning, too: not every process lives until the first tick.
            let sweep = self.retention.clone().sweep(Some(self.store.last_position()));
            let closing = self.closing.clone();
            tokio::spawn(async move { closing.run_until_cancelled(sweep).await });
        }
        match self.runs(None, |runs| runs.open(None)).await {
            Ok(open) => self.driven().extend(open),
            // The runs go on all the same; requests for lists get the error of the read models.
            Err(fault) => tracing::error!(%fault, "the lists of runs cannot be had"),
        }
        Ok(recovered.runs)
    }

    /// A definition of which everything is known that its steps and gates name.
    pub(super) async fn definition_of(&self, source: &PipelineSource) -> Result<Arc<Definition>, Fault> {
        let definition = match source {
            PipelineSource::Named(name) => self.pipeline(name).await?,
            PipelineSource::Built(definition) => {
                self.reads_no_credential(&definition.name, definition)?;
                Arc::clone(definition)
            }
            PipelineSource::Text { text, file, files } => {
                self.holds_no_credential(text, file.as_deref(), files)?;
                let definition = parsed(text, file.as_deref(), files)?.definition;
                self.reads_no_credential(file.as_deref().unwrap_or("definition"), &definition)?;
                Arc::new(definition)
            }
        };
        self.knows_work(&definition)?;
        Ok(definition)
    }

    /// Refuses a text that holds a credential: it would stand in the store, in each attempt's folder and on screens.
    ///
    /// # Errors
    /// [`Code::BadPipeline`] with the line and the pattern.
    pub(crate) fn holds_no_credential(
        &self,
        text: &str,
        file: Option<&str>,
        files: &BTreeMap<String, String>,
    ) -> Result<(), Fault> {
        let own = (file.unwrap_or("definition"), text);
        let others = files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        for (name, text) in std::iter::once(own).chain(others) {
            credentials::refuse_in_text(&|text| self.engine.credential_in(text), name, text)?;
        }
        Ok(())
    }

    /// Refuses a pipeline that holds a credential in what is read of its text.
    ///
    /// # Errors
    /// [`Code::BadPipeline`] with the step and the pattern.
    pub(super) fn reads_no_credential(&self, name: &str, definition: &Definition) -> Result<(), Fault> {
        credentials::refuse_in_definition(&|text| self.engine.credential_in(text), name, definition)
    }

    pub(super) fn note_driven(&self, run: RunId, detach: bool) {
        self.driven_runs.note(run, detach);
        if self.drives_all.load(Ordering::Acquire) && self.driven_runs.is_due() {
            tokio::spawn(self.driven_runs.clone().forget_ended(Arc::clone(&self.store)));
        }
    }

    /// Whether the store takes writes at this moment.
    pub(super) fn may_write(&self) -> Result<(), Fault> {
        if self.report().is_some_and(|report| !report.adopted)
            && let Writability::ReadOnly(reason) = &*self.store.writability().borrow()
        {
            return Err(Fault::new(Code::NotAdopted, reason.clone())
                .hint("if no other copy acts: everfold store adopt"));
        }
        match &*self.store.writability().borrow() {
            Writability::Writable => Ok(()),
            Writability::Full => Err(Fault::new(Code::Full, "the disk is full: nothing was recorded")
                .hint("make room; the engine goes on by itself")),
            Writability::ReadOnly(reason) => Err(Fault::new(Code::ReadOnly, reason.clone())
                .hint("it tries again by itself; `everfold doctor` says how it stands")),
            Writability::NotOurs(reason) => Err(Fault::new(Code::NotOurs, reason.clone())
                .hint("end this process; the next one opens what lies there now")),
        }
    }
}
