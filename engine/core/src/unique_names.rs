//! Names that are given once: one stream per scope, `engine/name:SCOPE`.
//!
//! Law: a name belongs to the step that it was given to, for ever. The same step of the same run that wants the same
//! name again gets what it was given. A run that continues another one has the names of that run, too, once the
//! importer has passed them on. Pure: folding neither fails nor chooses.
//!
//! Called by the runtime, the only writer of these streams.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use crate::aggregate::stream_of;
use everfold_base::codec::stored;
use everfold_base::envelope::{StreamId, StreamKind};
use everfold_base::id::{RunId, StepPath};
use everfold_base::json::Hash;

/// No event of these streams is longer.
const BYTES_MAX: u64 = 4 * 1024;
/// The longest name that is wanted, and the longest scope.
pub const NAME_BYTES_MAX: usize = 256;
/// The most names of one scope.
pub const NAMES_MAX: usize = 50_000;
/// Other names that are tried before numbers are counted up.
pub const OTHERS_MAX: usize = 16;
/// Names that are in use elsewhere.
pub const USED_MAX: usize = 10_000;
/// What the fold's snapshots are numbered with: raised when the same events fold to another state.
pub const NAMES_FOLD_VERSION: u32 = 1;

/// A name is given to a step of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameTaken {
    /// The name.
    pub name: String,
    /// What was wanted.
    pub wanted: String,
    /// The run.
    pub run: RunId,
    /// Its step, with the item of a `foreach`.
    pub path: StepPath,
}

/// An event of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameEvent {
    /// A name is given.
    NameTaken(NameTaken),
}

stored!(NameEvent, BYTES_MAX, { NameTaken = 70 });

/// What becomes of a wanted name that is taken, and of the others as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenTaken {
    /// `name-2`, `name-3` and so on.
    #[default]
    Suffix,
    /// The number at its end is counted up, with its width: `ET-006`, `ET-007`. A name without one gets a suffix.
    Next,
    /// The name itself is not looked at: the number follows the highest one that there is, and is not below its own.
    AfterLast,
}

/// A name that a step wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WantedName {
    /// The name.
    pub name: String,
    /// By what a repeat of the step finds what it was given, where that is not the name.
    pub wish: Option<String>,
    /// Tried one after the other where it is taken.
    pub others: Vec<String>,
    /// Names that are in use outside of the engine.
    pub used: BTreeSet<String>,
    /// What follows where all are taken.
    pub when_taken: WhenTaken,
    /// The names are paths, as those of branches: one that is taken takes those below it and above it, too.
    pub is_path: bool,
}

impl WantedName {
    /// By what a repeat of the step finds what it was given.
    #[must_use]
    pub fn wish(&self) -> &str {
        self.wish.as_deref().unwrap_or(&self.name)
    }
}

/// The scope holds as many names as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the scope holds {NAMES_MAX} names, and no more are given")]
pub struct ScopeFull;

/// No name is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameRefusal {
    /// The scope holds as many as it may.
    #[error(transparent)]
    Full(#[from] ScopeFull),
    /// All that could be counted up lie below a name that is taken.
    #[error("none of the names is free")]
    NoneFree,
}

/// The names of one scope: a fold of its stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UniqueNames {
    names: BTreeSet<String>,
    /// What was given, by the hash of run, step and what was wanted.
    given: BTreeMap<Hash, String>,
}

impl UniqueNames {
    /// The stream of a scope.
    #[must_use]
    pub fn stream(scope: &str) -> StreamId {
        stream_of("name", scope)
    }

    /// Whether a stream is that of a scope.
    #[must_use]
    pub fn is_stream(stream: &StreamId) -> bool {
        stream.kind == StreamKind::Engine
            && (stream.id.starts_with("name:") || stream.id.starts_with("name#"))
    }

