//! YAML text into values with positions, within limits.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::Value;

use super::{Content, Entry, Node, Position, YamlProblem, scalar};
use crate::settings::Settings;

/// The documents of a text. Duplicate keys are all told; anything else that is wrong ends the reading.
pub(crate) fn read(text: &str, settings: &Settings) -> Result<Vec<Node>, Vec<YamlProblem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = without_surrogates(text);
    let mut reader = Reader {
        parser: Parser::new_from_str(&text),
        anchors: HashMap::new(),
        nodes: 0,
        settings,
        duplicates: Vec::new(),
    };
    let documents = reader.documents();
    let mut problems = reader.duplicates;
    match documents {
        Ok(documents) if problems.is_empty() => Ok(documents),
        Ok(_) => Err(problems),
        Err(problem) => {
            problems.push(problem);
            Err(problems)
        }
    }
}

/// JSON writes characters beyond the first plane as two escapes, which YAML does not know: as one escape that it does.
fn without_surrogates(text: &str) -> Cow<'_, str> {
    let may_be_json = text.trim_start().starts_with(['{', '[']);
    let has_some = text.contains("\\ud") || text.contains("\\uD");
    if !may_be_json || !has_some || serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find('\\') {
        out.push_str(&rest[..place]);
        let escape = &rest[place..];
        let length = if let Some(character) = surrogate_pair(escape) {
            write!(out, "\\U{:08x}", u32::from(character)).expect("a String takes everything");
            12
        } else {
            out.push_str(&escape[..2]);
            2
        };
        rest = &escape[length..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character of two escapes such as `\ud83d\ude00` at the beginning of a text.
fn surrogate_pair(text: &str) -> Option<char> {
    let unit = |from: usize| {
        let digits = text.get(from..from + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    char::decode_utf16([unit(0)?, unit(6)?])
        .next()?
        .ok()
        .filter(|character| u32::from(*character) > 0xffff)
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// Finished values that have an anchor, with the number of values in them.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    settings: &'a Settings,
    duplicates: Vec<YamlProblem>,
}

type Step<T> = Result<T, YamlProblem>;

impl<'a> Reader<'a> {
    fn documents(&mut self) -> Step<Vec<Node>> {
        let mut documents = Vec::new();
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(documents),
                (Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing, _) => {}
                (event, span) => documents.push(self.node(event, span, 0)?),
            }
        }
    }

    fn next(&mut self) -> Step<(Event<'a>, Span)> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(broken(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Step<Node> {
        let position = position(&span.start);
        let before = self.nodes;
        self.count(1, position)?;
        if depth > self.settings.depth_max {
            let message = format!(
                "lists and mappings lie more than {} deep in each other",
                self.settings.depth_max
            );
            return Err(YamlProblem { position, message });
        }
        let (content, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar_value(&text, style, tag.as_deref());
                let value = value.map_err(|message| YamlProblem { position, message })?;
                (Content::Scalar(value), anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                collection_tag(tag.as_deref(), position)?;
                (self.list(depth)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                collection_tag(tag.as_deref(), position)?;
                (self.mapping(depth)?, anchor)
            }
            Event::Alias(anchor) => return self.alias(anchor, position),
            _ => {
                let message = "this is not valid YAML".to_owned();
                return Err(YamlProblem { position, message });
            }
        };
        let node = Node { position, content };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, position: Position) -> Step<Node> {
        let Some((node, nodes)) = self.anchors.get(&anchor) else {
            let message = "this alias stands inside of what it names".to_owned();
            return Err(YamlProblem { position, message });
        };
        let (node, nodes) = (node.clone(), *nodes);
        self.count(nodes, position)?;
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Step<Content> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Content::List(items)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Step<Content> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = HashSet::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let position = position(&span.start);
            let (key, is_merge) = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, _, _) => {
                    let is_merge = text == "<<" && style == ScalarStyle::Plain;
                    (text.into_owned(), is_merge)
                }
                _ => {
                    let message = "a key must be a text".to_owned();
                    return Err(YamlProblem { position, message });
                }
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if is_merge {
                merged.push(value);
            } else if seen.insert(key.clone()) {
                entries.push(Entry { key, position, value });
            } else {
                let message = format!("the key '{key}' is here twice");
                self.duplicates.push(YamlProblem { position, message });
            }
        }
        for source in merged {
            merge(&mut entries, &mut seen, source)?;
        }
        Ok(Content::Map(entries))
    }

    fn count(&mut self, nodes: usize, position: Position) -> Step<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > self.settings.nodes_max {
            let message = format!(
                "the file has more than {} values, aliases counted",
                self.settings.nodes_max
            );
            return Err(YamlProblem { position, message });
        }
        Ok(())
    }
}

/// `<<: *defaults`: entries that the mapping does not have itself.
fn merge(entries: &mut Vec<Entry>, seen: &mut HashSet<String>, source: Node) -> Step<()> {
    match source.content {
        Content::Map(more) => {
            entries.extend(more.into_iter().filter(|entry| seen.insert(entry.key.clone())));
            Ok(())
        }
        Content::List(sources) => sources.into_iter().try_for_each(|source| merge(entries, seen, source)),
        Content::Scalar(_) => Err(YamlProblem {
            position: source.position,
            message: "'<<' takes a mapping, or a list of mappings".to_owned(),
        }),
    }
}

fn scalar_value(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    match tag {
        None if style == ScalarStyle::Plain => scalar::plain(text),
        None => Ok(Value::String(text.to_owned())),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(Value::String(text.to_owned())),
        Some(tag) if tag.is_yaml_core_schema() && ["int", "float", "bool", "null"].contains(&tag.suffix.as_str()) => {
            scalar::plain(text)
        }
        Some(tag) => Err(format!("the tag '{}' means nothing here; leave it out", tag_text(tag))),
    }
}

fn collection_tag(tag: Option<&Tag>, position: Position) -> Step<()> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() || !["map", "seq"].contains(&tag.suffix.as_str()) => Err(YamlProblem {
            position,
            message: format!("the tag '{}' means nothing here; leave it out", tag_text(tag)),
        }),
        _ => Ok(()),
    }
}

fn tag_text(tag: &Tag) -> String {
    if tag.is_yaml_core_schema() {
        format!("!!{}", tag.suffix)
    } else {
        format!("{}{}", tag.handle, tag.suffix)
    }
}

fn position(marker: &Marker) -> Position {
    Position {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

fn broken(error: &ScanError) -> YamlProblem {
    YamlProblem {
        position: position(error.marker()),
        message: format!("this is not valid YAML: {}", error.info()),
    }
}
