//! What services answer.

use serde_json::{Value, json};
use tenon_sdk::{Context, Error, Raw, Response, Text};

pub(crate) async fn raw_body(_: Context, body: Raw) -> Result<Raw, Error> {
    let reversed: Vec<u8> = body.bytes.iter().rev().copied().collect();
    Ok(Raw::new("application/octet-stream", reversed))
}

pub(crate) async fn text_body(_: Context, Text(text): Text) -> Result<Text, Error> {
    Ok(Text(text.to_uppercase()))
}

pub(crate) async fn status_and_headers(_: Context) -> Result<Response<Value>, Error> {
    Ok(Response::new(json!({"id": 7}))
        .status(201)
        .header("Location", "/users/7"))
}

#[expect(clippy::panic, reason = "what comes of a panic is what is looked at")]
pub(crate) async fn errors(_: Context, which: Which) -> Result<Value, Error> {
    match which.error.as_str() {
        "bad-request" => Err(Error::bad_request("This is wrong")),
        "forbidden" => Err(Error::forbidden("Not you")),
        "not-found" => Err(Error::not_found("There is no such thing")),
        "conflict" => Err(Error::conflict("It is taken")),
        "unexpected" => Err(Error::failure("a secret of the service")),
        _ => panic!("a secret of the service"),
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Which {
    error: String,
}

pub(crate) async fn get(_: Context) -> Result<Value, Error> {
    Ok(json!({"got": true}))
}

pub(crate) async fn delete(_: Context) -> Result<Response<()>, Error> {
    Ok(Response::new(()).status(204))
}
