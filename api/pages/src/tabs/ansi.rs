//! What programs write for terminals, as pieces with classes; everything else that steers a terminal goes.
//!
//! Law: pieces are texts, which templates escape. A style goes on over lines until the program ends it, as on a terminal.

use super::excerpt::cut_at;
use crate::visible::visible;

/// The longest line that is shown, in bytes; the rest of it stands in the download.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// A part of a line in one style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StyledPiece {
    /// The classes of its style; empty: none.
    pub(crate) classes: String,
    pub(crate) text: String,
}

/// Makes lines of a program readable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Terminal {
    style: Style,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Style {
    /// Which of the marks are set, in their order.
    marks: [bool; MARKS.len()],
    /// One of eight colours.
    text: Option<u8>,
    ground: Option<u8>,
}

/// The number that sets a mark, the one that takes it away, and its class.
const MARKS: [(u16, u16, &str); 6] = [
    (1, 22, "a-bold"),
    (2, 22, "a-dim"),
    (3, 23, "a-italic"),
    (4, 24, "a-line"),
    (9, 29, "a-struck"),
    (7, 27, "a-inverse"),
];

/// The eight colours by their numbers, as classes end.
const COLOURS: [&str; 8] = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

impl Style {
    fn classes(self) -> String {
        let mut classes = Vec::new();
        let marks = MARKS.iter().zip(self.marks).filter(|(_, is_set)| *is_set);
        classes.extend(marks.map(|((.., class), _)| (*class).to_owned()));
        classes.extend(self.text.map(|colour| format!("a-{}", COLOURS[usize::from(colour % 8)])));
        classes.extend(self.ground.map(|colour| format!("a-on-{}", COLOURS[usize::from(colour % 8)])));
        classes.join(" ")
    }

    /// Takes the numbers of one `ESC [ … m`.
    fn take(&mut self, parameters: &str) {
        let mut numbers = parameters.split([';', ':']).map(|number| number.parse::<u16>().unwrap_or(0));
        while let Some(number) = numbers.next() {
            match number {
                0 => *self = Self::default(),
                30..=37 => self.text = Some((number - 30) as u8),
                90..=97 => self.text = Some((number - 90) as u8),
                39 => self.text = None,
                40..=47 => self.ground = Some((number - 40) as u8),
                100..=107 => self.ground = Some((number - 100) as u8),
                49 => self.ground = None,
                38 => self.text = extended(&mut numbers).or(self.text),
                48 => self.ground = extended(&mut numbers).or(self.ground),
                mark => self.mark(mark),
            }
        }
    }

    fn mark(&mut self, number: u16) {
        for (is_set, (on, off, _)) in self.marks.iter_mut().zip(MARKS) {
            *is_set = (*is_set && number != off) || number == on;
        }
    }
}

/// One of the 256 colours, or one by its parts, as the nearest of the eight.
fn extended(numbers: &mut impl Iterator<Item = u16>) -> Option<u8> {
    match numbers.next()? {
        5 => match numbers.next()? {
            colour @ 0..=15 => Some((colour % 8) as u8),
            colour @ 16..=231 => {
                let cube = colour - 16;
                Some(nearest(cube / 36 * 51, cube / 6 % 6 * 51, cube % 6 * 51))
            }
            grey => Some(if grey < 244 { 0 } else { 7 }),
        },
        2 => {
            let (red, green, blue) = (numbers.next()?, numbers.next()?, numbers.next()?);
            Some(nearest(red, green, blue))
        }
        _other => None,
    }
}

fn nearest(red: u16, green: u16, blue: u16) -> u8 {
    let most = red.max(green).max(blue);
    let is_lit = |part: u16| u8::from(part > 40 && u32::from(part) * 5 > u32::from(most) * 3);
    is_lit(red) | is_lit(green) << 1 | is_lit(blue) << 2
}

/// A line without what steers a terminal.
pub(crate) fn plain(line: &str) -> String {
    Terminal::default().pieces(line).into_iter().map(|piece| piece.text).collect()
}

impl Terminal {
    /// The pieces of a line.
    pub(crate) fn pieces(&mut self, line: &str) -> Vec<StyledPiece> {
        let (mut rest, cut) = fitting(last_written(line));
        let mut pieces = Vec::new();
        while let Some(at) = rest.find('\u{1b}') {
            self.write(&rest[..at], &mut pieces);
            rest = self.escape(&rest[at + 1..]);
        }
        self.write(rest, &mut pieces);
        if cut > 0 {
            let text = format!(" … {} more", crate::words::bytes(cut as u64));
            pieces.push(StyledPiece { classes: "log-cut".to_owned(), text });
        }
        pieces
    }

