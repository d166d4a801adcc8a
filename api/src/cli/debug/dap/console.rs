//! What is typed into the editor's console beside expressions.

use std::sync::Arc;

use everfold_pages::{EventSearch, reasons};
use serde_json::{Value, json};

use super::adapter::DapAdapter;
use super::attempt_output::{attempt_of, is_of_agent, printed};
use super::protocol::DapRefusal;
use crate::cli::moments::{TypedMoment, moment};
use crate::client::query;
use crate::view::ShownEvent;

/// Commands: name, what follows it, what it does.
pub(super) const COMMANDS: [(&str, &str, &str); 8] = [
    ("help", "", "these commands"),
    ("goto", "120 | -10m", "go to a version or a time"),
    ("/", "verdict=fail", "go to the next event by words and fields; / alone searches on"),
    ("?", "step=build", "the same, backwards"),
    ("first", "EXPR", "go to the first event after which an expression is true: first steps.build.round > 1"),
    ("why", "", "why this event happened"),
    ("event", "", "the event as a whole"),
    ("log", "", "the log of this event's attempt"),
];
/// Events that one search looks at, and those of a part of it.
const SEARCHED_MAX: u64 = 20_000;
const PART: u64 = 1_000;
/// Lines of a log.
const LOG_LINES: usize = 500;
/// The longest event that is given as a whole, in bytes.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ConsoleCommand {
    Help,
    GoTo(String),
    Search { text: String, is_forward: bool },
    First(String),
    Why,
    Event,
    Log,
}

impl ConsoleCommand {
    /// The command in a text; none: it is an expression.
    pub(super) fn read(text: &str) -> Option<Self> {
        if let Some(words) = text.strip_prefix('/') {
            return Some(Self::Search { text: words.trim().to_owned(), is_forward: true });
        }
        if let Some(words) = text.strip_prefix('?') {
            return Some(Self::Search { text: words.trim().to_owned(), is_forward: false });
        }
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim();
        match (word, rest.is_empty()) {
            ("help", true) => Some(Self::Help),
            ("why", true) => Some(Self::Why),
            ("event", true) => Some(Self::Event),
            ("log", true) => Some(Self::Log),
            ("goto", false) => Some(Self::GoTo(rest.to_owned())),
            ("first", false) => Some(Self::First(rest.to_owned())),
            _expression => None,
        }
    }
}

impl DapAdapter {
    /// Does what a command says.
    pub(super) async fn command(&mut self, command: ConsoleCommand) -> Result<Value, DapRefusal> {
        let text = match command {
            ConsoleCommand::Help => help(),
            ConsoleCommand::GoTo(to) => self.go_to(&to).await?,
            ConsoleCommand::Search { text, is_forward } => self.search(text, is_forward).await?,
            ConsoleCommand::First(expression) => self.first(expression).await?,
            ConsoleCommand::Why => self.why().await?,
            ConsoleCommand::Event => {
                let run = self.run()?;
                let event = run.history.event(run.version).await?;
                let text = serde_json::to_string_pretty(&*event).unwrap_or_default();
                if text.len() > EVENT_BYTES_MAX {
                    "it is longer than 1 MiB: unfold it".to_owned()
                } else {
                    text
                }
            }
            ConsoleCommand::Log => self.log().await?,
        };
        Ok(json!({ "result": text, "variablesReference": 0 }))
    }

    async fn go_to(&mut self, to: &str) -> Result<String, DapRefusal> {
        let run = self.run()?;
        let version = match moment("version or time", to)? {
            TypedMoment::Number(version) => version,
            TypedMoment::Time(at) => run.history.version_at(at.to_string()).await?,
        };
        self.jump(version).await?;
        Ok(format!("v{version}"))
    }

