//! Gates that are judged by another policy, once.

use super::act::Act;
use super::confirmation::{Asked, Line, shell_word};

/// The policies that are typed, by gate.
pub(super) fn policies(act: &Act) -> Vec<(String, String)> {
    let fields =
        act.typed.iter().filter_map(|(name, text)| Some((name.strip_prefix("policy:")?, text.trim())));
    fields
        .filter(|(_, text)| !text.is_empty())
        .map(|(gate, text)| (gate.to_owned(), text.to_owned()))
        .collect()
}

/// The same as options of the command line.
pub(super) fn policy_options(act: &Act) -> String {
    let option =
        |(gate, policy): (String, String)| format!(" --policy {}", shell_word(&format!("{gate}={policy}")));
    policies(act).into_iter().map(option).collect()
}

/// A field for each gate of a step, folded.
pub(super) fn ask_policies(act: &Act, step: &str, is_open: bool) -> Vec<Asked> {
    let gates = act.run.definition.gates(step);
    if gates.is_empty() {
        return Vec::new();
    }
    let is_typed = !policies(act).is_empty();
    let mut asked = vec![Asked::Open {
        label: "Judge by another policy, this once".to_owned(),
        is_open: is_open || is_typed,
    }];
    asked.extend(gates.into_iter().map(|(gate, policy)| {
        let name = format!("policy:{gate}");
        let judged = act
            .run
            .step(step.split('.').next().unwrap_or(step))
            .and_then(|step| step.gates.iter().find(|known| known.gate == gate));
        let verdict =
            judged.map(|gate| format!("Now: {}, {}. ", gate.verdict, gate.reason)).unwrap_or_default();
        let policy = policy.map(|policy| format!("Its own policy: {policy}. ")).unwrap_or_default();
        Asked::Line(Line {
            label: format!("Policy of {gate}"),
            hint: format!("{verdict}{policy}An expression; empty: its own."),
            text: act.typed.text(&name).unwrap_or_default().to_owned(),
            is_code: true,
            name,
            ..Line::default()
        })
    }));
    asked.push(Asked::Close);
    asked
}
