//! How structs of former schemas read today.
//!
//! Law: a field that a former schema lacks gets the value that its absence stood for.

use std::collections::BTreeMap;

use super::former::{
    ApprovalDecided1, ApprovalRequested1, ApprovalRequested2, AttemptAsked1, AttemptAsked2, AttemptAsked3,
    AttemptFailed1, AttemptFailed2, AttemptFailed3, AttemptFailed4, AttemptNotes1, AttemptNotes2,
    AttemptNotes3, AttemptStarted1, AttemptStarted2, AttemptStarted3, AttemptSucceeded1, AttemptSucceeded2,
    AttemptSucceeded3, AttemptSucceeded4, ChildFinished1, FundsRequested1, NoticeQueued1, NoticeQueued2,
    NoticeQueued3, NoticeSent1, ProbeFailed1, ReworkRequested1, RunAdmitted1, RunFailed1, RunForked1,
    RunForked2, RunForked3, RunForked4, RunForked5, RunForkedWhole, RunPaused1, RunResumed1, RunStarted1,
    RunStarted2, RunStarted3, RunStarted4, RunStarted5, RunStartedWhole, RunUnblocked1, RunUnblocked2,
    SignalTaken1, StepFailed1, StepSkipped1, StepSucceeded1, StopRequested1, Unblocked1, VoteCast1,
    VoteCast2,
};
use super::kinds::{
    ApprovalDecided, ApprovalRequested, AttemptAsked, AttemptFailed, AttemptStarted, AttemptSucceeded,
    ChildFinished, FundsRequested, NoticeQueued, NoticeSent, ProbeFailed, ReworkRequested, RunAdmitted,
    RunFailed, RunForked, RunPaused, RunResumed, RunStarted, RunUnblocked, SignalTaken, StepFailed,
    StepSkipped, StepSucceeded, StopRequested, VoteCast,
};
use super::parts::{ApprovalTerms, AttemptNotes, Unblocked};

impl From<RunStarted1> for RunStarted {
    fn from(old: RunStarted1) -> Self {
        Self {
            run: old.run,
            pipeline: old.pipeline,
            definition: old.definition,
            input: old.input,
            title: old.title,
            labels: old.labels,
            cwd: old.cwd,
            entropy: old.entropy,
            config: None,
            parent: None,
            priority: 0,
            admission: Vec::new(),
            number: None,
            top: None,
            initiator: None,
        }
    }
}

impl From<RunStarted2> for RunStarted {
    fn from(old: RunStarted2) -> Self {
        Self {
            run: old.run,
            pipeline: old.pipeline,
            definition: old.definition,
            input: old.input,
            title: old.title,
            labels: old.labels,
            cwd: old.cwd,
            entropy: old.entropy,
            config: old.config,
            parent: old.parent,
            priority: old.priority,
            admission: old.admission,
            number: None,
            top: None,
            initiator: None,
        }
    }
}

impl From<RunStarted3> for RunStarted {
    fn from(old: RunStarted3) -> Self {
        Self {
            run: old.run,
            pipeline: old.pipeline,
            definition: old.definition,
            input: old.input,
            title: old.title,
            labels: old.labels,
            cwd: old.cwd,
            entropy: old.entropy,
            config: old.config,
            parent: old.parent,
            priority: old.priority,
            admission: old.admission,
            number: old.number,
            // Such a run knows its parent alone, and takes it for the topmost.
            top: None,
            initiator: None,
        }
    }
}

impl From<RunStarted4> for RunStarted {
    fn from(old: RunStarted4) -> Self {
        Self {
            run: old.run,
            pipeline: old.pipeline,
            definition: old.definition,
            input: old.input,
            title: old.title,
            labels: old.labels,
            cwd: old.cwd,
            entropy: old.entropy,
            config: old.config,
            parent: old.parent,
            priority: old.priority,
            admission: old.admission,
            number: None,
            top: old.top,
            initiator: None,
        }
    }
}

impl From<RunStarted5> for RunStarted {
    fn from(old: RunStarted5) -> Self {
        Self {
            run: old.run,
            pipeline: old.pipeline,
            definition: old.definition,
            input: old.input,
            title: old.title,
            labels: old.labels,
            cwd: old.cwd,
            entropy: old.entropy,
            config: old.config,
            parent: old.parent,
            priority: old.priority,
            admission: old.admission,
            number: old.number,
            top: old.top,
            initiator: None,
        }
    }
}

impl From<RunStartedWhole> for RunStarted {
    fn from(stored: RunStartedWhole) -> Self {
        Self {
            run: stored.run,
            pipeline: stored.pipeline,
            definition: stored.definition,
            input: stored.input,
            title: stored.title,
            labels: stored.labels,
            cwd: stored.cwd,
            entropy: stored.entropy,
            config: stored.config,
            parent: stored.parent,
            priority: stored.priority,
            admission: stored.admission,
            number: stored.number,
            top: stored.top,
            initiator: stored.initiator,
        }
    }
}

