//! Words that the language no longer has: what is written instead.
//!
//! Law: a word here is refused like any other that is unknown; only the hint differs.

/// Keys that have another name now: the construct, the key, what is written instead.
const KEYS: [(&str, &str, &str); 16] = [
    ("`approval`", "expires", TIMEOUT),
    ("`approval`", "on_expire", ON_TIMEOUT),
    ("`question`", "expires", TIMEOUT),
    ("`question`", "on_expire", ON_TIMEOUT),
    ("`ask`", "expires", TIMEOUT),
    ("`ask`", "on_expire", ON_TIMEOUT),
    ("`wait`", "expires", TIMEOUT),
    ("`wait`", "on_expire", ON_TIMEOUT),
    ("`poll`", "for", TIMEOUT),
    ("`poll`", "expires", TIMEOUT),
    ("`poll`", "on_expire", ON_TIMEOUT),
    (
        "a step",
        "expires",
        "write `timeout` for an attempt, `deadline` for the whole round; people have a `timeout` of their own",
    ),
    (
        "a step",
        "on_expire",
        "write `on_fail`; approvals, questions and waits have an `on_timeout` of their own",
    ),
    ("`foreach`", "on_failure", "write fail_fast: true for `stop`, fail_fast: false for `continue`"),
    (
        "`needs`",
        "all",
        "write needs: {succeeded: [ONE, TWO]}; needs: [ONE, TWO] takes failures that are tolerated, too",
    ),
    ("a step", "join", "write needs: {any: [ONE, TWO]} for `any`; needs: [ONE, TWO] is `all`"),
];

/// Values that have another name now: the key, the value, what is written instead.
const VALUES: [(&str, &str, &str); 4] = [
    ("`session`", "continue", "write session: resume"),
    ("`if_unchanged`", "count", "take it out: each failure uses up one of `max` unless it says `block`"),
    (
        "`on_success`",
        "block",
        "write the condition as a gate, gates: [{expression: …, on_fail: block}], or add an `approval`",
    ),
    (
        "`on_success`",
        "fail",
        "write the condition as a gate, gates: [{expression: …, on_fail: fail}], or finish: failed",
    ),
];

/// What a route of a gate says instead of `continue`, which ends the step.
pub(super) const GATE_CONTINUE: &str = "write next: the gates behind it are judged";

const TIMEOUT: &str = "it is called `timeout`";
const ON_TIMEOUT: &str = "it is called `on_timeout`";

/// What is written instead of a key that a construct had before.
pub(super) fn key(construct: &str, key: &str) -> Option<&'static str> {
    KEYS.iter().find(|(of, old, _)| *of == construct && *old == key).map(|(_, _, instead)| *instead)
}

/// What is written instead of a value that a key had before.
pub(super) fn value(key: &str, value: &str) -> Option<&'static str> {
    VALUES.iter().find(|(of, old, _)| *of == key && *old == value).map(|(_, _, instead)| *instead)
}
