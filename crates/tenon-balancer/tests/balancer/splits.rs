//! How bytes are split on the way makes no difference.

use proptest::prelude::{Just, Strategy, any, prop};
use proptest::test_runner::{Config, TestRunner};
use tokio::io::AsyncWriteExt;

use crate::harness::{Cluster, settings};

const REQUESTS: &[&str] = &[
    "GET /head HTTP/1.1\r\nHost: t\r\nX-A: 1\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 11\r\n\r\nhello worldGET / HTTP/1.1\r\nHost: t\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-T: 1\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n",
    "\r\nPUT /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhiDELETE / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: t\nX: 1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
];

/// Correlation ids differ from request to request.
fn comparable(answer: &str) -> String {
    let mut text = String::new();
    for line in answer.split_inclusive("\r\n") {
        if !line.starts_with("x-tenon-cid: ") {
            text.push_str(line);
        }
    }
    text.split("\"cid\":").next().unwrap_or_default().to_owned()
}

#[test]
fn any_split_gives_the_same_answers() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let cluster = runtime.block_on(Cluster::start(1, settings()));
    let whole: Vec<String> = REQUESTS
        .iter()
        .map(|request| comparable(&runtime.block_on(cluster.raw(request))))
        .collect();
    let strategy = (0..REQUESTS.len()).prop_flat_map(|index| {
        let cuts = prop::collection::vec(any::<prop::sample::Index>(), 1..12);
        (Just(index), cuts)
    });
    let config = Config {
        cases: 150,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&strategy, |(index, cuts)| {
            let request = REQUESTS[index].as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(request.len())).collect();
            cuts.extend([0, request.len()]);
            cuts.sort_unstable();
            let answer = runtime.block_on(async {
                let mut client = cluster.connect().await;
                client.stream.set_nodelay(true).unwrap();
                for pair in cuts.windows(2) {
                    // A refusal may come before the rest is written.
                    let _ = client.stream.write_all(&request[pair[0]..pair[1]]).await;
                    tokio::time::sleep(std::time::Duration::from_micros(300)).await;
                }
                let _ = client.stream.shutdown().await;
                client.rest().await
            });
            proptest::prop_assert_eq!(comparable(&answer), whole[index].as_str());
            Ok(())
        })
        .unwrap();
}
