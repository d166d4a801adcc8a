//! Words that other systems have for what this language says otherwise: the key that each of them stands for.
//!
//! Law: a word here is refused like any other that is unknown. What differs is the hint, and that the key it stands for
//! is not reported as missing beside it.

/// A key of a construct, the words that other systems have for it, and how it is written.
type Row = (&'static str, &'static str, &'static [&'static str], &'static str);

const ROWS: &[Row] = &[
    ("a pipeline", "name", &["id", "title"], "write name: my-pipeline"),
    (
        "a pipeline",
        "steps",
        &["jobs", "stages", "tasks", "phases", "nodes", "pipeline", "workflow"],
        "write steps: and a list, each step with an `id`",
    ),
    (
        "a pipeline",
        "input",
        &["params", "parameters", "args", "arguments"],
        "write input: and a JSON Schema of what a start gives",
    ),
    (
        "a pipeline",
        "triggers",
        &["on", "hook", "hooks", "webhook", "cron", "schedule", "schedules"],
        "write triggers: [{hook: SOURCE, start: true}], or {schedule: \"0 7 * * *\", start: true}",
    ),
    (
        "a pipeline",
        "defaults",
        &["env", "environment", "timeout", "retry", "retries", "on_fail"],
        "it belongs to a step; for all of them write it below `defaults`",
    ),
    ("a pipeline", "locals", &["variables", "vars"], "write locals: {NAME: VALUE}"),
    (
        "a pipeline",
        "on_finish",
        &["finally", "always", "cleanup", "after", "post", "teardown"],
        "write on_finish: and a list of steps, which run however the run ends",
    ),
    ("a pipeline", "notify", &["notices", "notifications", "alerts"], "write notify: and a list of notices"),
    ("a pipeline", "include", &["extends", "imports"], "write include: [PATH]"),
    ("`defaults`", "retry", &["retries", "attempts", "max_attempts", "max_retries"], RETRY),
    ("`defaults`", "env", &["environment", "variables", "vars"], ENV),
    ("a step", "id", &["name", "title", "key"], "a step is named by its id: id: build"),
    ("a step", "needs", &["depends_on", "dependsOn", "depends", "dependencies", "requires", "after"], NEEDS),
    ("a step", "when", &["if", "condition", "only_if", "unless"], WHEN),
    (
        "a step",
        "command",
        &["cmd", "script", "shell", "bash", "sh", "exec", "execute"],
        "write command: make test",
    ),
    ("a step", "function", &["call", "action", "activity", "func"], "write function: NAME"),
    ("a step", "run", &["workflow", "subworkflow", "pipeline", "child", "template"], "write run: PIPELINE"),
    ("a step", "agent", &["prompt", "model", "llm"], "write agent: {prompt: …}"),
    ("a step", "wait", &["sleep", "delay"], "write wait: {for: 10m}"),
    ("a step", "approval", &["approve", "manual", "approvers"], "write approval: {title: …}"),
    ("a step", "gates", &["checks", "verify", "assert", "validate"], "write gates: [{command: …}]"),
    ("a step", "retry", &["retries", "attempts", "max_attempts", "max_retries", "tries"], RETRY),
    (
        "a step",
        "on_fail",
        &[
            "allow_failure",
            "continue_on_error",
            "continue-on-error",
            "ignore_errors",
            "ignore_failure",
            "on_error",
            "on_failure",
            "catch",
        ],
        "write on_fail: continue where the run goes on without it",
    ),
    (
        "a step",
        "foreach",
        &["loop", "matrix", "each", "with_items", "for_each", "for", "map"],
        "write foreach: {in: [ONE, TWO]}",
    ),
    ("a step", "env", &["environment", "variables", "vars"], ENV),
    (
        "a step",
        "workspace",
        &[
            "cwd",
            "dir",
            "directory",
            "folder",
            "workdir",
            "working_dir",
            "working_directory",
            "working-directory",
        ],
        "write workspace: {dir: PATH}",
    ),
    ("a step", "outputs", &["artifacts", "artefacts", "produces"], "write outputs: {NAME: PATH}"),
    ("a step", "timeout", &["timeout_minutes", "timeout-minutes", "timeout_seconds"], "write timeout: 30m"),
    ("a step", "labels", &["tags"], "write labels: {NAME: VALUE}"),
    ("a gate", "id", &["name", "title"], "a gate is named by its id: id: tests"),
    ("a gate", "when", &["if", "condition", "only_if"], WHEN),
    (
        "a gate",
        "command",
        &["cmd", "script", "shell", "run", "bash", "sh", "exec"],
        "write command: make test",
    ),
    ("a gate", "expression", &["assert", "check", "expr"], "write expression: output.exit_code == 0"),
    ("a gate", "poll", &["retry", "retries", "every", "interval"], "write poll: {every: 30s, max: 20}"),
    ("a gate", "on_fail", &["on_error", "on_failure", "else"], "write on_fail: block"),
    ("`retry`", "attempts", &["max", "max_attempts", "count", "times", "limit", "retries"], RETRY_INSIDE),
    ("`retry`", "backoff", &["delay", "interval", "every", "wait", "pause"], "write backoff: 1s..1m"),
    ("`poll`", "every", &["interval", "period", "delay"], "write every: 30s"),
    ("`poll`", "max", &["attempts", "times", "count", "retries", "max_attempts"], "write max: 20"),
    ("`foreach`", "in", &["items", "list", "over", "of", "from"], "write in: [ONE, TWO]"),
    ("`foreach`", "as", &["name", "var", "variable", "item"], "write as: part"),
    (
        "`foreach`",
        "max_in_flight",
        &["parallel", "max_parallel", "max-parallel", "concurrency", "parallelism"],
        "write max_in_flight: 4",
    ),
    (
        "`approval`",
        "title",
        &["message", "text", "description", "question", "name"],
        "write title: and one line",
    ),
    (
        "`approval`",
        "roles",
        &["users", "approvers", "who", "assignee", "assignees", "role"],
        "write roles: [NAME]",
    ),
    ("`question`", "title", &["message", "question", "name"], "write title: and one line"),
    ("`question`", "options", &["choices", "answers"], "write options: [ONE, TWO]"),
    ("`agent`", "prompt", &["instructions", "instruction", "message", "task", "text", "system"], PROMPT),
    ("`wait`", "for", &["duration", "time", "seconds", "minutes", "sleep", "delay"], "write for: 10m"),
    ("`wait`", "signal", &["event", "message"], "write signal: NAME"),
    ("`run`", "pipeline", &["name", "workflow", "path", "file"], "write pipeline: NAME or a path"),
    ("`run`", "input", &["with", "params", "parameters", "args", "arguments"], "write input: {NAME: VALUE}"),
    ("`http`", "url", &["uri", "endpoint", "address", "href"], "write url: https://example.org/health"),
    ("`http`", "method", &["verb", "type"], "write method: POST"),
    ("`http`", "body", &["data", "payload"], "write body: and the text or document that is sent"),
    ("a trigger", "schedule", &["cron", "every"], "write schedule: \"0 7 * * *\", or schedule: 15m"),
    ("a trigger", "hook", &["webhook", "source", "on"], "write hook: SOURCE"),
    ("a trigger", "when", &["if", "condition", "filter"], "write when: and an expression"),
    ("`schedule`", "cron", &["at", "time", "pattern"], "write cron: \"0 7 * * *\""),
    ("`schedule`", "every", &["interval", "period"], "write every: 15m"),
    ("`schedule`", "zone", &["timezone", "time_zone", "tz"], "write zone: Europe/Berlin"),
    ("a notice", "id", &["name", "title"], "a notice is named by its id: id: failed"),
    ("a notice", "events", &["on", "event"], "write events: and a list of them"),
    ("a notice", "when", &["if", "condition", "filter"], "write when: and an expression"),
    ("the probe `frontmatter`", "file", &["path", "name"], "write file: docs/plan.md"),
    ("the probe `file`", "exists", &["path", "file", "name"], "write exists: PATH"),
    (
        "the probe `file`",
        "matches",
        &["contains", "regex", "pattern"],
        "write matches: and a regular expression",
    ),
    ("`concurrency`", "limit", &["max", "slots", "size"], "write limit: 1"),
    ("`concurrency`", "key", &["group", "name", "id"], "write key: \"${input.repo}\""),
    ("a secret", "env", &["variable", "var", "environment"], "write env: NAME"),
];

