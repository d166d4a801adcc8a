//! What a step leaves: files, and how its output is read.

use std::collections::BTreeMap;

use super::super::yaml::{Kind, YamlNode};
use super::super::{OutputFile, OutputJson, Outputs};
use super::reader::{PipelineReader, Shape};
use super::uses::ExprPlace;

pub(super) const OUTPUT: Shape = Shape { what: "an output", keys: &["file", "optional", "fresh"] };

impl PipelineReader<'_> {
    /// Files by name, and the reserved names `json` and `match`.
    pub(super) fn outputs(&mut self, node: &YamlNode) -> Outputs {
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(node, "`outputs`", "a map");
            return Outputs::default();
        };
        let mut outputs = Outputs::default();
        for (key, value) in entries {
            match key.text().unwrap_or_default() {
                "json" => outputs.json = self.output_json(value),
                "match" => outputs.matches = self.output_matches(value),
                _ => {
                    let name = self.id(key, "output name", true);
                    if let (Some(name), Some(file)) = (name, self.output_file(value)) {
                        outputs.files.insert(name, file);
                    }
                }
            }
        }
        outputs
    }

    fn output_json(&mut self, node: &YamlNode) -> Option<OutputJson> {
        match node.text() {
            Some("stdout") => Some(OutputJson::Stdout),
            Some("lenient") => Some(OutputJson::Lenient),
            _ => {
                self.inner_path(node, "`json`");
                self.text_template(node, "`json`", ExprPlace::Work).map(OutputJson::File)
            }
        }
    }

    fn output_matches(&mut self, node: &YamlNode) -> BTreeMap<String, String> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(node, "`match`", "a map from names to patterns");
            return BTreeMap::new();
        };
        let mut matches = BTreeMap::new();
        for (key, value) in entries {
            let Some(name) = self.id(key, "name", true) else { continue };
            if let Some(pattern) = self.pattern(value, &format!("`{name}`")) {
                matches.insert(name, pattern);
            }
        }
        matches
    }

    fn output_file(&mut self, node: &YamlNode) -> Option<OutputFile> {
        if !matches!(node.kind, Kind::Map(_)) {
            let file = self.text_template(node, "the path of an output", ExprPlace::Work)?;
            self.inner_path(node, "the path of an output");
            return Some(OutputFile { file, optional: false, fresh: false });
        }
        let keys = self.keys(node, &OUTPUT)?;
        let Some(file) = keys.get("file") else {
            self.missing(node, "an output", "file", "file: PATH");
            return None;
        };
        self.inner_path(file, "`file` of an output");
        let flag = |reader: &mut Self, key: &str| {
            keys.get(key).and_then(|node| reader.bool(node, &format!("`{key}`"))).unwrap_or_default()
        };
        let (optional, fresh) = (flag(self, "optional"), flag(self, "fresh"));
        Some(OutputFile { file: self.text_template(file, "`file`", ExprPlace::Work)?, optional, fresh })
    }
}