impl From<RunStarted> for RunStartedWhole {
    fn from(event: RunStarted) -> Self {
        Self {
            run: event.run,
            pipeline: event.pipeline,
            definition: event.definition,
            input: event.input,
            title: event.title,
            labels: event.labels,
            cwd: event.cwd,
            entropy: event.entropy,
            config: event.config,
            parent: event.parent,
            priority: event.priority,
            admission: event.admission,
            number: event.number,
            top: event.top,
            initiator: event.initiator,
        }
    }
}

impl From<AttemptStarted1> for AttemptStarted {
    fn from(old: AttemptStarted1) -> Self {
        Self { id: old.id, began_at: None, holder: None }
    }
}

impl From<AttemptStarted2> for AttemptStarted {
    fn from(AttemptStarted2 { id, began_at }: AttemptStarted2) -> Self {
        Self { id, began_at, holder: None }
    }
}

impl From<AttemptStarted3> for AttemptStarted {
    fn from(AttemptStarted3 { id, holder }: AttemptStarted3) -> Self {
        Self { id, began_at: None, holder }
    }
}

impl From<AttemptSucceeded1> for AttemptSucceeded {
    fn from(old: AttemptSucceeded1) -> Self {
        Self {
            id: old.id,
            output: old.output,
            commit: old.commit,
            artefacts: old.artefacts,
            ended_at: old.ended_at,
            notes: AttemptNotes::default(),
        }
    }
}

impl From<AttemptFailed1> for AttemptFailed {
    fn from(old: AttemptFailed1) -> Self {
        let AttemptFailed1 { id, failure, commit, artefacts, ended_at } = old;
        Self { id, failure, commit, artefacts, ended_at, notes: AttemptNotes::default() }
    }
}

impl From<AttemptNotes1> for AttemptNotes {
    fn from(old: AttemptNotes1) -> Self {
        let AttemptNotes1 { labels, note, code } = old;
        Self { labels, note, code, ..Self::default() }
    }
}

impl From<AttemptNotes2> for AttemptNotes {
    fn from(AttemptNotes2 { labels, note, code, log }: AttemptNotes2) -> Self {
        Self { labels, note, code, log, ..Self::default() }
    }
}

impl From<AttemptNotes3> for AttemptNotes {
    fn from(AttemptNotes3 { labels, note, code, report }: AttemptNotes3) -> Self {
        Self { labels, note, code, report, ..Self::default() }
    }
}

impl From<AttemptSucceeded2> for AttemptSucceeded {
    fn from(old: AttemptSucceeded2) -> Self {
        let AttemptSucceeded2 { id, output, commit, artefacts, ended_at, notes } = old;
        Self { id, output, commit, artefacts, ended_at, notes: notes.into() }
    }
}

impl From<AttemptFailed2> for AttemptFailed {
    fn from(old: AttemptFailed2) -> Self {
        let AttemptFailed2 { id, failure, commit, artefacts, ended_at, notes } = old;
        Self { id, failure, commit, artefacts, ended_at, notes: notes.into() }
    }
}

impl From<AttemptAsked1> for AttemptAsked {
    fn from(old: AttemptAsked1) -> Self {
        let AttemptAsked1 { id, ask, commit, ended_at, notes } = old;
        Self { id, ask, commit, ended_at, notes: notes.into() }
    }
}

impl From<AttemptSucceeded3> for AttemptSucceeded {
    fn from(old: AttemptSucceeded3) -> Self {
        let AttemptSucceeded3 { id, output, commit, artefacts, ended_at, notes } = old;
        Self { id, output, commit, artefacts, ended_at, notes: notes.into() }
    }
}

impl From<AttemptFailed3> for AttemptFailed {
    fn from(old: AttemptFailed3) -> Self {
        let AttemptFailed3 { id, failure, commit, artefacts, ended_at, notes } = old;
        Self { id, failure, commit, artefacts, ended_at, notes: notes.into() }
    }
}

impl From<AttemptAsked2> for AttemptAsked {
    fn from(old: AttemptAsked2) -> Self {
        let AttemptAsked2 { id, ask, commit, ended_at, notes } = old;
        Self { id, ask, commit, ended_at, notes: notes.into() }
    }
}

impl From<AttemptSucceeded4> for AttemptSucceeded {
    fn from(old: AttemptSucceeded4) -> Self {
        let AttemptSucceeded4 { id, output, commit, artefacts, ended_at, notes } = old;
        Self { id, output, commit, artefacts, ended_at, notes: notes.into() }
    }
}

