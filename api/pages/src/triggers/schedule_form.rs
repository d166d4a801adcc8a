//! `/schedules/new` and `/schedules/{name}/change`: when runs start by themselves, and with which input.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::Method;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::form::Fields;
use crate::frame::{Frame, NavPlace, Visit};
use crate::html::Html;
use crate::pipelines::{PipelineView, PipelinesTab, RestList, segment};
use crate::problem::Problem;
use crate::start::schema_form::SchemaForm;
use crate::triggers::ScheduleView;
use crate::triggers::schedule_view::schedule_path;

/// The keys of a schedule that the form asks for as texts, beside its moments.
const TEXT_KEYS: [&str; 7] = ["zone", "hours", "jitter", "anchor", "catch_up", "overlap", "overlap_by"];

#[derive(Template)]
#[template(path = "triggers/schedule_form.html")]
struct FormPage {
    frame: Frame,
    tab: PipelinesTab,
    /// The schedule that is changed; none: a new one.
    of: Option<String>,
    /// The pipelines to choose from, where none is chosen yet.
    choices: Vec<PipelineView>,
    pipeline: Option<PipelineView>,
    typed: TypedSchedule,
    /// What the schedule is, to tell later whether others changed it.
    was: String,
    input: SchemaForm,
    problem: Option<Problem>,
    /// What is wrong and belongs to no field of the input.
    faults: Vec<String>,
}

impl FormPage {
    fn action(&self) -> String {
        match &self.of {
            Some(name) => schedule_path(name, "/change"),
            None => "/schedules/new".to_owned(),
        }
    }

    fn back(&self) -> String {
        self.of.as_deref().map_or_else(|| "/schedules".to_owned(), |name| schedule_path(name, ""))
    }
}

/// What stands in the fields of the form.
#[derive(Debug, Clone, Default)]
struct TypedSchedule {
    name: String,
    when: String,
    weekdays: String,
    title: String,
    texts: Vec<(&'static str, String)>,
}

impl TypedSchedule {
    fn of(schedule: &ScheduleView) -> Self {
        let cron = schedule.part("cron");
        Self {
            name: schedule.name.clone(),
            when: if cron.is_empty() { schedule.part("every") } else { cron },
            weekdays: schedule.part("weekdays"),
            title: schedule.title.clone().unwrap_or_default(),
            texts: TEXT_KEYS.map(|key| (key, schedule.part(key))).into(),
        }
    }

    fn sent(fields: &Fields) -> Self {
        let text = |name: &str| fields.text(name).unwrap_or_default().trim().to_owned();
        Self {
            name: text("name"),
            when: text("when"),
            weekdays: text("weekdays"),
            title: text("title"),
            texts: TEXT_KEYS.map(|key| (key, text(key))).into(),
        }
    }

    /// The text of a key.
    fn text(&self, key: &str) -> &str {
        self.texts.iter().find(|(known, _)| *known == key).map(|(_, text)| text.as_str()).unwrap_or_default()
    }

    /// Whether one of the rarer fields is filled, so that they are to be seen.
    fn has_more(&self) -> bool {
        !self.weekdays.is_empty() || self.texts.iter().any(|(_, text)| !text.is_empty())
    }

