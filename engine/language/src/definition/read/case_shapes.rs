//! The keys of files with test cases, for the test of their JSON Schema.

use super::{case, case_expect, case_people, case_stubs};

/// The keys of each part of a file with test cases, with their place in its JSON Schema.
pub(crate) fn case_shapes() -> Vec<(&'static str, &'static [&'static str])> {
    vec![
        ("/oneOf/1", case::FILE.keys),
        ("/$defs/case", case::CASE.keys),
        ("/$defs/stub", case_stubs::STUB.keys),
        ("/$defs/fail", case_stubs::FAIL.keys),
        ("/$defs/usage", case_stubs::USAGE.keys),
        ("/$defs/child", case_stubs::CHILD.keys),
        ("/$defs/decision", case_people::DECISION.keys),
        ("/$defs/signal", case_people::SIGNAL.keys),
        ("/$defs/expect", case_expect::EXPECT.keys),
        ("/$defs/failure", case_expect::FAILURE.keys),
        ("/$defs/expectedStep", case_expect::STEP.keys),
        ("/$defs/expectedNotice", case_expect::NOTICE.keys),
    ]
}
