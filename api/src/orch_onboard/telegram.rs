//! The bot that writes to Telegram, and the chat that it writes to.
//!
//! Law: the token stands in addresses that are asked and nowhere else: no line of the table has it.

use everfold_engine::json::Value;

use super::checklist::{Checklist, SetupFinding, SetupItem};
use super::environment::{CHAT_VARIABLES, TELEGRAM_TOKEN};
use super::record::yaml_text;
use super::request::OnboardRequest;
use super::services::{SetupService, escaped};
use super::settings_document;

/// The bot and the chat; nothing where no bot is to be used.
pub(super) async fn items(checklist: Checklist, request: &OnboardRequest) -> Vec<SetupItem> {
    let Some(token) = request.environment.get(TELEGRAM_TOKEN) else { return Vec::new() };
    let bot = TelegramBot { service: SetupService::telegram(&api_of(request), &token), token };
    let look = async || bot.finding("/getMe", |me| format!("@{}", text(&me["username"]))).await;
    let to_do = format!("let @BotFather say the bot's token, and set {TELEGRAM_TOKEN} to it");
    let me = checklist.item("telegram", "bot", to_do, look, async || Ok(())).await;
    let is_there = me.to_do.is_none();
    let mut items = vec![me, written(checklist, request).await];
    if let Some(chat) = chat_of(request).filter(|_| is_there) {
        let path = format!("/getChat?chat_id={}", escaped(&chat));
        let look =
            async || bot.finding(&path, |found| format!("{chat} {}", title(found)).trim().to_owned()).await;
        let to_do =
            "add the bot to the chat, and write the chat's id as `telegram: { chat: … }` in projects.yaml";
        items.push(checklist.item("telegram", "chat", to_do, look, async || Ok(())).await);
    }
    items
}

struct TelegramBot {
    service: SetupService,
    token: String,
}

impl TelegramBot {
    async fn finding(&self, path: &str, says: impl Fn(&Value) -> String) -> SetupFinding {
        let found = match self.service.ask("GET", path, None).await {
            Ok(answer) if answer.is_good() => SetupFinding::There(says(&answer.body["result"])),
            Ok(answer) => SetupFinding::Out(answer.refusal()),
            Err(why) => SetupFinding::Out(why),
        };
        match found {
            SetupFinding::Out(why) => SetupFinding::Out(why.replace(&self.token, "…")),
            other => other,
        }
    }
}

/// That the settings document names the chat, without which nothing is sent.
async fn written(checklist: Checklist, request: &OnboardRequest) -> SetupItem {
    let path = request.projects.display();
    let of_orch = chat_of_orch(request);
    let look = async || {
        let document = match settings_document::read(&request.projects) {
            Err(SetupFinding::Out(why)) => return SetupFinding::Out(why),
            read => read.unwrap_or_default(),
        };
        match (chat_in(&document), &document["telegram"], &of_orch) {
            (Some(chat), ..) => SetupFinding::There(chat),
            (None, Value::Null, Some(_)) => SetupFinding::Missing(format!("no `telegram` in {path}")),
            (None, Value::Null, None) => {
                SetupFinding::Out("no chat is set: nothing is sent to Telegram".to_owned())
            }
            (None, _, _) => {
                SetupFinding::Out(format!("`telegram` in {path} has no `chat`: nothing is sent to Telegram"))
            }
        }
    };
    let make = async || match &of_orch {
        Some(chat) => make(request, chat),
        None => Err("no chat is set".to_owned()),
    };
    let chat = of_orch.as_deref().map_or_else(|| "ID".to_owned(), chat_text);
    let to_do =
        format!("in {path}: telegram: {{ chat: {chat} }}; or set {} and onboard again", CHAT_VARIABLES[0]);
    checklist.item("here", "telegram.chat", to_do, look, make).await
}

fn make(request: &OnboardRequest, chat: &str) -> Result<(), String> {
    let line = format!("telegram: {{ chat: {} }}", chat_text(chat));
    settings_document::add_line(&request.projects, &line, |document| {
        chat_in(document).as_deref() == Some(chat)
    })
}

fn document(request: &OnboardRequest) -> Value {
    settings_document::read(&request.projects).unwrap_or_default()
}

/// Where the bot is asked: a Bot API server of one's own, where the settings document names one.
fn api_of(request: &OnboardRequest) -> String {
    let own = document(request)["telegram"]["url"].as_str().unwrap_or_default().to_owned();
    if own.is_empty() { request.telegram_url.clone() } else { own }
}

/// The chat that is written to: of the settings document, else of the environment.
fn chat_of(request: &OnboardRequest) -> Option<String> {
    chat_in(&document(request)).or_else(|| chat_of_orch(request))
}

fn chat_of_orch(request: &OnboardRequest) -> Option<String> {
    CHAT_VARIABLES.into_iter().find_map(|name| request.environment.get(name))
}

fn chat_in(document: &Value) -> Option<String> {
    match &document["telegram"]["chat"] {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        _none => None,
    }
}

/// A chat is a number, or the name of a channel.
fn chat_text(chat: &str) -> String {
    if chat.parse::<i64>().is_ok() { chat.to_owned() } else { yaml_text(chat) }
}

fn title(chat: &Value) -> String {
    ["title", "username", "first_name"]
        .iter()
        .find_map(|name| chat[*name].as_str())
        .map(|name| format!("“{name}”"))
        .unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
