//! Read models of Everfold, folded from the event log.
//!
//! Law: a read model is a pure fold. It knows no clock, and of a run's definition only what the log says of
//! its stages; folded again from the first event it is equal to the one that was kept up all the time, and as of a position it is equal to
//! one that was folded so far and no further. Models never write to a run.
//!
//! [`ReadSide`] keeps them up to date for the node that owns a data folder and answers queries from them. A model is a
//! [`Projection`]; [`WriteBatch`] is what it reads and writes.
#![forbid(unsafe_code)]

mod audit;
mod columns;
mod decision;
mod event_readers;
mod failed_notices;
mod filter;
mod generation;
mod id_map;
mod inbox;
mod index;
mod log_reader;
mod model;
mod models;
mod money;
mod open_runs;
mod projection;
mod readside;
mod rechecks;
mod rounds;
mod row_codec;
mod runs;
mod small_map;
mod snapshot;
mod spend;
mod stages;
mod step_figures;
mod storage;
mod timeline;
mod write_batch;

pub use audit::{AuditModel, AuditView, DecisionFilter, DecisionPage, DecisionPlace, GateFilter};
pub use columns::{DefinitionColumns, StepColumns};
pub use decision::{Decision, DecisionKind, DecisionType, OverrideDecision, decision_of};
pub use failed_notices::{FailedNotice, FailedNoticesView};
pub use filter::{
    AskedName, Field, FieldType, FilterError, FilterRow, Judged, ROWS_MAX, RowFields, RowFilter, RowScan,
    ScanReport, StateAnswer, StateQuestion,
};
pub use inbox::{InboxModel, InboxView, Remark, Task, TaskKind, TaskName, TaskNameError, TaskPage};
pub use log_reader::Unreadable;
pub use model::{ModelStatus, ModelStop};
pub use models::Models;
pub use money::usd;
pub use projection::{CopiedEvent, EventContext, Fact, FoldError, Projection};
pub use readside::{AsOf, ReadSide, ReadSideError, ReadStorage, RunDirectory, StorageLocation};
pub use rechecks::{AskedRecheck, RecheckPlace};
pub use rounds::{RoundEnd, RoundEndKind, RoundOutput, RoundRow, RoundVerdict, RoundsOfRun};
pub use runs::{
    AwaitedAction, AwaitedActionKind, Board, Column, FieldValue, GroupBy, GroupedRuns, GroupingError,
    LookReport, RUN_FIELDS, RUN_STATUSES, RowFailure, RowParent, RowState, RowStepCounts, RowUsage,
    RunCounts, RunExpression, RunFields, RunFigures, RunFilter, RunGroup, RunGrouping, RunOrder, RunPage,
    RunRow, RunScan, RunSort, RunsModel, RunsView, SortError, SortedRuns, StepCounts, StoredRow,
};
pub use spend::{SpendBy, SpendFilter, SpendLineRow, SpendModel, SpendRow, SpendSum, SpendView};
pub use stages::{
    AgentJobs, EndedJob, JudgedGate, LiveMessage, ReviewClock, SentBack, StageFilter, StageLayout, StagePage,
    StagePause, StagePauseKind, StageRow, StageWait, StageWaitKind, StageWork, StagesModel, StagesView,
    Standing, WorkKind,
};
pub use step_figures::{GateFiguresRow, StepFigures, StepFiguresRow, StepTimesRow, StepsOfRun, TimeFigures};
pub use storage::StorageError;
pub use timeline::{AttemptFailure, AttemptRow, AttemptRowEnd, AttemptSpared, attempts};
pub use write_batch::WriteBatch;
