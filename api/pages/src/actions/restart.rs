//! Restart: a new run that begins anew at a step. Also what a restart and a fork ask alike.

use serde::Deserialize;
use serde_json::Value;

use super::act::Act;
use super::acting_run::ActingRun;
use super::confirmation::{Asked, Confirmation, Line, Offer, Select, counted, listed, shell_word};
use super::definition::Definition;
use super::ending::ends_of;
use super::rerun::Rerun;
use crate::form::Fields;
use crate::problem::Problem;
use crate::start::schema_form::{SchemaForm, SchemaPart};

/// Versions of a pipeline that are offered.
const VERSIONS_MAX: usize = 20;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct VersionsPart {
    items: Vec<VersionRow>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct VersionRow {
    n: u64,
    saved_at: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Saved {
    document: Definition,
}

/// The definition that is typed to go on by; none: the run's own.
pub(super) async fn other_definition(act: &Act) -> Result<Option<Definition>, Problem> {
    let Some(name) = act.typed.text("pipeline") else { return Ok(None) };
    let place = crate::words::encoded(name);
    let saved: Saved = act.visit.rest.get(&format!("/pipelines/{place}")).await?;
    Ok(Some(saved.document))
}

/// The step of the new run from which it begins anew.
pub(super) async fn confirm(act: &Act) -> Result<Confirmation, Problem> {
    let run = &act.run;
    let other = other_definition(act).await?;
    let definition = other.as_ref().unwrap_or(&run.definition);
    let failed = run.steps.iter().find(|step| step.status == "failed" && !step.tolerated);
    let is_open =
        |status: &str| !matches!(status, "succeeded" | "failed" | "skipped" | "cancelled" | "pending");
    let failed = failed.or_else(|| run.steps.iter().find(|step| is_open(&step.status)));
    let from = act.typed.text("from").or(failed.map(|step| step.id.as_str()));
    let from = from.or_else(|| definition.steps().next()).unwrap_or_default();
    let rerun = Rerun::of(run, from, other.as_ref());
    let mut says = vec![format!("The run begins anew at {from} as a new run; {}.", fate_of_origin(run))];
    says.extend(says_of_rerun(run, &rerun));
    let options = definition.steps().map(|step| {
        let status = run.step(step).map_or("new", |step| step.status.as_str());
        Offer::new(step, format!("{step} · {status}"), "")
    });
    let mut asked = vec![Asked::Select(Select {
        name: "from".to_owned(),
        label: "From".to_owned(),
        hint: "This step and all that depends on it begin anew.".to_owned(),
        options: options.collect(),
        chosen: from.to_owned(),
    })];
    let input = ask_for_input(act, definition);
    says.extend(input.says(act));
    asked.extend(input.asked);
    asked.extend(ask_for_more(act).await);
    let is_known = definition.steps().any(|step| step == from);
    Ok(Confirmation {
        step: Some(from.to_owned()),
        title: format!("Restart {}", run.quoted()),
        says,
        asked,
        button: format!("Restart from {from}"),
        is_dangerous: !run.is_ended(),
        command: format!(
            "everfold restart {} --from {}{}{}",
            run.short_id,
            shell_word(from),
            input.options,
            more_options(&act.typed)
        ),
        refused: (!is_known).then(|| format!("The pipeline has no step “{from}” to begin anew at.")),
        ..Confirmation::default()
    })
}

fn fate_of_origin(run: &ActingRun) -> String {
    if run.is_ended() {
        return "this one stays as it is".to_owned();
    }
    match ends_of(run).as_slice() {
        [] => format!("this one is {} and is cancelled first", run.status),
        ends => format!("this one is cancelled first, which ends {}", listed(ends)),
    }
}

/// What begins anew and what is kept, in sentences with numbers.
pub(super) fn says_of_rerun(run: &ActingRun, rerun: &Rerun<'_>) -> Vec<String> {
    let mut says = Vec::new();
    if !rerun.again.is_empty() {
        let verb = if rerun.again.len() == 1 { "runs" } else { "run" };
        let cost =
            run.cost_of(&rerun.again).map(|cost| format!(", which cost {cost} so far")).unwrap_or_default();
        says.push(format!(
            "{} {verb} again: {}{cost}.",
            counted(rerun.again.len(), "step", "steps"),
            listed(&rerun.again)
        ));
    }
    if !rerun.later.is_empty() {
        let verb = if rerun.later.len() == 1 { "begins" } else { "begin" };
        says.push(format!(
            "{} {verb} for the first time: {}.",
            counted(rerun.later.len(), "step", "steps"),
            listed(&rerun.later)
        ));
    }
    if !rerun.kept.is_empty() {
        let verb = if rerun.kept.len() == 1 { "is" } else { "are" };
        says.push(format!(
            "{} {verb} kept: {}.",
            counted(rerun.kept.len(), "step", "steps"),
            listed(&rerun.kept)
        ));
    }
    if run.workspace.is_some() {
        let commit =
            run.commit.as_deref().map(|commit| format!(" from commit {}", &commit[..commit.len().min(8)]));
        says.push(format!(
            "It works on a branch of its own{}; what is merged stays merged.",
            commit.unwrap_or_default()
        ));
    }
    says
}

/// The fields of the input, and what of it is another than the run's.
#[derive(Debug, Default)]
pub(super) struct AskedInput {
    pub(super) asked: Vec<Asked>,
    /// The names of the changed fields.
    changed: Vec<String>,
    /// The same as options of the command line.
    pub(super) options: String,
}

impl AskedInput {
    /// What is another than in the origin, in sentences.
    pub(super) fn says(&self, act: &Act) -> Vec<String> {
        let mut says = Vec::new();
        if !self.changed.is_empty() {
            let verb = if self.changed.len() == 1 { "is" } else { "are" };
            let fields = counted(self.changed.len(), "field", "fields");
            says.push(format!("{fields} of the input {verb} another: {}.", listed(&self.changed)));
        }
        if let Some(name) = act.typed.text("pipeline") {
            says.push(format!("It goes on by the definition {name}, which what has begun must fit."));
        }
        says
    }
}

/// The fields of the input, with the run's values.
pub(super) fn ask_for_input(act: &Act, definition: &Definition) -> AskedInput {
    let is_typed = act.typed.iter().any(|(name, _)| name == "input" || name.starts_with("input/"));
    let (form, value) = match is_typed {
        true => SchemaForm::sent(&definition.input, Some(&act.run.input), &act.typed),
        false => (SchemaForm::new(&definition.input, Some(&act.run.input)), None),
    };
    if form.is_empty() {
        return AskedInput::default();
    }
    let has_errors = form.parts().iter().any(|part| match part {
        SchemaPart::Field(field) | SchemaPart::Open(field) => !field.errors.is_empty(),
        SchemaPart::Close => false,
    });
    let value = value.unwrap_or(Value::Null);
    let changed = SchemaForm::changed(&act.run.input, &value);
    let options: String = changed
        .iter()
        .map(|(name, value)| format!(" -i {}", shell_word(&format!("{name}={}", crate::words::json(value)))))
        .collect();
    let label = match changed.len() {
        0 => "Input: as it was".to_owned(),
        number => format!("Input: {} changed", counted(number, "field", "fields")),
    };
    let is_open = has_errors || !changed.is_empty() || act.typed.is_set("edit");
    AskedInput {
        changed: changed.into_iter().map(|(name, _)| name.clone()).collect(),
        asked: vec![Asked::Open { label, is_open }, Asked::Input(Box::new(form)), Asked::Close],
        options,
    }
}

/// The title and the definition that are typed, as options of the command line.
pub(super) fn more_options(typed: &Fields) -> String {
    let option = |name: &str, option: &str| {
        typed.text(name).map(|text| format!(" --{option} {}", shell_word(text))).unwrap_or_default()
    };
    format!("{}{}", option("title", "title"), option("pipeline", "definition"))
}

/// A title, and another definition to go on by.
pub(super) async fn ask_for_more(act: &Act) -> Vec<Asked> {
    let title = act.typed.text("title").unwrap_or_default();
    let chosen = act.typed.text("pipeline").unwrap_or_default();
    let mut asked = vec![
        Asked::Open {
            label: "Title and definition".to_owned(),
            is_open: !title.is_empty() || !chosen.is_empty(),
        },
        Asked::Line(Line {
            name: "title".to_owned(),
            label: "Title".to_owned(),
            hint: format!(
                "Without one it has that of this run: {}.",
                act.run.title.as_deref().unwrap_or("none")
            ),
            text: title.to_owned(),
            ..Line::default()
        }),
    ];
    let name = &act.run.pipeline;
    let place = crate::words::encoded(name);
    // Of a pipeline that was never saved there is no other version.
    let versions: Result<VersionsPart, Problem> =
        act.visit.rest.get(&format!("/pipelines/{place}/versions?limit={VERSIONS_MAX}")).await;
    let rows = versions.map(|versions| versions.items).unwrap_or_default();
    if !rows.is_empty() {
        let mut options = vec![Offer::new("", "the one that this run is pinned to", "")];
        options.extend(rows.iter().map(|row| {
            let label = format!("{name}@{} · saved {} ago", row.n, crate::words::age(&row.saved_at));
            Offer::new(format!("{name}@{}", row.n), label, "")
        }));
        asked.push(Asked::Select(Select {
            name: "pipeline".to_owned(),
            label: "Definition".to_owned(),
            hint: "What has begun must fit it; what has not may differ freely.".to_owned(),
            options,
            chosen: chosen.to_owned(),
        }));
    }
    asked.push(Asked::Close);
    asked
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rerun_is_said_with_numbers_and_what_it_cost() {
        let run: ActingRun = serde_json::from_value(json!({
            "steps": [{ "id": "develop", "usage": { "cost_usd": "0.620000" } }, { "id": "review", "usage": { "cost_usd": "0.31" } }],
        }))
        .unwrap();
        let rerun = Rerun { again: vec!["develop", "review"], later: vec!["merge"], kept: vec!["analyse"] };
        let says = says_of_rerun(&run, &rerun);
        assert_eq!(says[0], "2 steps run again: develop and review, which cost 0.93 USD so far.");
        assert_eq!(says[1], "1 step begins for the first time: merge.");
        assert_eq!(says[2], "1 step is kept: analyse.");
    }

    #[test]
    fn a_restart_from_a_step_that_had_not_begun_names_it_among_those_that_begin() {
        let run: ActingRun = serde_json::from_value(json!({})).unwrap();
        let rerun = Rerun { again: vec!["unit"], later: vec!["approve", "deploy"], kept: Vec::new() };
        let says = says_of_rerun(&run, &rerun);
        assert_eq!(says[0], "1 step runs again: unit.");
        assert_eq!(says[1], "2 steps begin for the first time: approve and deploy.");
    }

    #[test]
    fn the_command_line_has_the_title_and_the_definition_that_were_typed() {
        let typed = Fields::read(b"title=Once+more&pipeline=release%402");
        assert_eq!(more_options(&typed), " --title 'Once more' --definition release@2");
        assert_eq!(more_options(&Fields::read(b"title=")), "");
    }
}