const NEEDS: &str = "write needs: [ONE, TWO]";
const WHEN: &str = "a condition is written when: input.count > 3";
const RETRY: &str = "write retry: {attempts: 3}, the first attempt included";
const RETRY_INSIDE: &str = "write attempts: 3, the first one included";
const ENV: &str = "write env: {NAME: VALUE}";
const PROMPT: &str = "write prompt: a path like prompts/build.md, or a text";

/// The key of a construct that a word stands for, and how it is written.
pub(super) fn key(construct: &str, word: &str) -> Option<(&'static str, &'static str)> {
    let is_it = |row: &&Row| row.0 == construct && row.2.contains(&word);
    ROWS.iter().find(is_it).map(|(_, key, _, hint)| (*key, *hint))
}

#[cfg(test)]
mod tests {
    use super::super::shapes;
    use super::*;

    #[test]
    fn each_word_stands_for_one_key_that_its_construct_has_and_is_none_itself() {
        let shapes = shapes();
        for (construct, key, words, hint) in ROWS {
            let (_, shape) = shapes.iter().find(|(_, shape)| shape.what == *construct).expect(construct);
            let keys = shape.keys;
            assert!(keys.contains(key), "{construct}: {key}");
            assert!(!hint.is_empty());
            for word in *words {
                assert!(!keys.contains(word), "{construct} has the key {word}");
                let meant = ROWS.iter().filter(|row| row.0 == *construct && row.2.contains(word)).count();
                assert_eq!(meant, 1, "{construct}: {word}");
            }
        }
    }
}
