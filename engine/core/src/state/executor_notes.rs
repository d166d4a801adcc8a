//! Sessions of agents, worktrees and workspaces: how they are noted and read ([`super::executor_facts`]).

use super::executor_facts::{Inherited, SharedWorkspace};
use super::key::Key;
use super::run_state::RunState;
use super::step::Phase;
use crate::artefact::Workspace;
use crate::event::{UsageRecorded, WorkspaceShared, WorktreeReset};
use everfold_base::id::{AttemptId, StepPath};
use everfold_language::definition::{StepWorkspace, WorkspaceSpec};
use everfold_language::expr::{Reference, Template};
use std::collections::{BTreeMap, BTreeSet};

impl RunState {
    /// The session that an attempt of a step continues: the step's own, else its role's.
    pub(crate) fn session(&self, path: &StepPath) -> Option<&String> {
        let at = self.graph.find(&path.step)?;
        let continued = self.graph.continued();
        if !continued.own[at] {
            return None;
        }
        let edge = &self.facts.edge;
        let of_role = || edge.roles.get(continued.roles[at].as_ref()?);
        edge.sessions.get(path).or_else(of_role)
    }

    /// The commit to which the worktree is brought back before this attempt.
    pub(crate) fn reset_of(&self, id: &AttemptId) -> Option<&String> {
        self.facts.edge.resets.get(&id.path)
    }

    /// The run that it shares the workspace of, where that is another one.
    #[must_use]
    pub fn shared_workspace(&self) -> Option<&SharedWorkspace> {
        self.facts.edge.shared.as_ref()
    }

    /// How often steps were reworked without a person.
    pub(crate) fn reworks(&self) -> u32 {
        self.facts.edge.reworks
    }

    /// Whether some step works in copies of the worktree.
    pub fn has_copies(&self) -> bool {
        self.graph.has_copies()
    }

    /// The current attempts of such steps whose rounds have not ended: their gates look into the copies.
    pub fn copied_attempts(&self) -> BTreeSet<AttemptId> {
        let open = |at: &usize| {
            let step = &self.facts.steps[*at];
            self.graph.step(*at).workspace == StepWorkspace::Own
                && !step.phase.is_ended()
                && step.phase != Phase::Pending
                && self.facts.ended.is_none()
        };
        let units = |at: usize| {
            let items = self.facts.steps[at].items.as_ref().map_or(0, |items| items.units.len());
            let items = (0..u32::try_from(items).unwrap_or(u32::MAX))
                .map(move |item| Key { step: at, item: Some(item) });
            std::iter::once(Key::step(at)).chain(items)
        };
        let is_wanted = |key: &Key| {
            // An item has no gates of its own.
            key.item.is_none() || self.unit_at(*key).is_some_and(|unit| !unit.stage.is_over())
        };
        (0..self.graph.len())
            .filter(open)
            .flat_map(units)
            .filter(is_wanted)
            .map(|key| self.attempt_id(key))
            .collect()
    }

    /// Remembers the session of an agent where a step continues it.
    pub(super) fn note_session(&mut self, event: &UsageRecorded) {
        let (Some(session), Some(at)) = (&event.usage.session, self.graph.find(&event.id.path.step)) else {
            return;
        };
        let continued = self.graph.continued();
        let (own, role) = (continued.own[at], continued.roles[at].clone());
        if own {
            self.facts.edge.sessions.insert(event.id.path.clone(), session.clone());
        }
        // Items work beside each other: none of them speaks for the role.
        if let Some(role) = role.filter(|_| event.id.path.item.is_none()) {
            self.facts.edge.roles.insert(role, session.clone());
        }
    }

    /// The sessions that a copy of the run takes along, by step and by role.
    pub(super) fn carried_sessions(&self) -> (BTreeMap<StepPath, String>, BTreeMap<String, String>) {
        let continued = self.graph.continued();
        let carries = |path: &StepPath| self.graph.find(&path.step).is_some_and(|at| continued.carried[at]);
        let mut sessions = self.facts.edge.sessions.clone();
        sessions.retain(|path, _| carries(path));
        let of_carrying = continued.roles.iter().zip(&continued.carried).filter(|(_, carried)| **carried);
        let wanted: BTreeSet<&String> = of_carrying.filter_map(|(role, _)| role.as_ref()).collect();
        let mut roles = self.facts.edge.roles.clone();
        roles.retain(|role, _| wanted.contains(role));
        (sessions, roles)
    }

