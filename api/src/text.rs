//! How times, statuses, failures and tables look as text, on a terminal and in log lines.
//!
//! Law: pure functions from values to texts.

use std::time::Duration;

use comfy_table::{ContentArrangement, Table};
use everfold_engine::policy::Verdict;
use everfold_engine::state::{RunStatus, StepStatus};
use everfold_engine::text::{is_direction, one_line};
use everfold_engine::time::Timestamp;
use owo_colors::{OwoColorize as _, Style};
use textwrap::core::display_width;

/// A span in its two largest units: `1.2s`, `3m05s`, `2h10m`, `4d03h`.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..10 => format!("{}.{}s", seconds, span.subsec_millis() / 100),
        10..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// An instant for people: seconds, UTC.
pub(crate) fn instant(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..19).map_or(text.clone(), |seconds| format!("{}Z", seconds.replace('T', " ")))
}

/// How long something took, or takes so far.
pub(crate) fn took(from: Option<Timestamp>, to: Option<Timestamp>, now: Timestamp) -> String {
    from.map(|from| span(to.unwrap_or(now).since(from))).unwrap_or_default()
}

/// What a run does, or did, behind “run 5b8093ed”.
pub(crate) fn does(status: RunStatus) -> String {
    match status {
        RunStatus::Succeeded => "has succeeded".to_owned(),
        RunStatus::Failed => "has failed".to_owned(),
        RunStatus::Cancelled => "was cancelled".to_owned(),
        RunStatus::Queued
        | RunStatus::Running
        | RunStatus::Waiting
        | RunStatus::Paused
        | RunStatus::Blocked
        | RunStatus::Stopping => format!("is {status}"),
    }
}

/// A failure in one line: its kind, where the message does not begin with it, and the message.
pub(crate) fn failure(kind: &str, code: Option<&str>, message: &str) -> String {
    let code = code.map(|code| format!(" [{code}]")).unwrap_or_default();
    let message = plain(message);
    let says_it = message.strip_prefix(kind).is_some_and(|rest| rest.starts_with(' '));
    if says_it && code.is_empty() { message } else { format!("{kind}{code}: {message}") }
}

/// A number of things: `1 run`, `2 runs`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// The colour of a run's status.
pub(crate) fn run_style(status: RunStatus) -> Style {
    match status {
        RunStatus::Succeeded => Style::new().green(),
        RunStatus::Failed | RunStatus::Blocked => Style::new().red(),
        RunStatus::Cancelled => Style::new().dimmed(),
        RunStatus::Running => Style::new().cyan(),
        RunStatus::Queued | RunStatus::Waiting | RunStatus::Paused | RunStatus::Stopping => {
            Style::new().yellow()
        }
    }
}

/// The mark of a step's status.
pub(crate) fn step_mark(status: StepStatus) -> String {
    match status {
        StepStatus::Pending => "·".dimmed().to_string(),
        StepStatus::Scheduled | StepStatus::Running | StepStatus::Gating => "▸".cyan().to_string(),
        StepStatus::Waiting => "?".yellow().to_string(),
        StepStatus::Succeeded => "✓".green().to_string(),
        StepStatus::Failed => "✗".red().to_string(),
        StepStatus::Skipped | StepStatus::Cancelled => "–".dimmed().to_string(),
        StepStatus::Blocked => "!".red().to_string(),
    }
}

/// A verdict, coloured.
pub(crate) fn verdict(verdict: Verdict) -> String {
    let style = match verdict {
        Verdict::Pass => Style::new().green(),
        Verdict::Fail => Style::new().red(),
        Verdict::Pending => Style::new().yellow(),
        Verdict::Skipped => Style::new().dimmed(),
    };
    verdict.as_str().style(style).to_string()
}

