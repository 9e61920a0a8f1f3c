//! The cluster that things are done to, with a service that records each request.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::act::{Act, order};
use super::disk::SmallDisk;
use super::scenario::Scenario;
use crate::harness::{Cluster, ClusterOptions, PATIENCE, wait_for};

/// Where requests go to.
pub(super) const PATH: &str = "/chaos";

const SERVICE: &str = r#"import os
import time
import zlib

from tenon import Service

VERSION = NUMBER

# One write of a short line at the end of a file is whole, whichever process does it.
RECORD = os.open("FILE", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


class Entries(Service):
    name = "chaos.entries"

    def handle_GET(self):
        self.reply(b"")

    def handle_POST(self):
        os.write(RECORD, f"{self.request.http.params['id']}\n".encode())
        self.reply(self.request.raw_request)

    def reply(self, body):
        params = self.request.http.params
        time.sleep(int(params["think"]) / 1000)
        answer = {"id": params["id"], "version": VERSION, "bytes": len(body), "crc": zlib.crc32(body)}
        answer["fill"] = "x" * int(params["size"])
        self.response.payload = answer
"#;

/// The worker group of the service.
pub(super) const GROUP: &str = "chaos";

/// Killing workers is what is tested, so that the service is not to be blamed for it.
const GROUP_SETTINGS: &str = "quarantine_deaths = 1000\n";

/// A running cluster.
#[derive(Debug)]
pub struct Subject {
    pub(super) cluster: Cluster,
    record: PathBuf,
    version: u32,
    channels: u32,
    // The last field: it is taken away after the cluster.
    _disk: Option<SmallDisk>,
}

impl Subject {
    /// Starts a cluster for a scenario.
    pub fn start(scenario: &Scenario) -> anyhow::Result<Self> {
        let disk = scenario.has_small_disk.then(SmallDisk::mount).transpose()?;
        let cluster = Cluster::with(ClusterOptions {
            servers: scenario.servers,
            start: false,
            folder: disk.as_ref().map(|disk| disk.path().to_owned()),
            ..ClusterOptions::default()
        });
        // The record must be written when the cluster's own disk is full.
        let record = std::env::temp_dir().join(format!("tenon-chaos-record-{}", cluster.port()));
        let _ = std::fs::remove_file(&record);
        let mut subject = Self {
            cluster,
            record,
            version: 0,
            channels: 0,
            _disk: disk,
        };
        subject.tune(scenario)?;
        subject.cluster.start_all();
        subject.deploy_next()?;
        subject.apply_next()?;
        let url = subject.cluster.url(&format!("{PATH}?id=0&think=0&size=0"));
        wait_for("the service answers", PATIENCE, || {
            (subject.cluster.client.get(&url).ok()?.status == 200).then_some(())
        });
        Ok(subject)
    }

    /// Logs are read from the beginning in the end; where processes hang, that is noticed sooner than by default.
    fn tune(&self, scenario: &Scenario) -> anyhow::Result<()> {
        let path = self.cluster.path().join("environment.toml");
        edit(&path, |text| {
            text.replace("size_bytes_max = 10485760", "size_bytes_max = 1048576000")
        })?;
        if !scenario.acts.iter().any(|act| matches!(act, Act::Stop(_))) {
            return Ok(());
        }
        edit(&path, |text| {
            text.replace("hang_timeout = \"10s\"", "hang_timeout = \"5s\"")
        })?;
        for server in ["server1", "server2"] {
            edit(&self.cluster.path().join(server).join("component.toml"), |text| {
                text + "\n[limits.workers]\nping_timeout = \"5s\"\n"
            })?;
        }
        Ok(())
    }

    /// Deploys the service with another version number.
    pub(super) fn deploy_next(&mut self) -> anyhow::Result<()> {
        self.version += 1;
        let folder = self.cluster.scratch(GROUP);
        std::fs::create_dir_all(&folder)?;
        let service = SERVICE.replace("NUMBER", &self.version.to_string());
        let service = service.replace("FILE", &self.record.to_string_lossy());
        std::fs::write(folder.join("entries.py"), service)?;
        std::fs::write(folder.join("group.toml"), GROUP_SETTINGS)?;
        order(self, &["deploy", &folder.to_string_lossy()])
    }

    /// Makes the deployment before the live one live again.
    pub(super) fn roll_back(&self) -> anyhow::Result<()> {
        let listed = self.cluster.tenon_json(&["deployment", "list"]);
        let deployments = listed["items"].as_array().context("deployments are listed")?;
        let mut earlier = deployments
            .iter()
            .filter(|one| one["group"] == GROUP && one["state"] != "live");
        match earlier.find_map(|one| one["number"].as_u64()) {
            Some(number) => order(self, &["deployment", "rollback", &number.to_string()]),
            None => Ok(()),
        }
    }

    /// Applies a manifest with one more channel and another limit of the one that is in use.
    pub(super) fn apply_next(&mut self) -> anyhow::Result<()> {
        self.channels += 1;
        let (number, limit) = (self.channels, 10_000_000 + self.channels);
        let options = "service: chaos.entries, data_format: raw, content_type: application/json";
        let manifest = format!(
            "rest-channel:\n  - {{name: chaos.entries, path: {PATH}, {options}, body_limit_bytes: {limit}}}\n  \
             - {{name: chaos.made-{number}, path: {PATH}/made/{number}, {options}}}\n"
        );
        let file = self.cluster.scratch("chaos.yaml");
        std::fs::write(&file, manifest)?;
        order(self, &["apply", "-f", &file.to_string_lossy()])
    }

    /// The load balancer's port for HTTPS.
    pub(super) fn https_port(&self) -> u16 {
        self.cluster.port() + 1
    }

    /// How often each id was recorded by the service.
    pub fn recorded(&self) -> BTreeMap<u64, u32> {
        let text = std::fs::read_to_string(&self.record).unwrap_or_default();
        let mut recorded = BTreeMap::new();
        for id in text.lines().filter_map(|line| line.parse().ok()) {
            *recorded.entry(id).or_default() += 1;
        }
        recorded
    }

    /// What was sent again by the load balancer, by id, and what was run again by a server, by correlation id: a client can't
    /// see either.
    pub fn retried(&self) -> (HashSet<u64>, HashSet<String>) {
        let ids = self.cluster.log("load-balancer");
        let ids = ids.lines().filter_map(id_of_retry).collect();
        let cids = ["server1", "server2"].map(|server| self.cluster.log(server));
        let cids = cids.iter().flat_map(|log| log.lines()).filter_map(cid_of_rerun);
        (ids, cids.collect())
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.record);
    }
}

