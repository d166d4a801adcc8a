//! The verbs in groups, in the order of a first day: the page that `everfold --help` prints.
//!
//! Law: each verb that is not hidden stands in one group.

/// A group's name, and its verbs.
pub(super) const GROUPS: &[(&str, &[&str])] = &[
    ("Start", &["demo", "init", "run", "resume", "retry", "restart"]),
    (
        "Look",
        &[
            "ui", "open", "runs", "show", "why", "watch", "logs", "events", "board", "stats", "insights",
            "sql", "spend", "orch", "debug",
        ],
    ),
    ("Decide", &["inbox", "approve", "reject", "changes", "answer", "unblock", "recheck"]),
    ("Steer", &["pause", "interrupt", "cancel", "signal", "breakpoints", "budget", "limits"]),
    ("Time", &["state", "diff", "bisect", "fork", "lineage", "replay", "audit"]),
    ("Pipelines", &["pipeline", "schedule", "hook", "hooks"]),
    ("Serve", &["serve", "mcp", "token", "context", "workers", "notices"]),
    (
        "Care",
        &["doctor", "store", "projections", "bench", "explain", "completions", "man", "version", "help"],
    ),
];

/// The verbs that have `about` texts, as a text of groups. Styles are those of clap's own headings.
pub(super) fn text(about: impl Fn(&str) -> String) -> String {
    use owo_colors::OwoColorize as _;
    let widest = GROUPS.iter().flat_map(|(_, verbs)| *verbs).map(|verb| verb.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, verbs) in GROUPS {
        text.push_str(&format!("{}\n", format!("{name}:").bold().underline()));
        for verb in *verbs {
            let room = " ".repeat(widest - verb.len());
            text.push_str(&format!("  {}{room}  {}\n", verb.bold(), about(verb)));
        }
        text.push('\n');
    }
    text
}