    /// Folds a fact.
    pub fn apply(&mut self, event: &NameEvent) {
        let NameEvent::NameTaken(taken) = event;
        self.names.insert(taken.name.clone());
        self.given.insert(claim(taken.run, &taken.path, &taken.wanted), taken.name.clone());
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// What a step was given that wanted this name.
    #[must_use]
    pub fn given(&self, run: RunId, path: &StepPath, wanted: &str) -> Option<&str> {
        self.given.get(&claim(run, path, wanted)).map(String::as_str)
    }

    /// Gives a step a name that no other step has; nothing where it was given one before.
    ///
    /// # Errors
    /// [`NameRefusal`]
    pub fn take(
        &self,
        run: RunId,
        path: &StepPath,
        wanted: &WantedName,
    ) -> Result<Option<NameEvent>, NameRefusal> {
        if self.given(run, path, wanted.wish()).is_some() {
            return Ok(None);
        }
        if self.names.len() >= NAMES_MAX {
            return Err(ScopeFull.into());
        }
        let is_free = |name: &String| {
            [&self.names, &wanted.used].into_iter().all(|taken| match wanted.is_path {
                true => !is_path_taken(taken, name),
                false => !taken.contains(name),
            })
        };
        let first = match wanted.when_taken {
            WhenTaken::AfterLast => self.after_last(wanted),
            WhenTaken::Suffix | WhenTaken::Next => wanted.name.clone(),
        };
        let written = std::iter::once(first).chain(wanted.others.iter().cloned());
        // Fewer names are taken than are counted up here, so one of these is free, unless all lie below a taken one.
        let tries = (self.names.len() + wanted.used.len()) as u64 + 1;
        let counted = (1..=tries).map(|n| numbered(&wanted.name, n, wanted.when_taken));
        let name = written.chain(counted).find(is_free).ok_or(NameRefusal::NoneFree)?;
        let taken = NameTaken { name, wanted: wanted.wish().to_owned(), run, path: path.clone() };
        Ok(Some(NameEvent::NameTaken(taken)))
    }

    /// Passes the name of a step to the same step of the run that continues the first run; `None`: that step has a name
    /// already, or the first has none.
    #[must_use]
    pub fn pass(&self, from: (RunId, &str), to: (RunId, &str), path: &StepPath) -> Option<NameEvent> {
        let ((former, wanted), (run, wish)) = (from, to);
        let name = self.given(former, path, wanted)?;
        if self.given(run, path, wish).is_some() {
            return None;
        }
        let taken = NameTaken { name: name.to_owned(), wanted: wish.to_owned(), run, path: path.clone() };
        Some(NameEvent::NameTaken(taken))
    }

    /// The name with the number after the highest one among those that differ from it in their number only.
    fn after_last(&self, wanted: &WantedName) -> String {
        let (text, digits, own) = counted(&wanted.name);
        let number = |name: &String| name.strip_prefix(text).and_then(|number| number.parse::<u64>().ok());
        let of = |names: &BTreeSet<String>| {
            let alike = names.range(text.to_owned()..).take_while(|name| name.starts_with(text));
            alike.filter_map(number).max()
        };
        let last = of(&self.names).max(of(&wanted.used));
        let next = last.and_then(|last| last.checked_add(1)).unwrap_or_default().max(own.unwrap_or(1));
        format!("{text}{next:0digits$}")
    }
}

/// Identifies what a step wants.
fn claim(run: RunId, path: &StepPath, wanted: &str) -> Hash {
    Hash::of(format!("{run}/{path}/{wanted}").as_bytes())
}

/// Whether a name, one above it or one below it is taken.
fn is_path_taken(taken: &BTreeSet<String>, name: &str) -> bool {
    let above = name.match_indices('/').map(|(at, _)| &name[..at]);
    if taken.contains(name) || above.into_iter().any(|above| taken.contains(above)) {
        return true;
    }
    let below = format!("{name}/");
    let mut next = taken.range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded));
    next.next().is_some_and(|next| next.starts_with(&below))
}

/// The nth name after a name.
fn numbered(name: &str, n: u64, how: WhenTaken) -> String {
    let (text, digits, number) = counted(name);
    match (how, number.and_then(|number| number.checked_add(n))) {
        (WhenTaken::Next | WhenTaken::AfterLast, Some(next)) => format!("{text}{next:0digits$}"),
        _no_number => format!("{name}-{}", n.saturating_add(1)),
    }
}

