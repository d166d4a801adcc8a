//! Why a run, or a step of it, is where it is: causes in sentences, each with the event that shows it.
//!
//! Law: a pure function of the folded state and of a trail of the events before it; the same state and trail give the
//! same causes. Every run that has not ended has one. Sentences name no times: those are fields, which readers write in
//! their own form. How many causes one answer has, and how deep they go, is bounded.
//!
//! [`Trail`] remembers which event was the newest of each kind, [`of_run`] and [`of_step`] explain. What the state does
//! not know (which run holds a slot, what an attempt waits for in line, why a child waits) is added by the caller, at
//! causes whose [`CauseKind`] says so.

mod block;
mod budget;
mod cause;
mod condition;
mod explainer;
mod failure;
mod gate;
mod run;
mod standstill;
mod step;
mod trail;
mod work;

pub use block::block_message;
pub use budget::budget_sentence;
pub use cause::{CauseKind, CauseNode, CauseSubject, Evidence, LookedAt};
pub use condition::{looked_at, of_condition};
pub use run::of_run;
pub use step::{of_step, skip_message};
pub use trail::{Trail, TrailPlace};
