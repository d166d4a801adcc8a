//! Tell a run that something happened; write a note into its history.

use serde_json::Value;

use super::act::Act;
use super::acting_run::ActingRun;
use super::confirmation::{Asked, Confirmation, Line, counted, listed, shell_word};

pub(super) fn confirm(act: &Act) -> Confirmation {
    let run = &act.run;
    let known: Vec<&String> = run.signals.keys().collect();
    let typed = act.typed.text("name").map(str::trim);
    let only = (known.len() == 1).then(|| known[0].as_str());
    let name = typed.or(only).unwrap_or_default();
    let says = says_of(run, name);
    let payload = act.typed.text("payload").unwrap_or_default();
    let field = |name: &str, label: &str, hint: &str| Line {
        name: name.to_owned(),
        label: label.to_owned(),
        hint: hint.to_owned(),
        text: act.typed.text(name).unwrap_or_default().to_owned(),
        ..Line::default()
    };
    let asked = vec![
        Asked::Line(Line {
            text: name.to_owned(),
            is_required: true,
            changes_says: true,
            offers: known.iter().map(|name| (*name).clone()).collect(),
            ..field("name", "Signal", "Its name, without blanks.")
        }),
        Asked::Area(Line {
            is_code: true,
            ..field("payload", "What it says", "JSON, or a text. Nothing: null.")
        }),
        Asked::Line(field("delivery", "Delivery", "An id: the same one again is no news.")),
    ];
    let option = if payload.is_empty() { String::new() } else { format!(" {}", shell_word(payload)) };
    Confirmation {
        title: format!("Signal {}", run.quoted()),
        says,
        asked,
        button: if name.is_empty() { "Send the signal".to_owned() } else { format!("Send {name}") },
        is_dangerous: false,
        command: format!(
            "everfold signal {} {}{option}{}",
            run.short_id,
            if name.is_empty() { "NAME".to_owned() } else { shell_word(name) },
            act.typed
                .text("delivery")
                .map(|id| format!(" --delivery {}", shell_word(id)))
                .unwrap_or_default()
        ),
        refused: run.ended_refusal(),
        ..Confirmation::default()
    }
}

/// Who listens to a signal; without a name, which signals the pipeline listens to.
fn says_of(run: &ActingRun, name: &str) -> Vec<String> {
    let known: Vec<&String> = run.signals.keys().collect();
    let mut says = Vec::new();
    if name.is_empty() {
        says.push(match known.as_slice() {
            [] => {
                "The pipeline listens to no signal: what comes is recorded, and nothing follows.".to_owned()
            }
            known => format!(
                "The pipeline listens to {}: {}.",
                counted(known.len(), "signal", "signals"),
                listed(known)
            ),
        });
    } else {
        let listeners = run.definition.listeners(name);
        says.push(match listeners.as_slice() {
            [] => format!(
                "Tells the run “{name}”. Nothing in the pipeline listens to it, so it is only recorded."
            ),
            listeners => format!("Tells the run “{name}”: {}.", listed(listeners)),
        });
        if let Some(times) = run.signals.get(name).and_then(Value::as_u64).filter(|times| *times > 0) {
            says.push(format!("It came {} before.", counted(times as usize, "time", "times")));
        }
    }
    says
}

/// What a payload says: JSON, or a text. What begins like JSON must be JSON.
pub(super) fn payload(text: &str) -> Result<Value, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Value::Null);
    }
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(error) if text.starts_with(['{', '[', '"']) => Err(format!("what it says is no JSON: {error}")),
        Err(_) => Ok(Value::String(text.to_owned())),
    }
}

pub(super) fn note(act: &Act) -> Confirmation {
    let run = &act.run;
    Confirmation {
        title: format!("Note on {}", run.quoted()),
        says: vec!["Writes a note into the run's history, with your name. Nothing else follows.".to_owned()],
        asked: vec![Asked::Area(Line {
            name: "text".to_owned(),
            label: "Note".to_owned(),
            text: act.typed.text("text").unwrap_or_default().to_owned(),
            is_required: true,
            ..Line::default()
        })],
        button: "Write the note".to_owned(),
        ..Confirmation::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_payload_is_json_or_a_text() {
        assert_eq!(payload(" "), Ok(Value::Null));
        assert_eq!(payload("{\"merged\": true}"), Ok(json!({ "merged": true })));
        assert_eq!(payload("7"), Ok(json!(7)));
        assert_eq!(payload("too long"), Ok(json!("too long")));
        assert!(payload("{merged: true}").is_err());
    }
}