    fn write(&self, text: &str, pieces: &mut Vec<StyledPiece>) {
        if !text.is_empty() {
            pieces.push(StyledPiece { classes: self.style.classes(), text: visible(text).into_owned() });
        }
    }

    /// Takes one sequence behind its ESC; gives what comes behind it.
    fn escape<'a>(&mut self, rest: &'a str) -> &'a str {
        match rest.as_bytes().first() {
            Some(b'[') => {
                let body = &rest[1..];
                // A sequence is parameters and one final byte; one without its end takes no text away.
                let Some(end) = body.find(|c: char| !(' '..='?').contains(&c)) else { return "" };
                let (parameters, last) = (&body[..end], &body[end..]);
                if last.starts_with('m') {
                    self.style.take(parameters);
                }
                let skipped =
                    last.chars().next().filter(|c| ('@'..='~').contains(c)).map_or(0, char::len_utf8);
                &last[skipped..]
            }
            // Titles and links: up to BEL or ESC \.
            Some(b']' | b'P' | b'_' | b'^' | b'X') => match rest.find(['\u{7}', '\u{1b}']) {
                Some(end) if rest[end..].starts_with("\u{1b}\\") => &rest[end + 2..],
                Some(end) if rest[end..].starts_with('\u{7}') => &rest[end + 1..],
                Some(end) => &rest[end..],
                None => "",
            },
            Some(b'(' | b')' | b'#' | b'%') => {
                let mut rest = rest.chars();
                rest.next();
                rest.next();
                rest.as_str()
            }
            Some(byte) if (0x30..0x7f).contains(byte) => &rest[1..],
            _end_or_text => rest,
        }
    }
}

/// What of a line stays on a terminal: a progress bar writes over itself.
fn last_written(line: &str) -> &str {
    let line = line.trim_end_matches('\r');
    line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or(line)
}

/// A line as far as it is shown, and how many bytes are not.
fn fitting(line: &str) -> (&str, usize) {
    if line.len() <= LINE_BYTES_MAX {
        return (line, 0);
    }
    let end = cut_at(line, LINE_BYTES_MAX);
    (&line[..end], line.len() - end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(pieces: Vec<StyledPiece>) -> String {
        let marked = |piece: StyledPiece| match piece.classes.as_str() {
            "" => piece.text,
            classes => format!("[{classes}|{}]", piece.text),
        };
        pieces.into_iter().map(marked).collect()
    }

    fn of(line: &str) -> String {
        marked(Terminal::default().pieces(line))
    }

    #[test]
    fn colours_become_classes() {
        assert_eq!(
            of("\u{1b}[32mgreen\u{1b}[0m and \u{1b}[1;31mred\u{1b}[m"),
            "[a-green|green] and [a-bold a-red|red]"
        );
        assert_eq!(of("\u{1b}[38;5;196mx\u{1b}[39m\u{1b}[48;2;0;0;255my"), "[a-red|x][a-on-blue|y]");
        assert_eq!(of("\u{1b}[97;41mx"), "[a-white a-on-red|x]");
    }

    #[test]
    fn a_style_goes_on_over_lines() {
        let mut terminal = Terminal::default();
        assert_eq!(marked(terminal.pieces("\u{1b}[33mone")), "[a-yellow|one]");
        assert_eq!(marked(terminal.pieces("two\u{1b}[0m")), "[a-yellow|two]");
        assert_eq!(marked(terminal.pieces("three")), "three");
    }

    #[test]
    fn what_else_steers_a_terminal_goes_and_no_text_with_it() {
        let steered =
            "a\u{1b}[2Kb\u{1b}[10;3Hc\u{1b}]0;title\u{7}d\u{1b}]8;;http://x\u{1b}\\e\u{1b}(Bf\u{1b}7g";
        assert_eq!(of(steered), "abcdefg");
        assert_eq!(of("10%\r50%\r100%\r"), "100%");
        assert_eq!(of("a\u{1b}"), "a");
        assert_eq!(of("a\u{1b}[31"), "a");
        assert_eq!(of("a\u{1b}[1äb"), "aäb");
        assert_eq!(of("bell\u{7}"), "bell␇");
        assert_eq!(of("\u{202e}x"), "⟨U+202E⟩x");
    }

    #[test]
    fn a_line_of_a_megabyte_is_cut_and_says_so() {
        let shown = of(&"ä".repeat(500_000));
        assert!(shown.len() < 20_000 && shown.ends_with("more]"), "{}", shown.len());
    }
}
