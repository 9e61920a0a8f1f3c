//! Input put together from a body and a channel's parameters. Parameters are texts, and become what the type asks for.

use std::vec;

use serde::de::value::SeqDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::strict::Strict;
use crate::wrong::{kind, wrong_input};

/// Elements by name: those of the body, and those that are parameters.
#[derive(Debug)]
pub(crate) struct Merged(Vec<(String, Element)>);

#[derive(Debug)]
enum Element {
    Json(Value),
    Param(Value),
}

impl Merged {
    /// The elements of a JSON object.
    pub(crate) fn of_json(object: Map<String, Value>) -> Self {
        Self(
            object
                .into_iter()
                .map(|(name, value)| (name, Element::Json(value)))
                .collect(),
        )
    }

    /// Parameters, or fields of a form.
    pub(crate) fn of_params(params: Map<String, Value>) -> Self {
        Self(
            params
                .into_iter()
                .map(|(name, value)| (name, Element::Param(value)))
                .collect(),
        )
    }

    /// Adds parameters. One whose name is there already takes its place, unless the message wins.
    pub(crate) fn add_params(&mut self, params: Map<String, Value>, message_wins: bool) {
        for (name, value) in params {
            match self.0.iter_mut().find(|(other, _)| *other == name) {
                Some(_) if message_wins => {}
                Some((_, element)) => *element = Element::Param(value),
                None => self.0.push((name, Element::Param(value))),
            }
        }
    }

    /// Reads a type.
    pub(crate) fn read<T: DeserializeOwned>(self) -> Result<T, Error> {
        serde_path_to_error::deserialize(Strict(self)).map_err(|error| wrong_input(&error))
    }
}

type JsonError = serde_json::Error;

impl<'de> Deserializer<'de> for Merged {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_map(Elements {
            rest: self.0.into_iter(),
            value: None,
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_unit()
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        let plain = |element| match element {
            Element::Json(value) | Element::Param(value) => value,
        };
        let object: Map<_, _> = self
            .0
            .into_iter()
            .map(|(name, element)| (name, plain(element)))
            .collect();
        Value::Object(object).deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Elements {
    rest: vec::IntoIter<(String, Element)>,
    value: Option<Element>,
}

impl<'de> MapAccess<'de> for Elements {
    type Error = JsonError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, JsonError> {
        let Some((name, element)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some(element);
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, JsonError> {
        match self.value.take() {
            Some(Element::Json(value)) => seed.deserialize(value),
            Some(Element::Param(value)) => seed.deserialize(Lenient(value)),
            None => Err(JsonError::custom("a value was asked for before its key")),
        }
    }
}

/// A value whose texts become what the type asks for: numbers, booleans, and nothing where that can be.
#[derive(Debug)]
pub(crate) struct Lenient(pub(crate) Value);

/// Reads a number from a text, or says what was expected.
macro_rules! numbers {
    ($($method:ident => $visit:ident, $type:ty, $expected:literal;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
            match &self.0 {
                Value::String(text) => match text.trim().parse::<$type>() {
                    Ok(number) => visitor.$visit(number),
                    Err(_) => Err(self.unexpected($expected)),
                },
                _ => self.0.$method(visitor),
            }
        })*
    };
}

impl Lenient {
    fn unexpected(&self, expected: &str) -> JsonError {
        let shown = match &self.0 {
            Value::String(text) if text.chars().count() <= 40 => format!(" '{text}'"),
            _ => String::new(),
        };
        JsonError::custom(format!("expected {expected}, found {}{shown}", kind(&self.0)))
    }
}

impl<'de> Deserializer<'de> for Lenient {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        self.0.deserialize_any(visitor)
    }

    numbers! {
        deserialize_i8 => visit_i8, i8, "a whole number";
        deserialize_i16 => visit_i16, i16, "a whole number";
        deserialize_i32 => visit_i32, i32, "a whole number";
        deserialize_i64 => visit_i64, i64, "a whole number";
        deserialize_i128 => visit_i128, i128, "a whole number";
        deserialize_u8 => visit_u8, u8, "a whole number";
        deserialize_u16 => visit_u16, u16, "a whole number";
        deserialize_u32 => visit_u32, u32, "a whole number";
        deserialize_u64 => visit_u64, u64, "a whole number";
        deserialize_u128 => visit_u128, u128, "a whole number";
        deserialize_f32 => visit_f32, f32, "a number";
        deserialize_f64 => visit_f64, f64, "a number";
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        let Value::String(text) = &self.0 else {
            return self.0.deserialize_bool(visitor);
        };
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => visitor.visit_bool(true),
            "false" | "f" | "no" | "n" | "off" | "0" | "" => visitor.visit_bool(false),
            _ => Err(self.unexpected("true or false")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        if self.0.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        let values = match self.0 {
            Value::Array(values) => values,
            // One value of a parameter that may repeat.
            value => vec![value],
        };
        visitor.visit_seq(SeqDeserializer::new(values.into_iter().map(Lenient)))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match self.0 {
            Value::Object(object) => Merged::of_params(object).deserialize_any(visitor),
            other => other.deserialize_map(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        self.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

impl IntoDeserializer<'_, JsonError> for Lenient {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