impl From<AttemptFailed4> for AttemptFailed {
    fn from(old: AttemptFailed4) -> Self {
        let AttemptFailed4 { id, failure, commit, artefacts, ended_at, notes } = old;
        Self { id, failure, commit, artefacts, ended_at, notes: notes.into() }
    }
}

impl From<AttemptAsked3> for AttemptAsked {
    fn from(old: AttemptAsked3) -> Self {
        let AttemptAsked3 { id, ask, commit, ended_at, notes } = old;
        Self { id, ask, commit, ended_at, notes: notes.into() }
    }
}

impl From<ChildFinished1> for ChildFinished {
    fn from(old: ChildFinished1) -> Self {
        let ChildFinished1 { id, child, output, failure, ended_at } = old;
        Self { id, child, output, failure, ended_at, commit: None }
    }
}

impl From<ProbeFailed1> for ProbeFailed {
    fn from(old: ProbeFailed1) -> Self {
        let ProbeFailed1 { id, gate, probe_no, message, permanent, took_ms } = old;
        Self { id, gate, probe_no, message, permanent, took_ms, broken: false }
    }
}

impl From<FundsRequested1> for FundsRequested {
    fn from(old: FundsRequested1) -> Self {
        Self { id: old.id, waits: false }
    }
}

impl From<RunAdmitted1> for RunAdmitted {
    fn from(old: RunAdmitted1) -> Self {
        Self { admission: old.admission, at_once: false }
    }
}

impl From<ReworkRequested1> for ReworkRequested {
    fn from(old: ReworkRequested1) -> Self {
        Self {
            target: old.target,
            source: old.source,
            route: old.route,
            used: old.used,
            max: old.max,
            findings: old.findings,
            reset: old.reset,
            hold: false,
        }
    }
}

impl From<ApprovalRequested1> for ApprovalRequested {
    fn from(old: ApprovalRequested1) -> Self {
        let terms = ApprovalTerms {
            roles: old.terms.roles,
            quorum: old.terms.quorum,
            veto: old.terms.veto,
            self_approval: old.terms.self_approval,
            comment: old.terms.comment,
            changes: false,
            remind_ms: None,
        };
        Self { id: old.id, title: old.title, show: old.show, terms, edit: None, seen: None }
    }
}

impl From<VoteCast1> for VoteCast {
    fn from(old: VoteCast1) -> Self {
        Self {
            id: old.id,
            vote: old.vote,
            comment: old.comment,
            roles: old.roles,
            comments: Vec::new(),
            edited: None,
            seen: None,
        }
    }
}

impl From<ApprovalRequested2> for ApprovalRequested {
    fn from(old: ApprovalRequested2) -> Self {
        let ApprovalRequested2 { id, title, show, terms, edit } = old;
        Self { id, title, show, terms, edit, seen: None }
    }
}

impl From<ApprovalDecided1> for ApprovalDecided {
    fn from(old: ApprovalDecided1) -> Self {
        let ApprovalDecided1 { id, decision, by, comment } = old;
        Self { id, decision, by, comment, seen: None }
    }
}

impl From<VoteCast2> for VoteCast {
    fn from(old: VoteCast2) -> Self {
        let VoteCast2 { id, vote, comment, roles, comments, edited } = old;
        Self { id, vote, comment, roles, comments, edited, seen: None }
    }
}

impl From<RunUnblocked1> for RunUnblocked {
    fn from(old: RunUnblocked1) -> Self {
        let Unblocked1 { path, decision, output, reason } = old.unblocked;
        let unblocked = Unblocked { path, decision, output, reason, policies: BTreeMap::new() };
        Self { unblocked, bypassed: Vec::new() }
    }
}

impl From<RunUnblocked2> for RunUnblocked {
    fn from(old: RunUnblocked2) -> Self {
        Self { unblocked: old.unblocked, bypassed: Vec::new() }
    }
}

impl From<RunForked1> for RunForked {
    fn from(old: RunForked1) -> Self {
        Self {
            run: old.run,
            origin: old.origin,
            definition: old.definition,
            input: old.input,
            config: old.config,
            from_step: old.from_step,
            reset: old.reset,
            title: old.title,
            entropy: old.entropy,
            until_step: None,
            initiator: None,
            effects: None,
            keeps_tries: false,
        }
    }
}

impl From<RunForked2> for RunForked {
    fn from(old: RunForked2) -> Self {
        Self {
            run: old.run,
            origin: old.origin,
            definition: old.definition,
            input: old.input,
            config: old.config,
            from_step: old.from_step,
            reset: old.reset,
            title: old.title,
            entropy: old.entropy,
            until_step: old.until_step,
            initiator: None,
            effects: None,
            keeps_tries: false,
        }
    }
}

