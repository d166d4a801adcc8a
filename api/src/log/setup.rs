//! The subscriber of `tracing`: which lines are written, and in which form.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::form::LogForm;
use super::line;

/// The environment variable with the filter of lines: `warn`, `info`, `everfold_engine=debug`, ….
const FILTER: &str = "EVERFOLD_LOG";

/// What is left out: lines of libraries about themselves, in words that no reader of these lines has chosen. Of one that would
/// warn of something that stays.
const QUIET: [&str; 2] = ["mio=off", "tokio_cron_scheduler=warn"];

/// Installs the subscriber; a second call in one process changes nothing.
pub(crate) fn begin(form: LogForm, verbose: bool) {
    let default = if verbose { "info" } else { "warn" };
    let given = std::env::var_os(FILTER).filter(|given| !given.is_empty());
    let read = EnvFilter::try_from_env(FILTER);
    let unread = given.filter(|_| read.is_err());
    let filter = read.unwrap_or_else(|_| EnvFilter::new(default));
    let quiet = QUIET.map(|quiet| quiet.parse().expect("QUIET has directives of a target and a level"));
    let filter = quiet.into_iter().fold(filter, EnvFilter::add_directive);
    let lines = line::Lines::new(form, std::io::stderr);
    let _kept = tracing_subscriber::registry().with(filter).with(lines).try_init();
    if let Some(given) = unread {
        let given = given.to_string_lossy();
        tracing::warn!(%given, default, "{FILTER} is no filter of lines and counts for nothing: write warn, info, or everfold_runtime=debug");
    }
}
