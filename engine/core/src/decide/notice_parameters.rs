//! The parameters of a notice, rendered.
//!
//! Law: the notice's fallback stands in for a parameter only where that cannot be computed, and why is told.

use everfold_base::json::Value;
use everfold_language::definition::Notice;
use everfold_language::expr::{EvalError, Hidden, Template};

use super::scope::RunScope;

/// The longest reason for a fallback that is recorded, in characters.
const REASON_CHARS_MAX: usize = 500;

/// What a notice says.
pub(super) struct NoticeParameters {
    pub(super) with: Option<Value>,
    pub(super) hidden: Vec<Hidden>,
    /// Which of them the fallback gave, and why.
    pub(super) fallback: Option<String>,
}

/// Renders the parameters of a notice.
pub(super) fn parameters(notice: &Notice, scope: &RunScope<'_>) -> Result<NoticeParameters, EvalError> {
    let Some(with) = &notice.with else {
        return Ok(NoticeParameters { with: None, hidden: Vec::new(), fallback: None });
    };
    let error = match with.render_hiding(scope) {
        Ok((with, hidden)) => return Ok(NoticeParameters { with: Some(with), hidden, fallback: None }),
        Err(error) => error,
    };
    match (with.source(), notice.fallback.as_ref().map(Template::source)) {
        (Value::Object(with), Some(Value::Object(fallback))) => one_by_one(with, fallback, scope),
        _no_fallback => Err(error),
    }
}

type Fields = serde_json::Map<String, Value>;

/// Renders each parameter by itself.
fn one_by_one(with: &Fields, fallback: &Fields, scope: &RunScope<'_>) -> Result<NoticeParameters, EvalError> {
    let (mut fields, mut hidden, mut reasons) = (Fields::new(), Vec::new(), Vec::new());
    for (name, source) in with {
        let (value, of_it) = match (render(source, scope), fallback.get(name)) {
            (Ok(rendered), _) => rendered,
            (Err(error), None) => return Err(error),
            (Err(error), Some(instead)) => {
                reasons.push(format!("{name}: {}", reason(&error)));
                render(instead, scope)?
            }
        };
        let prefix = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        hidden.extend(of_it.into_iter().map(|one| Hidden { at: format!("{prefix}{}", one.at), of: one.of }));
        fields.insert(name.clone(), value);
    }
    let reasons: String = reasons.join("; ").chars().take(REASON_CHARS_MAX).collect();
    Ok(NoticeParameters { with: Some(Value::Object(fields)), hidden, fallback: Some(reasons) })
}

fn render(source: &Value, scope: &RunScope<'_>) -> Result<(Value, Vec<Hidden>), EvalError> {
    let template = Template::parse(source).map_err(|error| EvalError::Failed {
        expression: String::new(),
        message: error.message,
        code: None,
    })?;
    template.render_hiding(scope)
}

/// Why a parameter cannot be computed, in words.
pub(super) fn reason(error: &EvalError) -> String {
    match error {
        EvalError::Needs(_) => {
            "it mentions values that are too large to be at hand: the outputs of a step's items".to_owned()
        }
        EvalError::Failed { .. } => error.to_string(),
    }
}
