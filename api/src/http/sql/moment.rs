//! What all tables of a query share: the node, the position that is asked for, and the way from SQLite's thread to the
//! node's runtime.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use everfold_engine::id::{Position, RunId};
use everfold_engine::time::Timestamp;
use everfold_projections::StoredRow;
use tokio::runtime::Handle;

use crate::fault::{Code, Fault};
use crate::http::app::App;

/// The moment of a query.
pub(in crate::http) struct QueryMoment {
    pub(super) app: App,
    /// Where what tables wait for is driven. SQLite has a thread of its own, which may wait.
    runtime: Handle,
    /// All tables are read as of this position.
    pub(in crate::http) position: Position,
    /// What `now()` is.
    pub(in crate::http) now: Timestamp,
    /// Whether a moment of the past was asked for.
    is_past: bool,
    /// The runs that their owner cannot go on with, and why; of now.
    pub(super) set_aside: BTreeMap<RunId, String>,
    /// The rows of the runs that a table was read of last: of tables that are joined they are wanted next, one by one.
    last: Mutex<HashMap<RunId, StoredRow>>,
}

impl QueryMoment {
    pub(in crate::http) fn new(app: &App, at: Option<Position>, now: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            app: Arc::clone(app),
            runtime: Handle::current(),
            position: at.unwrap_or_else(|| app.store().last_position()),
            now,
            is_past: at.is_some(),
            set_aside: app.set_aside().into_iter().collect(),
            last: Mutex::default(),
        })
    }

    /// Waits on the thread of the query.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Keeps the rows that a table was read of, in the place of those before.
    pub(super) fn keep(&self, rows: HashMap<RunId, StoredRow>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }

    /// The row of a run, if it is kept.
    pub(super) fn kept(&self, run: RunId) -> Option<StoredRow> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).get(&run).cloned()
    }

    /// Refuses a table that is of now where a moment of the past is asked for.
    pub(super) fn only_now(&self, table: &str) -> Result<(), Fault> {
        if !self.is_past {
            return Ok(());
        }
        let what = format!("the table `{table}` is of now, and has no past");
        Err(Fault::new(Code::BadQuery, what).hint("leave `at` out, or the table"))
    }

    /// The run that an argument of a table names, as people name runs.
    pub(super) fn run(&self, name: &str) -> Result<RunId, Fault> {
        self.wait(self.app.resolve(name))
    }
}
