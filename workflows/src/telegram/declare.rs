//! The declarations of the functions `telegram.*`.

use everfold_base::data_folder::Layout;

use super::sent::SentMessages;
use super::target::BotContext;
use super::{live, ping};
use crate::function::{Function, Functions};
use crate::http::HttpClient;

/// Adds the functions `telegram.*`; which messages they sent stands in the data folder.
pub(crate) fn declare(functions: &mut Functions, layout: &Layout, client: &HttpClient) {
    let context = BotContext { client: client.clone(), sent: SentMessages::at(layout.sent_messages()) };
    let (editor, caller) = (context.clone(), context);
    let declared = [
        Function::built_in("telegram.live", move |call, wanted| live::live(editor.clone(), call, wanted))
            .summary(
                "Keeps one silent message in a chat up to date: sends it once, and edits it from then on.",
            ),
        Function::built_in("telegram.ping", move |call, wanted| ping::ping(caller.clone(), call, wanted))
            .summary("Calls people in a chat: a message with a sound, links and buttons."),
    ];
    declared.into_iter().for_each(|function| functions.offer(function.idempotent().outside()));
}
