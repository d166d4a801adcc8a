//! Values of a step rendered from its templates: texts, variables of a process, spans.

use super::scope::RunScope;
use everfold_base::json::Value;
use everfold_language::definition::{Reminders, Setting, Span};
use everfold_language::expr::functions::to_text;
use everfold_language::expr::{EvalError, Hidden, Template};
use std::collections::BTreeMap;
use std::time::Duration;

/// A span that is more than nothing.
pub(super) fn resolve_pause(
    setting: Option<&Setting<Span>>,
    what: &str,
    scope: &RunScope<'_>,
) -> Result<Option<Duration>, EvalError> {
    setting.map(|setting| setting.resolve_some(what, scope).map(|span| span.0)).transpose()
}

/// When people are reminded of a request, rendered.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ReminderSpans {
    pub(super) first: Option<Duration>,
    pub(super) every: Option<Duration>,
}

pub(super) fn resolve_reminders(
    remind: Option<&Reminders<Setting<Span>>>,
    scope: &RunScope<'_>,
) -> Result<ReminderSpans, EvalError> {
    let Some(remind) = remind else { return Ok(ReminderSpans::default()) };
    let every = resolve_pause(remind.every.as_ref(), "`remind`", scope)?;
    let first = resolve_pause(remind.first.as_ref(), "`first` of `remind`", scope)?;
    Ok(ReminderSpans { first: first.or(every), every })
}

pub(super) fn render_texts(
    templates: &BTreeMap<String, Template>,
    scope: &RunScope<'_>,
) -> Result<BTreeMap<String, String>, EvalError> {
    templates.iter().map(|(name, template)| Ok((name.clone(), template.render_text(scope)?))).collect()
}

/// The variables of a process; secrets in them are masked, and listed beside them.
pub(super) fn render_env(
    templates: &BTreeMap<String, Template>,
    scope: &RunScope<'_>,
) -> Result<(BTreeMap<String, String>, Vec<Hidden>), EvalError> {
    let (mut env, mut hidden) = (BTreeMap::new(), Vec::new());
    for (name, template) in templates {
        let (value, found) = template.render_hiding(scope)?;
        env.insert(name.clone(), to_text(&value));
        hidden.extend(found.into_iter().map(|found| Hidden { at: format!("/{name}"), ..found }));
    }
    Ok((env, hidden))
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
