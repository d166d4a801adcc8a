//! Starting a run.

use std::future::IntoFuture;

use everfold_engine::definition::{CREDENTIALS_MAX, Definition, is_credential_name};
use everfold_engine::execution::BroughtCredentials;
use everfold_engine::input::StartOptions;
use everfold_engine::json::{Hash, JsonText};
use everfold_engine::store::{Dedup, DedupKeep};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::{Value, json};

use super::everfold::Everfold;
use super::run::Run;
use crate::fault::{Code, Fault};
use crate::node::{PipelineSource, StartRun};

impl Everfold {
    /// Starts a run of a pipeline; `.await` it. Its input is checked.
    pub fn start(&self, pipeline: &Definition, input: impl Serialize) -> Start<'_> {
        Start::new(self, PipelineSource::Built(self.kept(pipeline)), input)
    }

    /// Starts a run of a saved or built-in pipeline, by name: `NAME`, `NAME@N`, `NAME@HASH`.
    pub fn start_named(&self, name: impl Into<String>, input: impl Serialize) -> Start<'_> {
        Start::new(self, PipelineSource::Named(name.into()), input)
    }
}

/// How many bytes a credential has.
const CREDENTIAL_BYTES: std::ops::RangeInclusive<usize> = 4..=8 * 1024;

/// A run to start; `.await` it. It resolves when the start is durable.
#[must_use = "a start does nothing until it is awaited"]
pub struct Start<'a> {
    engine: &'a Everfold,
    source: PipelineSource,
    input: Result<Value, Fault>,
    /// Its `input` is filled in when the start is awaited.
    options: StartOptions,
    once: Option<String>,
    credentials: BroughtCredentials,
}

impl<'a> Start<'a> {
    pub(super) fn new(engine: &'a Everfold, source: PipelineSource, input: impl Serialize) -> Self {
        let input = serde_json::to_value(input)
            .map_err(|error| Fault::new(Code::BadInput, format!("the input is no JSON: {error}")));
        let credentials = BroughtCredentials::default();
        Self { engine, source, input, options: StartOptions::default(), once: None, credentials }
    }

    /// Recognises a repeated start: the same key with the same pipeline and input, by the same user
    /// ([`super::Opening::user`]), gives the run that it began before, also after a crash, and starts nothing. With another
    /// pipeline or input it is refused.
    pub fn once(mut self, key: impl Into<String>) -> Self {
        self.once = Some(key.into());
        self
    }

    /// For readers.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.options.title = Some(title.into());
        self
    }

    /// A label beside the pipeline's own.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.labels.insert(name.into(), value.into());
        self
    }

    /// Where commands run that have no workspace; without it in a folder of the run's own.
    pub fn folder(mut self, folder: impl Into<String>) -> Self {
        self.options.cwd = Some(folder.into());
        self
    }

    /// Higher goes first where runs wait for a slot.
    pub fn priority(mut self, priority: i32) -> Self {
        self.options.priority = priority;
        self
    }

    /// Brings a credential, for secrets of the pipeline that name it; of two with one name the first counts. It is kept
    /// sealed until the run has ended.
    pub fn credential(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        if !is_credential_name(&name) || !CREDENTIAL_BYTES.contains(&value.len()) {
            let what = format!(
                "the credential “{name}” has no name of small letters, digits and `-`, or not 4 bytes to 8 KiB"
            );
            self.input = Err(Fault::new(Code::Invalid, what));
        } else {
            self.credentials.add(name, value);
            if self.credentials.len() > CREDENTIALS_MAX {
                let what = format!("a start brings at most {CREDENTIALS_MAX} credentials");
                self.input = Err(Fault::new(Code::Invalid, what));
            }
        }
        self
    }

    async fn begin(self) -> Result<Run, Fault> {
        let (engine, input) = (self.engine, self.input?);
        let dedup = self.once.map(|key| {
            let what = match &self.source {
                PipelineSource::Built(definition) => definition.hash().to_string(),
                PipelineSource::Named(name) => name.clone(),
                PipelineSource::Text { text, .. } => text.clone(),
            };
            let about = format!("{}\nembed\n{key}", engine.actor());
            let body = JsonText::new(&json!([what, input]));
            let body = Hash::of(body.as_str().as_bytes());
            Dedup { key: Hash::of(about.as_bytes()), body, keep: DedupKeep::Stream }
        });
        let begin = StartRun {
            source: self.source,
            options: StartOptions { input: JsonText::new(&input), ..self.options },
            actor: engine.actor(),
            dedup,
            detach: false,
            credentials: self.credentials,
        };
        let begun = engine.node().begin(begin).await?;
        Ok(engine.handle(begun.run))
    }
}

impl<'a> IntoFuture for Start<'a> {
    type Output = Result<Run, Fault>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.begin().boxed()
    }
}