/// A table without lines: a head, and rows as wide as they are.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head.to_vec());
    for row in rows {
        table.add_row(row.to_vec());
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// What a piece of HTML says: without its tags, entities as the characters that they stand for. White space stays.
pub(crate) fn html_as_text(html: &str) -> String {
    let (mut text, mut is_tag) = (String::new(), false);
    for c in html.chars() {
        match c {
            '<' => is_tag = true,
            '>' if is_tag => is_tag = false,
            _inside if is_tag => {}
            other => text.push(other),
        }
    }
    // `&amp;` last: what it gives is no entity.
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

/// A text in one line that does nothing to a terminal: without escape sequences and marks of direction, each other
/// control character a blank. What a program printed, or a person typed, must not clear a screen.
pub(crate) fn plain(text: &str) -> String {
    one_line(&anstream::adapter::strip_str(text).to_string()).into_owned()
}

/// A [`plain`] text cut to so many columns of a terminal; a wide character takes two.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    let text = plain(text);
    if display_width(&text) <= columns {
        return text;
    }
    let (mut cut, mut left) = (String::new(), columns.saturating_sub(1));
    for c in text.chars() {
        let Some(rest) = left.checked_sub(width_of(c)) else { break };
        left = rest;
        cut.push(c);
    }
    cut.push('…');
    cut
}

/// The columns of a terminal that a character takes.
fn width_of(c: char) -> usize {
    display_width(c.encode_utf8(&mut [0; 4]))
}

/// A line with colours, cut to so many columns: colours take none, and end where it is cut.
pub(crate) fn cut_styled(text: &str, columns: usize) -> String {
    if display_width(&anstream::adapter::strip_str(text).to_string()) <= columns {
        return text.to_owned();
    }
    let (mut line, mut left, mut escaped) = (String::new(), columns.saturating_sub(1), false);
    for c in text.chars() {
        match (escaped, c) {
            (false, '\u{1b}') => escaped = true,
            // The letter ends the sequence.
            (true, c) => escaped = !c.is_ascii_alphabetic(),
            (false, c) => match left.checked_sub(width_of(c)) {
                Some(rest) if left > 0 => left = rest,
                _no_room => break,
            },
        }
        line.push(c);
    }
    line.push('…');
    if line.contains('\u{1b}') {
        line.push_str("\u{1b}[0m");
    }
    line
}

/// A text as a word of a shell that does nothing to a terminal. What is not shown as a character of its own is written by
/// its number, as bash and zsh read it between `$'` and `'`.
pub(crate) fn quoted(text: &str) -> String {
    let plain =
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-:@%+=,".contains(c));
    if plain {
        return text.to_owned();
    }
    if !text.chars().any(is_unseen) {
        return format!("'{}'", text.replace('\'', "'\\''"));
    }
    let mut word = "$'".to_owned();
    for c in text.chars() {
        match c {
            '\'' | '\\' => word.extend(['\\', c]),
            c if is_unseen(c) => word.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => word.push(c),
        }
    }
    word.push('\'');
    word
}

/// An option with its value, as words of a shell. A value that begins with a dash is read as the option's only in one word
/// with it.
pub(crate) fn option(name: &str, value: &str) -> String {
    let between = if value.starts_with('-') { '=' } else { ' ' };
    format!("{name}{between}{}", quoted(value))
}

/// Whether a character moves a cursor, ends a line, or turns the direction of what is read. Each has four hexadecimal
/// digits at most.
fn is_unseen(c: char) -> bool {
    c.is_control() || is_direction(c) || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_somebody_else_does_nothing_to_the_terminal() {
        assert_eq!(plain("\u{1b}[31mred\u{1b}[0m\ttab\rback \u{1b}[2J\u{7}bell"), "red tab back bell");
        assert_eq!(plain("a\n\u{202e}b"), "a b");
        assert_eq!(cut("\u{1b}[1mabcdef\u{1b}[0m", 4), "abc…");
        assert_eq!((cut("漢字漢字", 8), cut("漢字漢字", 7)), ("漢字漢字".to_owned(), "漢字漢…".to_owned()));
        assert_eq!((cut("漢字漢字", 6), cut("漢字", 1)), ("漢字…".to_owned(), "…".to_owned()));
        assert_eq!(cut_styled("\u{1b}[31m漢字漢字\u{1b}[0m", 6), "\u{1b}[31m漢字…\u{1b}[0m");
    }

    #[test]
    fn a_word_of_a_shell_shows_nothing_that_moves_a_cursor_or_turns_the_reading() {
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted("o \u{1b}[2J\u{202e}y's \\"), "$'o \\u001b[2J\\u202ey\\'s \\\\'");
        for text in ["a\nb\t", "\u{7f}\u{85}\u{2028}\u{2066}é漢", "\\u0041\u{7}'"] {
            let said = std::process::Command::new("bash")
                .args(["-c", &format!("printf %s {}", quoted(text))])
                .env("LC_ALL", "C.UTF-8")
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&said.stdout), text);
        }
    }

    #[test]
    fn colours_take_no_room_in_a_line_that_is_cut() {
        let line = format!("{} build {}", "✓".green(), "failed".red());
        assert_eq!(cut_styled(&line, 14), line);
        let cut = cut_styled(&line, 10);
        assert_eq!(anstream::adapter::strip_str(&cut).to_string(), "✓ build f…");
        assert!(cut.ends_with("\u{1b}[0m"));
    }

    #[test]
    fn one_thing_is_counted_as_one() {
        assert_eq!([0, 1, 2].map(|n| count(n, "verdict")), ["0 verdicts", "1 verdict", "2 verdicts"]);
    }

    #[test]
    fn spans_show_two_units() {
        let shown = [350, 12_000, 185_000, 7_800_000, 356_400_000].map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(shown, ["0.3s", "12s", "3m05s", "2h10m", "4d03h"]);
        assert_eq!(instant(Timestamp(1_790_000_000_120)), "2026-09-21 14:13:20Z");
    }
}
