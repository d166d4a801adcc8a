//! Checks of a pipeline against this folder and machine: its functions, profiles, resources, shell commands and
//! settings documents.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use everfold_engine::definition::Definition;

use super::handle::{CHECKS, Node};
use crate::fault::{Code, Fault};
use crate::preflight;

/// The findings of a check that are no errors.
#[derive(Debug, Default)]
pub(crate) struct CheckNote {
    /// Settings documents that a run in the folder would not get.
    pub(crate) settings: Vec<String>,
    /// Commands that were not given to the shell.
    pub(crate) unread: usize,
}

impl Node {
    /// Refuses what no run could do here: functions, profiles and resources that do not exist, parameters that never fit,
    /// commands that the shell cannot read. Where `folder` is given, settings documents are searched there.
    ///
    /// # Errors
    /// [`Code::NoFunction`], [`Code::NoResource`], [`Code::BadPipeline`], with every fault of the first kind found;
    /// [`Code::Busy`]: too many checks of `who` wait for the shell.
    pub(crate) async fn check(
        &self,
        who: &str,
        name: &str,
        definition: &Arc<Definition>,
        folder: Option<PathBuf>,
    ) -> Result<CheckNote, Fault> {
        self.reads_no_credential(name, definition)?;
        preflight::refuse_unknown(name, &self.engine().unknown_work(definition))?;
        let known: Vec<String> = self.engine().line().resources.into_iter().map(|pool| pool.name).collect();
        preflight::refuse_missing(name, definition, &known)?;
        preflight::refuse_misfits(name, definition)?;
        let unread = {
            // One shell at a time, however many checks wait; those of a caller behind one another.
            let Some(_turn) = self.turns.check.turn(who).await else {
                let what = format!("{} checks of this caller wait for the shell already", CHECKS.asked);
                let hint = "check one pipeline after the other";
                return Err(Fault::new(Code::Busy, what).hint(hint).retry_after(Duration::from_secs(1)));
            };
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
