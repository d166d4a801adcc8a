//! Routes, and the document of them, from one list.
//!
//! Law: what is served and what is described come of the same list, so that no route lacks its part of the document. To make
//! the parts takes far longer than to make the routes, and most processes never show them: they are made where they are read.

use axum::Router;
use axum::routing::MethodRouter;
use utoipa::openapi::HttpMethod;
use utoipa::openapi::path::Operation;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::http::app::App;

/// An operation of a route, whose part of the document is made when it is asked for.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct RouteOperation {
    pub(super) methods: fn() -> Vec<HttpMethod>,
    pub(super) path: fn() -> String,
    pub(super) part: fn() -> Operation,
}

impl RouteOperation {
    pub(in crate::http) fn of<P: utoipa::Path>() -> Self {
        Self { methods: P::methods, path: P::path, part: P::operation }
    }
}

/// What a list of routes is made into.
pub(in crate::http) trait RouteSet: Default {
    /// Adds the handlers of a path: `served` gives the path with them, `described` their part of the document, too, and
    /// `operations` each by itself.
    fn with(
        self,
        served: impl FnOnce() -> (String, MethodRouter<App>),
        described: impl FnOnce() -> UtoipaMethodRouter<App>,
        operations: &[RouteOperation],
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
        _operations: &[RouteOperation],
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
        _operations: &[RouteOperation],
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
            &[$( utoipa_axum::paste! {
                $crate::http::document::route_set::RouteOperation::of::<$module::[<__path_ $name>]>()
            } ),+],
        ))+
    };
}

pub(in crate::http) use with_routes;
