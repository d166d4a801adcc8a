//! Printing: answers to stdout, the rest to stderr; colours on terminals only.
//!
//! Law: the command line prints notes, faults and lines of answers so that a terminal does nothing with them but colour
//! them, whoever chose the names and texts in them.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use owo_colors::OwoColorize as _;
use serde::Serialize;
use serde_json::Value;

use super::json_fields::chosen;
use super::logs::harmless;
use crate::fault::{Code, Fault};

/// Why standard output, of which a process has one, did not take an answer. A reader that went away is no such reason.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// The fields of `--json=FIELD,…`, which hold for all that the process prints as JSON.
static FIELDS: OnceLock<Vec<String>> = OnceLock::new();

/// Has answers in JSON printed with these fields of each thing alone; with none of them they are whole.
pub(crate) fn choose_fields(fields: Vec<String>) {
    let _first_counts = FIELDS.set(fields);
}

/// Whether answers go to a terminal.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// How many columns standard output has; `None`: it is no terminal, so that nothing is cut and nothing is coloured.
pub(crate) fn columns() -> Option<usize> {
    if !is_terminal() {
        return None;
    }
    let terminal = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
    let named = std::env::var("COLUMNS").ok();
    Some(width(named.as_deref(), terminal))
}

/// What the variable `COLUMNS` says, as other programs take it, else what the terminal says.
fn width(named: Option<&str>, terminal: Option<usize>) -> usize {
    let named = named.and_then(|columns| columns.trim().parse::<usize>().ok());
    let width = [named, terminal].into_iter().flatten().find(|width| *width > 0);
    width.map_or(COLUMNS, |width| width.max(COLUMNS_MIN))
}

/// The columns of a terminal that does not say how many it has, and those that a narrower one is taken to have.
const COLUMNS: usize = 80;
const COLUMNS_MIN: usize = 40;

/// The fault of an answer that could not be written: the command must fail, because the file that holds the answer is not whole.
pub(crate) fn unwritten() -> Option<Fault> {
    let why = UNWRITTEN.get()?;
    let fault = Fault::new(Code::File, format!("the answer could not be written to standard output: {why}"));
    Some(fault.hint("what was asked for is done; what is written there is not whole"))
}

/// Where answers go.
#[derive(Debug, Default)]
pub(crate) struct Out {
    closed: AtomicBool,
}

impl Out {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Prints a line of the answer. A reader that has gone away (`… | head`) ends the printing, not
    /// the program.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        self.raw(&format!("{}\n", harmless(text.as_ref())));
    }

    /// Prints a text of the answer as it is.
    pub(crate) fn raw(&self, text: &str) {
        if self.is_closed() {
            return;
        }
        let mut stdout = anstream::stdout().lock();
        self.look_at(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
    }

    /// Prints a line that programs read: its bytes as they are.
    fn machine_line(&self, text: String) {
        self.bytes((text + "\n").as_bytes());
    }

    /// Prints bytes as they are, control characters too. What programs read is printed so: [`Self::line`] and [`Self::raw`]
    /// leave out escape sequences and control characters where standard output is no terminal.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        if !self.is_closed() {
            let mut stdout = io::stdout().lock();
            self.look_at(stdout.write_all(bytes).and_then(|()| stdout.flush()));
        }
    }

    fn look_at(&self, written: io::Result<()>) {
        let Err(error) = written else { return };
        self.closed.store(true, Ordering::Relaxed);
        if error.kind() != io::ErrorKind::BrokenPipe {
            let _first_counts = UNWRITTEN.set(error.to_string());
        }
    }

    /// Prints an answer as one JSON document.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Fault> {
        let unwritable = |error: serde_json::Error| Fault::new(Code::Internal, error.to_string());
        let text = match FIELDS.get().filter(|fields| !fields.is_empty()) {
            None => serde_json::to_string_pretty(value),
            Some(fields) => {
                let value = serde_json::to_value(value).map_err(unwritable)?;
                serde_json::to_string_pretty(&chosen(value, fields)?)
            }
        };
        self.machine_line(text.map_err(unwritable)?);
        Ok(())
    }

    /// Prints a part of an answer as a line of JSON Lines.
    pub(crate) fn json_line(&self, value: &Value) -> Result<(), Fault> {
        match FIELDS.get().filter(|fields| !fields.is_empty()) {
            None => self.machine_line(value.to_string()),
            Some(fields) => self.machine_line(chosen(value.clone(), fields)?.to_string()),
        }
        Ok(())
    }

    /// Whether the reader of stdout has gone away.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

