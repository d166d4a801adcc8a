//! How former schemas read today: what people are asked.

use crate::event::former::{ApprovalDecided1, ApprovalRequested1, ApprovalRequested2, VoteCast1, VoteCast2};
use crate::event::kinds::{ApprovalDecided, ApprovalRequested, VoteCast};
use crate::event::parts::ApprovalTerms;

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
