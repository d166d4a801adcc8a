//! Answers the engine's questions about other runs from the read models.

use std::sync::Arc;

use everfold_base::id::RunId;
use everfold_ports::{Directory, DirectoryError, FoundRun, FoundRuns, RunQuery};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::error::ReadSideError;
use super::side::ReadSide;
use crate::runs::RunRow;

/// The engine's directory of runs, answered by the read models.
#[derive(Clone)]
pub struct RunDirectory(pub Arc<ReadSide>);

impl Directory for RunDirectory {
    fn runs(&self, query: RunQuery) -> BoxFuture<'static, Result<FoundRuns, DirectoryError>> {
        let side = Arc::clone(&self.0);
        async move {
            let failed = |error: ReadSideError| DirectoryError(error.to_string());
            // The engine decides on the answer, so it must know every event that is durable now.
            side.reach(side.shared.store.last_position()).await.map_err(failed)?;
            let found = side.runs(None, move |runs| runs.find(&query)).await.map_err(failed)?;
            let (total, rows) = found.value;
            let runs = rows.into_iter().map(shown).collect();
            Ok(FoundRuns { total, runs, position: found.position })
        }
        .boxed()
    }

    fn run(&self, run: RunId) -> BoxFuture<'static, Result<Option<FoundRun>, DirectoryError>> {
        let side = Arc::clone(&self.0);
        async move {
            let failed = |error: ReadSideError| DirectoryError(error.to_string());
            side.reach(side.shared.store.last_position()).await.map_err(failed)?;
            let found = side.runs(None, move |runs| runs.get(run, None)).await.map_err(failed)?;
            Ok(found.value.map(shown))
        }
        .boxed()
    }
}

fn shown(row: RunRow) -> FoundRun {
    FoundRun {
        run: row.id,
        pipeline: row.pipeline,
        title: row.title,
        labels: Arc::unwrap_or_clone(row.shown.labels),
        status: row.shown.status,
        started_at: row.started_at,
    }
}
