//! A Bot API server: `sendMessage`, `editMessageText` and `getMe`, with the service's own words for what it refuses.

use std::collections::VecDeque;

use everfold_base::json::Value;
use serde_json::json;

use super::server::{FakeAnswer, FakeRequest, FakeService};

/// Messages that are remembered; older ones are gone.
const MESSAGES_KEPT: usize = 10_000;

/// A message in a chat.
#[derive(Debug, Clone, PartialEq)]
pub struct FakeMessage {
    /// Its number.
    pub id: i64,
    /// The chat, as it was named.
    pub chat: String,
    /// As it was sent: HTML where `parse_mode` says so.
    pub text: String,
    /// It came without a sound.
    pub is_silent: bool,
    /// How often it was edited.
    pub edits: u32,
    /// `reply_markup`.
    pub markup: Value,
}

/// What the bot wrote, and whom it may write to.
#[derive(Debug, Clone)]
pub struct FakeTelegram {
    token: String,
    /// `None`: to any.
    chats: Option<Vec<String>>,
    messages: Vec<FakeMessage>,
    /// The number of the last message.
    last: i64,
    /// The number of the last update.
    updates: i64,
    /// Why the next edits are refused.
    refused_edits: VecDeque<String>,
}

impl FakeTelegram {
    /// A bot with this token that may write to any chat.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            chats: None,
            messages: Vec::new(),
            last: 0,
            updates: 0,
            refused_edits: VecDeque::new(),
        }
    }

    /// The same that knows no other chats than these.
    #[must_use]
    pub fn knowing(mut self, chats: &[&str]) -> Self {
        self.chats = Some(chats.iter().map(|&chat| chat.to_owned()).collect());
        self
    }

    /// What stands in the chats, the oldest first.
    #[must_use]
    pub fn messages(&self) -> &[FakeMessage] {
        &self.messages
    }

    /// A person removes a message.
    pub fn delete(&mut self, id: i64) {
        self.messages.retain(|message| message.id != id);
    }

    /// The update of a person who presses a button: that of the newest message whose data begin so. `None`: there is no
    /// such button.
    pub fn press(&mut self, data: &str, person: i64) -> Option<Value> {
        let found = self.messages.iter().rev().find_map(|message| {
            let rows = message.markup["inline_keyboard"].as_array()?.iter();
            let mut buttons = rows.filter_map(Value::as_array).flatten();
            let pressed = buttons
                .find_map(|button| button["callback_data"].as_str().filter(|own| own.starts_with(data)))?;
            Some((message.clone(), pressed.to_owned()))
        });
        let (message, pressed) = found?;
        self.updates += 1;
        Some(json!({
            "update_id": 100_000 + self.updates,
            "callback_query": {
                "id": format!("query-{}", self.updates),
                "from": {"id": person, "is_bot": false, "first_name": format!("Person {person}")},
                "message": shown(&message),
                "chat_instance": "1",
                "data": pressed,
            },
        }))
    }

    /// The next edit is refused with 400 and these words, whatever it says.
    pub fn refuse_edit(&mut self, description: &str) {
        self.refused_edits.push_back(description.to_owned());
    }

    fn send(&mut self, body: &Value) -> FakeAnswer {
        let text = body["text"].as_str().unwrap_or_default();
        if let Some(refusal) = self.refusal(body, text) {
            return refusal;
        }
        if self.messages.len() >= MESSAGES_KEPT {
            self.messages.remove(0);
        }
        self.last += 1;
        let message = FakeMessage {
            id: self.last,
            chat: name(&body["chat_id"]),
            text: text.to_owned(),
            is_silent: body["disable_notification"].as_bool().unwrap_or(false),
            edits: 0,
            markup: body["reply_markup"].clone(),
        };
        let answer = done(shown(&message));
        self.messages.push(message);
        answer
    }

    fn edit(&mut self, body: &Value) -> FakeAnswer {
        let text = body["text"].as_str().unwrap_or_default();
        if let Some(refusal) = self.refusal(body, text) {
            return refusal;
        }
        if let Some(description) = self.refused_edits.pop_front() {
            return refused(400, &description);
        }
        let (chat, id) = (name(&body["chat_id"]), body["message_id"].as_i64());
        let mut all = self.messages.iter_mut();
        let Some(message) = all.find(|message| message.chat == chat && Some(message.id) == id) else {
            return refused(400, "Bad Request: message to edit not found");
        };
        if message.text == text && message.markup == body["reply_markup"] {
            let why = "message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message";
            return refused(400, &format!("Bad Request: {why}"));
        }
        text.clone_into(&mut message.text);
        message.markup = body["reply_markup"].clone();
        message.edits += 1;
        done(shown(message))
    }

    fn refusal(&self, body: &Value, text: &str) -> Option<FakeAnswer> {
        if self.chats.as_ref().is_some_and(|chats| !chats.contains(&name(&body["chat_id"]))) {
            return Some(refused(400, "Bad Request: chat not found"));
        }
        text.trim().is_empty().then(|| refused(400, "Bad Request: message text is empty"))
    }
}

impl FakeService for FakeTelegram {
    fn answer(&mut self, request: &FakeRequest) -> FakeAnswer {
        let Some((token, method)) = request.path.strip_prefix("/bot").and_then(|path| path.split_once('/'))
        else {
            return refused(404, "Not Found");
        };
        if token != self.token {
            return refused(401, "Unauthorized");
        }
        match method {
            "sendMessage" => self.send(&request.body),
            "editMessageText" => self.edit(&request.body),
            "getMe" => {
                done(json!({"id": 1, "is_bot": true, "first_name": "Everfold", "username": "everfold_bot"}))
            }
            _unknown => refused(404, "Not Found"),
        }
    }

    fn fault(&self, status: u16, retry_after: Option<u64>) -> FakeAnswer {
        match retry_after {
            // What stands before the service answers in its own words.
            None if status >= 502 || (300..400).contains(&status) => FakeAnswer::new(status, Value::Null),
            None => refused(status, "Internal Server Error"),
            Some(seconds) => FakeAnswer::new(
                429,
                json!({
                    "ok": false, "error_code": 429,
                    "description": format!("Too Many Requests: retry after {seconds}"),
                    "parameters": {"retry_after": seconds},
                }),
            ),
        }
    }
}

fn name(chat: &Value) -> String {
    chat.as_str().map_or_else(|| chat.to_string(), str::to_owned)
}

fn done(result: Value) -> FakeAnswer {
    FakeAnswer::new(200, json!({"ok": true, "result": result}))
}

fn refused(status: u16, description: &str) -> FakeAnswer {
    FakeAnswer::new(status, json!({"ok": false, "error_code": status, "description": description}))
}

fn shown(message: &FakeMessage) -> Value {
    let mut shown = json!({
        "message_id": message.id, "date": 1_800_000_000,
        "from": {"id": 1, "is_bot": true, "first_name": "Everfold"},
        "chat": {"id": message.chat.parse::<i64>().unwrap_or(1), "type": "supergroup"},
        "text": message.text,
    });
    if !message.markup.is_null() {
        shown["reply_markup"] = message.markup.clone();
    }
    shown
}
