//! A command passes with exit code 0.

use super::judgement::{Judgement, fail, pass, shortened};
use everfold_base::json::Value;

/// Judges `{argv, exit, output}`; 124 is a time limit, over 128 a signal.
pub(super) fn judge(evidence: &Value) -> Judgement {
    let Some(exit) = evidence["exit"].as_i64() else {
        return fail("the evidence has no exit code");
    };
    if exit == 0 {
        return pass("exit 0");
    }
    let what = match exit {
        124 if evidence["timed_out"].as_bool() == Some(true) => "the time limit passed (exit 124)".to_owned(),
        129..=192 => format!("exit {exit} (signal {})", exit - 128),
        _ => format!("exit {exit}"),
    };
    match last_line(evidence["output"].as_str().unwrap_or_default()) {
        Some(line) => fail(format!("{what}: {}", shortened(line, 160))),
        None => fail(format!("{what}, without output")),
    }
}

fn last_line(output: &str) -> Option<&str> {
    output.lines().map(str::trim).rfind(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::Verdict::{Fail, Pass};

    #[test]
    fn the_exit_code_decides_and_the_last_line_explains() {
        for (evidence, verdict, reason) in [
            (json!({"exit": 0, "output": "1 test failed"}), Pass, "exit 0"),
            (json!({"exit": 1, "output": "run 5\n2 tests failed\n\n"}), Fail, "exit 1: 2 tests failed"),
            (json!({"exit": 2}), Fail, "exit 2, without output"),
            (json!({"exit": 137, "output": "x"}), Fail, "exit 137 (signal 9): x"),
            (
                json!({"exit": 124, "timed_out": true}),
                Fail,
                "the time limit passed (exit 124), without output",
            ),
            (json!({"exit": "0"}), Fail, "the evidence has no exit code"),
        ] {
            assert_eq!(judge(&evidence), Judgement::new(verdict, reason), "{evidence}");
        }
    }
}
