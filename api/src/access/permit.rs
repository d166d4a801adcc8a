//! The role that each route requires.

use axum::http::Method;
use everfold_engine::tokens::Role;

/// What a route requires of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequiredRole {
    /// Nothing: the route reveals nothing, or its request is signed in another way.
    Public,
    /// Any role: the route is about the caller alone.
    AnyRole,
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

impl RequiredRole {
    /// Whether a role has it.
    #[must_use]
    pub fn has(self, role: Role) -> bool {
        match self {
            Self::Public | Self::AnyRole => true,
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
            Self::Public | Self::AnyRole | Self::Read => Role::Viewer,
            Self::Decide => Role::Approver,
            Self::Operate => Role::Operator,
            Self::Work => Role::Worker,
            Self::Administer => Role::Admin,
        }
    }
}

/// What a route requires, by its pattern as the router has it. An unknown route requires [`RequiredRole::Administer`].
#[must_use]
pub fn needed(method: &Method, route: &str) -> RequiredRole {
    // It lists the methods of the route, which are in the public document.
    if *method == Method::OPTIONS {
        return RequiredRole::Public;
    }
    let Some(rest) = route.strip_prefix("/api/v1/") else {
        return match route {
            "/healthz" | "/readyz" | "/api/openapi.json" | "/api" | "/api/{file}" => RequiredRole::Public,
            "/metrics" => RequiredRole::Read,
            _unknown => RequiredRole::Administer,
        };
    };
    let is_read = *method == Method::GET || *method == Method::HEAD;
    match (rest.split('/').next().unwrap_or(rest), is_read) {
        // The whole log holds the events of tokens, too.
        ("tokens" | "events", _) => RequiredRole::Administer,
        // A session is opened with a token, and every other call of these is about the caller.
        ("session", _) if rest == "session" => {
            if *method == Method::POST {
                RequiredRole::Public
            } else {
                RequiredRole::AnyRole
            }
        }
        ("session", _) => RequiredRole::Administer,
        ("workers", false) => RequiredRole::Work,
        // Its sender signs it.
        ("hooks", false) if rest == "hooks/{source}" => RequiredRole::Public,
        // A verification reads the whole store.
        ("store", _) if matches!(rest, "store/adopt" | "store/verify") => RequiredRole::Administer,
        ("projections", false) => RequiredRole::Administer,
        (_, true) => RequiredRole::Read,
        ("inbox", false) => RequiredRole::Decide,
        ("pipelines", false) if rest == "pipelines/check" => RequiredRole::Read,
        ("audit", false) if rest == "audit/backtest" => RequiredRole::Read,
        ("query", false) if rest == "query" => RequiredRole::Read,
        ("runs", false) if rest == "runs/{run}/replay" => RequiredRole::Read,
        (
            "runs" | "runs:bulk" | "signals" | "engine" | "pipelines" | "schedules" | "hooks" | "limits"
            | "budgets",
            false,
        ) => RequiredRole::Operate,
        ("notices" | "subscriptions", false) => RequiredRole::Operate,
        (_, false) => RequiredRole::Administer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_that_nobody_thought_of_asks_for_an_admin() {
        assert_eq!(needed(&Method::POST, "/api/v1/new-thing"), RequiredRole::Administer);
        assert_eq!(needed(&Method::GET, "/secret"), RequiredRole::Administer);
        assert_eq!(needed(&Method::POST, "/api/v1/query"), RequiredRole::Read, "a query reads");
        assert_eq!(needed(&Method::POST, "/api/v1/query/more"), RequiredRole::Administer);
        assert_eq!(needed(&Method::DELETE, "/api/v1/tokens/{name}"), RequiredRole::Administer);
    }

    #[test]
    fn roles_have_what_they_are_for() {
        let has = |role: Role| -> Vec<RequiredRole> {
            [
                RequiredRole::Read,
                RequiredRole::Decide,
                RequiredRole::Operate,
                RequiredRole::Work,
                RequiredRole::Administer,
            ]
            .into_iter()
            .filter(|needs| needs.has(role))
            .collect()
        };
        assert_eq!(has(Role::Viewer), [RequiredRole::Read]);
        assert_eq!(has(Role::Approver), [RequiredRole::Read, RequiredRole::Decide]);
        assert_eq!(has(Role::Operator), [RequiredRole::Read, RequiredRole::Decide, RequiredRole::Operate]);
        assert_eq!(has(Role::Worker), [RequiredRole::Work]);
        assert_eq!(has(Role::Admin).len(), 5);
    }
}
