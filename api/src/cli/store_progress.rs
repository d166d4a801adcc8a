//! How far long work on the store has come, as a bar on stderr.

use std::io::IsTerminal as _;
use std::sync::Arc;

use everfold_engine::store::Progress;

/// Shows a bar where stderr is a terminal, else nothing.
pub(super) fn store_progress() -> Arc<dyn Fn(Progress) + Send + Sync> {
    if !std::io::stderr().is_terminal() {
        return Arc::new(|_| {});
    }
    let bar = indicatif::ProgressBar::no_length();
    let style = indicatif::ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} events");
    bar.set_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()));
    Arc::new(move |progress| {
        let (what, done, of) = match progress {
            Progress::Index { done, of } => ("building the index", done, of),
            Progress::Verify { done, of } => ("verifying", done, of),
        };
        bar.set_message(what);
        bar.set_length(of.get());
        bar.set_position(done.get());
        if done >= of {
            bar.finish_and_clear();
        }
    })
}
