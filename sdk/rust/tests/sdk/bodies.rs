//! Answers of all sorts, and streams in both directions.

use std::time::Duration;

use futures_util::stream;
use serde_json::{Value, json};
use tenon_sdk::testing::Tester;
use tenon_sdk::{Body, BodyStream, Bytes, Context, Error, Raw, Response, Worker};

#[tokio::test]
async fn answers_have_a_status_headers_and_a_media_type() {
    async fn answer(_: Context, what: String) -> Result<Response<Body>, Error> {
        Ok(match what.as_str() {
            "json" => Response::new(Body::json(&json!({"a": 1}))?).status(202),
            "text" => Response::new(Body::text("hi"))
                .header("Set-Cookie", "a=1")
                .header("Set-Cookie", "b=2"),
            "xml" => Response::new(Body::text("<a/>")).content_type("application/xml"),
            "wrong" => Response::new(Body::empty()).status(42),
            _ => Response::new(Body::empty()).status(204),
        })
    }
    async fn nothing(_: Context) -> Result<(), Error> {
        Ok(())
    }
    let tester = Tester::start(Worker::new().service("answer", answer).service("nothing", nothing));
    let json = tester.call("answer", "json").await;
    assert_eq!((json.status, json.json::<Value>()), (202, json!({"a": 1})));
    let text = tester.call("answer", "text").await;
    let cookies: Vec<_> = text.headers.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!((text.text().as_str(), cookies), ("hi", vec!["a=1", "b=2"]));
    assert_eq!(tester.call("answer", "xml").await.content_type, "application/xml");
    assert_eq!(tester.call("answer", "empty").await.status, 204);
    let failure = tester.call("answer", "wrong").await.failure.unwrap();
    assert!(failure.contains("42 is no status"), "{failure}");
    let nothing = tester.request("nothing").await;
    assert_eq!(
        (nothing.status, nothing.body.len(), nothing.content_type.as_str()),
        (200, 0, "")
    );
}

/// The sum of what arrives, and in how many pieces.
async fn sum(_: Context, mut body: BodyStream) -> Result<Value, Error> {
    let (mut sum, mut bytes) = (0_u64, 0_usize);
    while let Some(piece) = body.next().await? {
        sum += piece.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        bytes += piece.len();
    }
    Ok(json!({"sum": sum, "bytes": bytes}))
}

#[tokio::test]
async fn a_body_of_many_windows_is_read_as_it_arrives() {
    let tester = Tester::start(Worker::new().service("sum", sum));
    let pieces = (0..100).map(|_| vec![1_u8; 60_000]);
    let answer = tester.request("sum").http("POST", "/sum").pieces(pieces).await;
    assert_eq!(answer.json::<Value>(), json!({"sum": 6_000_000, "bytes": 6_000_000}));
    let whole = tester.request("sum").body("ab").await;
    assert_eq!(whole.json::<Value>(), json!({"sum": 195, "bytes": 2}));
}

#[tokio::test]
async fn an_answer_of_many_windows_is_sent_as_it_is_taken() {
    async fn many(_: Context, count: usize) -> Result<Body, Error> {
        Ok(Body::write_with(
            "application/octet-stream",
            move |mut writer| async move {
                for _ in 0..count {
                    writer.write(vec![7_u8; 150_000]).await?;
                }
                Ok(())
            },
        ))
    }
    async fn streamed(_: Context) -> Result<Body, Error> {
        let pieces = ["a", "b", "c"].map(|text| Ok(Bytes::from(text)));
        Ok(Body::stream("text/plain", stream::iter(pieces)))
    }
    async fn cut(_: Context) -> Result<Body, Error> {
        Ok(Body::write_with("text/plain", |mut writer| async move {
            writer.write("half").await?;
            Err(Error::failure("the other half is lost"))
        }))
    }
    let worker = Worker::new()
        .service("many", many)
        .service("streamed", streamed)
        .service("cut", cut);
    let tester = Tester::start(worker);
    let answer = tester.call("many", &20).await;
    assert_eq!((answer.body.len(), answer.is_cut_off), (3_000_000, false));
    assert!(answer.body.iter().all(|byte| *byte == 7));
    assert_eq!(tester.request("streamed").await.text(), "abc");
    let cut = tester.request("cut").await;
    assert_eq!((cut.text().as_str(), cut.is_cut_off), ("half", true));
}

#[tokio::test]
async fn a_stream_whose_client_goes_away_is_dropped() {
    async fn endless(_: Context) -> Result<Body, Error> {
        Ok(Body::write_with("text/plain", |mut writer| async move {
            loop {
                writer.write("tick").await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }))
    }
    let tester = Tester::start(Worker::new().service("endless", endless));
    let answer = tester.request("endless").cancel_after(Duration::from_millis(50)).await;
    assert!(answer.is_cut_off);
    assert!(answer.text().starts_with("tick"), "{answer:?}");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_a_failure_of_its_own_call() {
    async fn large(_: Context, bytes: usize) -> Result<Raw, Error> {
        Ok(Raw::new("application/octet-stream", vec![0; bytes]))
    }
    let tester = Tester::start(Worker::new().service("large", large));
    let failure = tester.call("large", &(65 << 20)).await.failure.unwrap();
    assert!(failure.starts_with("AnswerTooLarge"), "{failure}");
    assert_eq!(tester.call("large", &(1 << 20)).await.body.len(), 1 << 20);
}
