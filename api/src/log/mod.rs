//! What the program says while it works: lines on stderr, for people or for programs.
//!
//! Law: every line that belongs to a run's work says which run and, where there is one, which step; every line
//! of a request says its id. Nothing secret is said: what steps and services say is masked before it comes here, and
//! of requests only method, route and id are known.

mod form;
mod line;
mod told;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub(crate) use told::follow;

/// The variable that says what is said: `warn`, `info`, `everfold_engine=debug`, ….
const FILTER: &str = "EVERFOLD_LOG";

/// What lines look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// One line of words.
    #[default]
    Text,
    /// One JSON document per line.
    Json,
}

/// Begins to say what happens; a second call in one process keeps the first one's.
pub(crate) fn begin(form: Form, verbose: bool) {
    let default = if verbose { "info" } else { "warn" };
    let filter = EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new(default));
    let lines = line::Lines::new(form, std::io::stderr);
    let _kept = tracing_subscriber::registry().with(filter).with(lines).try_init();
}
