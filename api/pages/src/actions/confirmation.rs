//! What the page of an action says and asks.

use super::acting_run::ActingRun;
use crate::form::Fields;
use crate::frame::with_query;
use crate::problem::Problem;
use crate::start::schema_form::SchemaForm;

/// What will happen, and what is asked before.
#[derive(Debug, Clone, Default)]
pub(super) struct Confirmation {
    /// The step that it is about, where it is about one.
    pub(super) step: Option<String>,
    /// The headline: `Cancel Release 2.1.0`.
    pub(super) title: String,
    /// What will happen, a sentence each. The first one matters most.
    pub(super) says: Vec<String>,
    /// What the failure that it is about advises.
    pub(super) hint: Option<FailureHint>,
    /// The fields of the form in their order.
    pub(super) asked: Vec<Asked>,
    /// What the button says.
    pub(super) button: String,
    /// It ends or gives up something.
    pub(super) is_dangerous: bool,
    /// The same on the command line.
    pub(super) command: String,
    /// Why it cannot be done now. There is no button then.
    pub(super) refused: Option<String>,
}

/// What a failure advises, with the page that it speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailureHint {
    pub(super) text: String,
    /// None: it speaks of no page.
    pub(super) path: Option<String>,
}

impl FailureHint {
    /// The hint of a step's failure; none: it has none.
    pub(super) fn of(run: &ActingRun, step: &str) -> Option<Self> {
        let facts = run.step(step.split('.').next().unwrap_or(step))?;
        let failure = facts.failure.as_ref().filter(|failure| !failure.hint.is_empty())?;
        let child = failure.hint.split_once("everfold show ").map(|(_, child)| child);
        let child = child.and_then(|child| child.split_whitespace().next());
        let path = match child {
            Some(child) if child.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') => {
                Some(format!("/runs/{child}"))
            }
            _none if failure.hint.contains("log") && facts.items.is_none() => {
                let path = with_query(&format!("{}/log", run.path()), "step", step);
                let path = with_query(&path, "round", &facts.round.to_string());
                Some(with_query(&path, "attempt", &facts.attempt.to_string()))
            }
            _none => None,
        };
        Some(Self { text: failure.hint.clone(), path })
    }
}

/// A part of the form.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    /// A text of one line.
    Line(Line),
    /// A text of several lines.
    Area(Line),
    /// One of several, in a list. What it says may change with it.
    Select(Select),
    /// One of several, all in sight.
    Radios(Select),
    /// Any of several.
    Boxes(Boxes),
    /// How full something is.
    Meter(Meter),
    /// The input of the new run.
    Input(Box<SchemaForm>),
    /// What follows, until the next `Close`, is folded.
    Open {
        /// What it is.
        label: String,
        /// Whether it is open at first.
        is_open: bool,
    },
    /// The end of what is folded.
    Close,
}

/// A field for a text.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) hint: String,
    pub(super) text: String,
    /// The type of the HTML input; empty: text.
    pub(super) of: &'static str,
    pub(super) is_required: bool,
    /// It holds code.
    pub(super) is_code: bool,
    /// What may be meant, to choose from.
    pub(super) offers: Vec<String>,
    /// What it says may change with it.
    pub(super) changes_says: bool,
}

/// A field for one of several.
#[derive(Debug, Clone, Default)]
pub(super) struct Select {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) hint: String,
    pub(super) options: Vec<Offer>,
    pub(super) chosen: String,
}

/// One of several.
#[derive(Debug, Clone, Default)]
pub(super) struct Offer {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) hint: String,
}

/// A field for any of several.
#[derive(Debug, Clone, Default)]
pub(super) struct Boxes {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) options: Vec<Offer>,
    pub(super) chosen: Vec<String>,
}

/// How full something is.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter {
    pub(super) label: String,
    /// In words.
    pub(super) says: String,
    /// From 0 to 100; none: without a limit.
    pub(super) percent: Option<u64>,
    /// Why it has no room, in words; none: it has.
    pub(super) taken: Option<&'static str>,
}

impl Confirmation {
    /// Whether there is a button.
    pub(super) fn is_possible(&self) -> bool {
        self.refused.is_none()
    }

    /// Shows errors of a refusal at the fields of the input that they name, and asks for the credentials that it misses.
    pub(super) fn take_errors(&mut self, problem: &mut Problem, typed: &Fields) {
        for asked in &mut self.asked {
            if let Asked::Input(form) = asked {
                form.take_errors(problem);
            }
        }
        self.ask_credentials(problem, typed);
    }

