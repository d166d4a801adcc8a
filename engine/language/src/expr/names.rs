//! Names in expressions that stand for nothing of the scope.

/// What `has(x.field)` becomes: a test that a null `x` has no fields.
pub(super) const HAS: &str = "@has";

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

/// Whether a name stands for a type wherever no loop of the expression itself gives it to its items.
pub(crate) fn is_type(name: &str) -> bool {
    TYPES.contains(&name)
}
