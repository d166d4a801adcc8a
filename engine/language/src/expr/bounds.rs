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
/// Wraps the right side of a `+`: charged as by [`BOUNDED`]. CEL adds the keys of a map to a list, in the order in which they lie
/// in memory; they are sorted.
pub(super) const ADDED: &str = "@added";
/// Wraps what `in` looks in: a list is gone over, and charged as by [`BOUNDED`]; of a map one key is looked up.
pub(super) const LOOKED_IN: &str = "@looked_in";
/// `OPERAND.?NAME….orValue(DEFAULT)` within a loop, as `[OPERAND, NAME…, DEFAULT]`: CEL copies what `.?` gives at each turn.
pub(super) const FIELD_OR: &str = "@field_or";
/// `OPERAND.?NAME….hasValue()` within a loop, as `[OPERAND, NAME…]`.
pub(super) const FIELD_HAS: &str = "@field_has";
/// `[OPERAND, KEY]`: hands on the operand of another `.?` or `[?…]` within a loop; charges what that copies.
pub(super) const TAKEN: &str = "@taken";
/// The functions that evaluating a tree with its bounds needs.
pub(super) const BOUNDS: [&str; 6] = [BOUNDED, ADDED, LOOKED_IN, FIELD_OR, FIELD_HAS, TAKEN];

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
        Node::Call(call) => {
            if !collected.is_empty() {
                *has_charges |= take_optional_field(call) || charge_taken(call);
            }
            1 + call_parts(call, collected, has_charges)
        }
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

/// Makes one call of `OPERAND.?NAME….orValue(DEFAULT)` and `….hasValue()`; false where the call is another one.
fn take_optional_field(call: &mut CallExpr) -> bool {
    let Some(target) = call.target.as_deref() else { return false };
    let function = match (call.func_name.as_str(), call.args.len()) {
        ("orValue", 1) => FIELD_OR,
        ("hasValue", 0) => FIELD_HAS,
        _other => return false,
    };
    let (mut operand, mut names) = (target, Vec::new());
    while let Node::Call(select) = &operand.expr
        && let (operators::OPT_SELECT, [of, name]) = (select.func_name.as_str(), select.args.as_slice())
        && matches!(name.expr, Node::Literal(LiteralValue::String(_)))
    {
        names.push(name.clone());
        operand = of;
    }
    if names.is_empty() {
        return false;
    }
    names.push(operand.clone());
    names.reverse();
    names.append(&mut call.args);
    *call = CallExpr { func_name: function.to_owned(), target: None, args: names };
    true
}

/// Charges what a `.?` or `[?…]` copies, where its key is a literal or a name: to evaluate it twice costs nothing.
fn charge_taken(call: &mut CallExpr) -> bool {
    let (operators::OPT_SELECT | operators::OPT_INDEX, [operand, key]) =
        (call.func_name.as_str(), call.args.as_mut_slice())
    else {
        return false;
    };
    if !matches!(key.expr, Node::Literal(_) | Node::Ident(_)) {
        return false;
    }
    let id = operand.id;
    let whole = std::mem::replace(operand, IdedNode { id, expr: Node::Unspecified });
    let args = vec![whole, key.clone()];
    operand.expr = Node::Call(CallExpr { func_name: TAKEN.to_owned(), target: None, args });
    true
}

/// Charges what a call copies (`+`), and within loops what it goes over.
fn call_parts(call: &mut CallExpr, collected: &[String], has_charges: &mut bool) -> usize {
    let name = call.func_name.as_str();
    let copies = name == operators::ADD;
    // The own functions, which start with `@`, charge what they are given.
    let is_charged = CHEAP.contains(&name) || name.starts_with('@') && name != operators::IN;
    let goes_over = !collected.is_empty() && !is_charged;
    // `@in(KEY, MAP)`
    let looks_up = name == operators::IN && call.target.is_none();
    let parts = call.target.as_deref_mut().into_iter().chain(&mut call.args);
    parts
        .enumerate()
        .map(|(at, part)| {
            let is_collected = matches!(&part.expr, Node::Ident(name) if collected.contains(name));
            let is_list = copies && matches!(part.expr, Node::List(_));
            // `optional.of`: the name of the function, not a value.
            let is_qualifier = matches!(&part.expr, Node::Ident(name) if name == "optional");
            match (copies || goes_over) && !is_collected && !is_list && !is_qualifier {
                true if copies && at == 1 => charge_by(ADDED, part, collected, has_charges),
                true if looks_up && at == 1 => charge_by(LOOKED_IN, part, collected, has_charges),
                true => charge(part, collected, has_charges),
                false => instrument(part, collected, has_charges),
            }
        })
        .sum()
}

/// Charges a value as a whole.
fn charge(node: &mut IdedNode, collected: &[String], has_charges: &mut bool) -> usize {
    charge_by(BOUNDED, node, collected, has_charges)
}

