//! Reading an expression: syntax, limits, what it refers to.
//!
//! Law: a compiled expression is small (bytes, nodes, depth), calls known functions only, and names
//! every value it can ever ask for.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr as Node, ListExpr, LiteralValue, operators,
};
use cel::parser::{Expression as IdedNode, PrattParser};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use everfold_base::json::DEPTH_MAX as VALUE_DEPTH_MAX;

use super::bounds::{BOUNDED, RANGE, bounded};
use super::error::ExprError;
use super::functions;
use super::token::{accept_question_dot, locate, locate_call, syntax_error};

/// The part of a path that stands for the items of a list.
pub const ITEM: &str = "[]";
/// Longest expression in bytes.
pub const SOURCE_BYTES_MAX: usize = 4 * 1024;
const NODES_MAX: usize = 2_000;
/// Evaluation recurses; this depth fits a thread's stack of 2 MiB many times over.
const DEPTH_MAX: usize = 32;

/// What `has(x.field)` becomes: a test that a null `x` has no fields.
pub(super) const HAS: &str = "@has";

/// The function that sorts, and the name under which its loop collects.
const SORT_BY: &str = "sortBy";
const SORTED: &str = "@result";

/// A compiled CEL expression. Cheap to clone; equal when the sources are equal.
#[derive(Clone)]
pub struct Expr(pub(super) Arc<CompiledExpr>);

pub(super) struct CompiledExpr {
    pub(super) source: String,
    pub(super) tree: IdedNode,
    /// The tree with the charges of its bounds: what is evaluated.
    pub(super) evaluated: IdedNode,
    pub(super) references: Vec<Reference>,
    pub(super) chains: Vec<FieldChain>,
    /// Own functions that the expression calls, so that evaluation registers no others.
    pub(super) functions: BTreeSet<&'static str>,
    /// The patterns that stand in it as texts.
    pub(super) patterns: Vec<String>,
    /// The texts of `duration('…')` that end in days and are no duration.
    pub(super) bad_days: Vec<String>,
    /// The names that its loops give to items.
    pub(super) variables: BTreeSet<String>,
}

/// A value that an expression asks its scope for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A root name: `input`, `item`; `run` as a whole.
    Name(String),
    /// A field of the run: `run.FIELD`.
    Run {
        /// Its field: `title`, `usage`.
        field: String,
    },
    /// A field of a step: `steps.ID.FIELD`.
    Step {
        /// The step.
        step: String,
        /// Its field: `output`, `status`.
        field: String,
    },
}

impl Reference {
    /// The path as [`super::Scope::get`] takes it.
    #[must_use]
    pub fn path(&self) -> Vec<&str> {
        match self {
            Self::Name(name) => vec![name],
            Self::Run { field } => vec!["run", field],
            Self::Step { step, field } => vec!["steps", step, field],
        }
    }
}

/// A chain of fields that an expression follows from a root, as far as it is known statically.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChain {
    /// The names from the root on: `["input", "repo"]`.
    pub path: Vec<String>,
    /// The first part of `path` (an index) whose absence is no error: reached by `.?` or tested by `has`.
    pub guarded_from: Option<usize>,
    /// The chain stands in `has(…)` or is the key of an `in`.
    pub tested: bool,
    /// What takes the value at the end of the chain fails on null: `[…]`, a loop, `size`, `in`, arithmetic.
    pub fails_on_null: bool,
}

