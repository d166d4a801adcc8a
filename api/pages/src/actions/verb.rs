//! The names of the actions, and what is said when one was done.

use crate::problem::Problem;

/// What a run can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Cancel,
    Abandon,
    Pause,
    Interrupt,
    Resume,
    Retry,
    Restart,
    Fork,
    Signal,
    Note,
    Breakpoints,
    Budget,
    Unblock,
    Recheck,
}

impl Verb {
    const ALL: [(Self, &'static str); 14] = [
        (Self::Cancel, "cancel"),
        (Self::Abandon, "abandon"),
        (Self::Pause, "pause"),
        (Self::Interrupt, "interrupt"),
        (Self::Resume, "resume"),
        (Self::Retry, "retry"),
        (Self::Restart, "restart"),
        (Self::Fork, "fork"),
        (Self::Signal, "signal"),
        (Self::Note, "note"),
        (Self::Breakpoints, "breakpoints"),
        (Self::Budget, "budget"),
        (Self::Unblock, "unblock"),
        (Self::Recheck, "recheck"),
    ];

    /// The action of a name, as it stands in the address.
    pub(super) fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(verb, _)| *verb)
    }

    /// There is no action of this name.
    pub(super) fn unknown(word: &str) -> Problem {
        let words: Vec<&str> = Self::ALL.iter().map(|(_, word)| *word).collect();
        let mut problem = Problem::not_found(format!("a run cannot be told “{word}”"));
        problem.hint = Some(format!("it is one of {}", words.join(", ")));
        problem
    }

    /// Its name.
    pub(super) fn word(self) -> &'static str {
        Self::ALL.iter().find(|(verb, _)| *verb == self).map_or("", |(_, word)| word)
    }
}

/// What a page says after an action: the address names it by a fixed word, so that no text of others comes in by an
/// address.
pub(crate) fn done_sentence(word: &str) -> Option<&'static str> {
    Some(match word {
        "cancel" => "The run is being cancelled.",
        "cancel-step" => "The step is being cancelled.",
        "abandon" => "The run was given up where it stood.",
        "pause" => "The run is paused: nothing more of it is started.",
        "interrupt" => "The run is paused, and what ran is being stopped.",
        "resume" => "The run goes on.",
        "retry" => "It is tried again, in this run.",
        "retry-new" => "It is tried again in this new run.",
        "restart" => "Restarted: this is the new run.",
        "fork" => "Forked: this is the new run. Its origin is as it was.",
        "held" => "Nothing was started: this run has the key already.",
        "signal" => "The signal was taken.",
        "signal-kept" => "The signal is recorded. Nothing took it.",
        "signal-repeated" => "This delivery had come before: it is no news.",
        "note" => "The note stands in the history.",
        "breakpoints" => "The breakpoints are set.",
        "breakpoints-none" => "The run has no breakpoints any more.",
        "budget" => "The budget is raised.",
        "unblock" => "The blocked step goes on as you decided.",
        "recheck" => "The gates are judged again.",
        _unknown => return None,
    })
}