/// Lets a function charge a value; a literal is as long as the expression allows.
fn charge_by(function: &str, node: &mut IdedNode, collected: &[String], has_charges: &mut bool) -> usize {
    let nodes = instrument(node, collected, has_charges);
    if matches!(node.expr, Node::Literal(_)) {
        return nodes;
    }
    *has_charges = true;
    let id = node.id;
    let whole = std::mem::replace(node, IdedNode { id, expr: Node::Unspecified });
    node.expr = Node::Call(CallExpr { func_name: function.to_owned(), target: None, args: vec![whole] });
    nodes + 1
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::allowance::Allowance;
    use super::super::compiled::Expr;
    use super::super::types::Type;
    use super::super::values::{EvalError, Scope};

    /// An input with a map of as many keys as its list has numbers.
    struct MapInput(Value);

    impl MapInput {
        fn of(size: u32) -> Self {
            let numbers: Vec<u32> = (0..size).collect();
            let map: serde_json::Map<String, Value> =
                numbers.iter().map(|n| (n.to_string(), json!({"n": n, "none": null}))).collect();
            Self(json!({"n": numbers, "map": map, "rows": [{"map": map}, {"map": {}}]}))
        }
    }

    impl Scope for MapInput {
        fn get(&self, path: &[&str]) -> Result<Option<Value>, EvalError> {
            Ok((path == ["input"]).then(|| self.0.clone()))
        }
    }

    #[test]
    fn a_key_that_a_loop_looks_up_is_charged_as_one_look_and_not_as_the_whole_map() {
        let scope = MapInput::of(2_000);
        let run = |source: &str| Expr::parse(source).unwrap().eval(&scope).map_err(|error| error.to_string());
        for (source, expected) in [
            ("input.n.all(x, string(x) in input.map)", json!(true)),
            ("input.n.exists(x, !(string(x) in input.map))", json!(false)),
            ("input.n.filter(x, string(x + 1000) in input.map).size()", json!(1_000)),
            ("input.n.map(x, string(x) in input['map']).size()", json!(2_000)),
            ("input.map.all(key, key in input.map && 'n' in input.map[key])", json!(true)),
            ("input.rows.map(row, input.n.filter(x, string(x) in row.map).size())", json!([2_000, 0])),
            ("input.n.exists(x, x in input.map)", json!(false)),
        ] {
            assert_eq!(run(source), Ok(expected), "{source}");
        }
        // What each turn makes, and a list, is gone over.
        for source in [
            "input.n.exists(x, string(x) in {'a': input.map})",
            "input.n.all(x, x in input.n)",
            "input.n.all(x, string(x) in json(toJson(input.map)))",
        ] {
            assert!(run(source).unwrap_err().contains("too many values"), "{source}");
        }
        assert!(run("input.n.all(x, [x] in input.map)").is_err(), "a list is no key");
        assert!(run("input.n.all(x, x in 5)").is_err());
    }

    /// CEL takes an item for undecided whose condition fails, and goes on to the next one: it took n² steps to say so.
    #[test]
    fn a_loop_whose_allowance_is_used_up_ends_as_fast_as_it_can_go_on() {
        let scope = MapInput::of(20_000);
        let run = |source: &str| Expr::parse(source).unwrap().eval(&scope).map_err(|error| error.to_string());
        for source in [
            "input.n.all(x, string(x) in {'q': input.map}.q)",
            "input.n.all(x, string(x) in [input.map][0])",
            "input.n.all(x, {'q': input.map}.q.size() > 0)",
            "input.n.all(x, {'q': input.map}.q == input.map)",
            "input.n.all(x, input[?'map'].orValue({}).size() > 0)",
        ] {
            assert!(run(source).unwrap_err().contains("too many values"), "{source}");
        }
    }

    #[test]
    fn a_field_that_may_be_absent_is_not_copied_for_each_turn_of_a_loop() {
        let scope = MapInput::of(20_000);
        let run = |source: &str| Expr::parse(source).unwrap().eval(&scope).map_err(|error| error.to_string());
        for (source, expected) in [
            ("input.n.all(x, input.?map.orValue({}).size() > 0)", json!(true)),
            ("input.n.all(x, string(x) in input.?map.orValue({}))", json!(true)),
            ("input.n.filter(x, input.?absent.orValue(7) == 7).size()", json!(20_000)),
            ("input.rows.map(row, row.?map.?absent.orValue('none'))", json!(["none", "none"])),
            ("[1].map(x, input.?map.?none.?n.orValue(0))", json!([0])),
            ("[1].map(x, input.map['5'].?none.orValue(0))", json!([null])),
            ("[1].map(x, {'a': x}.?a.orValue(0))", json!([1])),
            ("input.n.all(x, input.?map.hasValue())", json!(true)),
            ("input.n.exists(x, input.?map.?absent.hasValue())", json!(false)),
            ("[1].map(x, input.rows[?0].?map.hasValue())", json!([true])),
            ("[1].map(x, input.n[?x].orValue(0))", json!([1])),
            ("[1].map(x, input[?'n'].orValue([]).size())", json!([20_000])),
        ] {
            assert_eq!(run(source), Ok(expected), "{source}");
        }
    }

    #[test]
    fn a_key_that_a_loop_looks_up_in_a_record_is_charged_as_one_look_too() {
        let expr = Expr::over_record("input.n.all(x, string(x) in input.map)", &|_| Type::Any).unwrap();
        assert_eq!(expr.eval_bool_within(&MapInput::of(2_000), &Allowance::of_rows()), Ok(true));
    }
}
