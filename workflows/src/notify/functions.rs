//! The declarations of the functions `notify.*`.

use std::path::PathBuf;

use super::email::Mailer;
use super::settings::MailSettings;
use super::{command, http, log, slack, telegram};
use crate::function::{Function, Functions};
use crate::http::HttpClient;

/// The parameter of each function of this module that says where to.
const TO: [(&str, &str); 6] = [
    ("notify.slack", "url"),
    ("notify.http", "url"),
    ("notify.telegram", "chat"),
    ("notify.email", "to"),
    ("notify.command", "argv"),
    ("notify.log", "file"),
];

/// The parameter of a function that says where to; `None`: it is none of this module's.
#[must_use]
pub fn to(function: &str) -> Option<&'static str> {
    TO.iter().find(|(name, _)| *name == function).map(|(_, key)| *key)
}

/// The functions of this module.
pub fn names() -> impl Iterator<Item = &'static str> {
    TO.iter().map(|(name, _)| *name)
}

/// The functions of this module that need no settings. They take any value, and check it themselves: a notice's text
/// may be all, and what is wrong names the parameter, the nearest one and where to find its value.
pub(crate) fn functions() -> [Function; 5] {
    let client = HttpClient::new();
    let sender = |client: &HttpClient| client.clone();
    let (to_url, to_chat, to_bot) = (sender(&client), sender(&client), sender(&client));
    let post = move |call, with| http::post(to_url.clone(), call, with);
    let slack = move |call, with| slack::post(to_chat.clone(), call, with);
    let telegram = move |call, with| telegram::send(to_bot.clone(), call, with);
    [
        Function::built_in("notify.http", post)
            .summary("Posts JSON to an address, signed where a secret is named."),
        Function::built_in("notify.slack", slack)
            .summary("Writes to a channel by an incoming webhook of Slack or what speaks like it."),
        Function::built_in("notify.telegram", telegram).summary("Writes to a chat of Telegram as a bot."),
        Function::built_in("notify.log", log::write)
            .summary("Writes a line of JSON into a file, or a line into the engine's log."),
        Function::built_in("notify.command", command::run)
            .summary("Runs a program with JSON on its standard input."),
    ]
    .map(|function| function.idempotent().reads_context().outside())
}

/// Adds those that need settings.
pub(crate) fn declare(functions: &mut Functions, mail: Option<MailSettings>) {
    // The settings have made the files of secrets absolute.
    let mailer = Mailer::new(mail, PathBuf::from("/"));
    let send = move |call, with| mailer.clone().send(call, with);
    let email =
        Function::built_in("notify.email", send).summary("Sends a mail through the server of the settings.");
    functions.offer(email.idempotent().reads_context().outside());
}
