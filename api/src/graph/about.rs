//! What surrounds the steps of a pipeline, in one line each.

use everfold_engine::definition::{
    Budget, ConfigSource, Definition, OnLimit, OnOver, OnTaken, Period, Schedule, SignalTarget, Trigger,
    TriggerSource, WorkspaceSpec,
};

use super::words::{json_text, one_line, route_words, setting};

/// Lines for what the definition declares besides its steps; none for what it leaves out.
#[must_use]
pub fn about(definition: &Definition) -> Vec<String> {
    let mut lines: Vec<String> = definition.triggers.iter().map(trigger).collect();
    if let Some(key) = &definition.key {
        let taken = match key.on_taken {
            OnTaken::Return => "a second start gives the first run",
            OnTaken::Reject => "a second start is refused",
            OnTaken::Replace => "a second start replaces the first run",
        };
        lines.push(format!("key {}: {taken}", shown(key.value.source())));
    }
    if let Some(numbering) = &definition.number {
        let by = numbering.key.as_ref().map(|key| format!(" by {}", shown(key.source())));
        lines.push(format!("runs are numbered{}", by.unwrap_or_default()));
    }
    for (name, sources) in &definition.config {
        let sources: Vec<String> = sources
            .iter()
            .map(|source| match source {
                ConfigSource::File(path) => shown(path.source()),
                ConfigSource::Values(_) => "values".to_owned(),
            })
            .collect();
        lines.push(format!("config {name} from {}", sources.join(", ")));
    }
    if !definition.admit.is_empty() {
        let gates: Vec<&str> = definition.admit.gates.iter().map(|gate| gate.id.as_str()).collect();
        lines.push(format!("admitted by {}", gates.join(", ")));
    }
    for slot in &definition.concurrency {
        let then = match slot.on_limit {
            OnLimit::Queue => "more wait",
            OnLimit::Reject => "more are refused",
            OnLimit::CancelOldest => "the oldest is cancelled for more",
        };
        lines.push(format!("{} at once of {}: {then}", setting(&slot.limit), shown(slot.key.source())));
    }
    lines.extend(definition.budgets.iter().map(budget));
    if definition.workspace == Some(WorkspaceSpec::Parent) {
        lines.push("works in the workspace of the run that started it".to_owned());
    }
    if !definition.secrets.is_empty() {
        let names: Vec<&str> = definition.secrets.keys().map(String::as_str).collect();
        lines.push(format!("secrets {}", names.join(", ")));
    }
    for (name, routes) in &definition.on_signal {
        lines.push(format!("signal {name} → {}", route_words(routes)));
    }
    for notice in &definition.notify {
        lines.push(format!("notice {}: {} by {}", notice.id, notice.events.join(", "), notice.function));
    }
    lines
}

fn shown(source: &serde_json::Value) -> String {
    one_line(&json_text(source))
}

fn trigger(trigger: &Trigger) -> String {
    let on = match &trigger.on {
        TriggerSource::Hook(source) => format!("hook {source}"),
        TriggerSource::Schedule(moments) => schedule(moments),
    };
    let when =
        trigger.when.as_ref().map_or_else(String::new, |when| format!(", when {}", one_line(when.source())));
    let mut does = Vec::new();
    if trigger.start.is_some() {
        does.push("starts a run".to_owned());
    }
    if let Some(signal) = &trigger.signal {
        let to = match &trigger.to {
            None => "the holder of the key".to_owned(),
            Some(SignalTarget::Key(key)) => format!("the holder of {}", shown(key.source())),
            Some(SignalTarget::Run(run)) => format!("run {}", shown(run.source())),
            Some(SignalTarget::Labels(labels)) => {
                let labels: Vec<&str> = labels.keys().map(String::as_str).collect();
                format!("runs by {}", labels.join(", "))
            }
        };
        does.push(format!("signals {} to {to}", shown(signal.source())));
    }
    format!("{on}{when}: {}", does.join(", else "))
}

fn schedule(schedule: &Schedule) -> String {
    let mut words = match (&schedule.cron, &schedule.every) {
        (Some(cron), _) => format!("schedule {cron}"),
        (None, every) => format!("every {}", every.map_or_else(String::new, |every| text_of(&every))),
    };
    if let Some(zone) = &schedule.zone {
        words.push_str(&format!(" ({zone})"));
    }
    words
}

fn budget(budget: &Budget) -> String {
    let mut limits = Vec::new();
    limits.extend(budget.cost.as_ref().map(setting));
    limits.extend(budget.tokens.as_ref().map(|tokens| format!("{} tokens", setting(tokens))));
    limits.extend(budget.wall.as_ref().map(setting));
    let per = match budget.per {
        Period::Total => "",
        Period::Day => " a day",
        Period::Week => " a week",
        Period::Month => " a month",
    };
    let scope =
        budget.scope.as_ref().map_or_else(String::new, |scope| format!(" for {}", shown(scope.source())));
    let over = match budget.on_over {
        OnOver::Pause => "pauses",
        OnOver::Fail => "fails the run",
        OnOver::Stop => "stops running work",
    };
    let name = if budget.id == "budget" { String::new() } else { format!(" {}", budget.id) };
    format!("budget{name}: {}{per}{scope}, then it {over}", limits.join(", "))
}

fn text_of<T: serde::Serialize>(value: &T) -> String {
    json_text(&serde_json::to_value(value).unwrap_or_default())
}
