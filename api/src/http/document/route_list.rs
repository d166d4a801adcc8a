//! Routes, and the document of them, from one list.
//!
//! Law: what is served and what is described come of the same list, so that no route lacks its part of the document. To make
//! the parts takes far longer than to make the routes, and most processes never show them: they are made where they are read.
//!
//! The list is no generic function over what is made of it: a compiler would prove each handler anew for each use, in an
//! environment that shares no proof with the rest of the crate.

use axum::Router;
use axum::routing::MethodRouter;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{HttpMethod, OpenApi};
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

/// A path with its handlers, each made where it is asked for.
#[derive(Debug, Clone)]
pub(in crate::http) struct RoutePath {
    /// The path, and the handlers of its methods.
    pub(in crate::http) served: fn() -> (String, MethodRouter<App>),
    /// The handlers' part of the document.
    pub(in crate::http) described: fn() -> UtoipaMethodRouter<App>,
    /// Each operation by itself.
    pub(in crate::http) operations: Vec<RouteOperation>,
}

/// Every route there is.
#[derive(Debug)]
pub(in crate::http) struct RouteList {
    /// At the paths that they name.
    pub(in crate::http) top: Vec<RoutePath>,
    /// Below [`RouteList::below`].
    pub(in crate::http) api: Vec<RoutePath>,
    pub(in crate::http) below: &'static str,
}

impl RouteList {
    /// The routes, with those of other protocols, which have no part of the document, beside the ones below.
    pub(in crate::http) fn served(&self, beside: Router<App>) -> Router<App> {
        let with = |router: Router<App>, route: &RoutePath| {
            let (path, handlers) = (route.served)();
            router.route(&path, handlers)
        };
        let api = self.api.iter().fold(Router::new(), with).merge(beside);
        self.top.iter().fold(Router::new().nest(self.below, api), with)
    }

    /// The document of all routes.
    pub(in crate::http) fn described(&self) -> OpenApi {
        let with = |router: OpenApiRouter<App>, route: &RoutePath| router.routes((route.described)());
        let api = self.api.iter().fold(OpenApiRouter::new(), with);
        self.top.iter().fold(OpenApiRouter::new().nest(self.below, api), with).into_openapi()
    }

    /// Each operation, and what its path stands below.
    pub(super) fn operations(&self) -> impl Iterator<Item = (&'static str, RouteOperation)> {
        let below = self.api.iter().flat_map(|route| &route.operations).map(|one| (self.below, *one));
        self.top.iter().flat_map(|route| &route.operations).map(|one| ("", *one)).chain(below)
    }
}

/// A list of [`RoutePath`]s: handlers of one path with commas between them, paths with semicolons.
macro_rules! route_list {
    ($($($module:ident :: $name:ident),+);+ $(;)?) => {
        vec![$( $crate::http::document::route_list::RoutePath {
            served: || {
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
            described: || utoipa_axum::routes!($($module::$name),+),
            operations: vec![$( utoipa_axum::paste! {
                $crate::http::document::route_list::RouteOperation::of::<$module::[<__path_ $name>]>()
            } ),+],
        } ),+]
    };
}

pub(in crate::http) use route_list;
