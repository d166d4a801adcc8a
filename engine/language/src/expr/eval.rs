//! Evaluating an expression.
//!
//! Law: pure, bounded and deterministic. The context holds only what the expression refers to; loops, copies and
//! the own functions take what they go over from budgets; maps are gone through in the order of their keys.

use std::sync::{Arc, LazyLock};

use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelOptional, CelString,
};
use cel::common::value::{CowVal, Val};
use cel::{Context, Env, ExecutionError, FunctionContext, Value as CelValue};
use serde_json::Value;

use super::allowance::Allowance;
use super::arguments::kind;
use super::bounds::{ADDED, BOUNDED, FIELD_HAS, FIELD_OR, LOOKED_IN, RANGE, TAKEN};
use super::compiled::Expr;
use super::functions::{self, Implementation};
use super::json_value::{from_owned_json, key_order, to_json};
use super::names::HAS;
use super::patterns::pattern_of;
use super::record::{FIELD, field};
use super::reference_values::ReferenceValues;
use super::values::{EvalError, Scope};
use everfold_base::json::{DEPTH_MAX, STORED_DEPTH_MAX};

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

impl Expr {
    /// The expression's value.
    ///
    /// # Errors
    /// - [`EvalError::Needs`]: all values that must be loaded first.
    /// - [`EvalError::Failed`]: an absent key, a wrong type, a bound.
    pub fn eval(&self, scope: &dyn Scope) -> Result<Value, EvalError> {
        let values = ReferenceValues::gather(self.references(), self.source(), scope)?;
        self.eval_with(&values)
    }

    /// The expression's value, which must be a bool.
    ///
    /// # Errors
    /// As [`Expr::eval`]; another type is [`EvalError::Failed`].
    pub fn eval_bool(&self, scope: &dyn Scope) -> Result<bool, EvalError> {
        self.eval_bool_within(scope, &Allowance::of_one())
    }

    /// The expression's value, which must be a bool, where this evaluation shares its bounds with others.
    ///
    /// # Errors
    /// As [`Expr::eval_bool`]; what is left of the allowance does not suffice.
    pub fn eval_bool_within(&self, scope: &dyn Scope, allowance: &Allowance) -> Result<bool, EvalError> {
        match self.eval_within(scope, allowance)? {
            Value::Bool(answer) => Ok(answer),
            other => Err(self.failed(format!("true or false is needed, this is {}", kind(&other)))),
        }
    }

    pub(super) fn eval_within(&self, scope: &dyn Scope, allowance: &Allowance) -> Result<Value, EvalError> {
        let values = ReferenceValues::gather(self.references(), self.source(), scope)?;
        self.eval_values(&values, allowance)
    }

    pub(super) fn eval_with(&self, values: &ReferenceValues) -> Result<Value, EvalError> {
        self.eval_values(values, &Allowance::of_one())
    }

    fn eval_values(&self, values: &ReferenceValues, allowance: &Allowance) -> Result<Value, EvalError> {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        for reference in self.references() {
            values.bind(reference, &self.0, &mut context);
        }
        if !self.0.functions.is_empty() {
            self.register(&mut context, allowance).map_err(|message| self.failed(message))?;
        }
        let result = CelValue::resolve_val(&self.0.evaluated, &context)
            .map_err(|error| self.failed(explain(&error)))?;
        to_json(result.as_ref(), 0, DEPTH_MAX).map_err(|message| self.failed(message))
    }

    fn failed(&self, message: impl Into<String>) -> EvalError {
        EvalError::Failed { expression: self.source().to_owned(), message: message.into(), code: None }
    }

