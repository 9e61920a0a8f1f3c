//! The program as it is deployed.

use std::process::Command;

use serde_json::Value;

#[test]
fn it_says_what_it_has() {
    let output = Command::new(env!("CARGO_BIN_EXE_rust-service"))
        .arg("--describe")
        .output()
        .unwrap();
    let services: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> = services
        .iter()
        .map(|service| service["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "orders.price",
            "orders.place",
            "orders.order",
            "orders.checksum",
            "orders.export"
        ]
    );
    assert_eq!(
        services[0]["input"]["properties"]["lines"]["items"]["required"],
        serde_json::json!(["sku", "quantity"])
    );
    assert_eq!(
        services[2]["http_methods"],
        serde_json::json!(["GET", "HEAD", "DELETE"])
    );
}
