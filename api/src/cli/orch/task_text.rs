//! One task as a text: the message that shows how it stands, then what is known beside it.

use everfold_engine::time::Timestamp;
use serde_json::Value;

use super::task_list::{age, name, text, who};
use crate::text::{html_as_text, plain, span, table};

/// Verdicts that are shown.
const GATES_SHOWN: usize = 10;

/// A task with all that is known of it.
pub(super) fn task_text(task: &Value, now: Timestamp) -> String {
    let mut parts = Vec::new();
    if let Some(message) = task["message"]["text"].as_str() {
        parts.push(message.lines().map(|line| plain(&html_as_text(line))).collect::<Vec<_>>().join("\n"));
    }
    parts.push(facts(task, now));
    let agents: Vec<&Value> = task["agents"].as_array().into_iter().flatten().collect();
    if !agents.is_empty() {
        let row = |agent: &&Value| {
            let [input, output] = ["input_tokens", "output_tokens"].map(|part| agent[part].to_string());
            [text(agent, "name"), input, output, text(agent, "cost_usd")]
        };
        parts.push(table(["AGENT", "INPUT", "OUTPUT", "USD"], agents.iter().map(row)));
    }
    let gates: Vec<&Value> = task["gates"].as_array().into_iter().flatten().collect();
    if !gates.is_empty() {
        let row = |gate: &&Value| {
            let reason = plain(&text(gate, "reason"));
            [
                text(gate, "gate"),
                gate["round"].to_string(),
                text(gate, "verdict"),
                age(&gate["at"], now),
                reason,
            ]
        };
        let newest = gates.iter().rev().take(GATES_SHOWN);
        let mut shown = table(["GATE", "ROUND", "VERDICT", "AGO", "BECAUSE"], newest.map(row));
        if let Some(older) = gates.len().checked_sub(GATES_SHOWN).filter(|older| *older > 0) {
            shown.push_str(&format!("\nand {older} before; --json has them"));
        }
        parts.push(shown);
    }
    format!("{}\n", parts.join("\n\n"))
}

fn facts(task: &Value, now: Timestamp) -> String {
    let mut lines: Vec<(&str, String)> = Vec::new();
    let title = text(task, "title");
    lines
        .push(("task", format!("{} {} (run {})", plain(&name(task)), plain(&title), text(task, "short_id"))));
    let since = age(&task["stage_since"], now);
    let stuck = if task["stuck"] == true { ", stuck" } else { "" };
    lines.push((
        "stage",
        format!("{} for {since}, {}{stuck}", plain(&text(task, "stage")), text(task, "tracker")),
    ));
    let who = who(task, now);
    if !who.is_empty() {
        lines.push(("now", who));
    }
    for work in task["work"].as_array().into_iter().flatten() {
        let held = &work["waits_for"];
        if held.is_object() {
            lines.push(("because", plain(&text(held, "reason"))));
            lines.push(("to do", plain(&text(held, "hint"))));
        }
    }
    for wait in task["waits"].as_array().into_iter().flatten() {
        if let Some(why) = wait["why"].as_str() {
            lines.push(("because", plain(why)));
        }
    }
    for of in task["rounds"].as_array().into_iter().flatten() {
        lines.push(("rounds", rounds(of)));
    }
    let sent_back = &task["sent_back"];
    if sent_back.is_object() {
        let reason = sent_back["reason"].as_str().map(|reason| format!(": {}", plain(reason)));
        let (cause, to) = (text(sent_back, "cause"), text(sent_back, "to"));
        let ago = age(&sent_back["at"], now);
        lines.push(("sent back", format!("{ago} ago to {to} by {cause}{}", reason.unwrap_or_default())));
    }
    for review in task["reviews"].as_array().into_iter().flatten() {
        let elapsed = std::time::Duration::from_millis(review["elapsed_ms"].as_u64().unwrap_or_default());
        let open = if review["open_since"].is_string() { ", open" } else { "" };
        lines.push(("review", format!("{} {}{open}", text(review, "step"), span(elapsed))));
    }
    let cost = format!("{} USD", text(task, "cost_usd"));
    let tokens = format!("{} tokens in, {} out", task["input_tokens"], task["output_tokens"]);
    lines.push(("cost", format!("{cost}, {tokens}")));
    if let Some(branch) = task["branch"].as_str() {
        lines.push(("branch", plain(branch)));
    }
    if let Some(is_in) = task["in_production"].as_bool() {
        lines.push(("in production", if is_in { "yes" } else { "no" }.to_owned()));
    }
    let line = |(name, what): &(&str, String)| format!("{name:<14}{what}");
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// `developer 2 of 3: check_ci_green 1`.
fn rounds(of: &Value) -> String {
    let max = of["max"].as_u64().map(|max| format!(" of {max}")).unwrap_or_default();
    let causes = of["causes"].as_object().into_iter().flatten();
    let causes: Vec<String> = causes.map(|(cause, count)| format!("{cause} {count}")).collect();
    let causes = if causes.is_empty() { String::new() } else { format!(": {}", causes.join(", ")) };
    format!("{} {}{max}{causes}", text(of, "step"), of["used"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn o090_a_task_says_used_of_max_with_the_counts_of_each_cause() {
        let task = json!({
            "item": "ET-018", "short_id": "5b8093ed", "title": "Roman numerals", "stage": "development", "tracker": "blocked",
            "stage_since": "2026-11-20T10:50:00Z", "stuck": false, "set_aside": null, "work": [], "branch": "feature/ET-018-roman",
            "waits": [{ "kind": "unblock", "step": "developer", "roles": [], "since": "2026-11-20T10:55:00Z", "why": "the rework is used up" }],
            "rounds": [{ "step": "developer", "used": 3, "max": 3, "causes": { "check_ci_green": 1, "check_tests_passed": 1 } }],
            "sent_back": { "at": "2026-11-20T10:54:00Z", "cause": "check_tests_passed", "to": "developer", "reason": "Test verdict: FAIL (FAIL)" },
            "reviews": [{ "step": "approve", "elapsed_ms": 252_000, "open_since": null }],
            "cost_usd": "1.250000", "input_tokens": 1234, "output_tokens": 56, "in_production": false,
            "message": { "notice": "live", "version": 40, "text": "🛠️ ET-018 · Roman numerals\n━━━\n✅ Analysis      &lt;1м" },
            "agents": [{ "name": "developer", "input_tokens": 1000, "output_tokens": 50, "cost_usd": "1.000000" }],
            "gates": [{ "gate": "check_tests_passed", "round": 3, "verdict": "fail", "reason": "Test verdict: FAIL (FAIL)", "at": "2026-11-20T10:54:00Z" }],
        });
        let now = "2026-11-20T11:00:00Z".parse().unwrap();
        insta::assert_snapshot!(task_text(&task, now), @r"
        🛠️ ET-018 · Roman numerals
        ━━━
        ✅ Analysis      <1м

        task          ET-018 Roman numerals (run 5b8093ed)
        stage         development for 10m00s, blocked
        now           people (unblock, 5m00s)
        because       the rework is used up
        rounds        developer 3 of 3: check_ci_green 1, check_tests_passed 1
        sent back     6m00s ago to developer by check_tests_passed: Test verdict: FAIL (FAIL)
        review        approve 4m12s
        cost          1.250000 USD, 1234 tokens in, 56 out
        branch        feature/ET-018-roman
        in production no

        AGENT      INPUT  OUTPUT  USD
        developer  1000   50      1.000000

        GATE                ROUND  VERDICT  AGO    BECAUSE
        check_tests_passed  3      fail     6m00s  Test verdict: FAIL (FAIL)
        ");
    }
}
