//! Which role a route asks for.

use axum::http::Method;
use everfold_engine::access::Role;

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Nothing: it tells nothing, or is signed in another way.
    Nobody,
    /// To be let in: about the caller alone.
    Somebody,
    /// To read.
    Read,
    /// To decide tasks; which ones, the task's own roles say.
    Decide,
    /// To start and steer runs.
    Operate,
    /// To take work.
    Work,
    /// Everything.
    Administer,
}

impl Needs {
    /// Whether a role has it.
    #[must_use]
    pub fn has(self, role: Role) -> bool {
        match self {
            Self::Nobody | Self::Somebody => true,
            Self::Read => role != Role::Worker,
            Self::Decide => matches!(role, Role::Approver | Role::Operator | Role::Admin),
            Self::Operate => matches!(role, Role::Operator | Role::Admin),
            Self::Work => matches!(role, Role::Worker | Role::Admin),
            Self::Administer => role == Role::Admin,
        }
    }

    /// The least role that has it.
    #[must_use]
    pub fn least(self) -> Role {
        match self {
            Self::Nobody | Self::Somebody | Self::Read => Role::Viewer,
            Self::Decide => Role::Approver,
            Self::Operate => Role::Operator,
            Self::Work => Role::Worker,
            Self::Administer => Role::Admin,
        }
    }
}

/// What a route asks for, by its pattern as the router has it. What is not known asks for everything.
#[must_use]
pub fn needed(method: &Method, route: &str) -> Needs {
    // It tells which methods there are, and that stands in the document.
    if *method == Method::OPTIONS {
        return Needs::Nobody;
    }
    let Some(rest) = route.strip_prefix("/api/v1/") else {
        return match route {
            "/healthz" | "/readyz" | "/login" | "/api/openapi.json" | "/api" | "/api/{file}" | "/" => {
                Needs::Nobody
            }
            "/metrics" => Needs::Read,
            _unknown => Needs::Administer,
        };
    };
    let is_read = *method == Method::GET || *method == Method::HEAD;
    match (rest.split('/').next().unwrap_or(rest), is_read) {
        // The whole log holds what is said of tokens, too.
        ("tokens" | "events", _) => Needs::Administer,
        // A session is opened with a token, and every other call of these is about the caller.
        ("session", _) if rest == "session" => {
            if *method == Method::POST {
                Needs::Nobody
            } else {
                Needs::Somebody
            }
        }
        ("session", _) => Needs::Administer,
        ("workers", false) => Needs::Work,
        // Signed by who sends it.
        ("hooks", false) if rest == "hooks/{source}" => Needs::Nobody,
        // A verification reads everything that there is.
        ("store", _) if matches!(rest, "store/adopt" | "store/verify") => Needs::Administer,
        ("projections", false) => Needs::Administer,
        (_, true) => Needs::Read,
        ("inbox", false) => Needs::Decide,
        ("pipelines", false) if rest == "pipelines/check" => Needs::Read,
        ("audit", false) if rest == "audit/backtest" => Needs::Read,
        ("runs" | "signals" | "engine" | "pipelines" | "schedules" | "hooks" | "limits", false) => {
            Needs::Operate
        }
        ("notices" | "subscriptions", false) => Needs::Operate,
        (_, false) => Needs::Administer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_that_nobody_thought_of_asks_for_an_admin() {
        assert_eq!(needed(&Method::POST, "/api/v1/new-thing"), Needs::Administer);
        assert_eq!(needed(&Method::GET, "/secret"), Needs::Administer);
        assert_eq!(needed(&Method::DELETE, "/api/v1/tokens/{name}"), Needs::Administer);
    }

    #[test]
    fn roles_have_what_they_are_for() {
        let has = |role: Role| -> Vec<Needs> {
            [Needs::Read, Needs::Decide, Needs::Operate, Needs::Work, Needs::Administer]
                .into_iter()
                .filter(|needs| needs.has(role))
                .collect()
        };
        assert_eq!(has(Role::Viewer), [Needs::Read]);
        assert_eq!(has(Role::Approver), [Needs::Read, Needs::Decide]);
        assert_eq!(has(Role::Operator), [Needs::Read, Needs::Decide, Needs::Operate]);
        assert_eq!(has(Role::Worker), [Needs::Work]);
        assert_eq!(has(Role::Admin).len(), 5);
    }
}
