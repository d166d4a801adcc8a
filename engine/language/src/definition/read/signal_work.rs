//! Work that sends a signal to other runs.

use serde_json::json;

use super::super::yaml::YamlNode;
use super::super::{ExecutorTask, SignalTarget};
use super::reader::{PipelineReader, Shape};
use super::uses::ExprPlace;
use crate::expr::Template;

pub(super) const SHAPE: Shape = Shape { what: "`signal`", keys: &["name", "to", "payload"] };

impl PipelineReader<'_> {
    pub(super) fn signal_work(&mut self, node: &YamlNode) -> Option<ExecutorTask> {
        let keys = self.keys(node, &SHAPE)?;
        for (key, example) in [("name", "name: approved"), ("to", "to: {key: …}, {labels: {…}} or {run: …}")]
        {
            if keys.get(key).is_none() {
                self.missing(node, "`signal`", key, example);
            }
        }
        let place = ExprPlace::Work;
        let name = keys.get("name").and_then(|node| match node.text() {
            Some(text) if !text.contains("${") => {
                self.signal_name(node)?;
                self.text_template(node, "`name`", place)
            }
            _computed => self.text_template(node, "`name`", place),
        });
        let to = keys.get("to").and_then(|node| self.signal_target(node, place));
        let payload = keys.get("payload").map(|node| self.template(node, place));
        let to = match to? {
            SignalTarget::Key(key) => json!({ "key": key.source() }),
            SignalTarget::Run(run) => json!({ "run": run.source() }),
            SignalTarget::Labels(labels) => {
                let labels = labels.into_iter().map(|(name, value)| (name, value.source().clone()));
                json!({ "labels": labels.collect::<serde_json::Map<_, _>>() })
            }
        };
        let mut spec = json!({ "name": name?.source(), "to": to });
        if let Some(payload) = payload {
            spec["payload"] = payload?.source().clone();
        }
        Some(ExecutorTask { kind: ExecutorTask::SIGNAL.to_owned(), spec: Template::parse(&spec).ok()? })
    }
}
