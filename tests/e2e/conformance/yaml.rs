//! YAML of the cases as JSON values.

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use serde_json::{Map, Value};

/// The value of a text with one document; panics with `name` if it is none.
pub(super) fn read(name: &str, text: &str) -> Value {
    let mut reader = Reader {
        name,
        parser: Parser::new_from_str(text),
    };
    loop {
        match reader.next() {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            event => return reader.value(event),
        }
    }
}

struct Reader<'a> {
    name: &'a str,
    parser: Parser<'a, StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Event<'a> {
        let event = self.parser.next_event();
        let event = event.unwrap_or_else(|| panic!("{} ends early", self.name));
        event.unwrap_or_else(|error| panic!("{}: {error}", self.name)).0
    }

    fn value(&mut self, event: Event<'a>) -> Value {
        match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) => match text.as_ref() {
                "" | "~" => Value::Null,
                // What JSON knows is what it is there; everything else is text.
                plain => serde_json::from_str(plain).unwrap_or_else(|_| Value::from(plain)),
            },
            Event::Scalar(text, ..) => Value::from(text.as_ref()),
            Event::SequenceStart(..) => {
                let mut list = Vec::new();
                loop {
                    match self.next() {
                        Event::SequenceEnd => return Value::Array(list),
                        event => list.push(self.value(event)),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut map = Map::new();
                loop {
                    let key = match self.next() {
                        Event::MappingEnd => return Value::Object(map),
                        Event::Scalar(key, ..) => key.into_owned(),
                        event => panic!("{}: {event:?} is no key", self.name),
                    };
                    let event = self.next();
                    let value = self.value(event);
                    assert!(map.insert(key.clone(), value).is_none(), "{}: '{key}' twice", self.name);
                }
            }
            event => panic!("{}: {event:?} has no place here", self.name),
        }
    }
}
