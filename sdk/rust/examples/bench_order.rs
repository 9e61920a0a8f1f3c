//! The measured service of `bench/services`, in Rust.

use std::process::ExitCode;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_sdk::{Context, Error, Worker};

#[derive(Deserialize, JsonSchema)]
struct Order {
    id: u64,
    customer: Customer,
    lines: Vec<Line>,
}

#[derive(Deserialize, JsonSchema)]
struct Customer {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Line {
    quantity: f64,
    price: f64,
}

#[derive(Serialize, JsonSchema)]
struct Answer {
    order: u64,
    customer: String,
    total: f64,
}

async fn order(_: Context, order: Order) -> Result<Answer, Error> {
    Ok(Answer {
        order: order.id,
        customer: order.customer.name,
        total: order.lines.iter().map(|line| line.quantity * line.price).sum(),
    })
}

fn main() -> ExitCode {
    Worker::new().service("bench.order-in-rust", order).run()
}
