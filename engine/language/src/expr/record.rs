//! Expressions over the fields of a record: a row of a list.
//!
//! Law: a field that the record does not have is null, however deep it lies, and never an error; times and durations,
//! which are texts in JSON, are those of CEL.

use std::sync::Arc;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr as Node, ListExpr, LiteralValue, operators,
};
use cel::common::types::{CelMap, CelMapKey, CelNull, CelOptional, CelString};
use cel::common::value::{CowVal, Val};
use cel::parser::Expression as IdedNode;
use cel::{ExecutionError, FunctionContext};

use super::bounds::{BOUNDS, RANGE, bounded};
use super::compiled::{CompiledExpr, Expr, FieldChain, ITEM, chain_of};
use super::error::ExprError;
use super::types::{Lookup, Type, type_of};
use super::value_use::ValueUses;

/// What `x.field` becomes: null where `x` has no such field.
pub(super) const FIELD: &str = "@field";
/// The name of a computed key.
const KEY: &str = "@key";

impl Expr {
    /// Compiles a text over a record whose fields have these types.
    ///
    /// # Errors
    /// As [`Expr::parse`].
    pub fn over_record(source: &str, types: &Lookup<'_>) -> Result<Self, ExprError> {
        let parsed = Self::parse(source)?;
        Ok(parsed.part(&parsed.0.tree, types))
    }

    /// A part of the expression as one by itself, over a record.
    pub(super) fn part(&self, tree: &IdedNode, types: &Lookup<'_>) -> Self {
        let of = &self.0;
        let mut evaluated = tree.clone();
        rewrite(&mut evaluated, &mut Vec::new(), types);
        let (evaluated, _has_charges) = bounded(&evaluated);
        let mut functions = of.functions.clone();
        functions.extend(BOUNDS);
        functions.insert(FIELD);
        Self(Arc::new(CompiledExpr {
            source: of.source.clone(),
            tree: tree.clone(),
            evaluated,
            references: of.references.clone(),
            chains: of.chains.clone(),
            uses: ValueUses::of(tree),
            functions,
            patterns: of.patterns.clone(),
            bad_days: of.bad_days.clone(),
            variables: of.variables.clone(),
        }))
    }

    /// The chains of fields that the loops of the expression follow from the items of lists: `awaits.exists(a, a.kind ==
    /// 'x')` gives `["awaits", "[]", "kind"]`.
    #[must_use]
    pub fn item_chains(&self) -> Vec<ItemChain> {
        let mut chains = Chains::default();
        chains.collect(&self.0.tree);
        chains.of_items
    }
}

/// A chain of fields from an item of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemChain {
    /// From the record on: `["awaits", "[]", "kind"]`.
    pub path: Vec<String>,
    /// As it is written, from the name that the loop gives to the item: `["a", "kind"]`.
    pub written: Vec<String>,
}

/// Chains of fields as an expression follows them, with the loops around them.
#[derive(Default)]
pub(super) struct Chains {
    /// The names that loops give, and of what list they are items.
    pub(super) bound: Vec<(String, Option<Vec<String>>)>,
    pub(super) of_fields: Vec<FieldChain>,
    of_items: Vec<ItemChain>,
    /// A name that a loop gives stands somewhere.
    pub(super) has_bound: bool,
}

impl Chains {
    /// The same loops, and no chains yet.
    pub(super) fn inside(&self) -> Self {
        Self { bound: self.bound.clone(), ..Self::default() }
    }

    /// The chain that a node is: from a field of the record, or from an item of one of its lists.
    pub(super) fn path(&self, node: &IdedNode) -> Option<FieldChain> {
        let all: Vec<String> = self.bound.iter().map(|(name, _)| name.clone()).collect();
        chain_of(node, &all).or_else(|| self.item_path(node))
    }

    fn item_path(&self, node: &IdedNode) -> Option<FieldChain> {
        let mut chain = chain_of(node, &[])?;
        let (_, list) = self.bound.iter().rev().find(|(name, _)| *name == chain.path[0])?;
        let list = list.as_ref()?;
        let path = list.iter().cloned().chain([ITEM.to_owned()]).chain(chain.path.drain(1..)).collect();
        Some(FieldChain { path, ..chain })
    }

    /// Enters a loop over what a node gives.
    pub(super) fn enter(&mut self, range: &IdedNode, accu: &str, item: &str) {
        let range = match &range.expr {
            Node::Call(call) if call.func_name == RANGE => call.args.first(),
            _bare => Some(range),
        };
        let list = range.and_then(|range| self.path(range)).filter(|chain| !chain.tested);
        self.bound.push((accu.to_owned(), None));
        self.bound.push((item.to_owned(), list.map(|chain| chain.path)));
    }

