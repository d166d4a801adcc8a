//! How former schemas read today: attempts.

use crate::event::former::{
    AttemptAsked1, AttemptAsked2, AttemptAsked3, AttemptFailed1, AttemptFailed2, AttemptFailed3,
    AttemptFailed4, AttemptNotes1, AttemptNotes2, AttemptNotes3, AttemptStarted1, AttemptStarted2,
    AttemptStarted3, AttemptSucceeded1, AttemptSucceeded2, AttemptSucceeded3, AttemptSucceeded4,
    ChildFinished1, StopRequested1,
};
use crate::event::kinds::{
    AttemptAsked, AttemptFailed, AttemptStarted, AttemptSucceeded, ChildFinished, StopRequested,
};
use crate::event::parts::AttemptNotes;

impl From<AttemptStarted1> for AttemptStarted {
    fn from(old: AttemptStarted1) -> Self {
        Self { id: old.id, began_at: None, holder: None }
    }
}

impl From<AttemptStarted2> for AttemptStarted {
    fn from(AttemptStarted2 { id, began_at }: AttemptStarted2) -> Self {
        Self { id, began_at, holder: None }
    }
}

impl From<AttemptStarted3> for AttemptStarted {
    fn from(AttemptStarted3 { id, holder }: AttemptStarted3) -> Self {
        Self { id, began_at: None, holder }
    }
}

impl From<AttemptSucceeded1> for AttemptSucceeded {
    fn from(old: AttemptSucceeded1) -> Self {
        Self {
            id: old.id,
            output: old.output,
            commit: old.commit,
            artefacts: old.artefacts,
            ended_at: old.ended_at,
            notes: AttemptNotes::default(),
        }
    }
}

impl From<AttemptFailed1> for AttemptFailed {
    fn from(old: AttemptFailed1) -> Self {
        let AttemptFailed1 { id, failure, commit, artefacts, ended_at } = old;
        Self { id, failure, commit, artefacts, ended_at, notes: AttemptNotes::default() }
    }
}

impl From<AttemptNotes1> for AttemptNotes {
    fn from(old: AttemptNotes1) -> Self {
        let AttemptNotes1 { labels, note, code } = old;
        Self { labels, note, code, ..Self::default() }
    }
}

impl From<AttemptNotes2> for AttemptNotes {
    fn from(AttemptNotes2 { labels, note, code, log }: AttemptNotes2) -> Self {
        Self { labels, note, code, log, ..Self::default() }
    }
}

impl From<AttemptNotes3> for AttemptNotes {
    fn from(AttemptNotes3 { labels, note, code, report }: AttemptNotes3) -> Self {
        Self { labels, note, code, report, ..Self::default() }
    }
}

/// Ends of attempts that lack nothing but what their notes lack.
macro_rules! read_notes {
    ($($former:ident as $event:ident: $($field:ident)*;)*) => {
        $(
            impl From<$former> for $event {
                fn from(old: $former) -> Self {
                    let $former { $($field,)* notes } = old;
                    Self { $($field,)* notes: notes.into() }
                }
            }
        )*
    };
}

read_notes! {
    AttemptSucceeded2 as AttemptSucceeded: id output commit artefacts ended_at;
    AttemptFailed2 as AttemptFailed: id failure commit artefacts ended_at;
    AttemptAsked1 as AttemptAsked: id ask commit ended_at;
    AttemptSucceeded3 as AttemptSucceeded: id output commit artefacts ended_at;
    AttemptFailed3 as AttemptFailed: id failure commit artefacts ended_at;
    AttemptAsked2 as AttemptAsked: id ask commit ended_at;
    AttemptSucceeded4 as AttemptSucceeded: id output commit artefacts ended_at;
    AttemptFailed4 as AttemptFailed: id failure commit artefacts ended_at;
    AttemptAsked3 as AttemptAsked: id ask commit ended_at;
}

impl From<ChildFinished1> for ChildFinished {
    fn from(old: ChildFinished1) -> Self {
        let ChildFinished1 { id, child, output, failure, ended_at } = old;
        Self { id, child, output, failure, ended_at, commit: None }
    }
}

impl From<StopRequested1> for StopRequested {
    fn from(old: StopRequested1) -> Self {
        Self { ids: old.ids, reason: old.reason }
    }
}
