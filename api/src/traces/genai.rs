//! The call of an agent, as OpenTelemetry's conventions for generative AI name it.
//!
//! Law: what is not known is left out; the text of prompts and answers is never among it. What is called how follows the
//! version of the settings.

use everfold_engine::artefact::Usage;
use everfold_engine::event::ScheduledTask;
use everfold_engine::failure::Failure;
use everfold_engine::json::Payload;
use serde_json::{Value, json};

use super::span::TraceSpan;
use crate::settings::GenAiConventions;

/// The kind of work that agents do.
const AGENT: &str = "agent";
/// The profile of a step that names none.
const PROFILE: &str = everfold_workflows::agent::DEFAULT_PROFILE;

/// The call of an agent in an attempt.
#[derive(Debug, Clone, Default)]
pub(super) struct GenAiCall {
    profile: String,
    role: Option<String>,
    requested: Option<String>,
    answered: Option<String>,
    session: Option<String>,
    input_tokens: u64,
    output_tokens: u64,
    has_used: bool,
}

impl GenAiCall {
    /// The call that a task asks for; `None`: it is no agent's.
    pub(super) fn of(task: &ScheduledTask) -> Option<Self> {
        if task.kind != AGENT {
            return None;
        }
        // A task that is kept outside of the event says nothing here.
        let spec = match &task.task {
            Payload::Inline(document) => document.value()["spec"].clone(),
            Payload::Blob(_) => Value::Null,
        };
        let text = |field: &str| spec[field].as_str().map(str::to_owned);
        let profile = text("profile").unwrap_or_else(|| PROFILE.to_owned());
        Some(Self { profile, role: text("role"), requested: text("model"), ..Self::default() })
    }

    /// The same call once more: what was used up stays with the attempt that used it.
    pub(super) fn again(&self) -> Self {
        let Self { profile, role, requested, .. } = self.clone();
        Self { profile, role, requested, ..Self::default() }
    }

    /// The attempt used something up.
    pub(super) fn used(&mut self, usage: &Usage) {
        self.has_used = true;
        self.answered = usage.model.clone().or(self.answered.take());
        self.session = usage.session.clone().or(self.session.take());
        let read = usage.input_tokens.saturating_add(usage.cached_tokens);
        self.input_tokens = self.input_tokens.saturating_add(read);
        self.output_tokens = self.output_tokens.saturating_add(usage.output_tokens);
    }

    /// The provider, by the conventions' own names where it is one of these; else the profile.
    fn provider(&self) -> &str {
        const MODELS: [(&str, &str); 9] = [
            ("claude", "anthropic"),
            ("gpt-", "openai"),
            ("o1", "openai"),
            ("o3", "openai"),
            ("o4", "openai"),
            ("codex", "openai"),
            ("gemini", "gcp.gemini"),
            ("mistral", "mistral_ai"),
            ("deepseek", "deepseek"),
        ];
        let model = self.answered.as_ref().or(self.requested.as_ref());
        let of_model = model.and_then(|model| MODELS.iter().find(|(start, _)| model.starts_with(start)));
        match (of_model, self.profile.as_str()) {
            (Some((_, provider)), _) => provider,
            (None, "claude") => "anthropic",
            (None, "codex") => "openai",
            (None, profile) => profile,
        }
    }

    /// Writes the call into the span of its attempt.
    pub(super) fn write(
        &self,
        span: TraceSpan,
        conventions: GenAiConventions,
        failure: Option<&Failure>,
    ) -> TraceSpan {
        let provider = match conventions {
            GenAiConventions::Off => return span,
            GenAiConventions::V1_36 => "gen_ai.system",
            GenAiConventions::V1_37 => "gen_ai.provider.name",
        };
        let used = |tokens: u64| json!(self.has_used.then_some(tokens));
        let error = failure.map(|failure| failure.code.as_deref().unwrap_or(failure.kind.as_str()));
        span.with("gen_ai.operation.name", "invoke_agent")
            .with(provider, self.provider().to_owned())
            .with("gen_ai.agent.name", json!(self.role))
            .with("gen_ai.request.model", json!(self.requested))
            .with("gen_ai.response.model", json!(self.answered))
            .with("gen_ai.usage.input_tokens", used(self.input_tokens))
            .with("gen_ai.usage.output_tokens", used(self.output_tokens))
            .with("gen_ai.conversation.id", json!(self.session))
            .with("error.type", json!(error))
    }
}