impl Expr {
    /// Compiles a text.
    ///
    /// # Errors
    /// [`ExprError`] for bad syntax, an unknown function, a step field that is not named statically,
    /// and for an expression over the limits: 4 KiB, 2,000 nodes, 32 levels.
    pub fn parse(source: &str) -> Result<Self, ExprError> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(ExprError::new(0, format!("an expression has at most {SOURCE_BYTES_MAX} bytes"))
                .hint("move the computation into the step's command"));
        }
        if source.trim().is_empty() {
            return Err(ExprError::new(0, "the expression is empty"));
        }
        let text = accept_question_dot(source);
        let mut tree = PrattParser::new()
            .max_recursion_depth(DEPTH_MAX as u16)
            .max_expression_node_count(NODES_MAX)
            .error_recovery_limit(1)
            .enable_optional_syntax(true)
            .enable_ident_escape_syntax(true)
            .parse(&text)
            .map_err(|errors| syntax_error(source, &errors))?;
        let mut walk = ExprWalk {
            source,
            nodes: 0,
            bound: Vec::new(),
            chains: Vec::new(),
            functions: BTreeSet::new(),
            patterns: Vec::new(),
            bad_days: Vec::new(),
            variables: BTreeSet::new(),
        };
        walk.visit(&mut tree, 0)?;
        let ExprWalk { chains, mut functions, patterns, bad_days, variables, .. } = walk;
        let (evaluated, has_charges) = bounded(&tree);
        functions.extend(has_charges.then_some(BOUNDED));
        let mut references: Vec<Reference> = chains.iter().map(reference).collect();
        references.sort();
        references.dedup();
        Ok(Self(Arc::new(CompiledExpr {
            source: source.to_owned(),
            evaluated,
            tree,
            references,
            chains,
            functions,
            patterns,
            bad_days,
            variables,
        })))
    }

    /// The text as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Everything that evaluation may ask the scope for, sorted.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.0.references
    }

    /// The name of the secret that the expression is, where it is nothing else.
    #[must_use]
    pub fn secret(&self) -> Option<String> {
        let chain = chain_of(&self.0.tree, &[])?;
        match chain.path.as_slice() {
            [root, name] if root == "secrets" && chain.guarded_from.is_none() => Some(name.clone()),
            _other => None,
        }
    }

    /// The patterns that stand in it as texts, in the order of the calls.
    #[must_use]
    pub(crate) fn patterns(&self) -> &[String] {
        &self.0.patterns
    }

    /// The names that its loops give to items.
    #[must_use]
    pub(crate) fn variables(&self) -> &BTreeSet<String> {
        &self.0.variables
    }

    /// The chains of fields that the expression follows, in the order of the text.
    #[must_use]
    pub fn chains(&self) -> &[FieldChain] {
        &self.0.chains
    }

    /// Where a chain of names stands in the text, in bytes; 0 where it cannot be found.
    #[must_use]
    pub fn locate(&self, path: &[String]) -> usize {
        locate(self.source(), path)
    }
}

fn reference(chain: &FieldChain) -> Reference {
    match chain.path.as_slice() {
        [root, step, field, ..] if root == "steps" => {
            Reference::Step { step: step.clone(), field: field.clone() }
        }
        [root, field, ..] if root == "run" => Reference::Run { field: field.clone() },
        path => Reference::Name(path[0].clone()),
    }
}

/// Names of types, which CEL lets stand as values: `type(x) == string`.
pub(super) const TYPES: [&str; 13] = [
    "bool",
    "bytes",
    "double",
    "duration",
    "dyn",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "timestamp",
    "type",
    "uint",
];

struct ExprWalk<'a> {
    source: &'a str,
    nodes: usize,
    /// Names bound by comprehensions around the node.
    bound: Vec<String>,
    chains: Vec<FieldChain>,
    functions: BTreeSet<&'static str>,
    patterns: Vec<String>,
    bad_days: Vec<String>,
    variables: BTreeSet<String>,
}

