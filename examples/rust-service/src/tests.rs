//! The services without a cluster.

use serde_json::{Value, json};
use tenon_sdk::testing::Tester;

use crate::worker;

fn order() -> Value {
    json!({"customer": "Anna", "lines": [{"sku": "A-1", "quantity": 2, "price": 19.5}]})
}

#[tokio::test]
async fn an_order_has_a_price() {
    let tester = Tester::start(worker());
    let answer = tester.call("orders.price", &order()).await;
    assert_eq!(answer.json::<Value>(), json!({"customer": "Anna", "total": 39.0}));
}

#[tokio::test]
async fn what_is_wrong_with_an_order_is_said_with_its_path() {
    let tester = Tester::start(worker());
    let answer = tester
        .call(
            "orders.price",
            &json!({"customer": "Anna", "lines": [{"sku": "A-1", "quantity": "two"}]}),
        )
        .await;
    assert_eq!(answer.status, 400);
    let problem = answer.problem();
    assert_eq!(problem.errors[0].field, "/lines[0]/quantity");
    assert_eq!(problem.errors[0].message, "expected a whole number, found text 'two'");
}

#[tokio::test]
async fn a_placed_order_is_stored_and_charged() {
    let tester = Tester::start(worker());
    tester.on_sql("Shop", |call| {
        assert_eq!(call.params["total"], 39.0);
        Ok(json!(1))
    });
    let answer = tester
        .request("orders.place")
        .http("POST", "/orders")
        .json(&order())
        .await;
    assert_eq!((answer.status, answer.header("location")), (201, Some("/orders/1")));
    let charged = &tester.background_calls()[0];
    assert_eq!(
        (charged.service.as_str(), &charged.payload),
        ("billing.charge", &json!(1))
    );
    assert_eq!(tester.metrics(), [("orders_placed".to_owned(), 1.0)]);
}

#[tokio::test]
async fn limits_come_from_the_user_configuration() {
    let tester = Tester::start(worker());
    tester.set_config("shop", json!({"limits": {"lines_max": "0"}})).await;
    let answer = tester.call("orders.place", &order()).await;
    assert_eq!(answer.problem().detail, "an order has at most 0 lines");
}

#[tokio::test]
async fn each_method_has_its_handler() {
    let tester = Tester::start(worker());
    tester.on_sql("Shop", |call| match call.operation.as_str() {
        "one" if call.params["number"] == 7 => Ok(json!([{"number": 7, "customer": "Anna", "total": 39.0}])),
        "one" => Ok(json!([])),
        _ => Ok(json!(1)),
    });
    let request = |method, number| {
        tester
            .request("orders.order")
            .http(method, "/orders")
            .param("number", number)
    };
    assert_eq!(request("GET", "7").await.json::<Value>()["customer"], "Anna");
    assert_eq!(request("GET", "8").await.status, 404);
    assert_eq!(request("DELETE", "7").await.status, 204);
    let refused = request("PUT", "7").await;
    assert_eq!(
        (refused.status, refused.header("allow")),
        (405, Some("GET, HEAD, DELETE"))
    );
}

#[tokio::test]
async fn an_export_is_streamed() {
    let tester = Tester::start(worker());
    let answer = tester.call("orders.export", &3).await;
    assert_eq!(
        (answer.content_type.as_str(), answer.text().as_str()),
        ("text/csv", "1\r\n2\r\n3\r\n")
    );
    assert_eq!(
        tester.request("orders.checksum").body("ab").await.json::<u64>(),
        31 * 97 + 98
    );
}
