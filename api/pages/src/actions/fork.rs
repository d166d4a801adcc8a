//! Fork: a new run that goes on from a moment of this one, beside it.

use super::act::Act;
use super::acting_run::ActingRun;
use super::confirmation::{Asked, Confirmation, Line, Offer, Select, counted, listed, shell_word};
use super::restart::{ask_for_input, ask_for_more, other_definition};
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
    /// time as `at`.
    pub(super) fn of(act: &Act) -> Option<Self> {
        let read = |text: &str, number: fn(u64) -> Self| {
            text.trim().parse().map_or_else(|_| Self::Time(text.trim().to_owned()), number)
        };
        let typed = |name: &str| act.typed.text(name).filter(|text| !text.trim().is_empty());
        typed("version")
            .map(|text| read(text, Self::Version))
            .or_else(|| typed("at").map(|text| read(text, Self::Position)))
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

pub(super) async fn confirm(act: &Act) -> Result<Confirmation, Problem> {
    let run = &act.run;
    let other = other_definition(act).await?;
    let definition = other.as_ref().unwrap_or(&run.definition);
    let newest = (!run.is_ended()).then_some(ForkMoment::Version(run.version));
    let mut moment = ForkMoment::of(act).or(newest);
    let mut says = Vec::new();
    let mut refused = None;
    match &moment {
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
    let typed = moment.as_ref().map(ForkMoment::text).unwrap_or_default();
    let mut asked = vec![Asked::Line(Line {
        name: "version".to_owned(),
        label: format!("From version 1 to {}, or a time", run.version),
        hint: "A version of the run, or a time in RFC 3339: 2026-11-22T14:32:00Z.".to_owned(),
        text: typed.clone(),
        is_required: true,
        changes_says: true,
        ..Line::default()
    })];
    let input = ask_for_input(act, definition);
    says.extend(input.says(act));
    asked.extend(input.asked);
    let until = act.typed.text("until").unwrap_or_default();
    if !until.is_empty() {
        says.push(format!("It pauses before {until}."));
    }
    asked.push(Asked::Select(Select {
        name: "until".to_owned(),
        label: "Pause before".to_owned(),
        hint: "The fork stops there as at a breakpoint.".to_owned(),
        options: std::iter::once(Offer::new("", "no step", ""))
            .chain(definition.steps().map(|step| Offer::new(step, step, "")))
            .collect(),
        chosen: until.to_owned(),
    }));
    asked.extend(ask_for_more(act).await);
    let until = if until.is_empty() { String::new() } else { format!(" --until {}", shell_word(until)) };
    let at = if typed.is_empty() { "VERSION".to_owned() } else { shell_word(&typed) };
    Ok(Confirmation {
        step: None,
        title: format!("Fork {}", run.quoted()),
        says,
        asked,
        button: match &moment {
            Some(ForkMoment::Version(version)) => format!("Fork from version {version}"),
            Some(ForkMoment::Position(_) | ForkMoment::Time(_)) => "Fork from that moment".to_owned(),
            None => "Fork from there".to_owned(),
        },
        is_dangerous: false,
        command: format!("everfold fork {} --at {at}{until}{}", run.short_id, input.options),
        refused,
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
