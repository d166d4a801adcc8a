//! The way from a file of test cases to cases that fit their pipeline.

use super::case::PipelineCase;
use super::codes::Code;
use super::files::NoFiles;
use super::locals::Locals;
use super::model::Definition;
use super::parse::child;
use super::pipeline_ref::PipelineRef;
use super::problem::{Problems, SourceText};
use super::read::{CaseScope, PipelineReader};
use super::yaml;

/// Reads and checks the test cases of a pipeline (YAML or JSON). `name` is the file's name in messages; `built_in` finds
/// a pipeline that comes with the program.
///
/// # Errors
/// Every problem at once, in the order of the file.
pub fn cases_of(
    source: &str,
    name: &str,
    definition: &Definition,
    built_in: &dyn Fn(&str) -> Option<Definition>,
) -> Result<Vec<PipelineCase>, Problems> {
    let source = SourceText::new(name, source);
    let locals = Locals::none();
    let mut reader = PipelineReader::new(&source, &NoFiles, &locals);
    let root = yaml::read(&source, &mut reader.problems);
    let find = |parent: &Definition, named: &str| match PipelineRef::is_path(named) {
        true => child(parent, named).ok().map(|checked| checked.definition),
        false => built_in(named),
    };
    let scope = CaseScope { definition, find: &find };
    let cases = root.as_ref().map(|root| reader.cases(root, &scope)).unwrap_or_default();
    if reader.problems.is_empty() && cases.is_empty() {
        let hint = "write `- name: …`, `steps:` and `expect:`; docs/reference/testing-pipelines.md shows how";
        reader.report(Code::Empty, 0..0, "the file has no case").hint = Some(hint.to_owned());
    }
    if reader.problems.is_empty() {
        return Ok(cases);
    }
    let mut problems = Problems(reader.problems);
    problems.sort(&source.name);
    Err(problems)
}
