//! What an expression uses of the values that it asks for.
//!
//! Law: evaluation answers from the parts that are used as from the whole values. Where it cannot be told beforehand what is used
//! of a value, all of it is.
//!
//! The walk goes from the whole expression inwards and takes along what the surroundings want of a node: who wants `a.b` uses the
//! field `b` of `a`; what a loop's body wants of its variable, the loop uses of each item of its range; and what the
//! surroundings want of the items that `filter` and `map` give, those want of what they append. So
//! `run.steps.filter(s, s.id == 'x').map(s, s.rounds)` uses of each step its `id` and its `rounds`.

use std::collections::BTreeMap;

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr as Node, LiteralValue, operators};
use cel::common::types::{CelMapKey, CelNull};
use cel::common::value::Val;
use cel::parser::Expression as IdedNode;
use serde_json::Value;

use super::bounds::RANGE;
use super::json_value::{from_json, list_of, map_of};
use super::names::{HAS, TYPES};

/// What is used of a value. A list has its length and a text, a number, a bool or null is itself, whatever the use is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ValueUse {
    Whole,
    Parts {
        /// Of a map, by the names of its fields.
        fields: BTreeMap<String, ValueUse>,
        /// Of all items of a list, or of all fields of a map, which are all there then.
        items: Option<Box<ValueUse>>,
    },
}

impl ValueUse {
    /// Whether there is a value, and of what kind.
    const KIND: Self = Self::Parts { fields: BTreeMap::new(), items: None };

    fn of_field(name: &str, of_it: Self) -> Self {
        Self::Parts { fields: BTreeMap::from([(name.to_owned(), of_it)]), items: None }
    }

    fn of_items(of_each: Self) -> Self {
        Self::Parts { fields: BTreeMap::new(), items: Some(Box::new(of_each)) }
    }

    fn add(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Whole, _) => {}
            (_, Self::Whole) => *self = Self::Whole,
            (Self::Parts { fields, items }, Self::Parts { fields: more, items: of_each }) => {
                for (name, of_it) in more {
                    fields.entry(name).or_insert(Self::KIND).add(of_it);
                }
                if let Some(of_each) = of_each {
                    items.get_or_insert_with(|| Box::new(Self::KIND)).add(*of_each);
                }
            }
        }
    }

    /// The use of a field; `None`: it is not used.
    pub(super) fn field(&self, name: &str) -> Option<Self> {
        match self {
            Self::Whole => Some(Self::Whole),
            Self::Parts { fields, items } => {
                let mut of_it = [fields.get(name), items.as_deref()].into_iter().flatten().cloned();
                let first = of_it.next()?;
                Some(of_it.fold(first, |mut sum, more| {
                    sum.add(more);
                    sum
                }))
            }
        }
    }

    fn item(&self) -> Self {
        match self {
            Self::Whole => Self::Whole,
            Self::Parts { items, .. } => items.as_deref().cloned().unwrap_or(Self::KIND),
        }
    }

    /// What is used of a value, as CEL sees it.
    pub(super) fn taken_from<'v>(&self, value: &'v Value) -> Box<dyn Val + 'v> {
        let Self::Parts { fields, items } = self else { return from_json(value) };
        match value {
            Value::Object(all) if items.is_some() => map_of(all.iter().filter_map(|(name, value)| {
                Some((CelMapKey::from(name.as_str()), self.field(name)?.taken_from(value)))
            })),
            Value::Object(all) => map_of(fields.iter().filter_map(|(name, of_it)| {
                let (name, value) = all.get_key_value(name)?;
                Some((CelMapKey::from(name.as_str()), of_it.taken_from(value)))
            })),
            Value::Array(all) => list_of(all.iter().map(|item| match items {
                Some(of_each) => of_each.taken_from(item),
                None => Box::new(CelNull),
            })),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => from_json(value),
        }
    }
}

/// What an expression uses of the values of a scope, by their root names.
pub(super) struct ValueUses(BTreeMap<String, ValueUse>);

impl ValueUses {
    /// What a tree uses.
    pub(super) fn of(tree: &IdedNode) -> Self {
        let mut walk = UseWalk { roots: BTreeMap::new(), bound: Vec::new() };
        walk.visit(tree, &ValueUse::Whole);
        Self(walk.roots)
    }

    /// The use of what a path leads to; `None`: it is not used.
    pub(super) fn at(&self, path: &[&str]) -> Option<ValueUse> {
        let (root, fields) = path.split_first()?;
        let root = self.0.get(*root)?.clone();
        fields.iter().try_fold(root, |of_it, name| of_it.field(name))
    }
}

struct UseWalk {
    roots: BTreeMap<String, ValueUse>,
    /// The names that loops give, and what is used of their items; `None` for what loops collect.
    bound: Vec<(String, Option<ValueUse>)>,
}