/// The id of a request that the load balancer's access log says it has sent more than once.
fn id_of_retry(line: &str) -> Option<u64> {
    let (_, access) = line.split_once(" access: ")?;
    let retries: u32 = access.rsplit_once("retries=")?.1.split(' ').next()?.parse().ok()?;
    let (_, rest) = access.split_once("?id=")?;
    let id = rest.split('&').next()?.parse().ok()?;
    (retries > 0).then_some(id)
}

/// The correlation id of a call that a server's log says was run again.
fn cid_of_rerun(line: &str) -> Option<String> {
    let (_, fields) = line.split_once("the call is run again")?;
    let cid = fields.split_once("cid=")?.1.split(' ').next()?;
    Some(cid.to_owned())
}

fn edit(path: &Path, change: impl FnOnce(String) -> String) -> anyhow::Result<()> {
    let before = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    std::fs::write(path, change(before)).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_tell_what_was_sent_or_run_again() {
        let line = |retries| {
            format!(
                "2026-11-23T08:24:57Z  INFO access: POST /chaos?id=42&think=10&size=0 cid=f2d6 peer=127.0.0.1 status=200 \
                 bytes=217 micros=12294 server=server1 retries={retries}"
            )
        };
        assert_eq!(id_of_retry(&line("1")), Some(42));
        assert_eq!(id_of_retry(&line("2 trace=abc")), Some(42));
        assert_eq!(id_of_retry(&line("0")), None);
        assert_eq!(id_of_retry("INFO tenon: retries=1"), None);
        let rerun = "INFO tenon_server::workers: the call is run again by another worker cid=abc service=chaos.entries";
        assert_eq!(cid_of_rerun(rerun).as_deref(), Some("abc"));
        assert_eq!(cid_of_rerun("INFO tenon_server: cid=abc"), None);
    }
}
