//! Fork: a new run that goes on from a moment of this one, beside it.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::act::Act;
use super::acting_run::ActingRun;
use super::confirmation::{Asked, Confirmation, Line, Offer, Select, counted, listed, shell_word};
use super::definition::Definition;
use super::restart::{ask_for_input, ask_for_more, more_options, other_definition};
use crate::board::WrittenMoment;
use crate::problem::Problem;

/// A moment of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ForkMoment {
    Version(u64),
    /// A position of the log.
    Position(u64),
    Time(String),
}

impl ForkMoment {
    /// The moment that is typed, or that the address names: a version or a time as `version`, a position of the log or a
    /// time as `at`. Times are in UTC.
    ///
    /// # Errors
    /// What a moment should be, for its reader.
    pub(super) fn of(act: &Act) -> Result<Option<Self>, String> {
        let typed = |name: &str| act.typed.text(name).map(str::trim).filter(|text| !text.is_empty());
        let (text, number) = match (typed("version"), typed("at")) {
            (Some(text), _) => (text, Self::Version as fn(u64) -> Self),
            (None, Some(text)) => (text, Self::Position as fn(u64) -> Self),
            (None, None) => return Ok(None),
        };
        Self::read(text, number, act.run.version, Timestamp::now()).map(Some)
    }

    fn read(text: &str, number: fn(u64) -> Self, newest: u64, now: Timestamp) -> Result<Self, String> {
        if let Ok(found) = text.parse() {
            return Ok(number(found));
        }
        match WrittenMoment::read(text, now, &TimeZone::UTC) {
            Ok(WrittenMoment::Now) => Ok(Self::Version(newest)),
            Ok(WrittenMoment::Position(position)) => Ok(Self::Position(position)),
            Ok(time @ WrittenMoment::Time(_)) => Ok(Self::Time(time.canonical().unwrap_or_default())),
            Err(_) => Err(format!(
                "“{text}” is no moment: write a version, -10m, 2h ago, yesterday 14:32, or a time such as 2026-11-22T14:32:00Z"
            )),
        }
    }

    fn query(&self) -> String {
        match self {
            Self::Version(version) => format!("version={version}"),
            Self::Position(position) => format!("at={position}"),
            Self::Time(time) => {
                form_urlencoded::Serializer::new(String::new()).append_pair("at", time).finish()
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Version(version) => version.to_string(),
            // A number in the form is a version: what position that is, is asked before.
            Self::Position(_) => String::new(),
            Self::Time(time) => time.clone(),
        }
    }
}

/// What of a fork's work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ForkEffects {
    /// All but what acts outside.
    Held,
    /// What differs from the origin, but for what acts outside.
    Replayed,
    /// All.
    Live,
}

impl ForkEffects {
    /// As it is chosen in the form.
    pub(super) fn of(act: &Act) -> Self {
        match act.typed.text("effects") {
            Some("replay") => Self::Replayed,
            Some("live") => Self::Live,
            Some(_) | None => Self::Held,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Held => "",
            Self::Replayed => "replay",
            Self::Live => "live",
        }
    }

    fn option(self) -> &'static str {
        match self {
            Self::Held => "",
            Self::Replayed => " --replay-effects",
            Self::Live => " --live",
        }
    }

    fn says(self) -> &'static str {
        match self {
            Self::Held => "Work is done again; what acts outside is held back, and no notices are sent.",
            Self::Replayed => {
                "Work that is given the same ends as it did here; what differs is done, but for what acts outside."
            }
            Self::Live => "Work is done again, also what acts outside, and notices are sent.",
        }
    }

    fn ask(self) -> Asked {
        Asked::Select(Select {
            name: "effects".to_owned(),
            label: "Work".to_owned(),
            hint: "What acts outside writes to services and to people: requests, pull requests, messages."
                .to_owned(),
            options: vec![
                Offer::new("", "do it again, hold back what acts outside", ""),
                Offer::new("replay", "do only what differs", ""),
                Offer::new("live", "do it again, act outside too", ""),
            ],
            chosen: self.word().to_owned(),
        })
    }
}

