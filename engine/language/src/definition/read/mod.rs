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
mod failure_name;
mod foreach;
mod gate;
mod http;
mod outputs;
mod path;
mod people;
mod probe;
mod reader;
mod reminders;
mod renamed;
mod route;
mod scalar;
mod search;
mod settings_path;
mod shared_routes;
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
pub(super) const NOTICE_KEYS: &[&str] = trigger::NOTICE.keys;

pub(super) use step::StepDraft;
pub(super) use top::Pipeline;
pub(super) use uses::{ExprPlace, ExprUse, KnownRole, ReworkUse, SecretUse, Wants};
pub(super) use work::WORKS;

/// The keys of each construct with their place in the JSON Schema.
#[cfg(test)]
pub(crate) fn shapes() -> Vec<(&'static str, &'static [&'static str])> {
    vec![
        ("", top::SHAPE.keys),
        ("/properties/defaults", step::DEFAULTS.keys),
        ("/$defs/key/oneOf/1", control::KEY.keys),
        ("/$defs/numbering/oneOf/1", control::NUMBER.keys),
        ("/$defs/concurrency", control::CONCURRENCY.keys),
        ("/$defs/budget", control::BUDGET.keys),
        ("/$defs/searchAttribute", search::SEARCH.keys),
        ("/$defs/secret", control::SECRET.keys),
        ("/$defs/trigger", trigger::TRIGGER.keys),
        ("/$defs/schedule", trigger::SCHEDULE.keys),
        ("/$defs/notice", trigger::NOTICE.keys),
        ("/$defs/git", workspace::GIT.keys),
        ("/$defs/step", step::SHAPE.keys),
        ("/$defs/needs/oneOf/1", step::NEEDS.keys),
        ("/$defs/api", attempt::API.keys),
        ("/$defs/retry", attempt::RETRY.keys),
        ("/$defs/ask", people::ASK.keys),
        ("/$defs/remind/oneOf/1", reminders::REMIND.keys),
        ("/$defs/fixedRemind/oneOf/1", reminders::REMIND.keys),
        ("/$defs/foreach", foreach::FOREACH.keys),
        ("/$defs/gate", gate::SHAPE.keys),
        ("/$defs/member", gate::MEMBER.keys),
        ("/$defs/probes/file/oneOf/1", probe::FILE.keys),
        ("/$defs/probes/frontmatter", probe::FRONTMATTER.keys),
        ("/$defs/probes/tests/oneOf/2", probe::TESTS.keys),
        ("/$defs/probes/diff", probe::DIFF.keys),
        ("/$defs/probes/ci", probe::CI.keys),
        ("/$defs/probes/mergeable", probe::MERGEABLE.keys),
        ("/$defs/probes/runs", probe::RUNS.keys),
        ("/$defs/probes/config/oneOf/1", probe::CONFIG.keys),
        ("/$defs/probes/at_least", gate::AT_LEAST.keys),
        ("/$defs/poll", gate::POLL.keys),
        ("/$defs/wakeSignal/oneOf/1", gate::WAKE.keys),
        ("/$defs/routeMap", route::SHAPE.keys),
        ("/$defs/http/oneOf/1", http::SHAPE.keys),
        ("/$defs/run/oneOf/1", work::RUN.keys),
        ("/$defs/signalWork", signal_work::SHAPE.keys),
        ("/$defs/approval", people::APPROVAL.keys),
        ("/$defs/question", people::QUESTION.keys),
        ("/$defs/agent/oneOf/1", agent::SHAPE.keys),
        ("/$defs/wait", wait::WAIT.keys),
    ]
}