impl From<RunForked3> for RunForked {
    fn from(old: RunForked3) -> Self {
        Self {
            run: old.run,
            origin: old.origin,
            definition: old.definition,
            input: old.input,
            config: old.config,
            from_step: old.from_step,
            reset: old.reset,
            title: old.title,
            entropy: old.entropy,
            until_step: old.until_step,
            initiator: old.initiator,
            effects: None,
            keeps_tries: false,
        }
    }
}

impl From<RunForked4> for RunForked {
    fn from(old: RunForked4) -> Self {
        Self {
            run: old.run,
            origin: old.origin,
            definition: old.definition,
            input: old.input,
            config: old.config,
            from_step: old.from_step,
            reset: old.reset,
            title: old.title,
            entropy: old.entropy,
            until_step: old.until_step,
            initiator: None,
            effects: old.effects,
            keeps_tries: false,
        }
    }
}

impl From<RunForked5> for RunForked {
    fn from(old: RunForked5) -> Self {
        Self {
            run: old.run,
            origin: old.origin,
            definition: old.definition,
            input: old.input,
            config: old.config,
            from_step: old.from_step,
            reset: old.reset,
            title: old.title,
            entropy: old.entropy,
            until_step: old.until_step,
            initiator: old.initiator,
            effects: old.effects,
            keeps_tries: false,
        }
    }
}

impl From<RunForkedWhole> for RunForked {
    fn from(stored: RunForkedWhole) -> Self {
        Self {
            run: stored.run,
            origin: stored.origin,
            definition: stored.definition,
            input: stored.input,
            config: stored.config,
            from_step: stored.from_step,
            reset: stored.reset,
            title: stored.title,
            entropy: stored.entropy,
            until_step: stored.until_step,
            initiator: stored.initiator,
            effects: stored.effects,
            keeps_tries: stored.keeps_tries,
        }
    }
}

impl From<RunForked> for RunForkedWhole {
    fn from(event: RunForked) -> Self {
        Self {
            run: event.run,
            origin: event.origin,
            definition: event.definition,
            input: event.input,
            config: event.config,
            from_step: event.from_step,
            reset: event.reset,
            title: event.title,
            entropy: event.entropy,
            until_step: event.until_step,
            initiator: event.initiator,
            effects: event.effects,
            keeps_tries: event.keeps_tries,
        }
    }
}

impl From<NoticeQueued1> for NoticeQueued {
    fn from(old: NoticeQueued1) -> Self {
        let NoticeQueued1 { version, notice, function, channel, with } = old;
        Self { version, notice, function, channel, with, replaces: false, fallback: None }
    }
}

impl From<NoticeQueued2> for NoticeQueued {
    fn from(old: NoticeQueued2) -> Self {
        let NoticeQueued2 { version, notice, function, channel, with, replaces } = old;
        Self { version, notice, function, channel, with, replaces, fallback: None }
    }
}

impl From<NoticeQueued3> for NoticeQueued {
    fn from(old: NoticeQueued3) -> Self {
        let NoticeQueued3 { version, notice, function, channel, with, fallback } = old;
        Self { version, notice, function, channel, with, replaces: false, fallback }
    }
}

impl From<NoticeSent1> for NoticeSent {
    fn from(old: NoticeSent1) -> Self {
        let NoticeSent1 { version, notice, tries } = old;
        Self { version, notice, tries, reason: None }
    }
}

impl From<StepSucceeded1> for StepSucceeded {
    fn from(old: StepSucceeded1) -> Self {
        let StepSucceeded1 { path, round, labels, finish } = old;
        Self { path, round, labels, finish, output: None }
    }
}

impl From<StepSkipped1> for StepSkipped {
    fn from(old: StepSkipped1) -> Self {
        let StepSkipped1 { path, round, reason } = old;
        Self { path, round, reason, output: None }
    }
}

impl From<StepFailed1> for StepFailed {
    fn from(old: StepFailed1) -> Self {
        let StepFailed1 { path, round, failure, tolerated, finish } = old;
        Self { path, round, failure, tolerated, finish, output: None }
    }
}

impl From<RunFailed1> for RunFailed {
    fn from(old: RunFailed1) -> Self {
        let RunFailed1 { path, failure } = old;
        Self { path, failure, result: None }
    }
}

impl From<SignalTaken1> for SignalTaken {
    fn from(old: SignalTaken1) -> Self {
        let SignalTaken1 { signal, by, how, ends } = old;
        Self { signal, by, how, ends, reason: None }
    }
}

impl From<RunPaused1> for RunPaused {
    fn from(old: RunPaused1) -> Self {
        Self { reason: old.reason, interrupt: false }
    }
}

impl From<RunResumed1> for RunResumed {
    fn from(old: RunResumed1) -> Self {
        Self { reason: old.reason, prompt: None }
    }
}

impl From<StopRequested1> for StopRequested {
    fn from(old: StopRequested1) -> Self {
        Self { ids: old.ids, reason: old.reason }
    }
}