impl UseWalk {
    fn visit(&mut self, node: &IdedNode, wanted: &ValueUse) {
        match &node.expr {
            Node::Literal(_) | Node::Unspecified | Node::Struct(_) => {}
            Node::Ident(name) => self.name(name.trim_start_matches('.'), wanted),
            Node::Select(select) => {
                let of_it = if select.test { ValueUse::KIND } else { wanted.clone() };
                self.visit(&select.operand, &ValueUse::of_field(&select.field, of_it));
            }
            Node::List(list) => {
                let of_each = wanted.item();
                list.elements.iter().for_each(|element| self.visit(element, &of_each));
            }
            Node::Map(map) => map.entries.iter().for_each(|entry| {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    self.visit(&entry.key, &ValueUse::Whole);
                    let of_it = match text(&entry.key) {
                        Some(name) => wanted.field(name).unwrap_or(ValueUse::KIND),
                        None => ValueUse::Whole,
                    };
                    self.visit(&entry.value, &of_it);
                }
            }),
            Node::Call(call) => self.call(call, wanted),
            Node::Comprehension(loops) => self.loops(loops, wanted),
        }
    }

    fn name(&mut self, name: &str, wanted: &ValueUse) {
        if let Some((_, of_it)) = self.bound.iter_mut().rev().find(|(bound, _)| bound == name) {
            if let Some(of_it) = of_it {
                of_it.add(wanted.clone());
            }
        } else if !name.starts_with('@') && !TYPES.contains(&name) {
            self.roots.entry(name.to_owned()).or_insert(ValueUse::KIND).add(wanted.clone());
        }
    }

    fn call(&mut self, call: &CallExpr, wanted: &ValueUse) {
        match (call.func_name.as_str(), call.target.as_deref(), call.args.as_slice()) {
            (operators::CONDITIONAL, None, [condition, then, otherwise]) => {
                self.visit(condition, &ValueUse::Whole);
                self.visit(then, wanted);
                self.visit(otherwise, wanted);
            }
            (operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT, None, [operand, key]) => {
                self.visit(key, &ValueUse::Whole);
                self.visit(
                    operand,
                    &match text(key) {
                        Some(name) => ValueUse::of_field(name, wanted.clone()),
                        None => ValueUse::of_items(wanted.clone()),
                    },
                );
            }
            (HAS, None, [operand, key]) => self.visit(
                operand,
                &match text(key) {
                    Some(name) => ValueUse::of_field(name, ValueUse::KIND),
                    None => ValueUse::Whole,
                },
            ),
            (operators::EQUALS | operators::NOT_EQUALS, None, [left, right]) => {
                self.visit(left, &compared_with(right));
                self.visit(right, &compared_with(left));
            }
            (operators::ADD, None, [left, right]) => {
                self.visit(left, wanted);
                self.visit(right, wanted);
            }
            (RANGE, None, [range]) => self.visit(range, wanted),
            ("size", Some(of), []) | ("size", None, [of]) => {
                self.visit(of, &ValueUse::of_items(ValueUse::KIND));
            }
            ("orValue" | "or", Some(optional), [default]) => {
                self.visit(optional, wanted);
                self.visit(default, wanted);
            }
            ("hasValue", Some(optional), []) => self.visit(optional, &ValueUse::KIND),
            (_, target, args) => {
                target.into_iter().chain(args).for_each(|part| self.visit(part, &ValueUse::Whole));
            }
        }
    }

    fn loops(&mut self, loops: &ComprehensionExpr, wanted: &ValueUse) {
        self.visit(&loops.accu_init, &ValueUse::Whole);
        let outer = self.bound.len();
        self.bound.push((loops.accu_var.clone(), None));
        let is_simple = loops.iter_var2.is_none();
        self.bound.push((loops.iter_var.clone(), is_simple.then_some(ValueUse::KIND)));
        self.bound.extend(loops.iter_var2.iter().map(|name| (name.clone(), None)));
        self.visit(&loops.loop_cond, &ValueUse::Whole);
        match appended(loops) {
            Some((guard, item)) => {
                guard.into_iter().for_each(|guard| self.visit(guard, &ValueUse::Whole));
                self.visit(item, &wanted.item());
            }
            None => {
                self.visit(&loops.loop_step, &ValueUse::Whole);
                self.visit(&loops.result, &ValueUse::Whole);
            }
        }
        let of_each = self.bound.drain(outer..).nth(1).and_then(|(_, of_each)| of_each);
        self.visit(&loops.iter_range, &of_each.map_or(ValueUse::Whole, ValueUse::of_items));
    }
}

/// What `filter` and `map` append to their result at each turn, and on what condition.
fn appended(loops: &ComprehensionExpr) -> Option<(Option<&IdedNode>, &IdedNode)> {
    let is_accu = |node: &IdedNode| matches!(&node.expr, Node::Ident(name) if *name == loops.accu_var);
    if !is_accu(&loops.result) {
        return None;
    }
    let called = |node: &'_ IdedNode, function: &str| match &node.expr {
        Node::Call(call) if call.func_name == function && call.target.is_none() => true,
        _other => false,
    };
    let step = &loops.loop_step;
    let (guard, step) = match &step.expr {
        Node::Call(call) if called(step, operators::CONDITIONAL) => match call.args.as_slice() {
            [guard, step, otherwise] if is_accu(otherwise) => (Some(guard), step),
            _other => return None,
        },
        _unconditional => (None, step),
    };
    let Node::Call(call) = &step.expr else { return None };
    let [accu, added] = call.args.as_slice() else { return None };
    let Node::List(list) = &added.expr else { return None };
    let [item] = list.elements.as_slice() else { return None };
    (called(step, operators::ADD) && is_accu(accu)).then_some((guard, item))
}

/// What a comparison with this node needs of the other side. A text, a number, a bool or null is equal to none but its own
/// kind, and an empty list to no list that has items.
fn compared_with(other: &IdedNode) -> ValueUse {
    match &other.expr {
        Node::Literal(_) => ValueUse::KIND,
        Node::List(list) if list.elements.is_empty() => ValueUse::KIND,
        _other => ValueUse::Whole,
    }
}

fn text(node: &IdedNode) -> Option<&str> {
    match &node.expr {
        Node::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _other => None,
    }
}
