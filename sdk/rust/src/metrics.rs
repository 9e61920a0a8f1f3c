//! Metrics of services, which the server exposes among its own.

use std::time::Instant;

use tenon_protocol::worker::{Message, Metric, MetricKind};

use crate::context::Context;

impl Context {
    /// Metrics of services, which the server exposes among its own. Nothing here waits, and what is no number is left out.
    ///
    /// ```
    /// # use tenon_sdk::{Context, Error};
    /// async fn import(ctx: Context, lines: Vec<String>) -> Result<(), Error> {
    ///     let _timer = ctx.metrics().timer("import_seconds", &[]);
    ///     ctx.metrics().count("lines_imported", lines.len() as f64, &[("source", "erp")]);
    ///     Ok(())
    /// }
    /// ```
    pub fn metrics(&self) -> Metrics<'_> {
        Metrics { context: self }
    }
}

/// Names and values that tell measurements of one metric apart.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// Metrics of services. Made by [`Context::metrics`].
#[derive(Debug, Clone, Copy)]
pub struct Metrics<'a> {
    context: &'a Context,
}

impl<'a> Metrics<'a> {
    /// Adds to a counter. A counter only grows: what is below 0 is left out.
    pub fn count(self, name: &str, amount: f64, labels: Labels<'_>) {
        if amount >= 0.0 {
            self.send(MetricKind::Counter, name, amount, labels);
        }
    }

    /// Sets a gauge.
    pub fn gauge(self, name: &str, value: f64, labels: Labels<'_>) {
        self.send(MetricKind::Gauge, name, value, labels);
    }

    /// Adds an observation to a histogram, such as a duration in seconds.
    pub fn observe(self, name: &str, value: f64, labels: Labels<'_>) {
        self.send(MetricKind::Histogram, name, value, labels);
    }

    /// Observes, in seconds, how long what it gives lives.
    pub fn timer(self, name: &'a str, labels: Labels<'a>) -> Timer<'a> {
        Timer {
            metrics: self,
            name,
            labels,
            began: Instant::now(),
        }
    }

    fn send(self, kind: MetricKind, name: &str, value: f64, labels: Labels<'_>) {
        if !value.is_finite() {
            return;
        }
        let metric = Metric {
            name: name.to_owned(),
            kind,
            value,
            labels: labels
                .iter()
                .map(|(label, value)| ((*label).to_owned(), (*value).to_owned()))
                .collect(),
            service: self.context.service().to_owned(),
        };
        // What is too long to be a metric is none.
        let _ = self.context.call().link.push(&Message::Metric(metric).into_frame());
    }
}

/// Measures how long it lives. Made by [`Metrics::timer`].
#[derive(Debug)]
#[must_use = "it measures until it is dropped"]
pub struct Timer<'a> {
    metrics: Metrics<'a>,
    name: &'a str,
    labels: Labels<'a>,
    began: Instant,
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        self.metrics
            .observe(self.name, self.began.elapsed().as_secs_f64(), self.labels);
    }
}