/// Says something beside the answer.
pub(crate) fn note(text: impl AsRef<str>) {
    // A closed stderr is no fault.
    let _closed = writeln!(anstream::stderr(), "{}", harmless(text.as_ref()));
}

/// Says what went wrong.
pub(crate) fn fault(fault: &Fault, json: bool) {
    if json {
        if let Ok(text) = serde_json::to_string_pretty(&fault.problem()) {
            let _closed = writeln!(io::stderr(), "{text}");
        }
        return;
    }
    let _closed = write!(anstream::stderr(), "{}", harmless(&fault_text(fault)));
}

/// An error as people read it.
pub(crate) fn fault_text(fault: &Fault) -> String {
    let head = format!("error[{}]:", fault.code);
    let mut text = format!("{} {}\n", head.red().bold(), fault.message.bold());
    // Of one alone the message may say all.
    let said = |error: &Value| error["message"].as_str().is_some_and(|what| fault.message.ends_with(what));
    for error in fault.errors.iter().filter(|error| fault.errors.len() > 1 || !said(error)) {
        text.push_str(&single(error));
    }
    if let Some(hint) = &fault.hint {
        text.push_str(&format!("  {} {hint}\n", "hint:".cyan()));
    }
    text.push_str(&format!("  {} everfold explain {}\n", "more:".dimmed(), fault.code));
    text
}

/// One of several faults: with its place where it has one.
fn single(error: &Value) -> String {
    let field = |name: &str| error.get(name).and_then(Value::as_str);
    let message = field("message").map_or_else(|| error.to_string(), str::to_owned);
    let place = match (field("file"), error.get("line").and_then(Value::as_u64)) {
        (Some(file), Some(line)) => {
            format!("{file}:{line}:{}: ", error.get("column").and_then(Value::as_u64).unwrap_or(1))
        }
        _ => field("path").map(|path| format!("{path}: ")).unwrap_or_default(),
    };
    let code = field("code").map(|code| format!("[{code}] ")).unwrap_or_default();
    let hint = field("hint").map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("  {place}{code}{message}{hint}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The variable was not looked at.
    #[test]
    fn the_variable_columns_says_how_wide_a_terminal_is() {
        assert_eq!(width(Some("60"), Some(120)), 60);
        for nothing in [None, Some(""), Some("0"), Some("wide")] {
            assert_eq!((width(nothing, Some(120)), width(nothing, None)), (120, COLUMNS), "{nothing:?}");
        }
        assert_eq!(width(Some("3"), None), COLUMNS_MIN);
    }

    #[test]
    fn a_fault_does_nothing_to_a_terminal_but_colour_it() {
        let nasty = "no \u{202e}run\u{1b}[2J\u{7}";
        let fault = Fault::new(Code::Usage, nasty).hint(nasty);
        let text = harmless(&fault_text(&fault)).into_owned();
        assert!(!text.contains(['\u{202e}', '\u{7}']) && !text.contains("[2J"), "{text:?}");
        assert_eq!(anstream::adapter::strip_str(&text).to_string().matches("no run").count(), 2, "{text:?}");
        assert!(matches!(harmless("plain\ttext\n"), std::borrow::Cow::Borrowed(_)));
    }
}
