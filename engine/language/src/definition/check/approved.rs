//! Steps that start nothing without an approval, and what approvals can keep.

use super::super::codes::Code;
use super::super::read::PipelineReader;
use super::super::similar::similar;
use super::super::{Work, WorkspaceSpec};
use super::upstream::Upstream;
use crate::definition::read::StepDraft;

/// Reports what `approved` of a step names in vain, and what an approval cannot keep or show.
pub(super) fn approved(
    reader: &mut PipelineReader<'_>,
    drafts: &[StepDraft],
    upstream: &Upstream,
    workspace: Option<&WorkspaceSpec>,
) {
    for (at, draft) in drafts.iter().enumerate() {
        own_terms(reader, draft, workspace);
        for (name, span) in draft.step.approved.iter().zip(&draft.approved) {
            let Some((message, hint)) = in_vain(drafts, upstream, at, name.as_str()) else { continue };
            if !reader.broken.iter().any(|broken| broken == name.as_str()) {
                reader.report(Code::Approved, span.clone(), message).hint = Some(hint);
            }
        }
        if let (Some(Work::Approval(_) | Work::Question(_) | Work::Wait(_)), Some(span)) =
            (&draft.step.work, draft.approved.first())
        {
            let message = format!("“{}” starts nothing that `approved` could hold back", draft.step.id);
            reader.report(Code::Approved, span.clone(), message).hint =
                Some("put it on the step whose work needs what was approved".to_owned());
        }
    }
}

fn own_terms(reader: &mut PipelineReader<'_>, draft: &StepDraft, workspace: Option<&WorkspaceSpec>) {
    let Some(Work::Approval(approval)) = &draft.step.work else { return };
    if approval.keep_unchanged && draft.step.foreach.is_some() {
        let message =
            format!("“{}” asks for each item, and `keep` counts for a step as a whole", draft.step.id);
        reader.report(Code::Combination, draft.id_span.clone(), message).hint =
            Some("take `keep` out, or ask once for all items".to_owned());
    }
    if approval.commit && matches!(workspace, None | Some(WorkspaceSpec::Dir(_))) {
        let message = format!("“{}” shows the commit, and the pipeline has no worktree", draft.step.id);
        reader.report(Code::Combination, draft.id_span.clone(), message).hint =
            Some("give the pipeline a `workspace: {git: …}`, or show files: show: [{file: PATH}]".to_owned());
    }
}

/// Why an approval that is named does not bind the step, and what would.
fn in_vain(drafts: &[StepDraft], upstream: &Upstream, at: usize, name: &str) -> Option<(String, String)> {
    let known = drafts.iter().enumerate().find(|(_, other)| other.step.id.as_str() == name && !other.finish);
    let approvals = || {
        let asks = drafts.iter().filter(|other| matches!(other.step.work, Some(Work::Approval(_))));
        asks.map(|other| other.step.id.as_str()).collect::<Vec<_>>()
    };
    let others = || match (similar(name, approvals().into_iter()), approvals().as_slice()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, []) => "the pipeline has no step with `approval`".to_owned(),
        (None, some) => format!("approvals: {}", some.join(", ")),
    };
    let Some((other, draft)) = known else {
        return Some((format!("there is no step “{name}”"), others()));
    };
    let Some(Work::Approval(approval)) = &draft.step.work else {
        return Some((format!("“{name}” is no approval"), others()));
    };
    if draft.step.foreach.is_some() {
        let message = format!("“{name}” asks for each item, and binds no step behind it");
        return Some((message, "ask once for all items, in a step of its own".to_owned()));
    }
    if !drafts[at].finish && !upstream.contains(at, other) {
        let message = format!("“{name}” does not lie before “{}”", drafts[at].step.id);
        return Some((message, format!("add “{name}” to the `needs` of “{}”", drafts[at].step.id)));
    }
    if !approval.may_show_bytes() {
        let message = format!("“{name}” shows neither a file nor the commit");
        return Some((message, "add show: [{file: PATH}] or commit: true to it".to_owned()));
    }
    None
}
