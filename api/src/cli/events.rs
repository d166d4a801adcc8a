//! `events`: everything that happened to a run.

use std::num::NonZeroUsize;

use serde_json::Value;

use super::args::EventsArgs;
use super::context::CommandContext;
use super::moments::{time, version_at};
use crate::client::{Follow, FollowMessage, Followed, encode};
use crate::fault::Fault;
use crate::text::plain;
use crate::view::ShownEvent;

/// Events asked for at once.
const CHUNK: usize = 1_000;

pub(crate) async fn run(context: &CommandContext, mut args: EventsArgs) -> Result<u8, Fault> {
    if let Some(since) = &args.since {
        let known = version_at(context, &args.run, time("--since", since)?).await?;
        args.from = args.from.max(known.map_or(1, |version| version + 1));
    }
    if args.follow {
        return follow(context, args).await;
    }
    let mut left = args.limit.map_or(usize::MAX, NonZeroUsize::get);
    let path = format!("/api/v1/runs/{}/events", encode(&args.run));
    let mut from = format!("from={}", args.from);
    while left > 0 && !context.out.is_closed() {
        let page: Value = context.client.get(&format!("{path}?{from}&limit={}", left.min(CHUNK))).await?;
        let items = page["items"].as_array().cloned().unwrap_or_default();
        for event in &items {
            print(context, event)?;
        }
        left -= items.len().min(left);
        match page["next_cursor"].as_str() {
            Some(cursor) => from = format!("cursor={}", encode(cursor)),
            None => break,
        }
    }
    Ok(0)
}

async fn follow(context: &CommandContext, args: EventsArgs) -> Result<u8, Fault> {
    let follow = Follow { run: args.run, from: args.from, live: false, drive: false };
    let mut followed = Followed::new(&context.client, follow);
    let mut left = args.limit.map_or(usize::MAX, NonZeroUsize::get);
    while left > 0 && !context.out.is_closed() {
        match followed.next().await? {
            FollowMessage::Event(event) => {
                print(context, &event)?;
                left -= 1;
            }
            FollowMessage::State(_) => {}
            FollowMessage::End => break,
        }
    }
    Ok(0)
}

fn print(context: &CommandContext, event: &Value) -> Result<(), Fault> {
    if context.json {
        return context.out.json_line(event);
    }
    context.out.line(line(event));
    Ok(())
}

/// An event in one line, which does nothing to a terminal.
pub(crate) fn line(event: &Value) -> String {
    let shown = ShownEvent(event);
    let time = shown.at().get(11..23).unwrap_or_default();
    let actor = match shown.actor() {
        "engine" => String::new(),
        other => format!("  ({})", plain(other)),
    };
    let line = format!(
        "{:>5}  {time}  {:<17}  {:<18}  {}{actor}",
        shown.version(),
        plain(shown.name()),
        plain(&shown.place()),
        shown.detail()
    );
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_in_events_do_nothing_to_a_terminal() {
        let nasty = "go\u{202e}\u{1b}[2Jx\ny";
        let signal = json!({ "type": "SignalReceived", "name": nasty, "payload": null });
        let halted = json!({ "type": "RunHalted", "scope": { "pipeline": nasty }, "reason": null });
        let unknown = json!({ "type": nasty, "step": nasty });
        for event in [signal, halted, unknown] {
            let event = json!({ "version": 3, "recorded_at": "2026-09-21T14:13:20.120Z", "actor": nasty, "event": event });
            let line = line(&event);
            assert!(!line.contains(['\u{202e}', '\u{1b}', '\n']), "{line:?}");
            assert!(line.contains("gox y") && line.ends_with("(gox y)"), "{line:?}");
        }
    }
}
