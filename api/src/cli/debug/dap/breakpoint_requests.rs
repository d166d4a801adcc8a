//! Requests that set where it stops.

use everfold_engine::definition::similar;
use everfold_pages::EventSearch;
use serde_json::{Value, json};

use super::adapter::DapAdapter;
use super::arguments::{
    AskedFilter, FilterArguments, LinePointsArguments, LinesArguments, StepPointsArguments,
};
use super::breakpoints::{EventPoint, KindPoint, PointPlace};
use super::pipeline_text::PipelineText;
use super::protocol::{DapRefusal, DapRequest, FILTERS};

/// Breakpoints of one request that are set.
const POINTS_MAX: usize = 1_000;

impl DapAdapter {
    /// Breakpoints in lines of the pipeline's text.
    pub(super) fn set_line_points(&mut self, request: &DapRequest) -> Result<Value, DapRefusal> {
        let asked: LinePointsArguments = request.read()?;
        let client = self.client;
        let (mut points, mut answers) = (Vec::new(), Vec::new());
        let mut id = self.last_point;
        let text = &self.run()?.text;
        if !text.is_meant(&asked.source) {
            let why = "this is not the pipeline of the run; `file` of the configuration names its file";
            let answers: Vec<Value> = asked.breakpoints.iter().map(|_| unverified(why.to_owned())).collect();
            return Ok(json!({ "breakpoints": answers }));
        }
        for one in asked.breakpoints.iter().take(POINTS_MAX) {
            let set = condition(one.condition.as_deref()).and_then(|condition| {
                let place = text.at_line(client.line_in(one.line)).ok_or("no step stands in this line")?;
                Ok((condition, place))
            });
            answers.push(match set {
                Ok((condition, place)) => {
                    id += 1;
                    let (step, gate) = (place.step.to_owned(), place.gate.map(str::to_owned));
                    let message = said(&step, gate.as_deref());
                    points.push(EventPoint { id, place: PointPlace { step, item: None, gate }, condition });
                    json!({ "id": id, "verified": true, "line": client.line_out(place.line), "message": message,
                        "source": text.source() })
                }
                Err(why) => unverified(why),
            });
        }
        self.last_point = id;
        self.points.lines = points;
        Ok(json!({ "breakpoints": answers }))
    }

    /// Breakpoints at steps by their names: `build`, `build.tests` (a gate), `build.3` (an item).
    pub(super) fn set_step_points(&mut self, request: &DapRequest) -> Result<Value, DapRefusal> {
        let asked: StepPointsArguments = request.read()?;
        let client = self.client;
        let (mut points, mut answers) = (Vec::new(), Vec::new());
        let mut id = self.last_point;
        let text = &self.run()?.text;
        for one in asked.breakpoints.iter().take(POINTS_MAX) {
            let set = condition(one.condition.as_deref())
                .and_then(|condition| Ok((condition, named_place(text, one.name.trim())?)));
            answers.push(match set {
                Ok((condition, place)) => {
                    id += 1;
                    let line = text.place(&place.step, place.gate.as_deref()).map(|place| place.line);
                    let message = said(&place.step, place.gate.as_deref());
                    points.push(EventPoint { id, place, condition });
                    let mut answer = json!({ "id": id, "verified": true, "message": message });
                    if let Some(line) = line {
                        answer["line"] = json!(client.line_out(line));
                        answer["source"] = text.source();
                    }
                    answer
                }
                Err(why) => unverified(why),
            });
        }
        self.last_point = id;
        self.points.steps = points;
        Ok(json!({ "breakpoints": answers }))
    }

    /// Kinds of events at which it stops wherever they happen.
    pub(super) fn set_filters(&mut self, request: &DapRequest) -> Result<Value, DapRefusal> {
        let FilterArguments { filters, filter_options } = request.read()?;
        let plain = filters.into_iter().map(|filter_id| AskedFilter { filter_id, condition: None });
        let (mut points, mut answers) = (Vec::new(), Vec::new());
        for asked in plain.chain(filter_options).take(POINTS_MAX) {
            let known =
                FILTERS.iter().map(|(filter, _, _)| *filter).find(|filter| *filter == asked.filter_id);
            let set = known.ok_or_else(|| format!("there is no filter {}", asked.filter_id));
            let set = set.and_then(|filter| Ok((filter, condition(asked.condition.as_deref())?)));
            answers.push(match set {
                Ok((filter, condition)) => {
                    points.push(KindPoint { filter, condition });
                    json!({ "verified": true })
                }
                Err(why) => unverified(why),
            });
        }
        self.points.kinds = points;
        Ok(json!({ "breakpoints": answers }))
    }

    /// The lines in which a breakpoint can be.
    pub(super) fn point_lines(&mut self, request: &DapRequest) -> Result<Value, DapRefusal> {
        let asked: LinesArguments = request.read()?;
        let client = self.client;
        let text = &self.run()?.text;
        if !text.is_meant(&asked.source) {
            return Ok(json!({ "breakpoints": [] }));
        }
        let first = client.line_in(asked.line);
        let last = asked.end_line.map_or(first, |line| client.line_in(line));
        let places = text.places(first, last);
        let lines: Vec<Value> =
            places.iter().map(|place| json!({ "line": client.line_out(place.line) })).collect();
        Ok(json!({ "breakpoints": lines }))
    }
}

fn unverified(why: String) -> Value {
    json!({ "verified": false, "message": why, "reason": "failed" })
}

fn said(step: &str, gate: Option<&str>) -> String {
    match gate {
        Some(gate) => format!("events of the gate {gate} of {step}"),
        None => format!("events of {step}"),
    }
}

/// The condition of a breakpoint: what can be searched for in the debugger.
fn condition(text: Option<&str>) -> Result<Option<EventSearch>, String> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    text.map(|text| {
        EventSearch::read(text).map_err(|why| {
            format!(
                "the condition cannot be read: {why}; write words and fields, such as verdict=fail round>2"
            )
        })
    })
    .transpose()
}

/// What a name means: a step, else what stands before its last dot with a gate or an item behind it.
fn named_place(text: &PipelineText, name: &str) -> Result<PointPlace, String> {
    if text.steps.contains_key(name) {
        return Ok(PointPlace { step: name.to_owned(), item: None, gate: None });
    }
    let parts = name.match_indices('.').map(|(at, _)| (&name[..at], &name[at + 1..]));
    let mut of_step = parts.filter_map(|(step, part)| Some((step, part, text.steps.get(step)?)));
    let Some((step, part, gates)) = of_step.next_back() else {
        let near = similar(name, text.steps.keys().map(String::as_str));
        let hint = match near {
            Some(near) => format!("did you mean {near}?"),
            None => format!("it has {}", listed(text.steps.keys())),
        };
        return Err(format!("the pipeline has no step {name}: {hint}"));
    };
    let step = step.to_owned();
    if gates.iter().any(|gate| gate == part) {
        return Ok(PointPlace { step, item: None, gate: Some(part.to_owned()) });
    }
    match part.parse() {
        Ok(item) => Ok(PointPlace { step, item: Some(item), gate: None }),
        Err(_no_number) if gates.is_empty() => Err(format!("the step {step} has no gates")),
        Err(_no_number) => {
            Err(format!("the step {step} has no gate {part}: it has {}", listed(gates.iter())))
        }
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).take(20).collect();
    names.join(", ")
}
