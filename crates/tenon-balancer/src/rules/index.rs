//! Finds the rules that may be for a request by its host and the first segment of its path, so that rules for other hosts
//! and paths cost it nothing.

use std::collections::HashMap;

use super::matches::{HostPattern, Matches};
use super::path::decode;
use super::view::{RequestView, host_of, path_of};

/// Rules by what they are for; each is in it once for each host and first segment.
#[derive(Debug, Default)]
pub(super) struct Index {
    hosts: HashMap<Box<str>, Paths>,
    any_host: Paths,
}

/// Rules by the first segment of their paths, as their numbers, ascending.
#[derive(Debug, Default)]
struct Paths {
    segments: HashMap<Box<str>, Vec<u32>>,
    any: Vec<u32>,
}

impl Index {
    pub(super) fn new<'a>(rules: impl Iterator<Item = &'a Matches>) -> Self {
        let mut index = Self::default();
        for (number, matches) in (0..).zip(rules) {
            let exact: Option<Vec<&str>> = matches
                .hosts
                .iter()
                .map(|host| match host {
                    HostPattern::Exact(name) => Some(&**name),
                    HostPattern::Below(_) => None,
                })
                .collect();
            match exact {
                Some(names) if !names.is_empty() => {
                    for name in names {
                        index.hosts.entry(name.into()).or_default().add(number, matches);
                    }
                }
                _ => index.any_host.add(number, matches),
            }
        }
        index
    }

    /// The numbers of the rules that may be for a request, ascending.
    pub(super) fn candidates<'i>(&'i self, view: &impl RequestView) -> Candidates<'i> {
        let paths = if self.hosts.is_empty() {
            None
        } else {
            self.hosts.get(&*host_of(view.authority()))
        };
        let path = path_of(view.target());
        let segment = path.strip_prefix('/').and_then(|path| path.split('/').next());
        let [any, of_segment] = self.any_host.lists(segment);
        let [host_any, host_segment] = paths.map_or([&[][..]; 2], |paths| paths.lists(segment));
        Candidates([any, of_segment, host_any, host_segment])
    }
}

impl Paths {
    fn add(&mut self, number: u32, matches: &Matches) {
        let firsts: Option<Vec<&str>> = matches.paths.iter().map(|path| path.first_segment()).collect();
        match firsts {
            Some(segments) if !segments.is_empty() => {
                for segment in segments {
                    push_once(self.segments.entry(segment.into()).or_default(), number);
                }
            }
            _ => push_once(&mut self.any, number),
        }
    }

    fn lists(&self, segment: Option<&str>) -> [&[u32]; 2] {
        let of_segment = segment
            .filter(|_| !self.segments.is_empty())
            .and_then(|segment| self.segments.get(&*decode(segment)));
        [&self.any, of_segment.map_or(&[], Vec::as_slice)]
    }
}

fn push_once(list: &mut Vec<u32>, number: u32) {
    if list.last() != Some(&number) {
        list.push(number);
    }
}

/// Several ascending lists without a number in common, as one.
#[derive(Debug)]
pub(super) struct Candidates<'a>([&'a [u32]; 4]);

impl Iterator for Candidates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let lists = self.0.iter_mut().filter(|list| !list.is_empty());
        let list = lists.min_by_key(|list| list[0])?;
        let (first, rest) = list.split_first()?;
        *list = rest;
        Some(*first as usize)
    }
}