    fn register(&self, context: &mut Context<'_, '_>, allowance: &Allowance) -> Result<(), String> {
        for name in &self.0.functions {
            let allowance = allowance.clone();
            let function: cel_function::Function = if *name == RANGE {
                Box::new(move |call| range(call, &allowance))
            } else if *name == BOUNDED {
                Box::new(move |call| held(call, &allowance))
            } else if *name == ADDED {
                Box::new(move |call| added(call, &allowance))
            } else if *name == LOOKED_IN {
                Box::new(move |call| looked_in(call, &allowance))
            } else if *name == FIELD_OR {
                Box::new(field_or)
            } else if *name == FIELD_HAS {
                Box::new(field_has)
            } else if *name == TAKEN {
                Box::new(move |call| taken(call, &allowance))
            } else if *name == HAS {
                Box::new(has)
            } else if *name == FIELD {
                Box::new(field)
            } else {
                let run = functions::implementation(name).ok_or("an unknown function")?;
                Box::new(move |call| own(call, run, &allowance))
            };
            context.add_function(name, function).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

mod cel_function {
    use cel::common::value::CowVal;
    use cel::{ExecutionError, FunctionContext};

    /// What CEL takes as a function of any arguments.
    pub(super) type Function = Box<
        dyn for<'context, 'call> Fn(
                &mut FunctionContext<'context, 'call>,
            ) -> Result<CowVal<'context, 'call>, ExecutionError>
            + Send
            + Sync,
    >;
}

/// What a value costs to go over: its parts, and its text; of one that weighs more than `most`, something above that, so that it
/// is not gone over for a charge that it cannot have. Stored values may be deeper than new ones.
fn weight(value: &dyn Val, depth: usize, most: usize) -> Result<usize, ExecutionError> {
    if depth > STORED_DEPTH_MAX {
        return Err(ExecutionError::function_error("limit", "a value is nested too deeply"));
    }
    if let Some(text) = value.downcast_ref::<CelString>() {
        return Ok(1 + text.inner().len() / 64);
    }
    if let Some(bytes) = value.downcast_ref::<CelBytes>() {
        return Ok(1 + bytes.inner().len() / 64);
    }
    if let Some(optional) = value.downcast_ref::<CelOptional>() {
        return optional.option().map_or(Ok(1), |value| Ok(1 + weight(value, depth + 1, most)?));
    }
    if let Some(list) = value.downcast_ref::<CelList>() {
        return weight_of_all(list.inner().iter().map(AsRef::as_ref), 0, depth, most);
    }
    if let Some(map) = value.downcast_ref::<CelMap>() {
        return weight_of_all(map.inner().values().map(AsRef::as_ref), 1, depth, most);
    }
    Ok(1)
}

/// The weight of what holds these values, `each` more for each.
fn weight_of_all<'value>(
    values: impl Iterator<Item = &'value (dyn Val + 'value)>,
    each: usize,
    depth: usize,
    most: usize,
) -> Result<usize, ExecutionError> {
    let mut sum = 1;
    for value in values {
        if sum > most {
            break;
        }
        sum += each + weight(value, depth + 1, most - sum)?;
    }
    Ok(sum)
}

/// Hands on a value that is about to be copied or gone over, charged by what it holds.
fn held<'context, 'call>(
    call: &mut FunctionContext<'context, 'call>,
    allowance: &Allowance,
) -> Result<CowVal<'context, 'call>, ExecutionError> {
    let Some(value) = call.args.pop() else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    charged(value, allowance)
}

/// Hands on what is added to another value: of a map its keys, sorted.
fn added<'context, 'call>(
    call: &mut FunctionContext<'context, 'call>,
    allowance: &Allowance,
) -> Result<CowVal<'context, 'call>, ExecutionError> {
    let value = held(call, allowance)?;
    Ok(value.downcast_ref::<CelMap>().map(sorted_keys).map_or(value, CowVal::owned))
}

/// The keys of a map, always in the same order.
fn sorted_keys<'call>(map: &CelMap<'call>) -> CelList<'call> {
    let mut keys: Vec<CelMapKey<'call>> = map.inner().keys().cloned().collect();
    keys.sort_by_key(key_order);
    let keys: Vec<Box<dyn Val + 'call>> = keys.into_iter().map(|key| key.inner().clone_as_boxed()).collect();
    CelList::from(keys)
}

/// Hands on what `in` looks in. One key of a map that stands in the scope is looked up, however large the map is; a map
/// that was made for this look is charged as any other value.
fn looked_in<'context, 'call>(
    call: &mut FunctionContext<'context, 'call>,
    allowance: &Allowance,
) -> Result<CowVal<'context, 'call>, ExecutionError> {
    let Some(value) = call.args.pop() else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    if value.is_borrowed() && value.downcast_ref::<CelMap>().is_some() {
        return Ok(value);
    }
    charged(value, allowance)
}