    /// Asks for the credentials that a refusal names, and again for those that were typed: their values are not shown.
    fn ask_credentials(&mut self, problem: &Problem, typed: &Fields) {
        let named = problem.errors.iter().filter_map(|error| error.get("credential")?.as_str());
        let typed = typed.iter().filter_map(|(name, _)| name.strip_prefix("credential:"));
        let mut names: Vec<&str> = named.chain(typed).collect();
        names.sort_unstable();
        names.dedup();
        self.asked.extend(names.into_iter().map(|name| {
            Asked::Line(Line {
                name: format!("credential:{name}"),
                label: format!("Credential {name}"),
                hint:
                    "It goes with this request, is kept sealed until the run has ended, and is shown nowhere."
                        .to_owned(),
                of: "password",
                is_required: true,
                ..Line::default()
            })
        }));
    }
}

impl Line {
    /// The id of its element.
    pub(super) fn id(&self) -> String {
        id(&self.name)
    }

    /// How high its box is at first.
    pub(super) fn rows(&self) -> usize {
        self.text.lines().count().clamp(2, 12)
    }
}

impl Select {
    /// The id of its element.
    pub(super) fn id(&self) -> String {
        id(&self.name)
    }

    /// Whether an option is the chosen one.
    pub(super) fn is_chosen(&self, value: &str) -> bool {
        self.chosen == value
    }
}

impl Boxes {
    /// Whether an option is among the chosen ones.
    pub(super) fn is_chosen(&self, value: &str) -> bool {
        self.chosen.iter().any(|chosen| chosen == value)
    }
}

impl Offer {
    pub(super) fn new(value: impl Into<String>, label: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { value: value.into(), label: label.into(), hint: hint.into() }
    }
}

fn id(name: &str) -> String {
    let name = form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>();
    format!("act-{name}")
}

/// Why it is done: stands in the history.
pub(super) fn reason(typed: &Fields) -> Asked {
    Asked::Line(Line {
        name: "reason".to_owned(),
        label: "Why".to_owned(),
        hint: "Stands in the run's history.".to_owned(),
        text: typed.text("reason").unwrap_or_default().to_owned(),
        ..Line::default()
    })
}

/// A list for a sentence: `a, b and c`. Of a long one the first eight.
pub(super) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    const NAMES_MAX: usize = 8;
    let texts: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match texts.as_slice() {
        [] => "none".to_owned(),
        [one] => (*one).to_owned(),
        many if many.len() > NAMES_MAX => {
            format!("{} and {} more", many[..NAMES_MAX].join(", "), many.len() - NAMES_MAX)
        }
        many => {
            let (last, former) = (many[many.len() - 1], &many[..many.len() - 1]);
            format!("{} and {last}", former.join(", "))
        }
    }
}

/// A number with its noun: `1 step`, `2 steps`.
pub(super) fn counted(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {many}", crate::words::count(number as u64)) }
}

/// A word of a shell's command line.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain =
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:@=%+,".contains(c));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// What is typed as the reason, as an option of the command line.
pub(super) fn message_option(typed: &Fields) -> String {
    typed.text("reason").map(|reason| format!(" -m {}", shell_word(reason))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_leads_to_the_page_that_it_speaks_of() {
        let of = |hint: &str| {
            let run = serde_json::from_value(serde_json::json!({ "short_id": "40e1f9f8", "steps": [
                { "id": "try", "round": 2, "attempt": 1, "failure": { "message": "exit 3", "hint": hint } },
            ] }));
            FailureHint::of(&run.expect("the shape of a run"), "try").and_then(|hint| hint.path)
        };
        let log = "/runs/40e1f9f8/log?step=try&round=2&attempt=1";
        assert_eq!(of("read the attempt's log; the last lines say why").as_deref(), Some(log));
        assert_eq!(of("look at the child: everfold show 3c90cd65").as_deref(), Some("/runs/3c90cd65"));
        assert_eq!(of("give it more time"), None);
    }

    #[test]
    fn lists_are_sentences() {
        assert_eq!(listed(&["a"]), "a");
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
        let many: Vec<String> = (0..12).map(|n| n.to_string()).collect();
        assert_eq!(listed(&many), "0, 1, 2, 3, 4, 5, 6, 7 and 4 more");
    }

    #[test]
    fn a_reason_on_the_command_line_stays_one_word() {
        assert_eq!(shell_word("it's late; rm -rf"), "'it'\\''s late; rm -rf'");
        assert_eq!(shell_word("develop.0"), "develop.0");
    }
}
