//! XML as an object: `<order id="7"><line>a</line><line>b</line></order>` is `{"order": {"@id": "7", "line": ["a", "b"]}}`.
//!
//! An element with nothing in it is null, one with text only is that text, any other an object: attributes are named `@name`,
//! text beside elements `#text`, and elements that repeat are a list. White space around text, comments and processing
//! instructions are left out; prefixes of names stay as they are written. A document type, and with it every entity of the
//! document's own, is refused.

use quick_xml::Reader;
use quick_xml::events::attributes::AttrError;
use quick_xml::events::{BytesRef, BytesStart, Event};
use serde_json::{Map, Value};

use super::xml_write::is_name;
use super::{Wrong, place_of, utf8};

/// Reads a document. `depth_max`: how deep its elements may be nested.
pub(super) fn read(body: &[u8], depth_max: usize) -> Result<Value, Wrong> {
    let text = utf8(body)?;
    if let Some((at, _)) = text.char_indices().find(|(_, character)| !is_character(*character)) {
        return Err(Wrong::new(
            place_of(text.as_bytes(), at),
            "a character that XML has not",
        ));
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    reader.config_mut().check_comments = true;
    let mut document = Document {
        depth_max,
        open: Vec::new(),
        root: None,
    };
    loop {
        let event = reader.read_event();
        let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let event = event.map_err(|error| Wrong::new(place_of(text.as_bytes(), at), error.to_string()))?;
        if matches!(event, Event::Eof) {
            return document.end();
        }
        document.take(&event).map_err(|message| {
            Wrong::new(
                document.path(),
                format!("{message}, at {}", place_of(text.as_bytes(), at)),
            )
        })?;
    }
}

struct Document {
    depth_max: usize,
    open: Vec<Element>,
    root: Option<(String, Value)>,
}

/// An element that is not closed yet.
struct Element {
    name: String,
    children: Map<String, Value>,
    text: String,
}

type Taken = Result<(), String>;

impl Document {
    fn take(&mut self, event: &Event<'_>) -> Taken {
        match event {
            Event::Start(start) | Event::Empty(start) => self.start(start),
            Event::End(_) => {
                self.close();
                Ok(())
            }
            Event::Text(text) => {
                let text = text.decode().map_err(|error| error.to_string())?;
                if text.contains("]]>") {
                    return Err("']]>' ends no CDATA here".to_owned());
                }
                self.text(&text)
            }
            Event::CData(text) => self.text(&text.decode().map_err(|error| error.to_string())?),
            Event::GeneralRef(reference) => {
                let resolved = resolve(reference)?;
                self.text(&resolved)
            }
            Event::DocType(_) => Err("a document type is not taken".to_owned()),
            Event::Decl(declaration) => match declaration.encoding() {
                Some(Ok(encoding)) if !is_utf8(&encoding) => Err("the encoding must be UTF-8".to_owned()),
                _ => Ok(()),
            },
            Event::Comment(_) | Event::PI(_) | Event::Eof => Ok(()),
        }
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Taken {
        if self.root.is_some() {
            return Err("a document has one element that holds all others".to_owned());
        }
        if self.open.len() >= self.depth_max {
            return Err(format!("elements are nested more than {} deep", self.depth_max));
        }
        let name = String::from_utf8_lossy(start.name().as_ref()).into_owned();
        if !is_name(&name) {
            return Err(format!("'{}' is no name of an element", shortened(&name)));
        }
        let children = attributes(start).map_err(|message| format!("{message}, of '{}'", shortened(&name)))?;
        self.open.push(Element {
            name,
            children,
            text: String::new(),
        });
        Ok(())
    }

    fn text(&mut self, text: &str) -> Taken {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err("text outside of the element that holds all".to_owned()),
        }
        Ok(())
    }

    fn close(&mut self) {
        let Some(element) = self.open.pop() else { return };
        let (name, value) = element.into_value();
        let Some(parent) = self.open.last_mut() else {
            self.root = Some((name, value));
            return;
        };
        match parent.children.get_mut(&name) {
            // Only repeated elements are lists: no element itself becomes one.
            Some(Value::Array(items)) => items.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
            None => drop(parent.children.insert(name, value)),
        }
    }

    fn end(self) -> Result<Value, Wrong> {
        if !self.open.is_empty() {
            return Err(Wrong::new(self.path(), "the text ends before the element does"));
        }
        match self.root {
            Some((name, value)) => Ok(Value::Object(Map::from_iter([(name, value)]))),
            None => Err(Wrong::new("/", "a document has an element")),
        }
    }

    fn path(&self) -> String {
        let mut names = String::new();
        for element in self.open.iter().take(20) {
            names.push('/');
            names.push_str(&element.name);
        }
        if names.is_empty() { "/".to_owned() } else { names }
    }
}

/// An element's attributes. That each is there once is seen from the map: the reader would compare each with all others.
fn attributes(start: &BytesStart<'_>) -> Result<Map<String, Value>, String> {
    let mut found = Map::new();
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error: AttrError| error.to_string())?;
        let name = String::from_utf8_lossy(attribute.key.as_ref());
        if !is_name(&name) {
            return Err(format!("'{}' is no name of an attribute", shortened(&name)));
        }
        if attribute.value.contains(&b'<') {
            return Err(format!("'<' within the attribute '{}'", shortened(&name)));
        }
        let value = attribute.unescape_value().map_err(|error| error.to_string())?;
        if !value.chars().all(is_character) {
            return Err(format!(
                "a character that XML has not, in the attribute '{}'",
                shortened(&name)
            ));
        }
        if found
            .insert(format!("@{name}"), Value::String(value.into_owned()))
            .is_some()
        {
            return Err(format!("the attribute '{}' is there twice", shortened(&name)));
        }
    }
    Ok(found)
}

/// Whether XML has a character: all but controls, and two that are none.
pub(super) fn is_character(character: char) -> bool {
    !matches!(character, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// A name as it is told: its beginning.
fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(60)]
}

impl Element {
    fn into_value(self) -> (String, Value) {
        let text = self.text.trim();
        let value = match (self.children.is_empty(), text.is_empty()) {
            (true, true) => Value::Null,
            (true, false) => Value::String(text.to_owned()),
            (false, true) => Value::Object(self.children),
            (false, false) => {
                let mut children = self.children;
                children.insert("#text".to_owned(), Value::String(text.to_owned()));
                Value::Object(children)
            }
        };
        (self.name, value)
    }
}

/// What a reference stands for: a character by its number, or one of the five names that XML has by itself.
fn resolve(reference: &BytesRef<'_>) -> Result<String, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        return if is_character(character) {
            Ok(character.to_string())
        } else {
            Err(format!("the character {:#x} is none of XML", u32::from(character)))
        };
    }
    let name = reference.decode().map_err(|error| error.to_string())?;
    quick_xml::escape::resolve_xml_entity(&name)
        .map(str::to_owned)
        .ok_or_else(|| format!("the entity '{}' is not known", shortened(&name)))
}

fn is_utf8(encoding: &[u8]) -> bool {
    encoding.eq_ignore_ascii_case(b"utf-8") || encoding.eq_ignore_ascii_case(b"us-ascii")
}
