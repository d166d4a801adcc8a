//! Which story an action has.

use super::act::Act;
use super::again;
use super::breakpoints;
use super::budget;
use super::confirmation::Confirmation;
use super::ending;
use super::fork;
use super::recheck;
use super::restart;
use super::signal;
use super::standstill;
use super::unblock;
use super::verb::Verb;
use crate::problem::Problem;

/// What will happen.
pub(super) async fn confirmation(act: &Act) -> Result<Confirmation, Problem> {
    let mut confirmation = match act.verb {
        Verb::Cancel => ending::cancel(act),
        Verb::Abandon => ending::abandon(act),
        Verb::Pause => standstill::pause(act),
        Verb::Interrupt => standstill::interrupt(act),
        Verb::Resume => standstill::resume(act),
        Verb::Retry => again::retry(act),
        Verb::Restart => restart::confirm(act).await?,
        Verb::Fork => fork::confirm(act).await?,
        Verb::Signal => signal::confirm(act),
        Verb::Note => signal::note(act),
        Verb::Breakpoints => breakpoints::confirm(act),
        Verb::Budget => budget::confirm(act),
        Verb::Unblock => unblock::confirm(act),
        Verb::Recheck => recheck::confirm(act),
    };
    if let Some(why) = act.not_allowed() {
        confirmation.refused = Some(why);
    }
    Ok(confirmation)
}