impl ExprWalk<'_> {
    fn visit(&mut self, node: &mut IdedNode, depth: usize) -> Result<(), ExprError> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(ExprError::new(0, format!("an expression has at most {NODES_MAX} parts"))
                .hint("move the computation into the step's command"));
        }
        if depth > DEPTH_MAX {
            return Err(ExprError::new(0, format!("an expression is at most {DEPTH_MAX} levels deep")).hint(
                "a chain of `+` counts one level each: use a text with several `${…}`, or `[…].join('')`",
            ));
        }
        let chain = self.chain(node);
        self.ask_leniently(node);
        self.expand_sort(node)?;
        if let Some(chain) = chain {
            return self.note_chain(chain);
        }
        match &mut node.expr {
            Node::Literal(_) => Ok(()),
            Node::Ident(_) => Ok(()), // A bound name or a type; `chain` took the others.
            Node::Unspecified => Err(ExprError::new(0, "this is no CEL expression")),
            Node::Struct(message) => Err(ExprError::new(
                locate(self.source, std::slice::from_ref(&message.type_name)),
                format!("there is no message type “{}”", message.type_name),
            )
            .hint("a map is written {'key': value}")),
            Node::Select(select) => self.visit(&mut select.operand, depth + 1),
            Node::List(list) => {
                list.elements.iter_mut().try_for_each(|element| self.visit(element, depth + 1))
            }
            Node::Map(map) => map.entries.iter_mut().try_for_each(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&mut entry.key, depth + 1)?;
                    self.visit(&mut entry.value, depth + 1)
                }
                EntryExpr::StructField(_) => Err(ExprError::new(0, "this is no CEL map")),
            }),
            Node::Call(call) => self.call(call, depth),
            Node::Comprehension(comprehension) => {
                self.visit_operand(&mut comprehension.iter_range, depth + 1)?;
                self.visit(&mut comprehension.accu_init, depth + 1)?;
                let bound = self.bound.len();
                self.bound.push(comprehension.accu_var.clone());
                self.bound.push(comprehension.iter_var.clone());
                self.bound.extend(comprehension.iter_var2.clone());
                self.variables.extend(self.bound[bound + 1..].iter().cloned());
                self.visit(&mut comprehension.loop_cond, depth + 1)?;
                self.visit(&mut comprehension.loop_step, depth + 1)?;
                self.visit(&mut comprehension.result, depth + 1)?;
                self.bound.truncate(bound);
                let range = std::mem::take(&mut comprehension.iter_range);
                comprehension.iter_range = IdedNode {
                    id: range.id,
                    expr: Node::Call(CallExpr {
                        func_name: RANGE.to_owned(),
                        target: None,
                        args: vec![range],
                    }),
                };
                self.functions.insert(RANGE);
                Ok(())
            }
        }
    }

    /// Visits what is taken by something that fails on null.
    fn visit_operand(&mut self, node: &mut IdedNode, depth: usize) -> Result<(), ExprError> {
        let is_chain = self.chain(node).is_some_and(|chain| !chain.tested);
        self.visit(node, depth)?;
        if let Some(last) = self.chains.last_mut().filter(|_| is_chain) {
            last.fails_on_null = true;
        }
        Ok(())
    }

    /// `has(a.b)` is false, not an error, where `a` is null: outputs of skipped steps are null.
    fn ask_leniently(&mut self, node: &mut IdedNode) {
        if let Node::Select(select) = &mut node.expr
            && select.test
        {
            let operand = std::mem::take(&mut *select.operand);
            let field = IdedNode {
                id: node.id,
                expr: Node::Literal(LiteralValue::String(select.field.clone().into())),
            };
            node.expr =
                Node::Call(CallExpr { func_name: HAS.to_owned(), target: None, args: vec![operand, field] });
            self.functions.insert(HAS);
        }
    }

    /// `list.sortBy(x, KEY)` is the sort of the pairs `list.map(x, [KEY, x])`, so that the key is evaluated once for each
    /// item, and bounded like every loop.
    fn expand_sort(&self, node: &mut IdedNode) -> Result<(), ExprError> {
        let id = node.id;
        let made = |expr| IdedNode { id, expr };
        let Node::Call(call) = &mut node.expr else { return Ok(()) };
        if call.func_name != SORT_BY {
            return Ok(());
        }
        let (Some(list), [IdedNode { expr: Node::Ident(item), .. }, key]) =
            (&mut call.target, &mut call.args[..])
        else {
            let offset = locate_call(self.source, SORT_BY);
            return Err(ExprError::new(offset, "`sortBy` goes over a list with a name for its items")
                .hint("write list.sortBy(x, x.size)"));
        };
        let (list, item, key) = (std::mem::take(&mut **list), item.clone(), std::mem::take(key));
        let named = |name: &str| made(Node::Ident(name.to_owned()));
        let listed = |elements| made(Node::List(ListExpr { elements, optional_indices: Vec::new() }));
        let pair = listed(vec![key, named(&item)]);
        let pairs = ComprehensionExpr {
            iter_range: list,
            iter_var: item,
            iter_var2: None,
            accu_var: SORTED.to_owned(),
            accu_init: listed(Vec::new()),
            loop_cond: made(Node::Literal(LiteralValue::Boolean(true.into()))),
            loop_step: made(Node::Call(CallExpr {
                func_name: operators::ADD.to_owned(),
                target: None,
                args: vec![named(SORTED), listed(vec![pair])],
            })),
            result: named(SORTED),
        };
        let args = vec![made(Node::Comprehension(Box::new(pairs)))];
        node.expr = Node::Call(CallExpr { func_name: SORT_BY.to_owned(), target: None, args });
        Ok(())
    }

    fn call(&mut self, call: &mut CallExpr, depth: usize) -> Result<(), ExprError> {
        if call.target.is_none() && call.func_name == operators::IN {
            self.key_test(call);
        }
        let pattern = match call.func_name.as_str() {
            "matches" => call.args.last(),
            "replaceRegex" => call.args.iter().rev().nth(1),
            _other => None,
        };
        if let Some(Node::Literal(LiteralValue::String(pattern))) = pattern.map(|pattern| &pattern.expr) {
            self.patterns.push(pattern.inner().to_owned());
        }
        self.bad_days.extend(write_days(call));
        let qualifier = match call.target.as_deref().map(|target| &target.expr) {
            Some(Node::Ident(name)) if name == "optional" && !self.is_bound(name) => Some("optional."),
            _ => None,
        };
        if let Some(qualifier) = qualifier {
            let name = format!("{qualifier}{}", call.func_name);
            if !functions::STANDARD.contains(&name.as_str()) {
                return Err(self.unknown_function(&name));
            }
        } else {
            match &mut call.target {
                Some(target) if call.func_name == "size" => self.visit_operand(target, depth + 1)?,
                Some(target) => self.visit(target, depth + 1)?,
                None => {}
            }
            if let Some(own) = functions::own(&call.func_name) {
                let given = call.args.len() + usize::from(call.target.is_some());
                if !own.takes.contains(&given) {
                    return Err(ExprError::new(
                        locate(self.source, std::slice::from_ref(&call.func_name)),
                        format!("`{}` is called with {given} values", own.name),
                    )
                    .hint(format!("it is {}", own.usage)));
                }
                own.registered.clone_into(&mut call.func_name);
                self.functions.insert(own.registered);
            } else if !is_operator(&call.func_name) && !functions::STANDARD.contains(&call.func_name.as_str())
            {
                return Err(self.unknown_function(&call.func_name));
            }
        }
        let name = call.func_name.as_str();
        call.args.iter_mut().enumerate().try_for_each(|(at, argument)| match fails_on_null(name, at) {
            true => self.visit_operand(argument, depth + 1),
            false => self.visit(argument, depth + 1),
        })
    }

    fn unknown_function(&self, name: &str) -> ExprError {
        let last = name.rsplit('.').next().unwrap_or(name).to_owned();
        let error = ExprError::new(locate_call(self.source, &last), format!("there is no function “{name}”"));
        match functions::similar(name) {
            Some(similar) => error.hint(format!("did you mean `{similar}`?")),
            None => error.hint(format!(
                "besides CEL's own there are: {}",
                functions::usages().into_keys().collect::<Vec<_>>().join(", ")
            )),
        }
    }

    /// `'repo' in input` tests for `input.repo`.
    fn key_test(&mut self, call: &CallExpr) {
        if let [key, map] = call.args.as_slice()
            && let Node::Literal(LiteralValue::String(key)) = &key.expr
            && let Some(mut chain) = self.chain(map)
            && (chain.path[0] != "steps" || chain.path.len() > 2)
        {
            chain.guarded_from.get_or_insert(chain.path.len());
            chain.path.push(key.inner().to_owned());
            chain.tested = true;
            // It asks for the key, and fails where there is no map.
            chain.fails_on_null = true;
            self.chains.push(chain);
        }
    }

    fn is_bound(&self, name: &str) -> bool {
        self.bound.iter().any(|bound| bound == name)
    }

    fn chain(&self, node: &IdedNode) -> Option<FieldChain> {
        chain_of(node, &self.bound)
    }

    fn note_chain(&mut self, chain: FieldChain) -> Result<(), ExprError> {
        // No value is nested deeper, and checks compare each part of a chain with all that is known.
        if chain.path.len() > VALUE_DEPTH_MAX {
            let offset = locate(self.source, &chain.path[..1]);
            let message = format!("a chain of names has at most {VALUE_DEPTH_MAX} parts");
            return Err(ExprError::new(offset, message).hint("no value is nested deeper"));
        }
        if chain.path[0] == "steps" && chain.path.len() < 3 {
            let offset = locate(self.source, &chain.path);
            return Err(match chain.path.get(1) {
                None => ExprError::new(offset, "a step must be named literally")
                    .hint("write steps.NAME.FIELD, or steps['my-step'].FIELD for a name with `-`"),
                Some(step) => {
                    let rest = &self.source[(offset + step.len()).min(self.source.len())..];
                    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
                    let whole = format!("{step}{}", &rest[..end.unwrap_or(rest.len())]);
                    let error = ExprError::new(offset, format!("which field of step “{step}”?"));
                    if rest.starts_with('-') {
                        error.hint(format!("`-` subtracts; a name with it is written {}", step_path(&whole)))
                    } else {
                        error.hint(format!("write {}.output, .status, .outputs, …", step_path(step)))
                    }
                }
            });
        }
        self.chains.push(chain);
        Ok(())
    }
}

