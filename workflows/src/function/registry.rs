//! Functions by name, with what checks their parameters and outputs.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use everfold_language::definition::similar;
use futures::future::BoxFuture;
use jsonschema::Validator;

use super::call::Call;
use super::declare::{Body, Function, FunctionDescription};
use crate::attempt_end::RESULT_BYTES_MAX;

/// Why a function cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FunctionError {
    /// No pipeline could name it.
    #[error("“{name}” is no name of a function: lower-case words joined by dots, as in shop.order")]
    Name {
        /// As it was given.
        name: String,
    },
    /// Another function has the name.
    #[error("there is a function {name} already")]
    Twice {
        /// The name.
        name: String,
    },
    /// One of its schemas is none.
    #[error("the schema of the {what} of {name} is none: {reason}")]
    Schema {
        /// The function.
        name: String,
        /// `input` or `output`.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

/// A function with what checks its parameters and its output.
pub(super) struct Registered {
    pub(super) about: FunctionDescription,
    /// `None`: workers do it.
    body: Option<Body>,
    /// Of the schemas of the description; of a function that was offered, built at its first call.
    input: OnceLock<Validator>,
    output: OnceLock<Validator>,
}

/// Functions by name.
#[derive(Default)]
pub struct Functions {
    by_name: BTreeMap<String, Registered>,
}

impl Functions {
    /// Adds a function.
    ///
    /// # Errors
    /// [`FunctionError`]: the name is none or taken, or a schema written by hand is none.
    pub fn register(&mut self, function: Function) -> Result<(), FunctionError> {
        self.check_name(&function.name)?;
        let build = |what, schema: &Value| match jsonschema::options().build(schema) {
            Ok(built) => Ok(OnceLock::from(built)),
            Err(error) => {
                let (name, reason) = (function.name.clone(), error.to_string());
                Err(FunctionError::Schema { name, what, reason })
            }
        };
        let input = build("input", &function.about.input)?;
        let output = build("output", &function.about.output)?;
        self.keep(function, input, output);
        Ok(())
    }

    fn keep(&mut self, function: Function, input: OnceLock<Validator>, output: OnceLock<Validator>) {
        let Function { name, about, body } = function;
        self.by_name.insert(name, Registered { about, body, input, output });
    }

    /// That a function can have this name, and none has it.
    fn check_name(&self, name: &str) -> Result<(), FunctionError> {
        let word = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && part.len() <= 64
                && part
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
        };
        if !name.split('.').all(word) {
            return Err(FunctionError::Name { name: name.to_owned() });
        }
        if self.by_name.contains_key(name) {
            return Err(FunctionError::Twice { name: name.to_owned() });
        }
        Ok(())
    }

    /// Adds a function of this crate, or one that checked settings leave to workers, where none has its name: what an
    /// embedding program registered stays.
    pub(crate) fn offer(&mut self, function: Function) {
        match self.check_name(&function.name) {
            Ok(()) => self.keep(function, OnceLock::new(), OnceLock::new()),
            Err(FunctionError::Twice { .. }) => {}
            Err(wrong) => unreachable!("a function of the program itself: {wrong}"),
        }
    }

    /// What a function says of itself.
    #[must_use]
    pub fn about(&self, name: &str) -> Option<&FunctionDescription> {
        Some(&self.by_name.get(name)?.about)
    }

    /// The names, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.by_name.keys().map(String::as_str).collect()
    }

    /// Calls a function; `call` is made only where there is one of that name that takes the parameters.
    /// Nothing of it runs before the future is polled. What it gives is checked.
    ///
    /// # Errors
    /// There is none; the failure says which there are. Or it does not take such parameters.
    pub(crate) fn call(
        self: &std::sync::Arc<Self>,
        name: &str,
        with: Value,
        call: impl FnOnce() -> Call,
    ) -> Result<BoxFuture<'static, Result<Value, Failure>>, Failure> {
        let with = self.find(name)?.taken(name, with)?;
        let (functions, name, call) = (std::sync::Arc::clone(self), name.to_owned(), call());
        Ok(Box::pin(async move {
            let function = functions.find(&name)?;
            let body = function.body.as_ref().ok_or_else(|| done_by_workers(&name))?;
            let output = body(call, with).await?;
            function.given(&name, output)
        }))
    }

    /// Whether workers do it.
    #[must_use]
    pub fn is_remote(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|function| function.body.is_none())
    }

    /// Checks the parameters of a function that workers do.
    pub(crate) fn taken(&self, name: &str, with: Value) -> Result<Value, Failure> {
        self.find(name)?.taken(name, with)
    }

    /// Checks what a function gave that workers do.
    pub(crate) fn given(&self, name: &str, output: Value) -> Result<Value, Failure> {
        self.find(name)?.given(name, output)
    }

    /// That there is a function of this name.
    ///
    /// # Errors
    /// There is none; the failure names the nearest, and all.
    pub fn known(&self, name: &str) -> Result<(), Failure> {
        self.find(name).map(drop)
    }

    pub(super) fn find(&self, name: &str) -> Result<&Registered, Failure> {
        self.by_name.get(name).ok_or_else(|| {
            let names = self.by_name.keys().map(String::as_str);
            let near = similar(name, names).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            Failure::new(FailureKind::Spawn, format!("there is no function {name}{near}"))
                .with_hint(format!("there are {}", self.names().join(", ")))
        })
    }
}

impl Registered {
    /// The parameters, if they are what the function takes. A step without `with` gives none.
    fn taken(&self, name: &str, with: Value) -> Result<Value, Failure> {
        let is_nothing = with.as_object().is_some_and(serde_json::Map::is_empty);
        let input = built(&self.input, &self.about.input);
        if is_nothing && !input.is_valid(&with) && input.is_valid(&Value::Null) {
            return Ok(Value::Null);
        }
        match wrong(input, "with", &with) {
            None => Ok(with),
            Some(wrong) => Err(Failure::new(FailureKind::Validation, format!("{name}: {wrong}"))
                .with_hint(format!("compare `with` with what {name} takes"))),
        }
    }

    fn given(&self, name: &str, output: Value) -> Result<Value, Failure> {
        let bytes = output.to_string().len() as u64;
        if bytes > RESULT_BYTES_MAX {
            let message = format!("{name} gave {bytes} bytes; an output has at most {RESULT_BYTES_MAX}");
            return Err(Failure::new(FailureKind::Validation, message)
                .with_hint("write it into a file, and give its path"));
        }
        match wrong(built(&self.output, &self.about.output), "output", &output) {
            None => Ok(output),
            Some(wrong) => Err(Failure::new(FailureKind::Validation, format!("{name}: {wrong}"))
                .with_hint(format!("{name} gave what its own schema refuses: correct the function"))),
        }
    }
}

fn done_by_workers(name: &str) -> Failure {
    Failure::new(FailureKind::Validation, format!("{name} is done by workers, so only steps may call it"))
}

/// The validator of a schema, built where it is not there yet.
fn built<'a>(kept: &'a OnceLock<Validator>, schema: &Value) -> &'a Validator {
    kept.get_or_init(|| {
        jsonschema::options().build(schema).expect(
            "`register` and the check of the settings built those of others, a test those of the program",
        )
    })
}

/// The first things that are wrong with a value, without the value: it may be a secret.
fn wrong(schema: &Validator, what: &str, value: &Value) -> Option<String> {
    let wrong: Vec<String> = schema
        .iter_errors(value)
        .take(3)
        .map(|error| format!("`{what}{}`: {}", error.instance_path(), error.masked()))
        .collect();
    (!wrong.is_empty()).then(|| wrong.join("; "))
}