    /// The schedule as the language writes it. With `clears` what is blank is taken away from the schedule that there is.
    fn schedule(&self, clears: bool) -> Value {
        let mut map = Map::new();
        let is_cron = self.when.contains(char::is_whitespace);
        let (given, other) = if is_cron { ("cron", "every") } else { ("every", "cron") };
        let days: Vec<&str> = self.weekdays.split([',', ' ']).filter(|day| !day.is_empty()).collect();
        map.insert(given.to_owned(), json!(self.when));
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(key.to_owned(), value);
            } else if clears {
                map.insert(key.to_owned(), Value::Null);
            }
        };
        put(other, None);
        put("weekdays", (!days.is_empty()).then(|| json!(days)));
        for (key, text) in &self.texts {
            put(key, (!text.is_empty()).then(|| json!(text)));
        }
        Value::Object(map)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NewParams {
    /// The pipeline that is to be started.
    pipeline: String,
}

/// `GET /schedules/new`: asks for the pipeline first, since its input makes the rest of the form.
pub(super) async fn new_page(visit: Visit, Query(params): Query<NewParams>) -> Result<Response, Problem> {
    if params.pipeline.is_empty() {
        let pipelines: RestList<PipelineView> = visit.rest.get("/pipelines").await?;
        let mut page = page_of(&visit, None, None);
        page.choices = pipelines.items;
        return Ok(page.answer());
    }
    let pipeline = PipelineView::load(&visit, &params.pipeline).await?;
    let mut page = page_of(&visit, None, None);
    page.input = SchemaForm::new(&pipeline.input, None);
    page.pipeline = Some(pipeline);
    Ok(page.answer())
}

/// `POST /schedules/new`.
pub(super) async fn new_sent(visit: Visit, fields: Fields) -> Result<Response, Problem> {
    let pipeline = PipelineView::load(&visit, fields.text("pipeline").unwrap_or_default()).await?;
    let mut page = page_of(&visit, None, None);
    let (form, input) = SchemaForm::sent(&pipeline.input, None, &fields);
    page.typed = TypedSchedule::sent(&fields);
    page.input = form;
    let mut body = json!({
        "name": page.typed.name,
        "pipeline": pipeline.name,
        "schedule": page.typed.schedule(false),
        "title": fields.text("title"),
    });
    page.pipeline = Some(pipeline);
    let Some(input) = input else { return Ok(page.answer()) };
    if !is_nothing(&input) {
        body["input"] = input;
    }
    match visit.rest.write(Method::POST, "/schedules", &body, fields.once()).await {
        Ok(_added) => Ok(Redirect::to(&schedule_path(&page.typed.name, "")).into_response()),
        Err(problem) => Ok(page.refused(problem)),
    }
}

/// `GET /schedules/{name}/change`.
pub(super) async fn change_page(visit: Visit, Path(name): Path<String>) -> Result<Response, Problem> {
    let schedule = ScheduleView::load(&visit, &name).await?;
    let pipeline = PipelineView::load(&visit, &schedule.pipeline).await?;
    let mut page = page_of(&visit, Some(schedule.name.clone()), Some(&schedule));
    page.input = SchemaForm::new(&pipeline.input, Some(&schedule.input).filter(|input| !input.is_null()));
    page.pipeline = Some(pipeline);
    Ok(page.answer())
}

/// `POST /schedules/{name}/change`.
pub(super) async fn change_sent(
    visit: Visit,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Response, Problem> {
    let schedule = ScheduleView::load(&visit, &name).await?;
    let pipeline = PipelineView::load(&visit, &schedule.pipeline).await?;
    let before = Some(&schedule.input).filter(|input| !input.is_null());
    let mut page = page_of(&visit, Some(schedule.name.clone()), None);
    page.was = mark(&schedule);
    let (form, input) = SchemaForm::sent(&pipeline.input, before, &fields);
    page.typed = TypedSchedule { name: schedule.name.clone(), ..TypedSchedule::sent(&fields) };
    page.input = form;
    page.pipeline = Some(pipeline);
    if fields.text("was").is_some_and(|was| was != page.was) {
        let what = format!("others changed the schedule since you looked; it is {} now", schedule.moments);
        return Ok(page.refused(Problem::changed(what)));
    }
    let Some(input) = input else { return Ok(page.answer()) };
    let mut body = json!({ "schedule": page.typed.schedule(true), "title": page.typed.title });
    if before.is_some() || !is_nothing(&input) {
        body["input"] = input;
    }
    let path = format!("/schedules/{}", segment(&name));
    match visit.rest.write(Method::PATCH, &path, &body, fields.once()).await {
        Ok(_changed) => Ok(Redirect::to(&schedule_path(&name, "")).into_response()),
        Err(problem) => Ok(page.refused(problem)),
    }
}

/// What a form carries of a schedule.
fn mark(schedule: &ScheduleView) -> String {
    json!([schedule.schedule, schedule.input, schedule.title]).to_string()
}

fn is_nothing(input: &Value) -> bool {
    input.as_object().is_some_and(Map::is_empty)
}

fn page_of(visit: &Visit, of: Option<String>, schedule: Option<&ScheduleView>) -> FormPage {
    let title = of.as_ref().map_or_else(|| "New schedule".to_owned(), |name| format!("Change {name}"));
    let mut frame = visit.frame(title, NavPlace::Pipelines);
    frame.live = false;
    FormPage {
        frame,
        tab: PipelinesTab::Schedules,
        of,
        choices: Vec::new(),
        pipeline: None,
        typed: schedule.map(TypedSchedule::of).unwrap_or_default(),
        was: schedule.map(mark).unwrap_or_default(),
        input: SchemaForm::new(&Value::Null, None),
        problem: None,
        faults: Vec::new(),
    }
}

impl FormPage {
    /// The form with what was typed, and why it was refused.
    fn refused(mut self, mut problem: Problem) -> Response {
        self.input.take_errors(&mut problem);
        self.faults = crate::start::left_errors(&problem);
        self.problem = Some(problem);
        self.answer()
    }

    fn answer(self) -> Response {
        let status = self.problem.as_ref().map(Problem::status);
        let mut response = Html(self).into_response();
        if let Some(status) = status {
            *response.status_mut() = status;
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(body: &str) -> TypedSchedule {
        TypedSchedule::sent(&Fields::read(body.as_bytes()))
    }

    #[test]
    fn a_pattern_is_told_from_a_span() {
        assert_eq!(sent("when=0+7+*+*+1-5").schedule(false), json!({ "cron": "0 7 * * 1-5" }));
        assert_eq!(
            sent("when=15m&weekdays=mon,+fri&hours=8..18").schedule(false),
            json!({ "every": "15m", "weekdays": ["mon", "fri"], "hours": "8..18" }),
        );
    }

    #[test]
    fn a_change_takes_away_what_was_emptied() {
        let schedule = sent("when=1h&zone=Europe/Berlin").schedule(true);
        assert_eq!(schedule["cron"], Value::Null);
        assert_eq!((&schedule["every"], &schedule["zone"]), (&json!("1h"), &json!("Europe/Berlin")));
        assert!(
            schedule.as_object().is_some_and(|keys| keys.contains_key("jitter") && keys["jitter"].is_null())
        );
    }
}
