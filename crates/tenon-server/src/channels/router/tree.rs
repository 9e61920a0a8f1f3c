//! The tree of path segments.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, Method};
use tenon_connectors::PathSegment;

use super::accept::Accepted;
use super::literals::Literals;
use super::template::Template;
use super::{Found, Route};

/// How well a route fits a request, the better the greater: how specific its media type is, how much the caller wants that,
/// how well its method fits.
type Fit = (u8, u16, u8);

/// Where paths have come to after some segments.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    literals: Literals,
    /// The more specific first.
    templates: Vec<(Template, Arc<Node>)>,
    param: Option<Arc<Node>>,
    /// Routes that end here, by name.
    pub(super) routes: Vec<Arc<Route>>,
    /// Routes whose last segment takes the rest of the path, by name.
    pub(super) rest: Vec<Arc<Route>>,
}

/// A path's segments, their percent-encoding undone.
type Segments<'s> = &'s [Cow<'s, str>];

/// A search under way, and what it has seen.
pub(super) struct Search<'a> {
    method: &'a Method,
    accepted: Accepted<'a>,
    allowed: Vec<Method>,
    is_acceptable: bool,
    values: Vec<String>,
}

impl<'a> Search<'a> {
    pub(super) fn new(method: &'a Method, headers: &'a HeaderMap) -> Self {
        Self {
            method,
            accepted: Accepted::new(headers),
            allowed: Vec::new(),
            is_acceptable: true,
            values: Vec::new(),
        }
    }

    pub(super) fn into_values(self) -> Vec<String> {
        self.values
    }

    /// Why nothing was found.
    pub(super) fn into_failure(mut self) -> Found {
        if !self.is_acceptable {
            return Found::NotAcceptable;
        }
        if self.allowed.is_empty() {
            return Found::Nothing;
        }
        if self.allowed.contains(&Method::GET) && !self.allowed.contains(&Method::HEAD) {
            self.allowed.push(Method::HEAD);
        }
        Found::WrongMethod(self.allowed)
    }

    /// The best of the routes of one path, if any takes the request.
    fn choose<'n>(&mut self, routes: &'n [Arc<Route>]) -> Option<&'n Arc<Route>> {
        let mut best: Option<(&Arc<Route>, Fit)> = None;
        for route in routes {
            let Some(fit) = self.method_fit(route) else {
                let method = route.http.method.as_ref();
                if let Some(method) = method.filter(|method| !self.allowed.contains(method)) {
                    self.allowed.push(method.clone());
                }
                continue;
            };
            let offered = &route.http.accept;
            let quality = if offered.is_any() {
                1
            } else {
                self.accepted.quality(offered)
            };
            if quality == 0 {
                self.is_acceptable = false;
                continue;
            }
            let rank = (offered.specificity(), quality, fit);
            if best.is_none_or(|(_, other)| rank > other) {
                best = Some((route, rank));
            }
        }
        best.map(|(route, _)| route)
    }

    /// How well a route's method fits; none if it does not. HEAD is taken by routes for GET.
    fn method_fit(&self, route: &Route) -> Option<u8> {
        match &route.http.method {
            Some(method) if method == self.method => Some(2),
            Some(method) if *self.method == Method::HEAD && *method == Method::GET => Some(1),
            Some(_) => None,
            None => Some(0),
        }
    }
}

impl Node {
    pub(super) fn children(&self) -> impl Iterator<Item = &Node> {
        let templates = self.templates.iter().map(|(_, node)| &**node);
        self.literals.nodes().chain(templates).chain(self.param.as_deref())
    }

    pub(super) fn find<'n>(&'n self, segments: Segments<'_>, search: &mut Search<'_>) -> Option<&'n Arc<Route>> {
        let Some((first, rest)) = segments.split_first() else {
            return search.choose(&self.routes);
        };
        if let Some(node) = self.literals.get(first)
            && let Some(route) = node.find(rest, search)
        {
            return Some(route);
        }
        let taken = search.values.len();
        for (template, node) in &self.templates {
            let Some(values) = template.values(first) else { continue };
            search.values.extend(values.into_iter().map(str::to_owned));
            if let Some(route) = node.find(rest, search) {
                return Some(route);
            }
            search.values.truncate(taken);
        }
        if let Some(node) = &self.param
            && !first.is_empty()
        {
            search.values.push(first.as_ref().to_owned());
            if let Some(route) = node.find(rest, search) {
                return Some(route);
            }
            search.values.truncate(taken);
        }
        let is_left = !first.is_empty() || !rest.is_empty();
        if is_left && !self.rest.is_empty() {
            let route = search.choose(&self.rest)?;
            search.values.push(segments.join("/"));
            return Some(route);
        }
        None
    }

    /// The routes that end after these segments, to be changed.
    pub(super) fn routes_at(&mut self, segments: &[PathSegment]) -> &mut Vec<Arc<Route>> {
        let mut node = self;
        for segment in segments {
            node = match segment {
                PathSegment::Literal(text) => node.literals.get_or_insert(text),
                PathSegment::Mixed(parts) => node.template_node(Template::new(parts)),
                PathSegment::Param(_) => Arc::make_mut(node.param.get_or_insert_default()),
                PathSegment::Rest(_) => return &mut node.rest,
            };
        }
        &mut node.routes
    }

    fn template_node(&mut self, template: Template) -> &mut Node {
        let known = self.templates.iter().position(|(other, _)| *other == template);
        let place = known.unwrap_or_else(|| {
            let specificity = template.specificity();
            let place = self
                .templates
                .partition_point(|(other, _)| other.specificity() >= specificity);
            self.templates.insert(place, (template, Arc::default()));
            place
        });
        Arc::make_mut(&mut self.templates[place].1)
    }

    /// The routes that end after these segments.
    pub(super) fn known_at(&self, segments: &[PathSegment]) -> &[Arc<Route>] {
        let Some((first, rest)) = segments.split_first() else {
            return &self.routes;
        };
        let child = match first {
            PathSegment::Literal(text) => self.literals.get(text),
            PathSegment::Mixed(parts) => {
                let template = Template::new(parts);
                let known = self.templates.iter().find(|(other, _)| *other == template);
                known.map(|(_, node)| &**node)
            }
            PathSegment::Param(_) => self.param.as_deref(),
            PathSegment::Rest(_) => return &self.rest,
        };
        child.map_or(&[], |node| node.known_at(rest))
    }

    /// Takes a route out, and the nodes that led to it only.
    pub(super) fn remove(&mut self, segments: &[PathSegment], route: &Route) {
        let Some((first, rest)) = segments.split_first() else {
            self.routes.retain(|known| known.key != route.key);
            return;
        };
        match first {
            PathSegment::Rest(_) => self.rest.retain(|known| known.key != route.key),
            PathSegment::Param(_) => {
                if let Some(node) = &mut self.param {
                    Arc::make_mut(node).remove(rest, route);
                    if node.is_empty() {
                        self.param = None;
                    }
                }
            }
            PathSegment::Mixed(parts) => {
                let template = Template::new(parts);
                self.template_node(template.clone()).remove(rest, route);
                self.templates
                    .retain(|(other, node)| *other != template || !node.is_empty());
            }
            PathSegment::Literal(text) => {
                let node = self.literals.get_or_insert(text);
                node.remove(rest, route);
                if node.is_empty() {
                    self.literals.remove(text);
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        let leads_on = !self.literals.is_empty() || !self.templates.is_empty() || self.param.is_some();
        !leads_on && self.routes.is_empty() && self.rest.is_empty()
    }
}
