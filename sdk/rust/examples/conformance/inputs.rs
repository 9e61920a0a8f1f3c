//! What services are given.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenon_sdk::{Context, Error};

#[derive(Deserialize, Serialize, JsonSchema)]
pub(crate) struct Order {
    customer: String,
    lines: Vec<Line>,
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct Line {
    sku: String,
    quantity: i64,
}

pub(crate) async fn typed_input(_: Context, order: Order) -> Result<Value, Error> {
    let pieces: i64 = order.lines.iter().map(|line| line.quantity).sum();
    Ok(json!({"customer": order.customer, "pieces": pieces, "first": order.lines.first().map(|line| &line.sku)}))
}

#[derive(Deserialize, Serialize, JsonSchema)]
pub(crate) struct Page {
    id: i64,
    limit: i64,
    is_open: bool,
}

pub(crate) async fn parameters(_: Context, page: Page) -> Result<Page, Error> {
    Ok(page)
}

pub(crate) async fn request_facts(ctx: Context) -> Result<Value, Error> {
    let http = ctx.http().ok_or_else(|| Error::bad_request("this is no HTTP"))?;
    let channel = ctx.channel();
    Ok(json!({
        "method": http.method, "path": http.path, "a": http.query.get("a"), "header": http.header("X-Some"),
        "channel": channel.name, "type": channel.kind, "has_cid": !ctx.cid().is_empty(), "service": ctx.service(),
    }))
}