    pub(super) fn collect(&mut self, node: &IdedNode) {
        let all: Vec<String> = self.bound.iter().map(|(name, _)| name.clone()).collect();
        if let Some(chain) = chain_of(node, &all) {
            return self.of_fields.push(chain);
        }
        if let (Some(chain), Some(written)) = (self.item_path(node), chain_of(node, &[])) {
            self.has_bound = true;
            return self.of_items.push(ItemChain { path: chain.path, written: written.path });
        }
        match &node.expr {
            Node::Ident(name) => self.has_bound |= all.contains(name),
            Node::Literal(_) | Node::Unspecified | Node::Struct(_) => {}
            Node::Select(select) => self.collect(&select.operand),
            Node::List(list) => list.elements.iter().for_each(|part| self.collect(part)),
            Node::Map(map) => map.entries.iter().for_each(|entry| {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    self.collect(&entry.key);
                    self.collect(&entry.value);
                }
            }),
            Node::Call(call) => {
                call.target.as_deref().into_iter().chain(&call.args).for_each(|part| self.collect(part));
            }
            Node::Comprehension(loops) => {
                self.collect(&loops.iter_range);
                self.collect(&loops.accu_init);
                let depth = self.bound.len();
                self.enter(&loops.iter_range, &loops.accu_var, &loops.iter_var);
                self.bound.extend(loops.iter_var2.iter().map(|name| (name.clone(), None)));
                self.collect(&loops.loop_cond);
                self.collect(&loops.loop_step);
                self.collect(&loops.result);
                self.bound.truncate(depth);
            }
        }
    }
}

/// Lets absent fields be null, and takes times and durations out of their texts.
fn rewrite(node: &mut IdedNode, bound: &mut Vec<String>, types: &Lookup<'_>) {
    let chain = chain_of(node, bound).filter(|chain| !chain.tested && chain.guarded_from.is_none());
    let convert = chain.and_then(|chain| match types(&chain.path) {
        Type::Time => Some("timestamp"),
        Type::Span => Some("duration"),
        _other => None,
    });
    let times = read_as_times(node, bound, types);
    match &mut node.expr {
        Node::Literal(_) | Node::Ident(_) | Node::Unspecified | Node::Struct(_) => {}
        Node::Select(select) => {
            rewrite(&mut select.operand, bound, types);
            let operand = std::mem::take(&mut *select.operand);
            let field = made(node.id, Node::Literal(LiteralValue::String(select.field.clone().into())));
            node.expr = called(FIELD, vec![operand, field]);
        }
        Node::List(list) => list.elements.iter_mut().for_each(|part| rewrite(part, bound, types)),
        Node::Map(map) => map.entries.iter_mut().for_each(|entry| {
            if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                rewrite(&mut entry.key, bound, types);
                rewrite(&mut entry.value, bound, types);
            }
        }),
        Node::Call(call) => {
            let parts = call.target.as_deref_mut().into_iter().chain(&mut call.args);
            parts.for_each(|part| rewrite(part, bound, types));
            for (part, _) in call.args.iter_mut().zip(times).filter(|(_, is_time)| *is_time) {
                converted(part, "timestamp");
            }
            let is_field = call.func_name == operators::INDEX
                && matches!(
                    call.args.last().map(|key| &key.expr),
                    Some(Node::Literal(LiteralValue::String(_)))
                );
            if is_field {
                FIELD.clone_into(&mut call.func_name);
            }
            if !bound.is_empty() {
                name_key(call).into_iter().for_each(|named| node.expr = named);
            }
        }
        Node::Comprehension(loops) => {
            rewrite(&mut loops.iter_range, bound, types);
            rewrite(&mut loops.accu_init, bound, types);
            let depth = bound.len();
            bound.extend([loops.accu_var.clone(), loops.iter_var.clone()]);
            bound.extend(loops.iter_var2.clone());
            rewrite(&mut loops.loop_cond, bound, types);
            rewrite(&mut loops.loop_step, bound, types);
            rewrite(&mut loops.result, bound, types);
            bound.truncate(depth);
        }
    }
    if let Some(convert) = convert {
        converted(node, convert);
    }
}

