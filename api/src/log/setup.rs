//! The subscriber of `tracing`: what is said, and in which form.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::form::LogForm;
use super::line;

/// The variable that says what is said: `warn`, `info`, `everfold_engine=debug`, ….
const FILTER: &str = "EVERFOLD_LOG";

/// Begins to say what happens; a second call in one process keeps the first one's.
pub(crate) fn begin(form: LogForm, verbose: bool) {
    let default = if verbose { "info" } else { "warn" };
    let filter = EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new(default));
    let lines = line::Lines::new(form, std::io::stderr);
    let _kept = tracing_subscriber::registry().with(filter).with(lines).try_init();
}
