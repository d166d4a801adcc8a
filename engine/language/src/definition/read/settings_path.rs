//! Settings documents at a relative path, in a pipeline whose runs are started by triggers: such a run has no folder.

use super::super::Trigger;
use super::super::codes::Code;
use super::super::yaml::YamlNode;
use super::reader::PipelineReader;

impl PipelineReader<'_> {
    /// Remembers a path that is relative whatever its expressions give.
    pub(super) fn note_settings_path(&mut self, name: &Option<String>, node: &YamlNode) {
        let Some(path) = node.text() else { return };
        let is_known = !path.is_empty() && !path.starts_with("${");
        if is_known && !path.starts_with('/') && !path.starts_with("~/") {
            self.relative_settings.push((name.clone().unwrap_or_default(), node.span.clone()));
        }
    }

    /// Points out relative paths where triggers start runs: each of these starts is refused.
    pub(super) fn settings_of_triggers(&mut self, triggers: &[Trigger]) {
        if !triggers.iter().any(|trigger| trigger.start.is_some()) {
            return;
        }
        for (name, span) in std::mem::take(&mut self.relative_settings) {
            let message =
                format!("a run that a trigger starts has no folder, so it cannot read `config.{name}` here");
            self.report(Code::RelativeSettings, span, message).hint = Some(
                "write the whole path, /etc/…, or one below the home of the engine's user, ~/…".to_owned(),
            );
        }
    }
}
