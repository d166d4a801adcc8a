//! Test cases of pipelines: each is a run of the real engine over a store in memory, with stubs for everything outside.
//!
//! Laws:
//! - A case decides nothing itself: runs, children, gates, timers, retries, budgets, approvals and notices are those of
//!   the engine. Only ports are stubs: executors, probers, workspaces, the notifier.
//! - Time is virtual: it passes only while nothing else is to be done, so a wait of days takes no time.
//! - Ids and jitter follow from the case alone: a case gives the same events each time.
//! - What has no stub ends the case with the line that is missing; it never succeeds silently. In a dry run it is made
//!   up, and marked.

mod assumptions;
mod child_pipelines;
mod compare_outcome;
mod coverage;
mod dry_pipeline;
mod dry_run;
mod dry_run_lines;
mod dry_run_work;
mod evidence;
mod made_up;
mod outcome;
mod people;
mod probes;
mod route_coverage;
mod simulation;
mod skeleton;
mod stage;
mod stub_ports;
mod suite;
mod verdict;
mod volunteers;
mod work;
mod world;

pub use coverage::{GateCoverage, PipelineCoverage, RouteCoverage};
pub use dry_run::{DryRunReport, DryRunRequest, NoDryRun, NotTaken, dry_run};
pub use dry_run_lines::DryRunLine;
pub use simulation::simulate;
pub use skeleton::first_case;
pub use suite::{SuiteReport, read_cases, test_pipeline, test_pipeline_with};
pub use verdict::{CaseDifference, CaseVerdict, StoryLine};
