//! The read model `stages`: runs of pipelines whose steps name stages, as tasks that move along them.
//!
//! Law: it folds only what no other model says of a run: in which stage it stands and since when, who is at work and since
//! when, since when people are asked, how often steps were sent back and why, how long people reviewed. Title, labels, status and
//! cost are those of `runs`, what was used up that of `spend`. Runs of other pipelines cost it nothing.

mod fold;
mod history;
mod jobs;
mod layout;
mod parts;
mod query;
mod read_event;
mod stage_fact;
mod standing;
mod terms;
mod text;

pub use fold::StagesModel;
pub use layout::StageLayout;
pub use parts::{
    AgentJobs, EndedJob, LiveMessage, ReviewClock, SentBack, StagePause, StagePauseKind, StageWait,
    StageWaitKind, StageWork, WorkKind,
};
pub use query::{StageFilter, StagePage, StageRow, StagesView};
pub use standing::{JudgedGate, Standing};
