//! Metrics in Prometheus' terms, summed over the threads when they are asked for.

use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::balancer::Handle;
use crate::counters::BUCKETS_MICROS;
use crate::status::{Status, sum};
use crate::upstream::{Health, ServerState};

/// Adds the metrics to a registry.
pub(crate) fn register(handle: &Handle, registry: &mut Registry) {
    registry.register_collector(Box::new(Metrics(handle.clone())));
}

#[derive(Debug)]
struct Metrics(Handle);

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.totals(&mut encoder)?;
        self.classes(&mut encoder)?;
        self.durations(&mut encoder)?;
        self.rejections(&mut encoder)?;
        self.servers(&mut encoder)?;
        self.server_answers(&mut encoder)
    }
}

/// The number of microseconds in seconds; exact enough for any duration that is measured here.
#[expect(clippy::cast_precision_loss, reason = "microseconds of less than a century fit")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

impl Metrics {
    fn totals(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let handle = &self.0;
        for (name, help, value) in [
            (
                "accepted_connections",
                "Client connections accepted",
                sum(handle, |all| &all.accepted),
            ),
            (
                "refused_requests",
                "Requests refused before a server saw them",
                sum(handle, |all| &all.refused),
            ),
            ("retries", "Attempts beyond the first", sum(handle, |all| &all.retries)),
            (
                "unknown_outcomes",
                "Requests that a server got and did not answer",
                sum(handle, |all| &all.unknown),
            ),
            (
                "not_sent_requests",
                "Requests that no server could take in time",
                sum(handle, |all| &all.not_sent),
            ),
            (
                "server_connects",
                "Connections made to servers",
                sum(handle, |all| &all.connects),
            ),
            (
                "upgrades",
                "Connections upgraded to another protocol",
                sum(handle, |all| &all.upgrades),
            ),
            (
                "cut_requests",
                "Requests that ended without a whole answer",
                sum(handle, |all| &all.cut),
            ),
        ] {
            let name = format!("tenon_balancer_{name}");
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(&name, help, None, MetricType::Counter)?)?;
        }
        let ejections = ConstCounter::new(handle.shared.directory.ejections());
        let help = "Servers that got no requests for a while because they failed too many";
        ejections.encode(encoder.encode_descriptor("tenon_balancer_ejections", help, None, MetricType::Counter)?)?;
        for (name, help, value) in [
            (
                "connections",
                "Client connections open now",
                Status::of(handle).connections,
            ),
            (
                "queued_requests",
                "Requests that wait for their turn or for room at a server",
                handle.queued(),
            ),
        ] {
            let name = format!("tenon_balancer_{name}");
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }

    fn rejections(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let name = "tenon_balancer_rejected";
        let help = "Connections and requests that rules and limits did not let in, by reason";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (reason, count) in self.0.shared.shaping.rejected() {
            ConstCounter::new(count).encode(family.encode_family(&[("reason", reason)])?)?;
        }
        Ok(())
    }

    fn server_answers(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let upstreams = self.0.shared.directory.upstreams();
        let name = "tenon_balancer_server_answers";
        let help = "Answers of servers by class of status";
        let mut answers = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for upstream in &upstreams {
            for (class, count) in upstream.classes.iter().enumerate().skip(1) {
                let labels = [("server", upstream.name.clone()), ("class", format!("{class}xx"))];
                ConstCounter::new(count.load(Ordering::Relaxed)).encode(answers.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn classes(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let name = "tenon_balancer_requests";
        let mut family = encoder.encode_descriptor(name, "Requests by class of status", None, MetricType::Counter)?;
        for class in 1..6 {
            let value = sum(&self.0, |counters| &counters.classes[class]);
            let labels = [("class", format!("{class}xx"))];
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn durations(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let buckets: Vec<(f64, u64)> = (0..=BUCKETS_MICROS.len())
            .map(|index| {
                let bound = BUCKETS_MICROS.get(index).map_or(f64::MAX, |micros| seconds(*micros));
                (bound, sum(&self.0, |counters| &counters.durations[index]))
            })
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let total = seconds(sum(&self.0, |counters| &counters.duration_sum_micros));
        let mut metric = encoder.encode_descriptor(
            "tenon_balancer_request_duration",
            "Time from a request's head to the end of its answer",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        metric.encode_histogram::<NoLabelSet>(total, count, &buckets, None)
    }

    fn servers(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let servers = Status::of(&self.0).servers;
        let name = "tenon_balancer_server_ready";
        let mut ready = encoder.encode_descriptor(name, "Whether the server is ready", None, MetricType::Gauge)?;
        for server in &servers {
            let value = i64::from(server.health == Health::Ready && server.state == ServerState::Ready);
            let labels = [("server", server.name.as_str())];
            ConstGauge::new(value).encode(ready.encode_family(&labels)?)?;
        }
        let name = "tenon_balancer_server_in_flight";
        let mut flying = encoder.encode_descriptor(name, "Requests that the server has", None, MetricType::Gauge)?;
        for server in &servers {
            let labels = [("server", server.name.as_str())];
            let value = i64::try_from(server.in_flight).unwrap_or(i64::MAX);
            ConstGauge::new(value).encode(flying.encode_family(&labels)?)?;
        }
        let name = "tenon_balancer_server_failures";
        let mut failed = encoder.encode_descriptor(name, "Attempts that failed", None, MetricType::Counter)?;
        for server in &servers {
            let labels = [("server", server.name.as_str())];
            ConstCounter::new(server.failures).encode(failed.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