    pub(super) fn worktree_reset(&mut self, event: &WorktreeReset) {
        self.facts.edge.resets.insert(event.id.path.clone(), event.commit.clone());
    }

    /// Another attempt begins, on what is there.
    pub(super) fn forget_reset(&mut self, path: &StepPath) {
        self.facts.edge.resets.remove(path);
    }

    /// Adds what an attempt used up, until it has ended.
    pub(super) fn note_usage(&mut self, event: &UsageRecorded) {
        let (id, usage) = (&event.id, &event.usage);
        let is_open = self.facts.stops.contains_key(id)
            || self
                .current(id)
                .and_then(|key| self.unit_at(key))
                .is_some_and(|unit| unit.stage.is_in_flight());
        if !is_open {
            return;
        }
        let of_attempt = self.facts.edge.used.entry(id.clone()).or_default();
        match of_attempt.iter_mut().find(|used| used.model == usage.model) {
            None => of_attempt.push(usage.clone()),
            Some(used) => {
                used.input_tokens = used.input_tokens.saturating_add(usage.input_tokens);
                used.cached_tokens = used.cached_tokens.saturating_add(usage.cached_tokens);
                used.output_tokens = used.output_tokens.saturating_add(usage.output_tokens);
                used.cost_micros = event.added_to(used.cost_micros);
                used.session = usage.session.clone().or(used.session.take());
            }
        }
    }

    /// The attempt has ended, and reports nothing more.
    pub(super) fn forget_usage(&mut self, id: &AttemptId) {
        self.facts.edge.used.remove(id);
    }

    /// Whether nothing goes on before the run has a workspace of its own: its history speaks of one.
    pub(crate) fn owes_workspace(&self) -> bool {
        self.facts.edge.inherited.is_owed && self.facts.workspace.is_none() && self.facts.ended.is_none()
    }

    /// Nothing waits for the workspace any more: there is one, there can be none, or the run is cancelled.
    pub(super) fn stop_owing_workspace(&mut self) {
        if std::mem::take(&mut self.facts.edge.inherited.is_owed) {
            self.touch_waiting();
        }
    }

    pub(super) fn workspace_prepared(&mut self, workspace: Option<&Workspace>) {
        self.facts.workspace = workspace.cloned();
        self.facts.commit = workspace.and_then(|workspace| workspace.commit.clone());
        // A fork begins where its origin stood, and changes what its origin began to change.
        if let Some(workspace) = &mut self.facts.workspace
            && let Some(begun) = &self.facts.edge.inherited.begun
        {
            workspace.commit = Some(begun.clone());
        }
        self.stop_owing_workspace();
        self.touch_waiting();
    }

    /// What a fork takes over of the workspace of its origin, whose state this still is.
    pub(super) fn inherited(&self, workspace: Option<&Workspace>) -> Inherited {
        let former = &self.facts.edge.inherited;
        let begun = workspace.and_then(|workspace| workspace.commit.clone());
        Inherited {
            is_owed: workspace.is_some() || former.is_owed,
            begun: begun
                .filter(|_| workspace.is_some_and(|it| it.repository.is_some()))
                .or_else(|| former.begun.clone()),
        }
    }

    /// After a fork: whether its own workspace can be made before it goes on. One that is computed from
    /// steps that begin anew is made when it is first needed, as in a new run.
    pub(super) fn owe_workspace(&mut self) {
        let graph = &self.graph;
        let is_ended = |step: &str| {
            let at = graph.find(&step.into());
            at.is_none_or(|at| self.facts.steps[at].phase.is_ended())
        };
        let can_be_made = match &graph.definition.workspace {
            None => false,
            Some(WorkspaceSpec::Parent) => true,
            Some(WorkspaceSpec::Dir(dir)) => reads(dir).all(is_ended),
            Some(WorkspaceSpec::Git(git)) => {
                let others = [&git.base, &git.branch].into_iter().flatten();
                std::iter::once(&git.git).chain(others).flat_map(reads).all(is_ended)
            }
        };
        self.facts.edge.inherited.is_owed &= can_be_made;
    }

    pub(super) fn workspace_shared(&mut self, event: &WorkspaceShared) {
        let (owner, save, author) = (event.owner, event.save, event.author.clone());
        self.facts.edge.shared = Some(SharedWorkspace { owner, save, author });
    }
}

/// The steps that a text reads.
fn reads(template: &Template) -> impl Iterator<Item = &str> {
    template.references().iter().filter_map(|reference| match reference {
        Reference::Step { step, .. } => Some(step.as_str()),
        Reference::Name(_) | Reference::Run { .. } => None,
    })
}
