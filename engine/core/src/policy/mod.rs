//! Judges evidence: the pure half of a gate.
//!
//! Law: equal evidence and equal policy give an equal judgement, always. So a recorded decision can
//! be decided again, and a default policy that is changed gets a new [`EVALUATOR`] number.
//!
//! Called by `decide` when a probe's evidence comes in, and by everything that re-decides later.

mod answer;
mod checks;
mod combine;
mod command;
mod default_policy;
mod diff;
mod file;
mod frontmatter;
mod glob;
mod judgement;
mod mergeable;
mod taken_over;
mod tests_report;
mod value;

pub use answer::statuses;
pub use combine::{Combination, combine};
pub use default_policy::{EVALUATOR, is_stale, judge_default, judge_fresh};
pub use glob::Glob;
pub use judgement::{Judgement, Verdict};
pub use taken_over::forget_place;
pub use value::judge_value;
