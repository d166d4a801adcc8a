//! The text of a log, and of what else is said, on a terminal: colours stay, everything else that a terminal would act on is taken out.
//!
//! Law: what is printed moves no cursor, clears nothing, sets no title and asks the terminal nothing, however the text
//! is cut into pieces. `--raw`, and output to a file or a pipe, stay the bytes of the log.

use std::borrow::Cow;

use everfold_engine::text::is_direction;

/// A whole text that does nothing to a terminal: colours, line ends and tabs stay.
pub(in crate::cli) fn harmless(text: &str) -> Cow<'_, str> {
    let acts = |c: char| (c.is_control() && !matches!(c, '\n' | '\t')) || is_direction(c);
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut screen = LogScreen::default();
    let shown = screen.take(text);
    Cow::Owned(shown + screen.end())
}

/// A longer sequence of colours is none.
const COLOURS_MAX: usize = 64;
const ESCAPE: char = '\u{1b}';
const END_OF_COLOURS: &str = "\u{1b}[0m";

/// Where the text stands within a sequence.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum SequencePlace {
    /// Outside of any.
    #[default]
    Text,
    /// Behind an escape character.
    Escape,
    /// Within a control sequence, which ends with its letter.
    Control,
    /// Within a text for the terminal, such as its title, which ends with BEL or ST.
    Command,
    /// Behind an escape character within such a text.
    CommandEscape,
}

/// Takes out of a log what a terminal would act on, piece by piece.
#[derive(Debug, Default)]
pub(super) struct LogScreen {
    place: SequencePlace,
    /// The parameters of the control sequence that is being read; none where it can be no colour.
    parameters: Option<String>,
    /// A carriage return was read, and is not printed yet.
    is_returned: bool,
    /// Colours were set and not taken back.
    is_coloured: bool,
}

impl LogScreen {
    /// The next piece, harmless.
    pub(super) fn take(&mut self, piece: &str) -> String {
        let mut shown = String::with_capacity(piece.len());
        piece.chars().for_each(|c| self.character(c, &mut shown));
        shown
    }

    /// What takes back the colours that the log left set.
    pub(super) fn end(&mut self) -> &'static str {
        if std::mem::take(&mut self.is_coloured) { END_OF_COLOURS } else { "" }
    }

    fn character(&mut self, c: char, shown: &mut String) {
        match self.place {
            SequencePlace::Text => self.text(c, shown),
            SequencePlace::Escape => self.place = self.behind_escape(c, shown),
            SequencePlace::Control => self.control(c, shown),
            SequencePlace::Command => match c {
                '\u{7}' | '\u{9c}' => self.place = SequencePlace::Text,
                ESCAPE => self.place = SequencePlace::CommandEscape,
                // It does not end: the rest of the log is to be seen.
                '\n' => self.again(c, shown),
                _part => {}
            },
            SequencePlace::CommandEscape => match c {
                '\\' => self.place = SequencePlace::Text,
                _other => self.place = self.behind_escape(c, shown),
            },
        }
    }

    /// A character outside of sequences, or one that ends a sequence without belonging to it.
    fn again(&mut self, c: char, shown: &mut String) {
        self.place = SequencePlace::Text;
        self.text(c, shown);
    }

    fn text(&mut self, c: char, shown: &mut String) {
        // Behind a carriage return the line would be written over.
        if std::mem::take(&mut self.is_returned) && c != '\n' && c != '\r' {
            shown.push('\n');
        }
        match c {
            '\n' | '\t' => shown.push(c),
            '\r' => self.is_returned = true,
            ESCAPE => self.place = SequencePlace::Escape,
            '\u{9b}' => self.begin_control(),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => self.place = SequencePlace::Command,
            c if is_direction(c) => {}
            c if c.is_control() => shown.push(' '),
            c => shown.push(c),
        }
    }

    /// Where a character behind an escape character leads.
    fn behind_escape(&mut self, c: char, shown: &mut String) -> SequencePlace {
        match c {
            '[' => {
                self.begin_control();
                SequencePlace::Control
            }
            ']' | 'P' | 'X' | '^' | '_' => SequencePlace::Command,
            // Of several characters, such as a choice of characters: `ESC ( B`.
            ' '..='/' | ESCAPE => SequencePlace::Escape,
            '\0'..='\u{1f}' => {
                self.again(c, shown);
                self.place
            }
            _other => SequencePlace::Text,
        }
    }

    fn begin_control(&mut self) {
        (self.place, self.parameters) = (SequencePlace::Control, Some(String::new()));
    }

    fn control(&mut self, c: char, shown: &mut String) {
        match c {
            '0'..='9' | ';' | ':' => {
                let room = self.parameters.take().filter(|known| known.len() < COLOURS_MAX);
                self.parameters = room.map(|mut known| {
                    known.push(c);
                    known
                });
            }
            ' '..='?' => self.parameters = None,
            '@'..='~' => {
                self.place = SequencePlace::Text;
                let colours = self.parameters.take().filter(|known| c == 'm' && !conceals(known));
                if let Some(colours) = colours {
                    self.is_coloured = !matches!(colours.as_str(), "" | "0");
                    shown.push_str(&format!("{ESCAPE}[{colours}m"));
                }
            }
            // Anything else ends the sequence.
            c => self.again(c, shown),
        }
    }
}

