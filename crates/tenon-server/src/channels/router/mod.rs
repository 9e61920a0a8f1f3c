//! From a path, a method and what the caller accepts to a channel.
//!
//! Routes are a tree of path segments: finding one costs as many steps as the path has segments, however many routes there
//! are. A router never changes; one with a change shares all but the changed branch with the one before, so that adding a
//! route costs about the same among ten and among fifty thousand.

mod accept;
mod decode;
mod literals;
mod template;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

use http::{HeaderMap, Method};
use tenon_connectors::HttpRoute;
use tenon_model::ObjectKey;

pub(super) use self::accept::weighted;
pub(super) use self::decode::percent_decode;
use self::tree::{Node, Search};
use crate::security::Gate;

/// A channel that can be called.
#[derive(Debug)]
pub(crate) struct Route {
    /// The channel.
    pub(crate) key: ObjectKey,
    /// What its connector declared.
    pub(crate) http: HttpRoute,
    /// Who may call it, and how often.
    pub(crate) gate: Gate,
    /// Tells this life of the channel from those before and after a change of it.
    pub(crate) serial: u64,
}

impl Route {
    /// The channel's name.
    pub(crate) fn channel(&self) -> &str {
        self.key.name.as_str()
    }
}

/// Whether two routes of one path could never be told apart.
fn share_place(one: &HttpRoute, other: &HttpRoute) -> bool {
    one.method == other.method && one.accept == other.accept
}

/// All routes of a server. A clone is cheap, and changing it leaves the original as it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Router {
    root: Arc<Node>,
}

/// What a request leads to.
#[derive(Debug)]
pub(crate) enum Found {
    /// A channel, and the values of its path's parameters in their order.
    Route(Arc<Route>, Vec<String>),
    /// Channels of this path exist, but for other methods.
    WrongMethod(Vec<Method>),
    /// Channels of this path and method exist, but the caller accepts nothing that they answer with.
    NotAcceptable,
    /// No channel has this path.
    Nothing,
}

impl Router {
    /// Every route, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        let mut nodes = vec![&*self.root];
        std::iter::from_fn(move || {
            let node = nodes.pop()?;
            nodes.extend(node.children());
            Some(node.routes.iter().chain(&node.rest))
        })
        .flatten()
    }

    /// Finds the channel of a path (percent-encoded, as it came) and a method, for a request with these headers.
    ///
    /// The path decides first: segment by segment a literal wins over one with parameters in it, that one over a whole
    /// parameter, and that over the rest of a path. Among channels of one path the more specific media type wins, then the one
    /// that the caller likes better, then a channel for the very method over one for any, then the name.
    pub(crate) fn find(&self, path: &str, method: &Method, headers: &HeaderMap) -> Found {
        let Some(segments) = decode::split(path) else {
            return Found::Nothing;
        };
        let mut search = Search::new(method, headers);
        match self.root.find(&segments, &mut search) {
            Some(route) => Found::Route(Arc::clone(route), search.into_values()),
            None => search.into_failure(),
        }
    }

    /// Adds a route. Several may have the same place; the first by name takes the requests.
    pub(crate) fn insert(&mut self, route: Arc<Route>) {
        let routes = Arc::make_mut(&mut self.root).routes_at(route.http.path.segments());
        let place = routes.partition_point(|known| known.key < route.key);
        routes.insert(place, route);
    }

    /// Takes a route out.
    pub(crate) fn remove(&mut self, route: &Route) {
        Arc::make_mut(&mut self.root).remove(route.http.path.segments(), route);
    }

    /// The routes that have exactly the place of this one; the first takes the requests.
    pub(crate) fn twins(&self, http: &HttpRoute) -> Vec<Arc<Route>> {
        let routes = self.root.known_at(http.path.segments());
        let twins = routes.iter().filter(|known| share_place(&known.http, http));
        twins.cloned().collect()
    }

    /// Routes that no request reaches, because another one has their place.
    pub(crate) fn shadowed(&self) -> Vec<Arc<Route>> {
        let mut nodes = vec![&*self.root];
        let mut shadowed = Vec::new();
        while let Some(node) = nodes.pop() {
            nodes.extend(node.children());
            for routes in [&node.routes, &node.rest] {
                let mut first = Vec::new();
                for route in routes {
                    if first
                        .iter()
                        .any(|known: &&Arc<Route>| share_place(&known.http, &route.http))
                    {
                        shadowed.push(Arc::clone(route));
                    } else {
                        first.push(route);
                    }
                }
            }
        }
        shadowed
    }
}
