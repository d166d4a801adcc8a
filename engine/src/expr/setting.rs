//! Numbers and spans that may be computed.

use std::str::FromStr;

use serde_json::Value;

use super::functions::kind;
use super::{EvalError, Scope, Template};
use crate::definition::{Money, Setting, Span};

impl Setting<u32> {
    /// The number, computed where it is not fixed. A text of digits counts as a number.
    ///
    /// # Errors
    /// As [`Template::render`]; [`EvalError::Failed`] where the value is no whole number from 0 on.
    pub fn resolve(&self, scope: &dyn Scope) -> Result<u32, EvalError> {
        whole(self, "a whole number from 0 on", scope)
    }
}

impl Setting<u64> {
    /// The number, computed where it is not fixed. A text of digits counts as a number.
    ///
    /// # Errors
    /// As [`Template::render`]; [`EvalError::Failed`] where the value is no whole number from 0 on.
    pub fn resolve(&self, scope: &dyn Scope) -> Result<u64, EvalError> {
        whole(self, "a whole number from 0 on", scope)
    }
}

impl Setting<i32> {
    /// The number, computed where it is not fixed. A text of digits counts as a number.
    ///
    /// # Errors
    /// As [`Template::render`]; [`EvalError::Failed`] where the value is no whole number.
    pub fn resolve(&self, scope: &dyn Scope) -> Result<i32, EvalError> {
        whole(self, "a whole number", scope)
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
                    .and_then(|text| crate::duration::parse(text.trim()).ok())
                    .map(Span)
                    .ok_or_else(|| failed(template, "a duration like 30s, 5m or 2h", &value))
            }
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

/// Of any width.
fn whole<N: Copy + FromStr + TryFrom<i128>>(
    setting: &Setting<N>,
    wanted: &str,
    scope: &dyn Scope,
) -> Result<N, EvalError> {
    match setting {
        Setting::Fixed(number) => Ok(*number),
        Setting::Computed(template) => {
            let value = template.render(scope)?;
            let number = match &value {
                Value::Number(number) => number.as_i128().and_then(|number| N::try_from(number).ok()),
                Value::String(digits) => digits.trim().parse().ok(),
                _ => None,
            };
            number.ok_or_else(|| failed(template, wanted, &value))
        }
    }
}

fn failed(template: &Template, needed: &str, value: &Value) -> EvalError {
    let shown: String = value.to_string().chars().take(80).collect();
    EvalError::Failed {
        expression: template.source().as_str().unwrap_or_default().to_owned(),
        message: format!("{needed} is needed, this is {}: {shown}", kind(value)),
    }
}