/// What stands before the number at the end of a name, how many digits that has, and the number.
fn counted(name: &str) -> (&str, usize, Option<u64>) {
    let text = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = &name[text.len()..];
    (text, number.len(), number.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(names: &mut UniqueNames, run: u128, step: &str, wanted: &WantedName) -> String {
        let (run, path) = (RunId(uuid::Uuid::from_u128(run)), StepPath::step(&step.into()));
        if let Some(event) = names.take(run, &path, wanted).unwrap() {
            names.apply(&event);
        }
        names.given(run, &path, wanted.wish()).expect("it was given one").to_owned()
    }

    fn plain(name: &str) -> WantedName {
        WantedName { name: name.into(), ..WantedName::default() }
    }

    #[test]
    fn a_name_is_given_once_and_the_same_step_gets_the_same_again() {
        let mut names = UniqueNames::default();
        let wanted = plain("dark-mode");
        let given: Vec<String> = [(1, "name"), (2, "name"), (1, "name"), (1, "other"), (2, "name")]
            .map(|(run, step)| ask(&mut names, run, step, &wanted))
            .to_vec();
        assert_eq!(given, ["dark-mode", "dark-mode-2", "dark-mode", "dark-mode-3", "dark-mode-2"]);
        assert_eq!(
            ask(&mut names, 1, "name", &plain("light-mode")),
            "light-mode",
            "another name is another wish"
        );
    }

    #[test]
    fn other_names_go_before_numbers_and_names_in_use_elsewhere_are_left_out() {
        let mut names = UniqueNames::default();
        let wanted = WantedName {
            others: vec!["feature/7-abc".into()],
            used: ["feature/7-abc-2".to_owned(), "feature/7-2".to_owned()].into(),
            ..plain("feature/7")
        };
        let given: Vec<String> = (1..=3).map(|run| ask(&mut names, run, "name", &wanted)).collect();
        assert_eq!(given, ["feature/7", "feature/7-abc", "feature/7-3"]);
    }

    #[test]
    fn a_number_at_the_end_is_counted_up_with_its_width() {
        let mut names = UniqueNames::default();
        let next = |name: &str| WantedName { when_taken: WhenTaken::Next, ..plain(name) };
        assert_eq!(ask(&mut names, 1, "a", &next("ET-006")), "ET-006");
        assert_eq!(ask(&mut names, 2, "a", &next("ET-006")), "ET-007");
        assert_eq!(ask(&mut names, 3, "a", &next("ET-006")), "ET-008");
        assert_eq!(ask(&mut names, 4, "a", &next("ET-abc")), "ET-abc");
        assert_eq!(ask(&mut names, 5, "a", &next("ET-abc")), "ET-abc-2", "there is no number to count up");
        assert_eq!(ask(&mut names, 6, "a", &next("ET-99")), "ET-99");
        assert_eq!(ask(&mut names, 7, "a", &next("ET-99")), "ET-100");
    }

    #[test]
    fn a_path_that_is_taken_takes_what_lies_below_and_above_it() {
        let mut names = UniqueNames::default();
        let path = |name: &str, others: &[&str]| WantedName {
            others: others.iter().map(|&other| other.to_owned()).collect(),
            used: ["top".to_owned(), "deep/a/b".to_owned()].into(),
            is_path: true,
            ..plain(name)
        };
        assert_eq!(ask(&mut names, 1, "a", &path("feature/x", &[])), "feature/x");
        assert_eq!(ask(&mut names, 2, "a", &path("feature", &["feature/y"])), "feature/y", "above");
        assert_eq!(ask(&mut names, 3, "a", &path("feature/x/z", &["x"])), "x", "below");
        assert_eq!(ask(&mut names, 4, "a", &path("deep/a", &[])), "deep/a-2", "in use elsewhere");
        assert_eq!(ask(&mut names, 5, "a", &path("deep/a-", &[])), "deep/a-", "no part of another's name");
        let (run, step) = (RunId(uuid::Uuid::from_u128(6)), StepPath::step(&"a".into()));
        let none = names.take(run, &step, &path("top/a", &[]));
        assert_eq!(none, Err(NameRefusal::NoneFree), "counting up leaves no taken folder");
    }

    #[test]
    fn a_number_follows_the_highest_one_that_there_is() {
        let mut names = UniqueNames::default();
        let last = |name: &str| WantedName { when_taken: WhenTaken::AfterLast, ..plain(name) };
        assert_eq!(ask(&mut names, 1, "a", &last("ET-001")), "ET-001");
        assert_eq!(ask(&mut names, 2, "a", &plain("ET-018")), "ET-018");
        assert_eq!(ask(&mut names, 3, "a", &plain("ETA-90")), "ETA-90");
        assert_eq!(ask(&mut names, 4, "a", &plain("ET-99x")), "ET-99x");
        assert_eq!(ask(&mut names, 5, "a", &last("ET-001")), "ET-019");
        let used = WantedName { used: ["ET-1000".to_owned()].into(), ..last("ET-001") };
        assert_eq!(ask(&mut names, 6, "a", &used), "ET-1001");
        assert_eq!(ask(&mut names, 7, "a", &last("ET-5000")), "ET-5000", "it is not below its own");
        assert_eq!(ask(&mut names, 8, "a", &plain(&format!("ET-{}", u64::MAX))), format!("ET-{}", u64::MAX));
        assert_eq!(
            ask(&mut names, 9, "a", &last("ET-001")),
            "ET-002",
            "there is no number after the highest"
        );
    }

    #[test]
    fn a_step_finds_its_name_by_its_wish_whatever_name_it_wants_then() {
        let mut names = UniqueNames::default();
        let wants = |name: &str| WantedName { wish: Some("number of ET".into()), ..plain(name) };
        assert_eq!(ask(&mut names, 1, "a", &wants("ET-006")), "ET-006");
        assert_eq!(ask(&mut names, 1, "a", &wants("ET-001")), "ET-006");
        assert_eq!(ask(&mut names, 2, "a", &wants("ET-006")), "ET-006-2");
        let (run, path) = (RunId(uuid::Uuid::from_u128(1)), StepPath::step(&"a".into()));
        assert_eq!(names.given(run, &path, "ET-006"), None, "it did not wish for that name");
    }

    #[test]
    fn a_run_that_goes_on_has_the_name_of_the_run_before_and_no_other_run_gets_it() {
        let mut names = UniqueNames::default();
        let (run, path) = (|n: u128| RunId(uuid::Uuid::from_u128(n)), StepPath::step(&"item".into()));
        assert_eq!(names.pass((run(1), "ET-007"), (run(2), "ET by Plane"), &path), None, "there is none");
        assert_eq!(ask(&mut names, 1, "item", &plain("ET-007")), "ET-007");
        let passed = names.pass((run(1), "ET-007"), (run(2), "ET by Plane"), &path).unwrap();
        names.apply(&passed);
        let next = |name: &str| WantedName {
            wish: Some("ET by Plane".into()),
            when_taken: WhenTaken::Next,
            ..plain(name)
        };
        assert_eq!(ask(&mut names, 2, "item", &next("ET-007")), "ET-007");
        assert_eq!(ask(&mut names, 3, "item", &next("ET-007")), "ET-008");
        assert_eq!(names.pass((run(1), "ET-007"), (run(2), "ET by Plane"), &path), None, "it has it");
        assert_eq!(names.pass((run(1), "ET-007"), (run(3), "ET by Plane"), &path), None, "it has another");
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn the_stored_bytes_stay() {
        let taken = NameTaken {
            name: "a-2".into(),
            wanted: "a".into(),
            run: RunId(uuid::Uuid::from_u128(1)),
            path: StepPath::step(&"s".into()),
        };
        let event = NameEvent::NameTaken(taken);
        let (kind, schema, bytes) = event.encode().unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            format!("{kind}/{schema}/{hex}"),
            "70/1/0300000000000000612d3201000000000000006110000000000000000000000000000000000000000000000101000000000000007300"
        );
        assert_eq!(NameEvent::decode(kind, schema, &bytes).unwrap(), event);
        assert_eq!(UniqueNames::stream("branches").to_string(), "engine/name:branches");
    }
}
