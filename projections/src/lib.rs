//! Read models of Everfold, folded from the event log.
//!
//! Law: a read model is a pure fold. It knows no clock, and of a run's definition only what the log says of
//! its stages; folded again from the first event it is equal to the one that was kept up all the time, and as of a position it is equal to
//! one that was folded so far and no further. Models never write to a run.
//!
//! [`ReadSide`] keeps them up for the owner of a data folder and answers from them. A model is a
//! [`Projection`]; [`Tx`] is what it reads and writes.
#![forbid(unsafe_code)]

mod activity;
mod attempts;
mod audit;
mod decision;
mod few;
mod generation;
mod inbox;
mod look;
mod lost;
mod model;
mod models;
mod money;
mod postings;
mod projection;
mod quick;
mod readside;
mod rowcodec;
mod runbook;
mod runs;
mod shelf;
mod source;
mod spend;
mod spine;
mod stages;
mod task;
mod tx;

pub use activity::{Awaits, AwaitsWhat};
pub use attempts::{AttemptEnd, AttemptFailure, AttemptRow, attempts};
pub use audit::{Audit, AuditView, DecisionPage, DecisionPlace, GateFilter};
pub use decision::{Decision, DecisionKind, decision_of};
pub use inbox::{Inbox, InboxView, TaskPage};
pub use lost::{LostNotice, LostView};
pub use model::{ModelStatus, Stopped};
pub use models::Models;
pub use money::usd;
pub use projection::{Around, Copied, Fact, FoldError, Projection};
pub use readside::{Answer, AskError, Place, ReadSide, RunDirectory};
pub use runs::{
    Board, Column, GroupBy, RowFailure, RowParent, RowUsage, RunCounts, RunFilter, RunOrder, RunPage, RunRow,
    Runs, RunsView, Shown,
};
pub use shelf::ShelfError;
pub use source::Unreadable;
pub use spend::{Spend, SpendBy, SpendFilter, SpendRow, SpendSum, SpendView};
pub use stages::{Staged, Stages};
pub use task::{NoTaskName, Remark, Task, TaskKind, TaskName};
pub use tx::Tx;
