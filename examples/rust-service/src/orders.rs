//! Orders: what they cost, taking them, reading them, cancelling them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tenon_sdk::{Body, Context, Error, Raw, Response};

/// An order as a customer sends it.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct Order {
    customer: String,
    lines: Vec<Line>,
}

/// A line of an order.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct Line {
    sku: String,
    quantity: u32,
    #[serde(default)]
    price: f64,
}

/// What an order costs.
#[derive(Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Price {
    customer: String,
    total: f64,
}

/// Limits from `user-config/shop.ini`.
#[derive(Deserialize)]
struct Limits {
    lines_max: usize,
}

/// Computes. Input and output are plain serde types; what does not fit is answered with 400 and the path of the element.
pub async fn price(_: Context, order: Order) -> Result<Price, Error> {
    if order.lines.is_empty() {
        return Err(Error::bad_element("/lines", "an order has at least one line"));
    }
    let total = order
        .lines
        .iter()
        .map(|line| f64::from(line.quantity) * line.price)
        .sum();
    Ok(Price {
        customer: order.customer,
        total,
    })
}

/// Asks other services, a database and the cluster's lock, and leaves the rest to be done in the background.
pub async fn place(ctx: Context, order: Order) -> Result<Response<u64>, Error> {
    let limits: Limits = ctx
        .config()
        .section("shop", "limits")
        .unwrap_or(Limits { lines_max: 100 });
    if order.lines.len() > limits.lines_max {
        return Err(Error::conflict(format!(
            "an order has at most {} lines",
            limits.lines_max
        )));
    }
    // What this answers its callers with 400 is what our own caller gets.
    let price: Price = ctx
        .invoke("orders.price", &order)
        .timeout(Duration::from_secs(5))
        .await?;
    let number = {
        let Some(_lock) = ctx.lock("orders.numbers").acquire().await? else {
            return Err(Error::unavailable("too many orders at once", Duration::from_secs(1)));
        };
        ctx.cache("orders").increment("last-number", 1).await?
    };
    let number = u64::try_from(number)?;
    ctx.sql("Shop")
        .execute(
            "INSERT INTO orders (number, customer, total) VALUES (:number, :customer, :total)",
            &Row {
                number,
                customer: price.customer,
                total: price.total,
            },
        )
        .await?;
    ctx.invoke_async("billing.charge", &number)
        .callback("orders.charged")
        .await?;
    ctx.metrics()
        .count("orders_placed", 1.0, &[("channel", ctx.channel().kind)]);
    tracing::info!(number, total = price.total, "an order was placed");
    Ok(Response::new(number)
        .status(201)
        .header("Location", format!("/orders/{number}")))
}

/// A row of the table of orders.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Row {
    number: u64,
    customer: String,
    total: f64,
}

/// What names an order: the parameter of the channel's path `/orders/{number}`.
#[derive(Deserialize, JsonSchema)]
pub struct Number {
    number: u64,
}

/// `GET /orders/{number}`
pub async fn read(ctx: Context, order: Number) -> Result<Row, Error> {
    let row = ctx
        .sql("Shop")
        .one(
            "SELECT number, customer, total FROM orders WHERE number = :number",
            &json!({"number": order.number}),
        )
        .await?;
    row.ok_or_else(|| Error::not_found(format!("there is no order {}", order.number)))
}

/// `DELETE /orders/{number}`
pub async fn cancel(ctx: Context, order: Number) -> Result<Response<()>, Error> {
    let key = json!({"number": order.number});
    match ctx
        .sql("Shop")
        .execute("DELETE FROM orders WHERE number = :number", &key)
        .await?
    {
        0 => Err(Error::not_found(format!("there is no order {}", order.number))),
        _ => Ok(Response::new(()).status(204)),
    }
}

/// Computes for long, so it runs on a thread of its own.
pub fn checksum(_: Context, body: Raw) -> Result<u64, Error> {
    let sum = body
        .bytes
        .iter()
        .fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    Ok(sum)
}

/// Answers in a stream, as fast as the client reads.
pub async fn export(_: Context, up_to: u64) -> Result<Body, Error> {
    Ok(Body::write_with("text/csv", move |mut writer| async move {
        for number in 1..=up_to {
            writer.write(format!("{number}\r\n")).await?;
        }
        Ok(())
    }))
}
