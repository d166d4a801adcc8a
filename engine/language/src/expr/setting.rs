//! Numbers and spans that may be computed.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::arguments::kind;
use super::template::Template;
use super::values::{EvalError, Scope};
use crate::definition::{Code, Money, Setting, Span};

impl<T> Setting<T> {
    /// Whether it is computed as null: of a limit, that there is none.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn is_null(&self, scope: &dyn Scope) -> Result<bool, EvalError> {
        match self {
            Self::Fixed(_) => Ok(false),
            Self::Computed(template) => template.render(scope).map(|value| value.is_null()),
        }
    }
}

impl Setting<u32> {
    /// The number, computed where it is not fixed. A text of digits counts as a number.
    ///
    /// # Errors
    /// As [`Template::render`]; [`EvalError::Failed`] where the value is no whole number from 0 on.
    pub fn resolve(&self, scope: &dyn Scope) -> Result<u32, EvalError> {
        within(self, None, "a whole number from 0 on", scope)
    }

    /// The number, computed where it is not fixed, within the bounds that the check keeps for a written one.
    /// What stands fixed in a stored definition counts as it stands.
    ///
    /// # Errors
    /// As [`Setting::<u32>::resolve`]; [`EvalError::Failed`] with the check's code where the number is out of
    /// bounds.
    pub fn resolve_within(
        &self,
        what: &str,
        bounds: RangeInclusive<u32>,
        scope: &dyn Scope,
    ) -> Result<u32, EvalError> {
        let number = within(self, Some(what), "a whole number from 0 on", scope)?;
        match self {
            Self::Computed(template) if number < *bounds.start() => {
                let message = format!("{what} is at least {}, not {number}", bounds.start());
                Err(out_of_bounds(template, message, TOO_SMALL))
            }
            Self::Computed(template) if number > *bounds.end() => {
                let message = format!("{what} is at most {}, not {number}", bounds.end());
                Err(out_of_bounds(template, message, TOO_LARGE))
            }
            Self::Fixed(_) | Self::Computed(_) => Ok(number),
        }
    }
}

impl Setting<u64> {
    /// The number, computed where it is not fixed. A text of digits counts as a number.
    ///
    /// # Errors
    /// As [`Template::render`]; [`EvalError::Failed`] where the value is no whole number from 0 on.
    pub fn resolve(&self, scope: &dyn Scope) -> Result<u64, EvalError> {
        within(self, None, "a whole number from 0 on", scope)
    }
}

impl Setting<i32> {
    /// The number, computed where it is not fixed. A text of digits counts as a number.
    ///
    /// # Errors
    /// As [`Template::render`]; [`EvalError::Failed`] where the value is no whole number.
    pub fn resolve(&self, scope: &dyn Scope) -> Result<i32, EvalError> {
        within(self, None, "a whole number", scope)
    }
}

impl Setting<Span> {
    /// The span, computed where it is not fixed: a text like `5m`.
    ///
    /// # Errors
    /// As [`Template::render`]; [`EvalError::Failed`] where the value is no span.
    pub fn resolve(&self, scope: &dyn Scope) -> Result<Span, EvalError> {
        match self {
            Self::Fixed(span) => Ok(*span),
            Self::Computed(template) => {
                let value = template.render(scope)?;
                value
                    .as_str()
                    .and_then(|text| everfold_base::duration::parse(text.trim()).ok())
                    .map(Span)
                    .ok_or_else(|| failed(template, "a duration like 30s, 5m or 2h", &value))
            }
        }
    }

    /// The span, computed where it is not fixed; a computed one is more than nothing, as a written one must be.
    ///
    /// # Errors
    /// As [`Setting::<Span>::resolve`]; [`EvalError::Failed`] with the check's code for no time at all.
    pub fn resolve_some(&self, what: &str, scope: &dyn Scope) -> Result<Span, EvalError> {
        let span = self.resolve(scope)?;
        match self {
            Self::Computed(template) if span.0.is_zero() => {
                Err(out_of_bounds(template, format!("{what} is more than nothing"), TOO_SMALL))
            }
            Self::Fixed(_) | Self::Computed(_) => Ok(span),
        }
    }
}

impl Setting<Money> {
    /// The amount, computed where it is not fixed: a text like `5.00 USD`, or a number of dollars.
    ///
    /// # Errors
    /// As [`Template::render`]; [`EvalError::Failed`] where the value is no amount of money.
    pub fn resolve(&self, scope: &dyn Scope) -> Result<Money, EvalError> {
        match self {
            Self::Fixed(money) => Ok(*money),
            Self::Computed(template) => {
                let value = template.render(scope)?;
                let money = match &value {
                    Value::Number(number) => Money::parse(&number.to_string()),
                    Value::String(text) => Money::parse(text),
                    _ => None,
                };
                money.ok_or_else(|| failed(template, "an amount of money like 5.00 USD", &value))
            }
        }
    }
}

/// Of any width. A number that the width does not hold fails as a written one does where it has a name.
fn within<N: Copy + TryFrom<i128>>(
    setting: &Setting<N>,
    what: Option<&str>,
    wanted: &str,
    scope: &dyn Scope,
) -> Result<N, EvalError> {
    match setting {
        Setting::Fixed(number) => Ok(*number),
        Setting::Computed(template) => {
            let value = template.render(scope)?;
            let number = match &value {
                Value::Number(number) => number.as_i128(),
                Value::String(digits) => digits.trim().parse::<i128>().ok(),
                _ => None,
            };
            let fits = number.and_then(|number| N::try_from(number).ok());
            fits.ok_or_else(|| match (number, what) {
                (Some(number), Some(what)) => {
                    let code = if number < 0 { TOO_SMALL } else { TOO_LARGE };
                    out_of_bounds(template, format!("{what} cannot be {number}"), code)
                }
                _no_number => failed(template, wanted, &value),
            })
        }
    }
}

fn failed(template: &Template, needed: &str, value: &Value) -> EvalError {
    let shown: String = value.to_string().chars().take(80).collect();
    EvalError::Failed {
        expression: template.source().as_str().unwrap_or_default().to_owned(),
        message: format!("{needed} is needed, this is {}: {shown}", kind(value)),
        code: None,
    }
}

/// The codes of the checks of written values; a computed one fails under the same.
const TOO_SMALL: &str = Code::TooSmall.as_str();
const TOO_LARGE: &str = Code::TooLarge.as_str();

fn out_of_bounds(template: &Template, message: String, code: &'static str) -> EvalError {
    EvalError::Failed {
        expression: template.source().as_str().unwrap_or_default().to_owned(),
        message,
        code: Some(code),
    }
}
