//! All tools.

use std::sync::LazyLock;

use crate::tool::RunTool;
use crate::tools::{asking, deciding, figures, history, pipelines, runs, starting, steering};

/// Every tool, in the order in which they are listed: those that look, then those that act.
pub(crate) fn tools() -> &'static [RunTool] {
    static TOOLS: LazyLock<Vec<RunTool>> = LazyLock::new(|| {
        let all = [
            runs::tools(),
            history::tools(),
            pipelines::tools(),
            figures::tools(),
            asking::tools(),
            deciding::tools(),
            starting::tools(),
            steering::tools(),
        ];
        all.into_iter().flatten().collect()
    });
    &TOOLS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_tool_has_a_name_of_its_own_a_schema_and_documented_arguments() {
        let names: BTreeSet<&str> = tools().iter().map(RunTool::name).collect();
        assert_eq!(names.len(), tools().len());
        for tool in tools() {
            let schema = serde_json::Value::Object((*tool.described.input_schema).clone());
            assert_eq!(schema["type"], "object", "{}", tool.name());
            assert_eq!(
                schema["additionalProperties"],
                false,
                "{}: a misspelt argument is refused",
                tool.name()
            );
            for (name, argument) in schema["properties"].as_object().unwrap() {
                assert!(argument["description"].is_string(), "{}.{name}: {argument}", tool.name());
            }
        }
    }

    #[test]
    fn what_models_read_of_the_tools() {
        let listed: Vec<_> = tools().iter().map(|tool| &tool.described).collect();
        insta::assert_json_snapshot!(listed);
    }

    #[test]
    fn a_viewer_is_shown_what_reads_and_an_approver_may_decide_too() {
        let shown = |role: &str| -> Vec<&str> {
            tools().iter().filter(|tool| tool.role.is_of(role)).map(RunTool::name).collect()
        };
        let reads = tools()
            .iter()
            .filter(|tool| tool.described.annotations.as_ref().unwrap().read_only_hint == Some(true));
        assert_eq!(shown("viewer"), reads.map(RunTool::name).collect::<Vec<_>>());
        assert_eq!(shown("approver").len(), shown("viewer").len() + 1);
        assert_eq!(shown("operator").len(), tools().len());
        assert_eq!(shown("admin").len(), tools().len());
        assert!(shown("worker").is_empty() && shown("").is_empty());
    }
}
