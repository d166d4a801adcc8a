//! What the engine asks about other runs.

use std::sync::Arc;

use everfold_engine::execution::{Directory, DirectoryError, FoundRun, FoundRuns, RunQuery};
use everfold_engine::id::RunId;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{AskError, ReadSide};
use crate::runs::RunRow;

/// The handle that the engine's edge holds: it finds runs by what the read models know.
#[derive(Clone)]
pub struct RunDirectory(pub Arc<ReadSide>);

impl Directory for RunDirectory {
    fn runs(&self, query: RunQuery) -> BoxFuture<'static, Result<FoundRuns, DirectoryError>> {
        let side = Arc::clone(&self.0);
        async move {
            let failed = |error: AskError| DirectoryError(error.to_string());
            // The engine decides on it: an answer that is behind is none.
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
            let failed = |error: AskError| DirectoryError(error.to_string());
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
    }
}
