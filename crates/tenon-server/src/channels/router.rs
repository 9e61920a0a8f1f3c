//! From a path and a method to a channel. Immutable: a change of objects makes a new router, which is swapped in whole.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;
use tenon_connectors::{HttpRoute, PathSegment};

use crate::security::Gate;

/// A channel that can be called.
#[derive(Debug)]
pub(crate) struct Route {
    /// The channel's name.
    pub(crate) channel: String,
    /// What its connector declared.
    pub(crate) http: HttpRoute,
    /// Who may call it, and how often.
    pub(crate) gate: Gate,
}

/// All routes of a server as a tree of path segments: finding one costs as many steps as the path has segments, however many
/// routes there are.
#[derive(Debug, Default)]
pub(crate) struct Router {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node>,
    param: Option<Box<Node>>,
    /// Routes that end here.
    routes: Vec<Arc<Route>>,
    /// Routes whose last segment takes the rest of the path.
    rest: Vec<Arc<Route>>,
}

/// What a path and a method lead to.
#[derive(Debug)]
pub(crate) enum Found {
    /// A channel, and the values of its path's parameters in their order.
    Route(Arc<Route>, Vec<String>),
    /// Channels of this path exist, but for other methods.
    WrongMethod(Vec<Method>),
    /// No channel has this path.
    Nothing,
}

impl Router {
    /// A router of these routes. Of two with the same path and method the first one stays; the others come back.
    pub(crate) fn build(routes: impl IntoIterator<Item = Arc<Route>>) -> (Self, Vec<Arc<Route>>) {
        let mut router = Self::default();
        let mut shadowed = Vec::new();
        for route in routes {
            if !router.insert(&route) {
                shadowed.push(route);
            }
        }
        (router, shadowed)
    }

    /// Every route, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        let mut nodes = vec![&self.root];
        std::iter::from_fn(move || {
            let node = nodes.pop()?;
            nodes.extend(node.literals.values());
            nodes.extend(node.param.as_deref());
            Some(node.routes.iter().chain(&node.rest))
        })
        .flatten()
    }

    /// Finds the channel of a path (percent-encoded, as it came) and a method. A literal segment wins over a parameter, a
    /// parameter over the rest of a path, a route for the very method over one for any.
    pub(crate) fn find(&self, path: &str, method: &Method) -> Found {
        let Some(segments) = split(path) else {
            return Found::Nothing;
        };
        let mut search = Search {
            method,
            allowed: Vec::new(),
            values: Vec::new(),
        };
        match self.root.find(&segments, &mut search) {
            Some(route) => Found::Route(route, search.values),
            None if search.allowed.is_empty() => Found::Nothing,
            None => Found::WrongMethod(search.allowed),
        }
    }

    fn insert(&mut self, route: &Arc<Route>) -> bool {
        let mut node = &mut self.root;
        for segment in route.http.path.segments() {
            match segment {
                PathSegment::Literal(text) => node = node.literals.entry(text.as_str().into()).or_default(),
                PathSegment::Param(_) => node = node.param.get_or_insert_default(),
                PathSegment::Mixed(_) => return false,
                PathSegment::Rest(_) => return insert_unless_taken(&mut node.rest, route),
            }
        }
        insert_unless_taken(&mut node.routes, route)
    }
}

fn insert_unless_taken(routes: &mut Vec<Arc<Route>>, route: &Arc<Route>) -> bool {
    let taken = routes.iter().any(|known| known.http.method == route.http.method);
    if !taken {
        routes.push(Arc::clone(route));
    }
    !taken
}

struct Search<'a> {
    method: &'a Method,
    allowed: Vec<Method>,
    values: Vec<String>,
}

impl Search<'_> {
    fn choose(&mut self, routes: &[Arc<Route>]) -> Option<Arc<Route>> {
        let of_method = routes
            .iter()
            .find(|route| route.http.method.as_ref() == Some(self.method));
        if let Some(route) = of_method.or_else(|| routes.iter().find(|route| route.http.method.is_none())) {
            return Some(Arc::clone(route));
        }
        for method in routes.iter().filter_map(|route| route.http.method.clone()) {
            if !self.allowed.contains(&method) {
                self.allowed.push(method);
            }
        }
        None
    }
}

impl Node {
    fn find(&self, segments: &[String], search: &mut Search<'_>) -> Option<Arc<Route>> {
        let Some((first, rest)) = segments.split_first() else {
            return search.choose(&self.routes);
        };
        if let Some(node) = self.literals.get(first.as_str())
            && let Some(route) = node.find(rest, search)
        {
            return Some(route);
        }
        if let Some(node) = &self.param
            && !first.is_empty()
        {
            search.values.push(first.clone());
            if let Some(route) = node.find(rest, search) {
                return Some(route);
            }
            search.values.pop();
        }
        let is_left = !first.is_empty() || !rest.is_empty();
        if is_left && !self.rest.is_empty() {
            let route = search.choose(&self.rest)?;
            search.values.push(segments.join("/"));
            return Some(route);
        }
        None
    }
}

/// Splits a path into its segments and undoes their percent-encoding; none if that is broken.
fn split(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/')?;
    if path.is_empty() {
        return Some(Vec::new());
    }
    path.split('/').map(percent_decode).collect()
}

/// Undoes percent-encoding; none if it is broken or not UTF-8.
pub(super) fn percent_decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(channel: &str, method: Option<Method>, path: &str) -> Arc<Route> {
        let http = HttpRoute {
            method,
            ..HttpRoute::new(path.parse().unwrap(), "")
        };
        Arc::new(Route {
            channel: channel.to_owned(),
            http,
            gate: Gate::open(),
        })
    }

    fn find(router: &Router, method: &Method, path: &str) -> String {
        match router.find(path, method) {
            Found::Route(route, values) => format!("{} {}", route.channel, values.join(",")).trim().to_owned(),
            Found::WrongMethod(allowed) => format!(
                "405 {}",
                allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(",")
            ),
            Found::Nothing => "404".to_owned(),
        }
    }

    #[test]
    fn the_most_specific_route_wins() {
        let (router, shadowed) = Router::build([
            route("root", None, "/"),
            route("list", Some(Method::GET), "/users"),
            route("one", Some(Method::GET), "/users/{id}"),
            route("me", Some(Method::GET), "/users/me"),
            route("put-me", Some(Method::PUT), "/users/me"),
            route("delete", Some(Method::DELETE), "/users/{id}"),
            route("orders", None, "/users/{id}/orders"),
            route("files", Some(Method::GET), "/files/{path*}"),
            route("again", Some(Method::GET), "/users/{other}"),
        ]);
        assert_eq!(
            shadowed.iter().map(|route| route.channel.as_str()).collect::<Vec<_>>(),
            ["again"]
        );
        for (method, path, expected) in [
            (Method::GET, "/", "root"),
            (Method::GET, "/users", "list"),
            (Method::GET, "/users/", "404"),
            (Method::GET, "/users/me", "me"),
            (Method::GET, "/users/m%65", "me"),
            (Method::GET, "/users/a%2Fb", "one a/b"),
            (Method::DELETE, "/users/me", "delete me"),
            (Method::POST, "/users/me", "405 GET,PUT,DELETE"),
            (Method::POST, "/users", "405 GET"),
            (Method::POST, "/users/7/orders", "orders 7"),
            (Method::GET, "/users/7/order", "404"),
            (Method::GET, "/files/a/b", "files a/b"),
            (Method::GET, "/files/", "404"),
            (Method::GET, "/users/%zz", "404"),
        ] {
            assert_eq!(find(&router, &method, path), expected, "{method} {path}");
        }
    }
}
