//! Which events a subscription is for, and the notice that it sends of one.
//!
//! Law: whether an event is for it depends on the event and its run alone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use everfold_base::id::{RunId, Version};
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_core::notifications::SUBSCRIPTION;
use everfold_language::definition::{SecretSource, WILDCARD};
use everfold_language::expr::{EvalError, Expr, Scope, Template};
use everfold_ports::{FoundRun, NoticeFailure, NoticeRequest, Secrets};

/// A receiver of events of all runs.
#[derive(Debug, Clone)]
pub struct NoticeSubscription {
    /// Its name.
    pub name: String,
    /// Types of events; `*`: all but those of notices.
    pub events: Vec<String>,
    /// Pipelines, by name; one that ends in `*` stands for all that begin so. Empty: all.
    pub pipelines: Vec<String>,
    /// Labels that the run has, with these values.
    pub labels: BTreeMap<String, String>,
    /// Over `event`, `actor` and `run`.
    pub when: Option<Expr>,
    /// The function that sends the notice.
    pub function: String,
    /// Its parameters, over the same and `secrets`.
    pub with: Template,
    /// Where secrets come from.
    pub secrets: Arc<BTreeMap<String, SecretSource>>,
    /// Where relative files of secrets lie.
    pub folder: PathBuf,
}

/// An event, as subscriptions see it.
pub(crate) struct EventSeen {
    pub(crate) run: RunId,
    pub(crate) version: Version,
    /// Its fields, `type`, `version`, `at`, `actor`.
    pub(crate) event: Value,
    pub(crate) actor: String,
    /// The run, as it is when the notice is sent.
    pub(crate) of_run: FoundRun,
}

struct Names<'a> {
    seen: &'a EventSeen,
    run: &'a Value,
}

impl Scope for Names<'_> {
    fn get(&self, path: &[&str]) -> Result<Option<Value>, EvalError> {
        Ok(match path {
            ["event"] => Some(self.seen.event.clone()),
            ["actor"] => Some(json!(self.seen.actor)),
            ["run"] => Some(self.run.clone()),
            ["run", field] => self.run.get(*field).cloned(),
            _other => None,
        })
    }
}

impl NoticeSubscription {
    /// The secrets that its parameters hold.
    #[must_use]
    pub fn secret_names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.with.expressions().iter().filter_map(|expr| expr.secret()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether it is for events of a type.
    pub(crate) fn is_for(&self, event: &str) -> bool {
        let is_of_notices = matches!(event, "NoticeQueued" | "NoticeSent" | "NoticeFailed");
        self.events.iter().any(|name| name == event || (name == WILDCARD && !is_of_notices))
    }

    /// Whether it is for events of a run.
    pub(crate) fn is_for_run(&self, run: &FoundRun) -> bool {
        let fits = |name: &String| match name.strip_suffix('*') {
            Some(start) => run.pipeline.starts_with(start),
            None => run.pipeline == *name,
        };
        let is_labelled = |(name, value): (&String, &String)| run.labels.get(name) == Some(value);
        (self.pipelines.is_empty() || self.pipelines.iter().any(fits)) && self.labels.iter().all(is_labelled)
    }

    /// The notice of an event; `None` where `when` does not hold.
    pub(crate) fn request(&self, seen: &EventSeen) -> Result<Option<NoticeRequest>, EvalError> {
        let run = shown(&seen.of_run);
        let names = Names { seen, run: &run };
        if let Some(when) = &self.when
            && !when.eval_bool(&names)?
        {
            return Ok(None);
        }
        let (with, spec) = self.with.render_hiding(&names)?;
        let sources = Arc::clone(&self.secrets);
        let folder = Some(self.folder.clone());
        Ok(Some(NoticeRequest {
            run: seen.run,
            version: seen.version,
            notice: format!("{SUBSCRIPTION}{}", self.name),
            function: self.function.clone(),
            with,
            secrets: Secrets { sources, spec, folder, ..Secrets::default() },
            sender: None,
            event: seen.event.clone(),
            of_run: run,
            attempt: 1,
        }))
    }

    /// A notice of an event that did not happen, to test the subscription.
    pub(crate) fn test(&self, id: Uuid, at: Timestamp) -> Result<NoticeRequest, NoticeFailure> {
        let run = RunId(id);
        let event = json!({
            "type": "SubscriptionTested", "version": 1, "at": at, "actor": "engine",
            "message": format!("subscription {}: events {}", self.name, self.events.join(", ")),
        });
        let of_run = FoundRun {
            run,
            pipeline: "everfold".to_owned(),
            title: None,
            labels: BTreeMap::new(),
            status: everfold_core::state::RunStatus::Running,
            started_at: at,
        };
        let seen = EventSeen { run, version: Version::FIRST, event, actor: "engine".to_owned(), of_run };
        let rendered = Self { when: None, ..self.clone() }.request(&seen);
        match rendered {
            Ok(Some(request)) => Ok(request),
            Ok(None) => Err(NoticeFailure::permanent("there is nothing to tell")),
            Err(error) => Err(NoticeFailure::permanent(format!(
                "what it says cannot be said of an event without a step or a failure: {error}"
            ))),
        }
    }
}

/// A run as expressions see it.
fn shown(run: &FoundRun) -> Value {
    json!({
        "id": run.run,
        "short_id": run.run.short(),
        "title": run.title,
        "pipeline": run.pipeline,
        "labels": run.labels,
        "status": run.status,
    })
}
