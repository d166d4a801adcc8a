//! What was typed into a form that was refused, and what changed in between.

use super::task::SeenPart;
use crate::form::Fields;
use crate::problem::{CHANGED, Problem};

/// What was typed into a form that was refused, and why it was.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    fields: Option<Fields>,
    pub(super) problem: Option<Problem>,
}

impl Draft {
    /// What a refused form brought.
    pub(super) fn refused(fields: &Fields, problem: Option<Problem>) -> Self {
        Self { fields: Some(fields.clone()), problem }
    }

    /// The fields of the refused form, if it is of one.
    pub(super) fn fields(&self) -> Option<&Fields> {
        self.fields.as_ref()
    }

    /// What was typed into a field.
    pub(super) fn text(&self, name: &str) -> &str {
        self.fields.as_ref().and_then(|fields| fields.text(name)).unwrap_or_default()
    }

    /// What was made of a field.
    pub(super) fn edit<'a>(&'a self, name: &'a str) -> FieldEdit<'a> {
        self.fields.as_ref().map_or(FieldEdit::Untouched, |fields| FieldEdit::of(fields, name))
    }

    /// Whether it was refused because something else is shown now.
    pub(super) fn is_of_change(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem.code == CHANGED)
    }
}

/// What a form carries of a part, to tell later whether it changed.
pub(super) fn mark(part: &SeenPart) -> String {
    format!("{} {} {}", part.kind, part.hash.as_deref().unwrap_or("-"), part.what)
}

/// What differs between the parts that a form was loaded with and those of now.
pub(super) fn changed_parts(then: &[&str], now: &[String]) -> Vec<String> {
    let read = |mark: &str| {
        let mut parts = mark.splitn(3, ' ').map(str::to_owned);
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
    };
    let then: Vec<_> = then.iter().map(|mark| read(mark)).collect();
    let now: Vec<_> = now.iter().map(|mark| read(mark)).collect();
    let mut changed = Vec::new();
    for (kind, hash, what) in &now {
        match then.iter().find(|(old, _, name)| old == kind && name == what) {
            Some((_, old, _)) if old == hash => {}
            Some((_, old, _)) => {
                changed.push(format!("{what}: was {:.12}, is {:.12}", old, hash));
            }
            None => changed.push(format!("{what} is new")),
        }
    }
    let gone =
        then.iter().filter(|(kind, _, what)| !now.iter().any(|(of, _, name)| of == kind && name == what));
    changed.extend(gone.map(|(_, _, what)| format!("{what} is not shown any more")));
    changed
}

/// Whether a field held something else when its page was made than it would now.
pub(super) fn holds_other(fields: &Fields, name: &str, now: &str) -> bool {
    let former = format!("{name}.was");
    fields.all(&former).next().is_some_and(|former| plain(former) != plain(now))
}

/// A text with plain ends of lines: a browser sends them as two characters.
fn plain(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// What a user made of a field since the server made its page. What it held then stands in the field `NAME.was`. A form says
/// nothing of a field that its user did not touch: another user may have changed that part since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldEdit<'a> {
    /// It holds what it held, or is none of the form.
    Untouched,
    /// What it held was taken out.
    Emptied,
    /// This was typed or chosen.
    Text(&'a str),
}

impl<'a> FieldEdit<'a> {
    /// What a form made of one of its fields; one without `NAME.was` held nothing.
    pub(super) fn of(fields: &'a Fields, name: &'a str) -> Self {
        let text = fields.all(name).next().unwrap_or_default();
        let former = format!("{name}.was");
        let former = fields.all(&former).next().unwrap_or_default();
        match (former.trim().is_empty(), text.trim().is_empty()) {
            (true, true) => Self::Untouched,
            (false, true) => Self::Emptied,
            (_, false) if plain(former) == plain(text) => Self::Untouched,
            (_, false) => Self::Text(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_came_late_hears_what_changed() {
        let now =
            ["file bbbb plan.md".to_owned(), "title t title".to_owned(), "file - new one.md".to_owned()];
        let changed = changed_parts(&["file aaaa plan.md", "title t title", "text x gone"], &now);
        assert_eq!(
            changed,
            ["plan.md: was aaaa, is bbbb", "new one.md is new", "gone is not shown any more"]
        );
    }

    #[test]
    fn a_field_that_nobody_edited_is_that_of_now_when_the_form_comes_back() {
        for (form, edit) in [
            ("value=5&value.was=5", FieldEdit::Untouched),
            ("value=a%0D%0Ab&value.was=a%0Ab", FieldEdit::Untouched),
            ("value=6&value.was=5", FieldEdit::Text("6")),
            ("value=6", FieldEdit::Text("6")),
            ("value=+&value.was=5", FieldEdit::Emptied),
            ("value=&value.was=", FieldEdit::Untouched),
            ("comment=x", FieldEdit::Untouched),
        ] {
            assert_eq!(Draft::refused(&Fields::read(form.as_bytes()), None).edit("value"), edit, "{form}");
        }
    }
}
