//! How inputs are read from bodies and parameters, and what is said of those that don't fit.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenon_sdk::testing::{TestAnswer, Tester};
use tenon_sdk::{Context, Error, Raw, Text, Worker};

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
struct Search {
    text: String,
    limit: Option<u32>,
    #[serde(default)]
    exact: bool,
    #[serde(default)]
    tags: Vec<String>,
    size: Option<Size>,
    #[serde(default)]
    lines: Vec<Line>,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
struct Line {
    quantity: i64,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Size {
    Small,
    Large,
}

async fn search(_: Context, input: Search) -> Result<Search, Error> {
    Ok(input)
}

async fn strict(_: Context, input: BTreeMap<String, f64>) -> Result<BTreeMap<String, f64>, Error> {
    Ok(input)
}

async fn optional(_: Context, input: Option<u32>) -> Result<Option<u32>, Error> {
    Ok(input)
}

async fn text(_: Context, Text(input): Text) -> Result<Text, Error> {
    Ok(Text(input.to_uppercase()))
}

async fn list(_: Context, input: Vec<Line>) -> Result<Vec<Line>, Error> {
    Ok(input)
}

async fn raw(_: Context, input: Raw) -> Result<Raw, Error> {
    Ok(input)
}

fn worker() -> Worker {
    Worker::new()
        .service("search", search)
        .service("strict", strict)
        .service("optional", optional)
        .service("text", text)
        .service("raw", raw)
        .service("list", list)
}

/// The element that is wrong, and what is wrong with it.
fn wrong(answer: &TestAnswer) -> (String, String) {
    assert_eq!(answer.status, 400, "{}", answer.text());
    let problem = answer.problem();
    let element = &problem.errors[0];
    assert_eq!(
        problem.detail,
        format!("Invalid input: {}: {}", element.field, element.message)
    );
    (element.field.clone(), element.message.clone())
}

#[tokio::test]
async fn parameters_are_merged_and_become_what_the_type_asks_for() {
    let tester = Tester::start(worker());
    let answer = tester
        .request("search")
        .http("GET", "/search")
        .query("text", "a")
        .query("limit", "5")
        .query("exact", "yes")
        .query("tags", "one")
        .query("size", "large")
        .await;
    let expected = json!({"text": "a", "limit": 5, "exact": true, "tags": ["one"], "size": "large", "lines": []});
    assert_eq!(answer.json::<Value>(), expected);

    // A parameter wins over an element of the body with the same name.
    let body = json!({"text": "body", "limit": 1, "lines": [{"quantity": 2}]});
    let request = tester
        .request("search")
        .http("POST", "/search")
        .param("text", "path")
        .json(&body);
    let answer: Value = request.await.json();
    assert_eq!(
        (&answer["text"], &answer["limit"], &answer["lines"][0]["quantity"]),
        (&json!("path"), &json!(1), &json!(2))
    );
}

#[tokio::test]
async fn a_form_is_read_like_parameters() {
    let tester = Tester::start(worker());
    let request = tester.request("search").http("POST", "/search").data_format("form");
    let answer: Value = request.body("text=a+b&limit=7&tags=x&tags=y&exact=off").await.json();
    assert_eq!(
        (&answer["text"], &answer["limit"], &answer["tags"], &answer["exact"]),
        (&json!("a b"), &json!(7), &json!(["x", "y"]), &json!(false))
    );
}

#[tokio::test]
async fn what_does_not_fit_is_400_with_the_path_of_the_element() {
    let tester = Tester::start(worker());
    let search = async |body: Value| wrong(&tester.call("search", &body).await);
    let said = |field: &str, message: &str| (field.to_owned(), message.to_owned());
    assert_eq!(search(json!({})).await, said("/text", "the element is missing"));
    assert_eq!(
        search(json!({"text": "a", "limit": "many"})).await,
        said("/limit", "expected a whole number, found text 'many'")
    );
    assert_eq!(
        search(json!({"text": "a", "lines": [{"quantity": 1}, {"quantity": 1.5}]})).await,
        said("/lines[1]/quantity", "expected a whole number, found number 1.5")
    );
    assert_eq!(
        search(json!({"text": "a", "lines": [{"quantity": 1}, {}]})).await,
        said("/lines[1]/quantity", "the element is missing")
    );
    assert_eq!(
        search(json!({"text": 5})).await,
        said("/text", "expected text, found number 5")
    );
    assert_eq!(
        search(json!({"text": null})).await,
        said("/text", "expected text, found null")
    );
    assert_eq!(
        search(json!({"text": "a", "exact": {}})).await,
        said("/exact", "expected true or false, found object")
    );
    assert_eq!(
        search(json!("text")).await,
        said("/", "expected an object, found text 'text'")
    );
    assert_eq!(search(json!([])).await, said("/", "expected an object, found array"));
    assert_eq!(
        search(json!({"text": "a", "lines": [[]]})).await,
        said("/lines[0]", "expected an object, found array")
    );
    assert_eq!(
        search(json!({"text": "a", "lines": [[5]]})).await,
        said("/lines[0]", "expected an object, found array")
    );
    let merged = tester.request("search").http("POST", "/search").query("text", "a");
    assert_eq!(
        wrong(&merged.json(&json!({"lines": [[5]]})).await),
        said("/lines[0]", "expected an object, found array")
    );
    let list = tester.request("list").json(&json!([{"quantity": 1}, [2]])).await;
    assert_eq!(wrong(&list), said("/[1]", "expected an object, found array"));

    let query = tester
        .request("search")
        .http("GET", "/search")
        .query("text", "a")
        .query("limit", "many");
    assert_eq!(
        wrong(&query.await),
        said("/limit", "expected a whole number, found text 'many'")
    );
    let answer = tester.call("strict", &json!({"a": 1, "b": [2]})).await;
    assert_eq!(wrong(&answer), said("/b", "expected a number, found array"));
}

#[tokio::test]
async fn hostile_bodies_are_400() {
    let tester = Tester::start(worker());
    let deep = "[".repeat(100_000);
    let bodies: [&[u8]; 6] = [
        b"{",
        b"{\"text\": \"\xff\"}",
        b"{\"text\": 1e999999}",
        b"{\"text\": \"a\", \"text\": \"b\"}",
        b"nonsense",
        deep.as_bytes(),
    ];
    for body in bodies {
        let request = tester.request("search").http("POST", "/search").body(body.to_vec());
        let answer = request.await;
        assert_eq!(
            answer.status,
            400,
            "{:?}",
            String::from_utf8_lossy(&body[..body.len().min(40)])
        );
        assert!(!answer.problem().detail.is_empty());
    }
}

#[tokio::test]
async fn no_body_is_nothing_or_an_object_without_elements() {
    let tester = Tester::start(worker());
    assert_eq!(tester.request("optional").await.json::<Value>(), Value::Null);
    assert_eq!(tester.call("optional", &5).await.json::<Value>(), 5);
    assert_eq!(tester.request("strict").await.json::<Value>(), json!({}));
    assert_eq!(wrong(&tester.request("search").await).0, "/text");
}

#[tokio::test]
async fn text_and_bytes_are_taken_as_they_come() {
    let tester = Tester::start(worker());
    let answer = tester.request("text").body("grüezi").await;
    assert_eq!(
        (answer.text().as_str(), answer.content_type.as_str()),
        ("GRÜEZI", "text/plain; charset=utf-8")
    );
    assert_eq!(tester.request("text").body(&b"\xff"[..]).await.status, 400);
    let request = tester
        .request("raw")
        .http("POST", "/raw")
        .header("content-type", "image/png")
        .body(&b"\x00\xff"[..]);
    let answer = request.await;
    assert_eq!(
        (answer.body.as_ref(), answer.content_type.as_str()),
        (&b"\x00\xff"[..], "image/png")
    );
}
