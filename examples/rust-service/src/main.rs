//! Three services in a program: `tenon deploy target/release/rust-service` has the servers of a cluster run it.

mod orders;

use std::process::ExitCode;

use tenon_sdk::{Service, Worker};

fn main() -> ExitCode {
    worker().run()
}

/// The program's services. Its tests run the same worker.
fn worker() -> Worker {
    Worker::new()
        .service(
            "orders.price",
            Service::new(orders::price)
                .doc("Says what an order costs.")
                .idempotent(),
        )
        .service("orders.place", Service::new(orders::place).doc("Takes an order."))
        .service(
            "orders.order",
            Service::by_method().get(orders::read).delete(orders::cancel),
        )
        .service("orders.checksum", Service::blocking(orders::checksum))
        .service("orders.export", orders::export)
}

#[cfg(test)]
mod tests;