/// `duration('7d')`: CEL has no days, the texts of pipelines do. Gives the text that is no such duration.
fn write_days(call: &mut CallExpr) -> Option<String> {
    if let ("duration", None, [IdedNode { expr: Node::Literal(LiteralValue::String(text)), .. }]) =
        (call.func_name.as_str(), &call.target, call.args.as_mut_slice())
        && text.inner().ends_with('d')
    {
        match everfold_base::duration::parse(text.inner()) {
            Ok(span) => *text = format!("{}ms", span.as_millis()).into(),
            Err(_no_span) => return Some(text.inner().to_owned()),
        }
    }
    None
}

/// The static chain that ends in this node, if its root is a name of the scope and not bound by a loop.
pub(super) fn chain_of(node: &IdedNode, bound: &[String]) -> Option<FieldChain> {
    match &node.expr {
        Node::Ident(name) => {
            let name = name.trim_start_matches('.');
            let free =
                !bound.iter().any(|bound| bound == name) && !TYPES.contains(&name) && !name.starts_with('@');
            let path = vec![name.to_owned()];
            free.then_some(FieldChain { path, guarded_from: None, tested: false, fails_on_null: false })
        }
        Node::Select(select) => {
            let mut chain = chain_of(&select.operand, bound)?;
            if select.test {
                chain.guarded_from.get_or_insert(chain.path.len());
                chain.tested = true;
            }
            chain.path.push(select.field.clone());
            Some(chain)
        }
        Node::Call(call) if call.target.is_none() && call.args.len() == 2 => {
            let optional = match call.func_name.as_str() {
                operators::INDEX => false,
                operators::OPT_INDEX | operators::OPT_SELECT | HAS => true,
                _ => return None,
            };
            let Node::Literal(LiteralValue::String(key)) = &call.args[1].expr else { return None };
            let mut chain = chain_of(&call.args[0], bound)?;
            chain.tested |= call.func_name == HAS;
            if optional {
                chain.guarded_from.get_or_insert(chain.path.len());
            }
            chain.path.push(key.inner().to_owned());
            Some(chain)
        }
        _ => None,
    }
}

/// How a step is written in an expression: `steps.build`, `steps['fix-ci']`.
#[must_use]
pub fn step_path(step: &str) -> String {
    let plain = step.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && step.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { format!("steps.{step}") } else { format!("steps['{step}']") }
}

/// Whether a call fails where its argument at this place is null.
fn fails_on_null(name: &str, at: usize) -> bool {
    match name {
        operators::INDEX => at == 0,
        operators::IN => at == 1,
        operators::ADD
        | operators::SUBSTRACT
        | operators::MULTIPLY
        | operators::DIVIDE
        | operators::MODULO => true,
        name => name == "size",
    }
}

fn is_operator(name: &str) -> bool {
    name.starts_with(['_', '!', '-', '@'])
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

impl Eq for Expr {}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expr({:?})", self.source())
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.source())
    }
}

impl Serialize for Expr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.source())
    }
}

impl<'de> Deserialize<'de> for Expr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = String::deserialize(deserializer)?;
        Self::parse(&source).map_err(|error| {
            serde::de::Error::custom(format_args!("`{source}` at byte {}: {error}", error.offset))
        })
    }
}
