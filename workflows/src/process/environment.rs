//! Variables that processes do not inherit from the engine.

use std::collections::BTreeSet;
use std::ffi::OsString;

use everfold_ports::Secrets;

/// Variables that would bind a git below to another repository.
const GIT_LOCAL: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
];

/// Variables by which the engine itself speaks to a collector of traces; a token of it stands in them.
const COLLECTOR: [&str; 2] = ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"];

/// Variables that never reach a process from the engine's own environment: those that would mislead it, those that the
/// settings withhold, and those of the pipeline's secrets.
pub(crate) fn env_removed(withheld: &BTreeSet<String>, secrets: &Secrets) -> Vec<String> {
    let fixed =
        GIT_LOCAL.iter().chain(&COLLECTOR).map(|name| (*name).to_owned()).chain(["EVERFOLD_*".to_owned()]);
    fixed.chain(withheld.iter().chain(secrets.variables()).cloned()).collect()
}

/// The variables of this process that such a list removes; `NAME*` stands for all that begin with `NAME`.
pub(crate) fn removed_here(patterns: &[String]) -> impl Iterator<Item = OsString> {
    let is_removed =
        |name: &OsString| name.to_str().is_some_and(|name| patterns.iter().any(|it| matches(it, name)));
    std::env::vars_os().map(|(name, _)| name).filter(is_removed)
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}
