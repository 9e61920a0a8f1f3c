//! JSON Schema of what services take and answer, for the hello and so for OpenAPI.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

/// What a service takes.
pub(crate) fn of_input<T: JsonSchema>() -> Option<Value> {
    schema::<T>(settings().for_deserialize())
}

/// What it answers.
pub(crate) fn of_output<T: JsonSchema>() -> Option<Value> {
    schema::<T>(settings().for_serialize())
}

fn settings() -> SchemaSettings {
    let mut settings = SchemaSettings::draft2020_12();
    // The schema becomes part of other documents.
    settings.meta_schema = None;
    settings.inline_subschemas = true;
    settings
}

fn schema<T: JsonSchema>(settings: SchemaSettings) -> Option<Value> {
    let schema = SchemaGenerator::new(settings).into_root_schema_for::<T>().to_value();
    // Nothing is no body.
    (schema["type"] != "null").then_some(schema)
}
