//! Buttons below a message.

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::address::is_reachable;
use super::target::text_or_null;

/// What a button may send, in bytes.
const DATA_BYTES_MAX: usize = 64;
/// Buttons of one message.
const BUTTONS_MAX: usize = 100;

/// A button in a row of its own, or several in one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(description = "")]
pub(super) enum ButtonRow {
    /// one
    One(Button),
    /// several
    Several(Vec<Button>),
}

/// Either opens an address or sends something back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "")]
pub(super) struct Button {
    #[schemars(length(min = 1))]
    text: String,
    /// what it opens
    #[serde(default)]
    #[schemars(with = "Value", extend("anyOf" = text_or_null()))]
    url: Option<String>,
    /// what it sends, at most 64 bytes, such as `approve:RUN`
    #[serde(default)]
    #[schemars(with = "Value", extend("anyOf" = text_or_null()))]
    data: Option<String>,
}

/// The service's form of them; `None`: none is left. Buttons whose address leads nowhere are left out, as links are.
pub(super) fn keyboard(rows: Vec<ButtonRow>) -> Result<Option<Value>, Failure> {
    let mut shown = Vec::new();
    for row in rows {
        let row = match row {
            ButtonRow::One(button) => vec![button],
            ButtonRow::Several(buttons) => buttons,
        };
        let row = row.into_iter().filter_map(|button| form(button).transpose());
        shown.push(row.collect::<Result<Vec<Value>, Failure>>()?);
    }
    shown.retain(|row| !row.is_empty());
    let count = shown.iter().map(Vec::len).sum::<usize>();
    match count {
        0 => Ok(None),
        1..=BUTTONS_MAX => Ok(Some(json!({ "inline_keyboard": shown }))),
        _many => Err(wrong(format!("there are {count} buttons; a message has at most {BUTTONS_MAX}"))),
    }
}

fn form(button: Button) -> Result<Option<Value>, Failure> {
    let Button { text, url, data } = button;
    match (url, data) {
        (Some(_), Some(_)) => Err(wrong(format!("the button “{text}” has both `url` and `data`"))),
        (None, Some(data)) if data.is_empty() || data.len() > DATA_BYTES_MAX => {
            let message = format!("`data` of the button “{text}” has {} bytes", data.len());
            Err(wrong(format!("{message}; 1 to {DATA_BYTES_MAX} are sent")))
        }
        (None, Some(data)) => Ok(Some(json!({ "text": text, "callback_data": data }))),
        (Some(url), None) if is_reachable(&url) => Ok(Some(json!({ "text": text, "url": url }))),
        (_nowhere, None) => Ok(None),
    }
}

fn wrong(message: String) -> Failure {
    Failure::new(FailureKind::Validation, message).with_hint("correct `with.buttons`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: Value) -> Result<Option<Value>, Failure> {
        keyboard(serde_json::from_value(rows).unwrap())
    }

    #[test]
    fn ov14_buttons_open_an_address_or_send_at_most_64_bytes() {
        let data = "é".repeat(32);
        let rows = json!([
            {"text": "Yes", "data": data},
            [{"text": "BRD", "url": "https://git.example/x"}, {"text": "Plane", "url": "http://127.0.0.1/x"}],
            {"text": "Issue", "url": null},
            [{"text": "Log", "url": "http://localhost/log"}],
        ]);
        let shown = of(rows).unwrap();
        let expected = json!({"inline_keyboard": [
            [{"text": "Yes", "callback_data": data}],
            [{"text": "BRD", "url": "https://git.example/x"}],
        ]});
        assert_eq!(shown, Some(expected));
        assert_eq!(of(json!([[], {"text": "a", "url": ""}])).unwrap(), None);
        for wrong in [
            json!([{"text": "a", "data": "é".repeat(32) + "x"}]),
            json!([{"text": "a", "data": ""}]),
            json!([{"text": "a", "data": "x", "url": "https://x.example"}]),
            json!([vec![json!({"text": "a", "data": "x"}); 101]]),
        ] {
            assert_eq!(of(wrong).unwrap_err().kind, FailureKind::Validation);
        }
    }
}