/// `MAP[?KEY]` with a KEY that is computed, as CEL binds a name to it: by a name it is charged as it is looked up, and computed
/// once. Only records have it so: what is recorded of other expressions was decided without this charge.
fn name_key(call: &mut CallExpr) -> Option<Node> {
    let (operators::OPT_INDEX, [_, key]) = (call.func_name.as_str(), call.args.as_mut_slice()) else {
        return None;
    };
    if matches!(key.expr, Node::Literal(_) | Node::Ident(_)) {
        return None;
    }
    let id = key.id;
    let name = || made(id, Node::Ident(KEY.to_owned()));
    let computed = std::mem::replace(key, name());
    let nothing = ListExpr { elements: Vec::new(), optional_indices: Vec::new() };
    let result = called(&call.func_name, std::mem::take(&mut call.args));
    Some(Node::Comprehension(Box::new(ComprehensionExpr {
        iter_range: made(id, Node::List(nothing)),
        iter_var: "@none".to_owned(),
        iter_var2: None,
        accu_var: KEY.to_owned(),
        accu_init: computed,
        loop_cond: made(id, Node::Literal(LiteralValue::Boolean(false.into()))),
        loop_step: name(),
        result: made(id, result),
    })))
}

/// Takes a time or a duration out of its text, where that is there.
fn converted(node: &mut IdedNode, convert: &str) {
    let id = node.id;
    let text = std::mem::take(node);
    let null = || made(id, Node::Literal(LiteralValue::Null));
    let is_null = made(id, called(operators::EQUALS, vec![text.clone(), null()]));
    let value = made(id, called(convert, vec![text]));
    *node = made(id, called(operators::CONDITIONAL, vec![is_null, null(), value]));
}

/// Which sides of a comparison are fields of no known type that stand against a time: `search.due < now`.
fn read_as_times(node: &IdedNode, bound: &[String], types: &Lookup<'_>) -> [bool; 2] {
    const COMPARISONS: [&str; 6] = [
        operators::EQUALS,
        operators::NOT_EQUALS,
        operators::LESS,
        operators::LESS_EQUALS,
        operators::GREATER,
        operators::GREATER_EQUALS,
    ];
    let Node::Call(call) = &node.expr else { return [false; 2] };
    let [left, right] = call.args.as_slice() else { return [false; 2] };
    let is_time = |part: &IdedNode| type_of(part, bound, types) == Type::Time;
    let is_open = |part: &IdedNode| {
        let chain = chain_of(part, bound).filter(|chain| !chain.tested && chain.guarded_from.is_none());
        chain.is_some_and(|chain| chain.path.len() > 1 && types(&chain.path) == Type::Any)
    };
    if !COMPARISONS.contains(&call.func_name.as_str()) {
        return [false; 2];
    }
    [is_open(left) && is_time(right), is_open(right) && is_time(left)]
}

fn made(id: u64, expr: Node) -> IdedNode {
    IdedNode { id, expr }
}

fn called(function: &str, args: Vec<IdedNode>) -> Node {
    Node::Call(CallExpr { func_name: function.to_owned(), target: None, args })
}

/// `[value, name of a field]`: the field; null where it is not there, or the value is null. A field of a value that stands in
/// the record is not copied, however large it is.
pub(super) fn field<'context, 'call>(
    call: &mut FunctionContext<'context, 'call>,
) -> Result<CowVal<'context, 'call>, ExecutionError> {
    let (Some(name), Some(operand)) = (call.args.pop(), call.args.pop()) else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    let name = name.downcast_ref::<CelString>().map(|name| name.inner().to_owned()).unwrap_or_default();
    let null = || CowVal::owned(CelNull);
    Ok(match operand {
        CowVal::Borrowed(value) => field_of(value, name)?.map_or_else(null, CowVal::Borrowed),
        CowVal::Owned(value) => {
            field_of(value.as_ref(), name)?.map_or_else(null, |field| CowVal::Owned(field.clone_as_boxed()))
        }
    })
}

fn field_of<'value, 'call>(
    value: &'value (dyn Val + 'call),
    name: String,
) -> Result<Option<&'value (dyn Val + 'call)>, ExecutionError> {
    let value = match value.downcast_ref::<CelOptional>() {
        Some(optional) => match optional.option() {
            Some(value) => value,
            None => return Ok(None),
        },
        None => value,
    };
    match value.downcast_ref::<CelMap>() {
        Some(map) => Ok(map.inner().get(&CelMapKey::from(name)).map(AsRef::as_ref)),
        None if value.downcast_ref::<CelNull>().is_some() => Ok(None),
        None => {
            let message = format!("a value of type {} has no fields", value.get_type().name());
            Err(ExecutionError::function_error("field", message))
        }
    }
}