    /// Goes to the nearest event on one side of which all that was typed is true.
    async fn search(&mut self, text: String, is_forward: bool) -> Result<String, DapRefusal> {
        let run = self.run()?;
        let text = if text.is_empty() { run.searched.clone() } else { text };
        if text.is_empty() {
            return Err(DapRefusal::quiet("nothing was searched for yet: /verdict=fail searches"));
        }
        let terms = EventSearch::read(&text).map_err(DapRefusal::quiet)?;
        run.searched.clone_from(&text);
        let (mut at, mut searched) = (run.version, 0);
        while searched < SEARCHED_MAX {
            let items = match is_forward {
                true => run.history.part(at + 1, PART).await?,
                false => run.history.range(at.saturating_sub(PART).max(1), at - 1).await?,
            };
            let mut nearest: Box<dyn Iterator<Item = &Arc<Value>>> =
                if is_forward { Box::new(items.iter()) } else { Box::new(items.iter().rev()) };
            if let Some(hit) = nearest.find(|event| terms.fits(event)) {
                let version = ShownEvent(hit).version();
                self.jump(version).await?;
                return Ok(format!("v{version}"));
            }
            let end = if is_forward { items.last() } else { items.first() };
            let Some(end) = end.map(|event| ShownEvent(event).version()) else {
                let side = if is_forward { "behind" } else { "before" };
                return Err(DapRefusal::quiet(format!(
                    "there is no event with “{text}” {side} v{}",
                    run.version
                )));
            };
            searched += items.len() as u64;
            at = end;
        }
        Err(DapRefusal::quiet(format!(
            "there is no event with “{text}” up to v{at}: goto {at}, then / looks on"
        )))
    }

    /// Goes to the first event after which an expression is true.
    async fn first(&mut self, expression: String) -> Result<String, DapRefusal> {
        let run = self.run()?;
        let params = query([("expression", Some(expression.clone()))]);
        let answer = run.history.routes.get(run.history.path(&format!("/bisect{params}"))).await?;
        match answer["first"]["version"].as_u64().or(answer["first"]["event"]["version"].as_u64()) {
            Some(version) => {
                self.jump(version).await?;
                Ok(format!("v{version}"))
            }
            None => Err(DapRefusal::quiet(format!("`{expression}` is not true after any event"))),
        }
    }

    async fn why(&mut self) -> Result<String, DapRefusal> {
        let run = self.run()?;
        let event = run.history.event(run.version).await?;
        let mut around = run.history.up_to(run.version).await?;
        around.extend(run.history.part(run.version + 1, 20).await?);
        let around: Vec<&Value> = around.iter().map(|event| &**event).collect();
        let state = run.history.state(run.version).await?;
        let parts = reasons(&event, &around, &state["input"]);
        let lines = parts.into_iter().flat_map(|(head, texts)| {
            std::iter::once(head).chain(texts.into_iter().map(|text| format!("  {text}")))
        });
        Ok(lines.map(|line| crate::text::plain(&line)).collect::<Vec<_>>().join("\n"))
    }

    async fn log(&mut self) -> Result<String, DapRefusal> {
        let run = self.run()?;
        let event = run.history.event(run.version).await?;
        let attempt = attempt_of(&event);
        let mut attempt = attempt.ok_or_else(|| DapRefusal::quiet("this event is of no attempt"))?;
        attempt.is_agent = is_of_agent(&*run.history.state(run.version).await?, &attempt);
        let output = printed(&run.history, &attempt, LOG_LINES).await;
        if output.is_empty() {
            return Err(DapRefusal::quiet(format!("{} printed nothing, or its log is gone", attempt.name())));
        }
        self.events.extend(output);
        Ok(String::new())
    }
}

fn help() -> String {
    let lines = COMMANDS.iter().map(|(name, follows, does)| {
        let written = if name.len() == 1 { format!("{name}{follows}") } else { format!("{name} {follows}") };
        format!("{written:<20} {does}")
    });
    let end = "anything else is a path into the state (steps.build.status) or an expression of which it is said \
               whether it is true (steps.build.round > 1)";
    lines.chain([end.to_owned()]).collect::<Vec<_>>().join("\n")
}
