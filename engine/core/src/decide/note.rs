//! A note is added to a run.

use super::draft::Draft;
use super::preconditions::check_text;
use super::refusal::Refusal;
use crate::event::NoteAdded;

pub(super) fn note(draft: &mut Draft<'_>, note: &NoteAdded) -> Result<(), Refusal> {
    check_text("the note", Some(&note.text))?;
    draft.record(note.clone());
    Ok(())
}
