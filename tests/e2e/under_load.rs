//! Requests without a pause while a test does something to its cluster: none of them may fail, nor end as unknown.

use std::time::Duration;

use tenon_tests::load::{End, Load, Plan, SlowClients};

use crate::harness::{Cluster, PATIENCE, wait_for};

const SERVICE: &str = r#"
import time
import zlib
from tenon import Service

class Answer(Service):
    name = "load.answer"

    def handle_GET(self):
        self.reply(b"")

    def handle_POST(self):
        self.reply(self.request.raw_request)

    def reply(self, body):
        params = self.request.http.params
        time.sleep(int(params["think"]) / 1000)
        answer = {"id": params["id"], "version": 1, "bytes": len(body), "crc": zlib.crc32(body)}
        answer["fill"] = "x" * int(params["size"])
        self.response.payload = answer
"#;

const MANIFEST: &str = r"
rest-channel:
  - {name: load.answer, path: /load, service: load.answer, data_format: raw, content_type: application/json}
";

/// How many requests a server has answered, by the load balancer's log of them.
pub(crate) fn answered_by(log: &str, server: &str) -> usize {
    let server = format!(" server={server} ");
    let is_of_it = |line: &&str| line.contains(" access: ") && line.contains(&server);
    log.lines().filter(is_of_it).count()
}

/// Requests that go on until the test is done.
#[derive(Debug)]
pub(crate) struct UnderLoad(Load);

impl UnderLoad {
    /// Deploys what is asked for, and begins to ask: GET and POST, on connections that are kept and on new ones, slow clients.
    #[track_caller]
    pub(crate) fn start(cluster: &Cluster) -> Self {
        cluster.deploy(&[("load/answer.py", SERVICE)]);
        cluster.apply(MANIFEST);
        let url = cluster.url("/load?id=0&think=0&size=0");
        cluster.wait_for_status(&url, 200);
        let plan = Plan {
            slow: SlowClients {
                heads: 1,
                bodies: 1,
                readers: 1,
            },
            ..Plan::new(cluster.port(), "/load", 40, 1)
        };
        let load = Load::start(plan).unwrap();
        let under_load = Self(load);
        under_load.calm();
        under_load
    }

    /// Waits until a few more requests have ended.
    #[track_caller]
    pub(crate) fn calm(&self) {
        let before = self.0.ledger().len();
        wait_for("requests are answered", PATIENCE, || {
            (self.0.ledger().len() >= before + 40).then_some(())
        });
        std::thread::sleep(Duration::from_millis(300));
    }

    /// Asks no more, and checks how everything ended.
    #[track_caller]
    pub(crate) fn finish(self) {
        let ledger = self.0.stop().unwrap();
        let counts = ledger.counts();
        println!("{counts:?}");
        for end in [End::Failed, End::Unknown, End::Retried] {
            for (reason, number) in ledger.reasons(end) {
                println!("{end:?} {reason:?}: {number:?}");
            }
        }
        assert_eq!((counts.failed, counts.unknown), (0, 0), "see above");
        assert!(counts.answered > 50, "see above");
    }
}
