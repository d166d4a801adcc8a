//! What bounds the work and the memory of an evaluation.
//!
//! Law: every place of an expression that can copy or go over a large value is charged to one budget before it does.
//! Without it, `[x].map(a, a + a)` doubles a text with each loop, and `list.all(x, input == input)` compares as often as
//! there are items.

use cel::common::ast::{CallExpr, EntryExpr, Expr as Node, LiteralValue, operators};
use cel::parser::Expression as IdedNode;

/// Wraps the range of every comprehension: sorts map keys and charges the budget.
pub(super) const RANGE: &str = "@range";
/// Wraps a value that is copied or gone over: charges what it holds.
pub(super) const BOUNDED: &str = "@bounded";

/// Calls that look at no more than one part of their operands.
const CHEAP: [&str; 11] = [
    operators::CONDITIONAL,
    operators::INDEX,
    operators::LOGICAL_AND,
    operators::LOGICAL_NOT,
    operators::LOGICAL_OR,
    operators::NEGATE,
    operators::OPT_INDEX,
    operators::OPT_SELECT,
    "hasValue",
    "orValue",
    "size",
];

/// The tree with its charges, which is what is evaluated, and whether it has any. Charging the parts of a list, not the list, leaves `accu + [item]` as
/// the loops of CEL recognise it, which append to the list in place.
pub(super) fn bounded(tree: &IdedNode) -> (IdedNode, bool) {
    let mut tree = tree.clone();
    let mut has_charges = false;
    instrument(&mut tree, &[], &mut has_charges);
    (tree, has_charges)
}

/// Charges a node's parts; how many nodes one evaluation of it goes through, the bodies of loops left out.
fn instrument(node: &mut IdedNode, collected: &[String], has_charges: &mut bool) -> usize {
    match &mut node.expr {
        Node::Literal(_) | Node::Ident(_) | Node::Unspecified | Node::Struct(_) => 1,
        Node::Select(select) => 1 + instrument(&mut select.operand, collected, has_charges),
        Node::List(list) => {
            1 + list.elements.iter_mut().map(|part| charge(part, collected, has_charges)).sum::<usize>()
        }
        Node::Map(map) => {
            let parts = map.entries.iter_mut().map(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => {
                    instrument(&mut entry.key, collected, has_charges)
                        + charge(&mut entry.value, collected, has_charges)
                }
                EntryExpr::StructField(_) => 0,
            });
            1 + parts.sum::<usize>()
        }
        Node::Call(call) => 1 + call_parts(call, collected, has_charges),
        Node::Comprehension(loops) => {
            let range = instrument(&mut loops.iter_range, collected, has_charges);
            let init = instrument(&mut loops.accu_init, collected, has_charges);
            let mut within = collected.to_vec();
            within.push(loops.accu_var.clone());
            let body = instrument(&mut loops.loop_cond, &within, has_charges)
                + instrument(&mut loops.loop_step, &within, has_charges);
            let result = instrument(&mut loops.result, &within, has_charges);
            if let Node::Call(call) = &mut loops.iter_range.expr
                && call.func_name == RANGE
            {
                let body = i64::try_from(body).unwrap_or(i64::MAX);
                let expr = Node::Literal(LiteralValue::Int(body.into()));
                call.args.push(IdedNode { id: loops.iter_range.id, expr });
            }
            1 + range + init + result
        }
    }
}

/// Charges what a call copies (`+`), and within loops what it goes over.
fn call_parts(call: &mut CallExpr, collected: &[String], has_charges: &mut bool) -> usize {
    let name = call.func_name.as_str();
    let copies = name == operators::ADD;
    // The own functions, which start with `@`, charge what they are given.
    let is_charged = CHEAP.contains(&name) || name.starts_with('@') && name != operators::IN;
    let goes_over = !collected.is_empty() && !is_charged;
    let parts = call.target.as_deref_mut().into_iter().chain(&mut call.args);
    parts
        .map(|part| {
            let is_collected = matches!(&part.expr, Node::Ident(name) if collected.contains(name));
            let is_list = copies && matches!(part.expr, Node::List(_));
            // `optional.of`: the name of the function, not a value.
            let is_qualifier = matches!(&part.expr, Node::Ident(name) if name == "optional");
            match (copies || goes_over) && !is_collected && !is_list && !is_qualifier {
                true => charge(part, collected, has_charges),
                false => instrument(part, collected, has_charges),
            }
        })
        .sum()
}

/// Charges a value as a whole; a literal is as long as the expression allows.
fn charge(node: &mut IdedNode, collected: &[String], has_charges: &mut bool) -> usize {
    let nodes = instrument(node, collected, has_charges);
    if matches!(node.expr, Node::Literal(_)) {
        return nodes;
    }
    *has_charges = true;
    let id = node.id;
    let whole = std::mem::replace(node, IdedNode { id, expr: Node::Unspecified });
    node.expr = Node::Call(CallExpr { func_name: BOUNDED.to_owned(), target: None, args: vec![whole] });
    nodes + 1
}