/// Whether colours hide the text: the parameter 8, where it is no part of a colour.
fn conceals(parameters: &str) -> bool {
    let mut numbers = parameters.split(';');
    while let Some(number) = numbers.next() {
        match number {
            "8" | "08" => return true,
            "38" | "48" | "58" => {
                let parts = match numbers.next() {
                    Some("5") => 1,
                    Some("2") => 3,
                    _none => 0,
                };
                for _ in 0..parts {
                    let _part_of_the_colour = numbers.next();
                }
            }
            _shown => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text as it is shown, however it is cut into two pieces.
    fn shown(text: &str) -> String {
        let mut screen = LogScreen::default();
        let whole = screen.take(text);
        for (at, _) in text.char_indices() {
            let mut screen = LogScreen::default();
            let (first, rest) = text.split_at(at);
            assert_eq!(format!("{}{}", screen.take(first), screen.take(rest)), whole, "cut at {at}");
        }
        whole
    }

    #[test]
    fn a_log_neither_sets_a_title_nor_moves_the_cursor_nor_clears_the_screen() {
        for (log, seen) in [
            ("\u{1b}]0;pwned\u{7}after\n", "after\n"),
            ("\u{1b}]0;pwned\u{1b}\\after\n", "after\n"),
            ("\u{1b}]52;c;cm0gLXJm\u{9c}after\n", "after\n"),
            ("\u{9d}0;pwned\u{7}after", "after"),
            ("a\u{1b}[2J\u{1b}[1;1Hb\u{1b}[?25lc\u{1b}[6nd", "abcd"),
            ("a\u{9b}2Jb", "ab"),
            ("\u{1b}P1$r0m\u{1b}\\x\u{1b}_apc\u{1b}\\y\u{1b}cz\u{1b}(Bw", "xyzw"),
            ("bell\u{7} back\u{8} null\0 del\u{7f}", "bell  back  null  del "),
            ("right\u{202e}left", "rightleft"),
        ] {
            assert_eq!(shown(log), seen, "{log:?}");
        }
    }

    #[test]
    fn colours_stay_and_end_with_the_log() {
        for colours in ["\u{1b}[31mred\u{1b}[0m", "\u{1b}[38;5;8mgrey\u{1b}[m", "\u{1b}[1;48;2;8;8;8mbold"] {
            assert_eq!(shown(colours), colours);
        }
        assert_eq!(shown("\u{1b}[8mhidden\u{1b}[0m"), "hidden\u{1b}[0m");
        assert_eq!(shown(&format!("\u{1b}[{}mlong", "1;".repeat(40))), "long");
        assert_eq!(shown("\u{1b}[>4;1mkeys\u{1b}[ mx"), "keysx", "no colours");
        let mut screen = LogScreen::default();
        screen.take("\u{1b}[31mred");
        assert_eq!((screen.end(), screen.end()), ("\u{1b}[0m", ""));
    }

    #[test]
    fn a_line_that_would_be_written_over_is_seen_and_a_sequence_without_an_end_hides_one_line() {
        assert_eq!(shown("10%\r20%\r\nend\r"), "10%\n20%\nend");
        assert_eq!(shown("rm -rf /\r\u{1b}[Kecho ok\n"), "rm -rf /\necho ok\n");
        assert_eq!(shown("\u{1b}]0;never ends\nnext\n"), "\nnext\n");
        assert_eq!(shown("\u{1b}[31\nnext"), "\nnext");
        assert_eq!(shown("a\u{1b}\nb"), "a\nb");
    }
}
