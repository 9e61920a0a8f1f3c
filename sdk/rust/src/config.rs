//! User configuration: what the environment's `user-config/` files say, always as of now.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tenon_protocol::worker::{Kind, Violation};

use crate::error::Error;
use crate::merge::Merged;

/// User configuration: `user-config/FILE.ini` with its sections and keys.
///
/// ```
/// # use tenon_sdk::{Context, Error};
/// # use serde::Deserialize;
/// #[derive(Deserialize)]
/// struct Limits {
///     orders_max: u32,
///     #[serde(default)]
///     warn: bool,
/// }
/// async fn place_order(ctx: Context, lines: Vec<String>) -> Result<(), Error> {
///     let limits: Limits = ctx.config().section("shop", "limits")?;
///     if lines.len() > limits.orders_max as usize {
///         return Err(Error::conflict("too many lines"));
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Configuration {
    /// Grows with every change.
    #[serde(default)]
    pub(crate) version: u64,
    #[serde(default)]
    files: BTreeMap<String, Map<String, Value>>,
}

impl Configuration {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Violation> {
        serde_json::from_slice(body).map_err(|source| Violation::Malformed {
            kind: Kind::Config,
            part: "body",
            source: Some(source),
        })
    }

    /// A section as a type. Texts become numbers and booleans where the type asks for them. An error, which names the key, if
    /// the section is missing or does not fit.
    pub fn section<T: DeserializeOwned>(&self, file: &str, section: &str) -> Result<T, Error> {
        let place = || format!("the user configuration {file}, section {section}");
        let Some(Value::Object(values)) = self.files.get(file).and_then(|sections| sections.get(section)) else {
            return Err(Error::failure(format!("{} is missing", place())));
        };
        Merged::of_params(values.clone())
            .read()
            .map_err(|error| Error::failure(format!("{}: {error}", place())))
    }

    /// A single value; none if there is no such file, section or key.
    pub fn get(&self, file: &str, section: &str, key: &str) -> Option<&Value> {
        self.files.get(file)?.get(section)?.get(key)
    }

    /// The names of the files, without their endings.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Which version this is; it grows with every change.
    pub fn version(&self) -> u64 {
        self.version
    }
}
