//! An approval is asked for, at once or when it is known what of the workspace it shows.

use std::time::Duration;

use super::draft::{Draft, Interrupt, settled};
use super::people_timers::set_limits;
use super::render::{millis, resolve_pause, resolve_reminders};
use super::scope::RunScope;
use super::seen::{self, ShownThing};
use crate::event::{ApprovalDecided, ApprovalRequested, ApprovalTerms, Seen, SeenPart, StepFailed};
use crate::seen::LookSpec;
use crate::state::{Key, Unit};
use everfold_base::failure::Failure;
use everfold_base::id::{AttemptId, StepId};
use everfold_base::json::Value;
use everfold_base::text::one_line;
use everfold_language::definition::{Approval, Shown, Work};
use everfold_language::expr::EvalError;

/// What people are asked, rendered and not yet recorded.
pub(super) struct PreparedApproval {
    title: String,
    show: Vec<ShownThing>,
    edit: Option<Value>,
    terms: ApprovalTerms,
    timeout: Option<Duration>,
    first_reminder: Option<Duration>,
}

impl PreparedApproval {
    /// What of it must be looked up first.
    pub(super) fn look(&self, approval: &Approval) -> Result<LookSpec, Failure> {
        seen::look(approval, &self.show)
    }
}

pub(super) fn prepare(approval: &Approval, scope: &RunScope<'_>) -> Result<PreparedApproval, EvalError> {
    let thing = |shown: &Shown| {
        let value = shown.template().render(scope)?;
        Ok(ShownThing { value, is_file: matches!(shown, Shown::File { .. }) })
    };
    let remind = resolve_reminders(approval.remind.as_ref(), scope)?;
    Ok(PreparedApproval {
        title: one_line(&approval.title.render_text(scope)?).into_owned(),
        show: approval.show.iter().map(thing).collect::<Result<_, EvalError>>()?,
        edit: approval.edit.as_ref().map(|edit| edit.render(scope)).transpose()?,
        terms: ApprovalTerms {
            roles: approval.roles.clone(),
            quorum: approval.quorum.resolve_within("`quorum`", 1..=u32::MAX, scope)?.max(1),
            veto: approval.veto,
            self_approval: approval.self_approval,
            comment: approval.comment.clone(),
            changes: !approval.on_changes.is_empty(),
            remind_ms: remind.every.map(millis),
        },
        first_reminder: remind.first,
        timeout: resolve_pause(approval.timeout.as_ref(), "`timeout`", scope)?,
    })
}

/// What an approval would show otherwise than it did, where it was decided in a run that this one goes on from, with something
/// else than that had: in the run that asked, what is shown may well have changed since.
pub(super) fn shown_otherwise(scope: &RunScope<'_>, step: &StepId) -> Result<Vec<String>, EvalError> {
    let (state, loaded, _) = scope.place();
    let at = state.graph.find(step).filter(|_| state.facts.ancestry.is_changed);
    let Some(at) = at else { return Ok(Vec::new()) };
    let Some(Work::Approval(approval)) = &state.graph.step(at).work else { return Ok(Vec::new()) };
    let key = Key::step(at);
    let Some(were) = state.copied_approval(&state.attempt_id(key)) else { return Ok(Vec::new()) };
    let now = prepare(approval, &RunScope::of(state, loaded, key))?;
    let now = seen::parts(&now.title, &now.show, now.edit.as_ref(), &[]);
    Ok(seen::rendered_otherwise(&were.parts, &now))
}

/// Records what people are asked, with the hashes of all that they are shown. Where approvals of a former round count
/// on and suffice, it is decided at once.
pub(super) fn ask(draft: &mut Draft<'_>, id: AttemptId, prepared: PreparedApproval, found: &[SeenPart]) {
    let PreparedApproval { title, show, edit, terms, timeout, first_reminder } = prepared;
    let parts = seen::parts(&title, &show, edit.as_ref(), found);
    let graph = draft.state.graph.clone();
    let kept = match draft.state.key(&id.path).map(|key| &graph.step(key.step).work) {
        Some(Some(Work::Approval(approval))) => seen::kept(draft.state, &id.path, approval, &parts),
        _no_approval => Vec::new(),
    };
    let shown = show.into_iter().map(|thing| thing.value).collect();
    let show = draft.payload_of(&Value::Array(shown));
    let edit = edit.map(|edit| draft.payload_of(&edit));
    let seen = Some(Seen::new(parts, kept));
    draft.record(ApprovalRequested { id: id.clone(), title, show, terms, edit, seen });
    let key = draft.state.key(&id.path);
    let asked = key.and_then(|key| draft.state.unit_at(key)).and_then(Unit::approval);
    let decided =
        asked.and_then(|approval| Some((approval.outcome()?, approval.deciders(approval.outcome()?))));
    match decided {
        Some((decision, (by, comment))) => {
            let seen = draft.state.seen(&id).cloned();
            draft.record(ApprovalDecided { id, decision, by, comment, seen });
        }
        None => set_limits(draft, &id, timeout, first_reminder),
    }
}

/// What an approval shows was found: people are asked.
pub(super) fn looked(draft: &mut Draft<'_>, key: Key) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let Some(Work::Approval(approval)) = &graph.step(key.step).work else { return Ok(()) };
    let id = draft.state.attempt_id(key);
    let prepared = {
        let scope = RunScope::of(draft.state, draft.loaded, key);
        let found = draft.state.facts.seen.found(&id.path).cloned().unwrap_or_default();
        settled(prepare(approval, &scope).and_then(|prepared| Ok((prepared, found.value(draft.loaded)?))))?
    };
    match prepared {
        Ok((prepared, found)) => ask(draft, id, prepared, &seen::found(found)),
        Err(failure) => {
            let AttemptId { path, round, .. } = id;
            draft.record(StepFailed { path, round, failure, tolerated: false, finish: None, output: None });
        }
    }
    Ok(())
}
