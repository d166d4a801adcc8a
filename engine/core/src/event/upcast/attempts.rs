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

impl From<AttemptSucceeded2> for AttemptSucceeded {
    fn from(old: AttemptSucceeded2) -> Self {
        let AttemptSucceeded2 { id, output, commit, artefacts, ended_at, notes } = old;
        Self { id, output, commit, artefacts, ended_at, notes: notes.into() }
    }
}

impl From<AttemptFailed2> for AttemptFailed {
    fn from(old: AttemptFailed2) -> Self {
        let AttemptFailed2 { id, failure, commit, artefacts, ended_at, notes } = old;
        Self { id, failure, commit, artefacts, ended_at, notes: notes.into() }
    }
}

impl From<AttemptAsked1> for AttemptAsked {
    fn from(old: AttemptAsked1) -> Self {
        let AttemptAsked1 { id, ask, commit, ended_at, notes } = old;
        Self { id, ask, commit, ended_at, notes: notes.into() }
    }
}

impl From<AttemptSucceeded3> for AttemptSucceeded {
    fn from(old: AttemptSucceeded3) -> Self {
        let AttemptSucceeded3 { id, output, commit, artefacts, ended_at, notes } = old;
        Self { id, output, commit, artefacts, ended_at, notes: notes.into() }
    }
}

impl From<AttemptFailed3> for AttemptFailed {
    fn from(old: AttemptFailed3) -> Self {
        let AttemptFailed3 { id, failure, commit, artefacts, ended_at, notes } = old;
        Self { id, failure, commit, artefacts, ended_at, notes: notes.into() }
    }
}

impl From<AttemptAsked2> for AttemptAsked {
    fn from(old: AttemptAsked2) -> Self {
        let AttemptAsked2 { id, ask, commit, ended_at, notes } = old;
        Self { id, ask, commit, ended_at, notes: notes.into() }
    }
}

impl From<AttemptSucceeded4> for AttemptSucceeded {
    fn from(old: AttemptSucceeded4) -> Self {
        let AttemptSucceeded4 { id, output, commit, artefacts, ended_at, notes } = old;
        Self { id, output, commit, artefacts, ended_at, notes: notes.into() }
    }
}

impl From<AttemptFailed4> for AttemptFailed {
    fn from(old: AttemptFailed4) -> Self {
        let AttemptFailed4 { id, failure, commit, artefacts, ended_at, notes } = old;
        Self { id, failure, commit, artefacts, ended_at, notes: notes.into() }
    }
}

impl From<AttemptAsked3> for AttemptAsked {
    fn from(old: AttemptAsked3) -> Self {
        let AttemptAsked3 { id, ask, commit, ended_at, notes } = old;
        Self { id, ask, commit, ended_at, notes: notes.into() }
    }
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
