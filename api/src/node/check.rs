//! Checks of pipelines, as thorough as those of files: by what this owner has and this machine says.

use std::path::PathBuf;
use std::sync::Arc;

use everfold_engine::definition::Definition;

use super::handle::Node;
use crate::fault::{Code, Fault};
use crate::preflight;

/// What a check found that is no error.
#[derive(Debug, Default)]
pub(crate) struct CheckNote {
    /// Settings documents that a run in the folder would not get.
    pub(crate) settings: Vec<String>,
    /// Commands that were not given to the shell.
    pub(crate) unread: usize,
}

impl Node {
    /// Refuses what no run could do here: functions, profiles and resources that there are not, commands that the
    /// shell cannot read. Settings documents are looked for in `folder`, where one is named.
    ///
    /// # Errors
    /// [`Code::NoFunction`], [`Code::NoResource`], [`Code::BadPipeline`], with every fault of the first kind found.
    pub(crate) async fn check(
        &self,
        name: &str,
        definition: &Arc<Definition>,
        folder: Option<PathBuf>,
    ) -> Result<CheckNote, Fault> {
        preflight::refuse_unknown(name, &self.engine().unknown_work(definition))?;
        let known: Vec<String> = self.engine().line().resources.into_iter().map(|pool| pool.name).collect();
        preflight::refuse_missing(name, definition, &known)?;
        let unread = {
            // One shell at a time, however many ask.
            let _turn = self.turns.check.acquire().await;
            preflight::refuse_unreadable(name, definition).await?
        };
        let settings = match folder {
            None => Vec::new(),
            Some(folder) => {
                let definition = Arc::clone(definition);
                let looked =
                    tokio::task::spawn_blocking(move || preflight::absent(&definition, &folder)).await;
                looked.map_err(|error| Fault::new(Code::Internal, format!("settings documents: {error}")))?
            }
        };
        Ok(CheckNote { settings, unread })
    }
}
