//! A tool: what a model reads of it, who may call it, and what it does.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use rmcp::handler::server::common::schema_for_input;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::answer::ToolAnswer;
use crate::call::ToolCall;
use crate::problem::RestProblem;

/// What a tool may do to the runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToolEffect {
    /// It reads.
    Reads,
    /// It adds something; again, it adds something more unless an idempotency key says that it is the same.
    Adds,
    /// It decides something: again, it changes nothing more.
    Decides,
    /// It ends or passes over work.
    Ends,
}

/// The least role of a caller that is shown a tool. The routes judge each call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToolRole {
    /// To read.
    Viewer,
    /// To decide.
    Approver,
    /// To start and steer.
    Operator,
}

impl ToolRole {
    /// Whether a role, as `GET /session` says it, has it.
    pub(crate) fn is_of(self, role: &str) -> bool {
        let roles: &[&str] = match self {
            Self::Viewer => &["viewer", "approver", "operator", "admin"],
            Self::Approver => &["approver", "operator", "admin"],
            Self::Operator => &["operator", "admin"],
        };
        roles.contains(&role)
    }
}

/// What a call gives.
pub(crate) enum ToolOutcome {
    /// An answer.
    Answer(ToolAnswer),
    /// A run that goes on; a client that knows tasks may follow it as one.
    Run(Value),
}

impl From<ToolAnswer> for ToolOutcome {
    fn from(answer: ToolAnswer) -> Self {
        Self::Answer(answer)
    }
}

type Called =
    Box<dyn Fn(ToolCall, JsonObject) -> BoxFuture<'static, Result<ToolOutcome, RestProblem>> + Send + Sync>;

/// A tool.
pub(crate) struct RunTool {
    pub(crate) role: ToolRole,
    pub(crate) described: Tool,
    called: Called,
}

impl RunTool {
    /// A tool with arguments of a type, whose documentation the model reads.
    pub(crate) fn new<I, F, O>(
        (name, title, description): (&'static str, &'static str, &'static str),
        role: ToolRole,
        effect: ToolEffect,
        call: impl Fn(ToolCall, I) -> F + Send + Sync + 'static,
    ) -> Self
    where
        I: DeserializeOwned + JsonSchema + 'static,
        F: Future<Output = Result<O, RestProblem>> + Send + 'static,
        O: Into<ToolOutcome> + 'static,
    {
        let described = Tool::new(name, description, input_schema::<I>()).with_title(title);
        let described = described.with_annotations(annotations(title, effect));
        let schema = Arc::clone(&described.input_schema);
        let called = move |on: ToolCall, arguments: JsonObject| match read::<I>(&schema, arguments) {
            Ok(input) => call(on, input).map(|done| done.map(Into::into)).boxed(),
            Err(problem) => std::future::ready(Err(problem)).boxed(),
        };
        Self { role, described, called: Box::new(called) }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.described.name
    }

    /// Calls it.
    pub(crate) async fn call(&self, on: ToolCall, arguments: JsonObject) -> Result<ToolOutcome, RestProblem> {
        (self.called)(on, arguments).await
    }
}

fn annotations(title: &str, effect: ToolEffect) -> ToolAnnotations {
    let hints = ToolAnnotations::with_title(title).read_only(effect == ToolEffect::Reads).open_world(false);
    match effect {
        ToolEffect::Reads => hints,
        ToolEffect::Adds => hints.destructive(false).idempotent(false),
        ToolEffect::Decides => hints.destructive(false).idempotent(true),
        ToolEffect::Ends => hints.destructive(true).idempotent(true),
    }
}

fn input_schema<I: JsonSchema + 'static>() -> Arc<JsonObject> {
    // The registry's test makes every schema, so a type that is no object does not get here.
    let mut schema = schema_for_input::<I>().map(|schema| (*schema).clone()).unwrap_or_default();
    schema.remove("$schema");
    let needed: Vec<Value> = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let arguments = schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten();
    for (name, argument) in arguments {
        // A text that a tool needs names something.
        if needed.iter().any(|needed| needed == name) && argument["type"] == "string" {
            argument["minLength"] = json!(1);
        }
    }
    Arc::new(schema)
}

fn read<I: DeserializeOwned>(schema: &JsonObject, arguments: JsonObject) -> Result<I, RestProblem> {
    let refused =
        |what: String| RestProblem::invalid(what).hint("tools/list has the schema of the arguments");
    // Models write null for what they leave out.
    let given: JsonObject = arguments.into_iter().filter(|(_, value)| !value.is_null()).collect();
    let known = schema.get("properties");
    let is_named = |name: &str| known.is_some_and(|known| !known[name]["minLength"].is_null());
    if let Some((name, _)) = given.iter().find(|(name, value)| *value == "" && is_named(name)) {
        return Err(refused(format!("arguments: `{name}` is empty")));
    }
    serde_json::from_value(Value::Object(given)).map_err(|error| refused(format!("arguments: {error}")))
}
