//! Locals: values with names, written out wherever `local.NAME` stands.
//!
//! Law: what the reader gets, and with it the definition and its hash, holds no local. One that nothing uses is pointed out.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::codes::Code;
use super::problem::{Problem, SourceText};
use super::similar::similar;
use super::written_text::WrittenText;
use super::yaml::{COPIED_BYTES_MAX, Kind, NODES_MAX, YamlNode};
use crate::expr::FieldUse;

/// The root by which expressions name locals.
pub(super) const ROOT: &str = "local";

/// The locals of a pipeline, written out.
#[derive(Debug)]
pub(super) struct Locals {
    by_name: BTreeMap<String, Local>,
    /// Those that something names, be it another one.
    used: RefCell<BTreeSet<String>>,
    /// The bytes and values that may still be written out.
    room: Cell<Option<(usize, usize)>>,
}

/// A value with a name.
#[derive(Debug, Clone)]
pub(super) struct Local {
    /// Where its name stands.
    pub(super) key: Range<usize>,
    /// What it stands for; `None` where that is broken.
    pub(super) value: Option<LocalValue>,
}

/// What a local stands for.
#[derive(Debug, Clone)]
pub(super) struct LocalValue {
    pub(super) node: YamlNode,
    /// As an expression.
    pub(super) expression: WrittenText,
    /// The names that it asks for.
    pub(super) roots: BTreeSet<String>,
}

impl Locals {
    /// A pipeline without locals.
    pub(super) fn none() -> Self {
        Self { by_name: BTreeMap::new(), used: RefCell::default(), room: Cell::new(None) }
    }

    /// Locals that are about to be read.
    pub(super) fn unread() -> Self {
        Self { room: Cell::new(Some((COPIED_BYTES_MAX, NODES_MAX))), ..Self::none() }
    }

    /// Adds the local of a name.
    pub(super) fn insert(&mut self, name: &str, local: Local) {
        self.by_name.insert(name.to_owned(), local);
    }

    /// The locals as the value of `locals`, for pipelines within this one: the files that those name may use them.
    pub(super) fn node(&self, at: Range<usize>) -> YamlNode {
        let text =
            |text: &str| YamlNode::new(at.clone(), Kind::Scalar { text: text.to_owned(), plain: false });
        let sound = self.by_name.iter().filter_map(|(name, local)| Some((name, local.value.as_ref()?)));
        let entries = sound.map(|(name, value)| (text(name), value.node.clone())).collect();
        YamlNode::new(at.clone(), Kind::Map(entries))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The local of a name.
    pub(super) fn get(&self, name: &str) -> Option<&Local> {
        self.by_name.get(name)
    }

    /// Notes that these are used, also where what uses them is refused.
    pub(super) fn note_uses(&self, uses: &[FieldUse]) {
        self.used.borrow_mut().extend(uses.iter().filter_map(|one| one.field.clone()));
    }

    /// What to write in the place of a name that no local has.
    pub(super) fn hint(&self, name: &str) -> String {
        let names = || self.by_name.keys().map(String::as_str);
        match similar(name, names()) {
            Some(near) => format!("did you mean `{ROOT}.{near}`?"),
            None if self.by_name.is_empty() => format!("declare it: locals: {{ {name}: … }}"),
            None => format!("there are: {}", names().collect::<Vec<_>>().join(", ")),
        }
    }

    /// Takes from what may be written out. `None`: it was too little before; `Some(false)`: it is from now on.
    pub(super) fn reserve(&self, bytes: usize, nodes: usize) -> Option<bool> {
        let (free_bytes, free_nodes) = self.room.get()?;
        let left = free_bytes.checked_sub(bytes).zip(free_nodes.checked_sub(nodes));
        self.room.set(left);
        Some(left.is_some())
    }

    /// Points out locals that nothing names.
    pub(super) fn report_unused(&self, source: &SourceText, problems: &mut Vec<Problem>) {
        let used = self.used.borrow();
        for (name, local) in self.by_name.iter().filter(|(name, _)| !used.contains(*name)) {
            let message = format!("nothing uses the local “{name}”");
            let problem = source.problem(Code::Unused, local.key.clone(), message);
            problems.push(problem.hint(format!("write {ROOT}.{name}, or remove it")));
        }
    }
}
