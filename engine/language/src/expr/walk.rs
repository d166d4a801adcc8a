//! The walk over what was parsed: what an expression refers to and calls, and what is written another way for evaluation.
//!
//! Law: what passes is small (nodes, depth), and calls known functions only.

use std::collections::BTreeSet;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr as Node, ListExpr, LiteralValue, operators,
};
use cel::parser::Expression as IdedNode;

use everfold_base::json::DEPTH_MAX as VALUE_DEPTH_MAX;

use super::bounds::RANGE;
use super::compiled::{DEPTH_MAX, FieldChain, NODES_MAX, chain_of, step_path};
use super::error::ExprError;
use super::functions;
use super::names::HAS;
use super::token::{locate, locate_call};

/// The function that sorts, and the name under which its loop collects.
const SORT_BY: &str = "sortBy";
const SORTED: &str = "@result";

pub(super) struct ExprWalk<'a> {
    source: &'a str,
    nodes: usize,
    /// Names bound by comprehensions around the node.
    bound: Vec<String>,
    pub(super) chains: Vec<FieldChain>,
    pub(super) functions: BTreeSet<&'static str>,
    pub(super) patterns: Vec<String>,
    pub(super) bad_days: Vec<String>,
    pub(super) variables: BTreeSet<String>,
}

impl<'a> ExprWalk<'a> {
    /// Goes over a whole tree.
    pub(super) fn over(source: &'a str, tree: &mut IdedNode) -> Result<Self, ExprError> {
        let mut walk = Self {
            source,
            nodes: 0,
            bound: Vec::new(),
            chains: Vec::new(),
            functions: BTreeSet::new(),
            patterns: Vec::new(),
            bad_days: Vec::new(),
            variables: BTreeSet::new(),
        };
        walk.visit(tree, 0)?;
        Ok(walk)
    }

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