fn charged<'context, 'call>(
    value: CowVal<'context, 'call>,
    allowance: &Allowance,
) -> Result<CowVal<'context, 'call>, ExecutionError> {
    // The value itself is free: with its first part it weighs more than what is left.
    let weight = weight(value.as_ref(), 0, allowance.left_to_copy().saturating_add(1))?;
    allowance.copy(weight.saturating_sub(1))?;
    Ok(value)
}

/// What a loop goes over: `[range, nodes of the body]`.
fn range<'context, 'call>(
    call: &mut FunctionContext<'context, 'call>,
    allowance: &Allowance,
) -> Result<CowVal<'context, 'call>, ExecutionError> {
    let (Some(body), Some(value)) = (call.args.pop(), call.args.pop()) else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    allowance.go_over(weight(value.as_ref(), 0, allowance.left_to_go_over())?)?;
    let body = body.downcast_ref::<CelInt>().map_or(0, |body| usize::try_from(*body.inner()).unwrap_or(0));
    let items = match (value.downcast_ref::<CelList>(), value.downcast_ref::<CelMap>()) {
        (Some(list), _) => list.inner().len(),
        (None, Some(map)) => map.inner().len(),
        (None, None) => 0,
    };
    allowance.go_through(items.saturating_mul(body))?;
    Ok(value.downcast_ref::<CelMap>().map(sorted_keys).map_or(value, CowVal::owned))
}

/// `[operand, names of fields, default]`: the field that the names lead to, not copied where the operand is not; the default
/// where one is not there.
fn field_or<'context, 'call>(
    call: &mut FunctionContext<'context, 'call>,
) -> Result<CowVal<'context, 'call>, ExecutionError> {
    let mut parts = std::mem::take(&mut call.args).into_iter();
    let (Some(operand), Some(default)) = (parts.next(), parts.next_back()) else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    let names: Vec<CowVal<'context, 'call>> = parts.collect();
    Ok(match operand {
        CowVal::Borrowed(value) => optional_field(value, &names).map_or(default, CowVal::Borrowed),
        CowVal::Owned(value) => match optional_field(value.as_ref(), &names) {
            Some(field) => CowVal::Owned(field.clone_as_boxed()),
            None => default,
        },
    })
}

/// `[operand, names of fields]`: whether the names lead to a field.
fn field_has<'context, 'call>(
    call: &mut FunctionContext<'context, 'call>,
) -> Result<CowVal<'context, 'call>, ExecutionError> {
    let Some((operand, names)) = call.args.split_first() else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    Ok(CowVal::owned(CelBool::from(optional_field(operand.as_ref(), names).is_some())))
}

/// `[operand, key]`: the operand, charged by what stands under the key.
fn taken<'context, 'call>(
    call: &mut FunctionContext<'context, 'call>,
    allowance: &Allowance,
) -> Result<CowVal<'context, 'call>, ExecutionError> {
    let (Some(key), Some(operand)) = (call.args.pop(), call.args.pop()) else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    // What is owned is taken apart, not copied.
    if let CowVal::Borrowed(value) = &operand {
        let taken = match key.as_ref().downcast_ref::<CelInt>() {
            Some(index) => value
                .downcast_ref::<CelList>()
                .and_then(|list| list.inner().get(usize::try_from(*index.inner()).ok()?).map(AsRef::as_ref)),
            None => optional_field(*value, std::slice::from_ref(&key)),
        };
        let weight = taken.map_or(Ok(0), |taken| weight(taken, 0, allowance.left_to_copy()))?;
        allowance.copy(weight)?;
    }
    Ok(operand)
}

fn optional_field<'value, 'call>(
    value: &'value (dyn Val + 'call),
    names: &[CowVal<'_, 'call>],
) -> Option<&'value (dyn Val + 'call)> {
    names.iter().try_fold(value, |value, name| {
        let value = match value.downcast_ref::<CelOptional>() {
            Some(optional) => optional.option()?,
            None => value,
        };
        let name = name.downcast_ref::<CelString>()?.inner().to_owned();
        value.downcast_ref::<CelMap>()?.inner().get(&CelMapKey::from(name)).map(AsRef::as_ref)
    })
}

