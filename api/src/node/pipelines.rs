//! Pipelines by name: saved ones, and those that come with Everfold.

use std::collections::BTreeMap;
use std::sync::Arc;

use everfold_engine::definition::{Definition, similar};
use everfold_engine::driver::{By, PipelineError, Saved};
use everfold_engine::envelope::Envelope;
use everfold_engine::pipeline_versions::{PipelineRef, PipelineSaved};
use everfold_workflows::builtin;

use super::handle::Node;
use crate::fault::{Code, Fault};
use crate::preflight;

impl Node {
    /// The pipeline of a name: `NAME`, `NAME@N`, `NAME@HASH`.
    ///
    /// # Errors
    /// [`Code::NoPipeline`], with the nearest name.
    pub async fn pipeline(&self, name: &str) -> Result<Arc<Definition>, Fault> {
        let unknown = |error: PipelineError| match error {
            PipelineError::NotFound(_) | PipelineError::Name(_) => {
                Fault::new(Code::NoPipeline, error.to_string())
                    .hint("`everfold pipeline list` shows the names; a file has a / or ends in .yaml")
            }
            other => other.into(),
        };
        let reference: PipelineRef = name.parse().map_err(|error| unknown(PipelineError::Name(error)))?;
        match self.engine().pipeline(&reference).await {
            Ok(definition) => Ok(definition),
            Err(error) => {
                let fault = unknown(error);
                let names = self.engine().saved_names().await?;
                let known = names.iter().map(String::as_str);
                let near = similar(
                    &reference.name,
                    known.chain(builtin::pipelines().iter().map(|pipeline| pipeline.name)),
                );
                let near = near.filter(|near| **near != *reference.name);
                Err(fault.hinted(near.map(|near| format!("did you mean “{near}”?"))))
            }
        }
    }

    /// Saves a pipeline as the newest version of its name.
    ///
    /// # Errors
    /// [`Code::BadPipeline`] with every problem, or the store takes nothing.
    pub async fn save_pipeline(
        &self,
        text: &str,
        file: Option<&str>,
        files: &BTreeMap<String, String>,
        by: By,
    ) -> Result<(Arc<Definition>, Saved), Fault> {
        self.may_write()?;
        self.holds_no_credential(text, file, files)?;
        let definition = Arc::new(super::parsed(text, file, files)?.definition);
        self.reads_no_credential(file.unwrap_or("definition"), &definition)?;
        preflight::refuse_misfits(&definition.name, &definition)?;
        let saved = self.engine().save_pipeline(&definition, Some(text.to_owned()), by).await?;
        Ok((definition, saved))
    }

    /// The saved versions of a name, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn saved_versions(&self, name: &str) -> Result<Vec<(PipelineSaved, Envelope)>, Fault> {
        Ok(self.engine().saved_versions(name).await?)
    }
}
