//! From the tree of a file to the model.
//!
//! Law: every problem is pushed, none ends the reading. What could not be read is left out of the
//! model, which is given away only when no error was found. What needs the whole pipeline (names,
//! order) is remembered and checked afterwards.

mod acts_as;
mod agent;
mod attempt;
mod case;
mod case_expect;
mod case_people;
#[cfg(test)]
mod case_shapes;
mod case_stubs;
mod control;
mod credential;
mod defaults;
mod failure_name;
mod foreach;
mod gate;
mod http;
mod needs;
mod notice;
mod other_words;
mod outputs;
mod path;
mod people;
mod probe;
mod reader;
mod reminders;
mod renamed;
mod route;
mod route_cause;
mod scalar;
mod schedule;
mod search;
mod settings_path;
mod shared_routes;
mod short_form;
mod signal_work;
mod step;
mod top;
mod trigger;
mod uses;
mod wait;
mod work;
mod workspace;

pub(super) use case::CaseScope;
pub use case_expect::{RUN_STATUSES, STEP_STATUSES};
#[cfg(test)]
pub(crate) use case_shapes::case_shapes;
pub(super) use reader::PipelineReader;
/// The keys of a step.
pub(super) const STEP_KEYS: &[&str] = step::SHAPE.keys;
/// The keys of a notice.
pub(super) const NOTICE_KEYS: &[&str] = notice::NOTICE.keys;

pub(super) use step::StepDraft;
pub(super) use top::Pipeline;
pub(super) use uses::{ExprPlace, ExprUse, KnownRole, ReworkUse, SecretUse, Wants};
pub(super) use work::WORKS;

/// What is read of each construct, with its place in the JSON Schema.
#[cfg(test)]
pub(crate) fn shapes() -> Vec<(&'static str, &'static reader::Shape)> {
    vec![
        ("", &top::SHAPE),
        ("/properties/defaults", &defaults::DEFAULTS),
        ("/$defs/key/oneOf/1", &control::KEY),
        ("/$defs/numbering/oneOf/1", &control::NUMBER),
        ("/$defs/concurrency", &control::CONCURRENCY),
        ("/$defs/budget", &control::BUDGET),
        ("/$defs/searchAttribute", &search::SEARCH),
        ("/$defs/secret", &control::SECRET),
        ("/$defs/trigger", &trigger::TRIGGER),
        ("/$defs/schedule", &schedule::SCHEDULE),
        ("/$defs/notice", &notice::NOTICE),
        ("/$defs/git", &workspace::GIT),
        ("/$defs/step", &step::SHAPE),
        ("/$defs/needs/oneOf/1", &needs::NEEDS),
        ("/$defs/api", &attempt::API),
        ("/$defs/retry", &attempt::RETRY),
        ("/$defs/ask", &people::ASK),
        ("/$defs/remind/oneOf/1", &reminders::REMIND),
        ("/$defs/fixedRemind/oneOf/1", &reminders::REMIND),
        ("/$defs/foreach", &foreach::FOREACH),
        ("/$defs/gate", &gate::SHAPE),
        ("/$defs/member", &gate::MEMBER),
        ("/$defs/probes/file/oneOf/1", &probe::FILE),
        ("/$defs/probes/frontmatter", &probe::FRONTMATTER),
        ("/$defs/probes/tests/oneOf/2", &probe::TESTS),
        ("/$defs/probes/diff", &probe::DIFF),
        ("/$defs/probes/ci", &probe::CI),
        ("/$defs/probes/mergeable", &probe::MERGEABLE),
        ("/$defs/probes/runs", &probe::RUNS),
        ("/$defs/probes/config/oneOf/1", &probe::CONFIG),
        ("/$defs/probes/at_least", &gate::AT_LEAST),
        ("/$defs/poll", &gate::POLL),
        ("/$defs/wakeSignal/oneOf/1", &gate::WAKE),
        ("/$defs/routeMap", &route::SHAPE),
        ("/$defs/http/oneOf/1", &http::SHAPE),
        ("/$defs/run/oneOf/1", &work::RUN),
        ("/$defs/signalWork", &signal_work::SHAPE),
        ("/$defs/approval", &people::APPROVAL),
        ("/$defs/question", &people::QUESTION),
        ("/$defs/agent/oneOf/1", &agent::SHAPE),
        ("/$defs/wait", &wait::WAIT),
    ]
}