pub(super) async fn confirm(act: &Act) -> Result<Confirmation, Problem> {
    let run = &act.run;
    let other = other_definition(act).await?;
    let definition = other.as_ref().unwrap_or(&run.definition);
    let newest = (!run.is_ended()).then_some(ForkMoment::Version(run.version));
    let read = ForkMoment::of(act);
    let unread = read.as_ref().err().cloned();
    let mut moment = read.unwrap_or_default().or(newest.filter(|_| unread.is_none()));
    let mut says = Vec::new();
    let mut refused = None;
    match &moment {
        None if unread.is_some() => says.extend(unread.iter().map(|why| format!("{why}."))),
        None => {
            says.push("A new run goes on from a moment of this one, beside it. Say which moment.".to_owned())
        }
        Some(asked) => match then(act, asked).await {
            Ok(then) => {
                says = says_of(run, &then);
                if matches!(asked, ForkMoment::Position(_)) {
                    moment = Some(ForkMoment::Version(then.version));
                }
            }
            Err(problem) => says.push(format!("{}.", problem.detail)),
        },
    }
    if other.is_none() && run.steps.is_empty() {
        refused = Some("The run has not begun: there is nothing to fork.".to_owned());
    }
    // What was typed stays as it is: `-10m` goes with the time.
    let typed = act.typed.text("version").map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let typed = typed.or_else(|| moment.as_ref().map(ForkMoment::text)).unwrap_or_default();
    let mut asked = vec![ask_moment(run, &typed)];
    let input = ask_for_input(act, definition);
    says.extend(input.says(act));
    asked.extend(input.asked);
    let until = act.typed.text("until").unwrap_or_default();
    if !until.is_empty() {
        says.push(format!("It pauses before {until}."));
    }
    asked.push(ask_until(definition, until));
    let effects = ForkEffects::of(act);
    says.push(effects.says().to_owned());
    asked.push(effects.ask());
    asked.extend(ask_for_more(act).await);
    let until = if until.is_empty() { String::new() } else { format!(" --until {}", shell_word(until)) };
    let at = if typed.is_empty() { "VERSION".to_owned() } else { shell_word(&typed) };
    Ok(Confirmation {
        title: format!("Fork {}", run.quoted()),
        says,
        asked,
        button: match &moment {
            Some(ForkMoment::Version(version)) => format!("Fork from version {version}"),
            Some(ForkMoment::Position(_) | ForkMoment::Time(_)) => "Fork from that moment".to_owned(),
            None => "Fork from there".to_owned(),
        },
        is_dangerous: false,
        command: format!(
            "everfold fork {} --at {at}{until}{}{}{}",
            run.short_id,
            effects.option(),
            input.options,
            more_options(&act.typed)
        ),
        refused,
        ..Confirmation::default()
    })
}

fn ask_moment(run: &ActingRun, typed: &str) -> Asked {
    Asked::Line(Line {
        name: "version".to_owned(),
        label: format!("From version 1 to {}, or a time", run.version),
        hint: "A version of the run, or a time: -10m, yesterday 14:32 (UTC), 2026-11-22T14:32:00Z."
            .to_owned(),
        text: typed.to_owned(),
        is_required: true,
        changes_says: true,
        ..Line::default()
    })
}

fn ask_until(definition: &Definition, until: &str) -> Asked {
    Asked::Select(Select {
        name: "until".to_owned(),
        label: "Pause before".to_owned(),
        hint: "The fork stops there as at a breakpoint.".to_owned(),
        options: std::iter::once(Offer::new("", "no step", ""))
            .chain(definition.steps().map(|step| Offer::new(step, step, "")))
            .collect(),
        chosen: until.to_owned(),
    })
}

/// The run as it was then.
async fn then(act: &Act, moment: &ForkMoment) -> Result<ActingRun, Problem> {
    act.visit.rest.get(&format!("/runs/{}/state?{}", act.run.id, moment.query())).await
}

fn says_of(run: &ActingRun, then: &ActingRun) -> Vec<String> {
    let fate = if run.is_ended() { "stays as it is" } else { "goes on" };
    let mut says = vec![format!(
        "A new run goes on from version {} of {}, beside this one, which {fate}.",
        then.version, run.version
    )];
    if then.is_ended() {
        says.push("By then the run had ended: fork it from an earlier version, or restart it.".to_owned());
        return says;
    }
    let finishing = run.definition.finishing();
    let named = |is_so: &dyn Fn(&str) -> bool| -> Vec<&str> {
        let steps = then.steps.iter().filter(|step| !finishing.contains(&step.id.as_str()));
        steps.filter(|step| is_so(&step.status)).map(|step| step.id.as_str()).collect()
    };
    let over = named(&|status| matches!(status, "succeeded" | "failed"));
    let open =
        named(&|status| !matches!(status, "succeeded" | "failed" | "skipped" | "cancelled" | "pending"));
    let pending = named(&|status| status == "pending");
    if !over.is_empty() {
        let verb = if over.len() == 1 { "had ended and is" } else { "had ended and are" };
        says.push(format!("{} {verb} kept: {}.", counted(over.len(), "step", "steps"), listed(&over)));
    }
    if !open.is_empty() {
        let verb = if open.len() == 1 {
            "was open and goes on with its next attempt"
        } else {
            "were open and go on with their next attempts"
        };
        says.push(format!("{} {verb}: {}.", counted(open.len(), "step", "steps"), listed(&open)));
    }
    let cancelled = named(&|status| status == "cancelled");
    if !cancelled.is_empty() {
        says.push(format!("{} been cancelled: {}.", had(cancelled.len()), listed(&cancelled)));
    }
    if !pending.is_empty() {
        says.push(format!("{} not begun: {}.", had(pending.len()), listed(&pending)));
    }
    says.push("The copied history costs nothing again and sends no notices.".to_owned());
    says
}

fn had(steps: usize) -> String {
    format!("{} had", counted(steps, "step", "steps"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_version_or_a_time_as_people_write_it() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let read = |text: &str| ForkMoment::read(text, ForkMoment::Version, 41, now);
        assert_eq!(read("7"), Ok(ForkMoment::Version(7)));
        assert_eq!(read("-10m"), Ok(ForkMoment::Time("2026-11-22T11:50:00Z".to_owned())));
        assert_eq!(read("2026-11-22T11:00:00Z"), Ok(ForkMoment::Time("2026-11-22T11:00:00Z".to_owned())));
        assert_eq!(read("now"), Ok(ForkMoment::Version(41)));
        assert!(read("soon").is_err_and(|why| why.starts_with("“soon” is no moment: write a version")));
    }
}
