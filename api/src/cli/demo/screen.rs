//! What the demo shows: chapters, commands, and the engine's own lines among them.

use owo_colors::{OwoColorize as _, Style};

use crate::cli::output::{Out, note};
use crate::text::cut;

/// The longest line of the engine that is shown.
const LINE_CHARS_MAX: usize = 140;

/// Where the demo prints: stdout, or stderr beside a JSON answer.
pub(super) struct Screen {
    out: Out,
    json: bool,
    chapters: u32,
    /// Event lines of an earlier engine: a later one tells the run's history from its beginning.
    shown: Vec<String>,
    /// How many of these the present engine has printed again.
    again: usize,
    /// Whether the present lines are the engine's words about what to type.
    aside: bool,
}

impl Screen {
    pub(super) fn new(json: bool) -> Self {
        Self { out: Out::new(), json, chapters: 0, shown: Vec::new(), again: 0, aside: false }
    }

    /// A line as it is.
    pub(super) fn line(&self, text: impl AsRef<str>) {
        if self.json { note(text) } else { self.out.line(text) }
    }

    /// The head of the next part of the story.
    pub(super) fn chapter(&mut self, text: &str) {
        self.chapters += 1;
        self.line("");
        self.line(format!("{}  {}", self.chapters.cyan().bold(), text.bold()));
    }

    /// A command that is about to run.
    pub(super) fn command(&self, command: &str) {
        // Each line in its own colour, so that a line cut out of the output is whole.
        let lines: Vec<String> = command.lines().map(|line| line.cyan().to_string()).collect();
        self.line(format!("   {} {}", "$".dimmed(), lines.join("\n")));
    }

    /// What was seen, under a short name.
    pub(super) fn fact(&self, name: &str, text: &str) {
        self.line(format!("   {:<9}{text}", name.bold()));
    }

    /// What was proven.
    pub(super) fn proven(&self, text: &str) {
        self.line(format!("   {} {text}", "✓".green().bold()));
    }

    /// A new engine begins to speak.
    pub(super) fn new_engine(&mut self) {
        self.again = 0;
        self.aside = false;
    }

    /// Whether the present engine has printed this event of this place.
    pub(super) fn has_shown(&self, place: &str, word: &str) -> bool {
        let shown = self.shown[..self.again].iter().filter_map(|line| EngineLine::of(line));
        shown.into_iter().any(|event| event.place.trim() == place && event.word == word)
    }

    /// A line of the engine's, as `everfold run` prints it where it is no terminal.
    pub(super) fn relay(&mut self, line: &str) {
        if let Some(event) = EngineLine::of(line) {
            self.aside = false;
            if self.shown.get(self.again).is_some_and(|shown| shown == line) {
                self.again += 1;
                return;
            }
            self.shown.push(line.to_owned());
            self.again = self.shown.len();
            self.line(event.shown());
            return;
        }
        // What the store found when it was opened: after a kill that is worth a line, and no fault.
        if let Some(found) = line.trim().strip_prefix("WARN ") {
            return self.fact("store", found);
        }
        // The engine's advice for another terminal: the story has its own words for that.
        self.aside = line.starts_with("  in another terminal") || (self.aside && line.starts_with("    "));
        if !self.aside && !line.trim().is_empty() {
            self.line(format!("   {}", cut(line, LINE_CHARS_MAX).dimmed()));
        }
    }
}

/// A line about one event: `   +1.1s  develop 1.1              gate       changed pass: …`.
struct EngineLine<'a> {
    time: &'a str,
    place: &'a str,
    word: &'a str,
    detail: &'a str,
}

impl<'a> EngineLine<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let (time, place) = (line.get(..8)?, line.get(10..34)?);
        if !time.trim_start().starts_with('+') {
            return None;
        }
        let (word, detail) = line.get(35..)?.split_once(' ').unwrap_or((line.get(35..)?, ""));
        Some(Self { time, place, word, detail: detail.trim() })
    }

    fn shown(&self) -> String {
        let Self { time, place, word, detail } = self;
        let style = match *word {
            "failed" | "blocked" | "lost" => Style::new().red(),
            "rework" | "asks" => Style::new().yellow(),
            "succeeded" | "decided" => Style::new().green(),
            "gate" if detail.contains(" fail: ") => Style::new().red(),
            "gate" => Style::new().green(),
            _quiet => Style::new(),
        };
        let detail = cut(detail, LINE_CHARS_MAX - 48);
        let word = if detail.is_empty() { (*word).to_owned() } else { format!("{word:<10} ") };
        format!("   {}  {place} {}{detail}", time.dimmed(), word.style(style))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_lines_are_distinguished_from_other_words() {
        let line =
            "   +3.5s  test 1.1                 gate       tests fail: exit 1: 5 tests passed, 5 failed";
        let event = EngineLine::of(line).unwrap();
        assert_eq!((event.place.trim(), event.word), ("test 1.1", "gate"));
        assert_eq!(event.detail, "tests fail: exit 1: 5 tests passed, 5 failed");
        let event = EngineLine::of("   +0.1s  inspect 1                succeeded").unwrap();
        assert_eq!((event.word, event.detail), ("succeeded", ""));
        for other in ["run 0d3a34b4 started: delivery", "    everfold approve x   # Approve it", ""] {
            assert!(EngineLine::of(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_second_engine_does_not_tell_the_first_ones_story_again() {
        let mut screen = Screen::new(true);
        let lines = [
            "   +0.0s  a 1.1                      begins     command",
            "   +0.1s  a 1                        succeeded",
        ];
        lines.iter().for_each(|line| screen.relay(line));
        screen.new_engine();
        lines.iter().for_each(|line| screen.relay(line));
        assert_eq!((screen.shown.len(), screen.again), (2, 2));
        screen.relay("   +0.2s  b 1.1                      begins     command");
        assert_eq!(screen.shown.len(), 3);
    }
}
