//! What follows from an input.
//!
//! Law: pure and total. `decide` knows no clock, no IO and no randomness; equal state and input give
//! equal events. Refusals come before the first event. It goes on until nothing more follows, or a
//! bound is reached, or a value must be loaded: what is left then stands in the state's agenda and
//! is an [`crate::effect::Effect::Advance`].
//!
//! Called by the shard for every input, and by replay for every recorded fact.

mod acts_as;
mod admission;
mod answer;
mod approval;
mod approval_start;
mod attempt_report;
pub mod begin;
mod breakpoint;
mod cancel;
mod cancel_step;
mod carry_over;
mod completion;
mod decision;
mod dispatch;
mod draft;
mod due_notice;
mod end;
mod failure_value;
mod for_people;
mod fork;
mod fork_check;
mod gate;
mod gate_poll;
mod multi_probe;
mod note;
mod notice;
mod notice_parameters;
mod offered_signal;
mod otherwise;
mod outcome;
mod pause;
mod people_timers;
pub mod plan;
mod policy_error;
mod preconditions;
mod question;
mod question_parts;
mod readers;
mod recheck;
mod refusal;
mod rejudge;
mod reminders;
mod render;
mod route;
mod run_names;
mod run_output;
pub(crate) mod scope;
mod seen;
mod signal;
mod signal_decision;
mod signal_hearing;
mod spend;
mod start;
mod step_start;
mod stops;
mod unblock;
mod untaken_signal;
mod wait;
mod wake;
pub mod work_inputs;

pub use admission::{ADMIT, admission_id};
pub use carry_over::{CarriedState, OtherDefinition};
pub use decision::{Batch, Decision};
pub use dispatch::decide;
pub use for_people::{is_for_people, is_own_decision, override_refusal};
pub use fork_check::Misfit;
pub use policy_error::PolicyError;
pub use preconditions::TEXT_BYTES_MAX;
pub use recheck::check_policy;
pub use refusal::Refusal;
pub use rejudge::rejudge;
pub use signal::{SIGNAL_BYTES_MAX, check_signal};
pub use start::{INPUT_BYTES_MAX, LABELS_BYTES_MAX, TITLE_BYTES_MAX, check_sizes};
pub use untaken_signal::why_not_taken;

pub use everfold_language::expr::Loaded;