fn has<'context, 'call>(
    call: &mut FunctionContext<'context, 'call>,
) -> Result<CowVal<'context, 'call>, ExecutionError> {
    let [operand, field] = call.args.as_slice() else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    let mut operand = operand.as_ref();
    if let Some(optional) = operand.downcast_ref::<CelOptional>() {
        match optional.option() {
            Some(value) => operand = value,
            None => return Ok(CowVal::owned(CelBool::from(false))),
        }
    }
    let field = field.downcast_ref::<CelString>().map(|field| field.inner().to_owned()).unwrap_or_default();
    let answer = match operand.downcast_ref::<CelMap>() {
        Some(map) => map.inner().contains_key(&CelMapKey::from(field)),
        None if operand.downcast_ref::<CelNull>().is_some() => false,
        None => {
            let message = format!("a value of type {} has no fields", operand.get_type().name());
            return Err(ExecutionError::function_error("has", message));
        }
    };
    Ok(CowVal::owned(CelBool::from(answer)))
}

fn own<'context, 'call>(
    call: &mut FunctionContext<'context, 'call>,
    run: Implementation,
    allowance: &Allowance,
) -> Result<CowVal<'context, 'call>, ExecutionError> {
    let name = call.name.trim_start_matches('@');
    let error = |message: String| ExecutionError::function_error(name, message);
    let mut arguments = Vec::with_capacity(call.args.len() + 1);
    for value in call.this.iter().chain(&call.args) {
        allowance.go_over(weight(value.as_ref(), 0, allowance.left_to_go_over())?)?;
        let is_no_number =
            value.as_ref().downcast_ref::<CelDouble>().is_some_and(|number| !number.inner().is_finite());
        arguments.push(match run {
            Implementation::Readable(_) if is_no_number => Value::Null,
            _other => to_json(value.as_ref(), 0, STORED_DEPTH_MAX).map_err(error)?,
        });
    }
    let result = match run {
        Implementation::Plain(run) | Implementation::Readable(run) => run(&arguments),
        Implementation::Pattern(run) => {
            let pattern = pattern_of(&arguments).map_err(error)?;
            allowance.pattern(pattern)?.and_then(|pattern| run(&arguments, &pattern))
        }
    }
    .map_err(error)?;
    Ok(CowVal::Owned(from_owned_json(result)))
}

/// CEL's error in words that help.
fn explain(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => {
            format!("there is no “{key}”; test it with has(…), or read it with `.?{key}` and orValue(…)")
        }
        ExecutionError::UndeclaredReference(name) => {
            format!("“{}” has no value here", name.trim_start_matches('@'))
        }
        ExecutionError::NoSuchOverload(overload) => mixed(overload.function(), overload.argument_types()),
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            let types = [left.type_of().to_string(), right.type_of().to_string()];
            mixed(operator, &types)
        }
        ExecutionError::UnexpectedType { got, want } => format!("{want} is needed, this is {got}"),
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("{} and {} cannot be compared", left.type_of(), right.type_of())
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "division by zero".to_owned()
        }
        ExecutionError::Overflow(..) => "the number is too large".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "the index lies outside the list".to_owned(),
        ExecutionError::FunctionError { function, message } if function == "limit" => message.clone(),
        ExecutionError::FunctionError { function, message } => format!("{function}: {message}"),
        other => other.to_string(),
    }
}

fn mixed(function: &str, types: &[String]) -> String {
    let operator = match function {
        "_+_" | "add" => "+",
        "_-_" | "sub" => "-",
        "_*_" | "mul" => "*",
        "_/_" | "div" => "/",
        "_%_" | "rem" => "%",
        "_<_" => "<",
        "_<=_" => "<=",
        "_>_" => ">",
        "_>=_" => ">=",
        "_&&_" => "&&",
        "_||_" => "||",
        "!_" => "!",
        "-_" => "-",
        "@in" => "in",
        "_[_]" => "[…]",
        other => other,
    };
    let message = format!("`{operator}` does not go with {}", types.join(" and "));
    let has = |wanted: &[&str]| types.iter().any(|name| wanted.contains(&name.as_str()));
    if has(&["int"]) && has(&["double", "float"]) {
        return format!("{message}; write double(n) for the whole number");
    }
    if operator == "+" && has(&["string"]) {
        return format!("{message}; write string(x), or a text with ${{x}}");
    }
    message
}
