//! Routes, and the document of them, from one list.
//!
//! Law: what is served and what is described come of the same list, so that no route lacks its part of the document. To make
//! the parts takes far longer than to make the routes, and most processes never show them: they are made where they are read.

use axum::Router;
use axum::routing::MethodRouter;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::http::app::App;

/// What a list of routes is made into.
pub(in crate::http) trait RouteSet: Default {
    /// Adds the handlers of a path: `served` gives the path with them, `described` their part of the document, too.
    fn with(
        self,
        served: impl FnOnce() -> (String, MethodRouter<App>),
        described: impl FnOnce() -> UtoipaMethodRouter<App>,
    ) -> Self;

    /// Adds routes of other protocols, which have no part of the document.
    fn beside(self, routes: Router<App>) -> Self;

    /// Adds all routes of another set below a path.
    fn below(self, path: &str, routes: Self) -> Self;
}

impl RouteSet for Router<App> {
    fn with(
        self,
        served: impl FnOnce() -> (String, MethodRouter<App>),
        _described: impl FnOnce() -> UtoipaMethodRouter<App>,
    ) -> Self {
        let (path, handlers) = served();
        self.route(&path, handlers)
    }

    fn beside(self, routes: Router<App>) -> Self {
        self.merge(routes)
    }

    fn below(self, path: &str, routes: Self) -> Self {
        self.nest(path, routes)
    }
}

impl RouteSet for OpenApiRouter<App> {
    fn with(
        self,
        _served: impl FnOnce() -> (String, MethodRouter<App>),
        described: impl FnOnce() -> UtoipaMethodRouter<App>,
    ) -> Self {
        self.routes(described())
    }

    fn beside(self, _routes: Router<App>) -> Self {
        self
    }

    fn below(self, path: &str, routes: Self) -> Self {
        self.nest(path, routes)
    }
}

/// Adds handlers to a [`RouteSet`]: those of one path with commas between them, paths with semicolons.
macro_rules! with_routes {
    ($set:expr => $($($module:ident :: $name:ident),+);+ $(;)?) => {
        $set$(.with(
            || {
                let handlers = axum::routing::MethodRouter::new();
                let mut path = None;
                $(
                    let handlers = utoipa_axum::paste! {
                        <$module::[<__path_ $name>] as utoipa::Path>::methods().iter().fold(
                            handlers,
                            |all, method| {
                                all.on(utoipa_axum::PathItemExt::to_method_filter(method), $module::$name)
                            },
                        )
                    };
                    path.get_or_insert_with(|| utoipa_axum::paste! {
                        <$module::[<__path_ $name>] as utoipa::Path>::path()
                    });
                )+
                (path.unwrap_or_default(), handlers)
            },
            || utoipa_axum::routes!($($module::$name),+),
        ))+
    };
}

pub(in crate::http) use with_routes;
