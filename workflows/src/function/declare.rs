//! A function: what it takes, what it gives, what it does.
//!
//! Law: parameters that do not fit, and an output that does not, are failures of kind `validation`;
//! the parameters are checked before anything of the function runs. Values are never repeated in such
//! a failure: they may be secrets.

use std::sync::Arc;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call::Call;
use super::schema::{Direction, plain_schema_of, schema_of};

/// What a function does with parameters that were checked.
pub(crate) type Body = Arc<dyn Fn(Call, Value) -> BoxFuture<'static, Result<Value, Failure>> + Send + Sync>;

/// What a call of a function does beyond its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FunctionEffects {
    /// Calling it again with the same idempotency key does no harm.
    pub idempotent: bool,
    /// It changes nothing anywhere: gates may call it too.
    pub read_only: bool,
    /// It costs money: budgets count it.
    pub paid: bool,
}

/// What a function says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionDescription {
    /// What it does, in one sentence.
    pub summary: String,
    /// What a call does beyond its output.
    pub effects: FunctionEffects,
    /// It reads [`Call::context`].
    pub reads_context: bool,
    /// It acts on what lies outside of the run, which a fork may not.
    pub acts_outside: bool,
    /// JSON Schema of its `with`; checked before each call.
    pub input: Value,
    /// JSON Schema of what it gives; checked after each call.
    pub output: Value,
}

/// A function, to be registered under its name.
///
/// ```
/// use everfold_workflows::function::{Call, Function, Functions, StepError};
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Order { item: String, count: u32 }
///
/// #[derive(serde::Serialize, schemars::JsonSchema)]
/// struct Receipt { number: String }
///
/// async fn place(call: Call, order: Order) -> Result<Receipt, StepError> {
///     call.log(format!("{} of {}", order.count, order.item));
///     // The shop knows a repeated order by the key.
///     Ok(Receipt { number: call.idempotency_key().to_owned() })
/// }
///
/// let mut functions = Functions::built_in();
/// functions.register(Function::new("shop.order", place).summary("Orders an item.").idempotent())?;
/// # Ok::<(), everfold_workflows::function::FunctionError>(())
/// ```
#[derive(Clone)]
pub struct Function {
    pub(super) name: String,
    pub(super) about: FunctionDescription,
    /// `None`: workers do it.
    pub(super) body: Option<Body>,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.name)
            .field("about", &self.about)
            .finish_non_exhaustive()
    }
}

impl Function {
    /// A function whose types say what it takes and gives. After a crash it is not called again, unless
    /// it says that this does no harm ([`Function::idempotent`]): a person decides.
    ///
    /// The name is made of lower-case words joined by dots: `shop.order`.
    pub fn new<I, O, E, F, R>(name: impl Into<String>, body: F) -> Self
    where
        I: DeserializeOwned + JsonSchema + 'static,
        O: Serialize + JsonSchema + 'static,
        E: Into<Failure>,
        F: Fn(Call, I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O, E>> + Send + 'static,
    {
        Self::described(name, schema_of::<I>(Direction::Read), schema_of::<O>(Direction::Written), body)
    }

    /// A function of the program itself, whose types say what it takes and gives ([`super::schema`]).
    pub(crate) fn built_in<I, O, E, F, R>(name: &str, body: F) -> Self
    where
        I: DeserializeOwned + JsonSchema + 'static,
        O: Serialize + JsonSchema + 'static,
        E: Into<Failure>,
        F: Fn(Call, I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O, E>> + Send + 'static,
    {
        let (input, output) =
            (plain_schema_of::<I>(Direction::Read), plain_schema_of::<O>(Direction::Written));
        Self::described(name, input, output, body)
    }

    /// A function whose schemas are written by hand.
    pub fn described<I, O, E, F, R>(name: impl Into<String>, input: Value, output: Value, body: F) -> Self
    where
        I: DeserializeOwned + 'static,
        O: Serialize + 'static,
        E: Into<Failure>,
        F: Fn(Call, I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O, E>> + Send + 'static,
    {
        let name = name.into();
        let own = name.clone();
        let body: Body = Arc::new(move |call, with| {
            let read =
                serde_json::from_value::<I>(with).map_err(|_| unfit(&own)).map(|input| body(call, input));
            let own = own.clone();
            async move {
                let output = read?.await.map_err(Into::into)?;
                serde_json::to_value(output).map_err(|error| unsaid(&own, &error))
            }
            .boxed()
        });
        let about = FunctionDescription {
            summary: String::new(),
            effects: FunctionEffects::default(),
            reads_context: false,
            acts_outside: false,
            input,
            output,
        };
        Self { name, about, body: Some(body) }
    }

    /// A function that workers do, which fetch its work ([`crate::remote`]). It takes and gives anything
    /// unless [`Function::schemas`] says more.
    pub fn remote(name: impl Into<String>) -> Self {
        let about = FunctionDescription {
            summary: String::new(),
            effects: FunctionEffects::default(),
            reads_context: false,
            acts_outside: false,
            input: true.into(),
            output: true.into(),
        };
        Self { name: name.into(), about, body: None }
    }

    /// The JSON Schemas of what it takes and gives, in place of those it has.
    #[must_use]
    pub fn schemas(mut self, input: Value, output: Value) -> Self {
        (self.about.input, self.about.output) = (input, output);
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Says what it does, in one sentence.
    #[must_use]
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.about.summary = summary.into();
        self
    }

    /// Calling it again with the same idempotency key does no harm: after a crash it simply is.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.about.effects.idempotent = true;
        self
    }

    /// It changes nothing anywhere: it is idempotent, and gates may call it. A gate passes where it gives
    /// `true`, or `{ok: true}`.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.about.effects.idempotent = true;
        self.about.effects.read_only = true;
        self
    }

    /// It acts on what lies outside of the run: it writes to a service, or to people. A fork holds it back.
    #[must_use]
    pub fn outside(mut self) -> Self {
        self.about.acts_outside = true;
        self
    }

    /// It costs money; it tells how much by [`Call::usage`].
    #[must_use]
    pub fn paid(mut self) -> Self {
        self.about.effects.paid = true;
        self
    }

    /// It reads [`Call::context`], the run's input among it. Making that costs time in proportion to what
    /// the run holds, so it is made only for functions that declare this.
    #[must_use]
    pub fn reads_context(mut self) -> Self {
        self.about.reads_context = true;
        self
    }
}

/// The parameters fit the schema, but not the type.
fn unfit(name: &str) -> Failure {
    Failure::new(FailureKind::Validation, format!("the parameters are not those of {name}")).with_hint(
        "they fit its schema, but its type refuses them: compare `with` with what the function says of itself",
    )
}

fn unsaid(name: &str, error: &serde_json::Error) -> Failure {
    Failure::new(FailureKind::Validation, format!("{name} gave what is no JSON: {error}"))
        .with_hint("an output is made of JSON: maps have texts as keys, numbers are finite")
}
