//! What services measure: counters, gauges and histograms by names and labels of their own, of a bounded number.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tenon_protocol::worker::{Metric, MetricKind};

/// How long the value of a label may be; the rest is cut off.
const LABEL_CHARS_MAX: usize = 200;
/// How many labels a measurement may have.
const LABELS_MAX: usize = 20;
/// The upper bounds of a histogram's buckets, in seconds if it is a duration.
const BOUNDS: [f64; 14] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0,
];

type Labels = Vec<(String, String)>;

/// The series of all services.
#[derive(Debug)]
pub(crate) struct ServiceMetrics {
    series_max: usize,
    families: HashMap<String, AnyFamily>,
    series: HashSet<(String, Labels)>,
    /// Names of which was told already that they can't be.
    told: HashSet<String>,
}

#[derive(Debug)]
enum AnyFamily {
    Counter(Family<Labels, Counter<f64, AtomicU64>>),
    Gauge(Family<Labels, Gauge<f64, AtomicU64>>),
    Histogram(Family<Labels, Histogram>),
}

impl AnyFamily {
    fn kind(&self) -> MetricKind {
        match self {
            AnyFamily::Counter(_) => MetricKind::Counter,
            AnyFamily::Gauge(_) => MetricKind::Gauge,
            AnyFamily::Histogram(_) => MetricKind::Histogram,
        }
    }
}

impl ServiceMetrics {
    /// No more series than that.
    pub(crate) fn new(series_max: usize) -> Self {
        Self {
            series_max,
            families: HashMap::new(),
            series: HashSet::new(),
            told: HashSet::new(),
        }
    }

    /// Takes a measurement; false if it is left out.
    pub(crate) fn take(&mut self, metric: &Metric, registry: &mut Registry) -> bool {
        let name = name_of(&metric.name);
        let wrong = match (&metric.kind, metric.value) {
            _ if name.is_empty() => Some("it has no name"),
            (_, value) if !value.is_finite() => Some("its value is no number"),
            (MetricKind::Counter, value) if value < 0.0 => Some("a counter can't be made smaller"),
            (kind, _) if self.families.get(&name).is_some_and(|family| family.kind() != *kind) => {
                Some("it is of another kind than before")
            }
            _ => None,
        };
        let labels = labels_of(metric);
        let key = (name.clone(), labels.clone());
        let is_new = !self.series.contains(&key);
        let wrong = wrong.or_else(|| {
            (is_new && self.series.len() >= self.series_max).then_some("there are as many series as the settings allow")
        });
        if let Some(wrong) = wrong {
            // Names come from services: what is remembered of them is bounded too.
            if self.told.len() < self.series_max && self.told.insert(name) {
                tracing::warn!(
                    service = metric.service,
                    metric = metric.name,
                    "the metric '{}' is left out: {wrong}",
                    metric.name
                );
            }
            return false;
        }
        if is_new {
            self.series.insert(key);
        }
        self.family(name, metric.kind, registry).add(&labels, metric.value);
        true
    }

    fn family(&mut self, name: String, kind: MetricKind, registry: &mut Registry) -> &AnyFamily {
        self.families.entry(name).or_insert_with_key(|name| {
            let help = "Measured by services";
            match kind {
                MetricKind::Counter => {
                    let family = Family::default();
                    registry.register(name.trim_end_matches("_total"), help, Family::clone(&family));
                    AnyFamily::Counter(family)
                }
                MetricKind::Gauge => {
                    let family = Family::default();
                    registry.register(name, help, Family::clone(&family));
                    AnyFamily::Gauge(family)
                }
                MetricKind::Histogram => {
                    let family = Family::new_with_constructor((|| Histogram::new(BOUNDS)) as fn() -> Histogram);
                    registry.register(name, help, Family::clone(&family));
                    AnyFamily::Histogram(family)
                }
            }
        })
    }
}

impl AnyFamily {
    fn add(&self, labels: &Labels, value: f64) {
        match self {
            AnyFamily::Counter(family) => {
                family.get_or_create(labels).inc_by(value);
            }
            AnyFamily::Gauge(family) => {
                family.get_or_create(labels).set(value);
            }
            AnyFamily::Histogram(family) => family.get_or_create(labels).observe(value),
        }
    }
}

/// A name as Prometheus has them. Names of the platform's own metrics stay its own.
fn name_of(given: &str) -> String {
    let name = identifier(given);
    if name.starts_with("tenon_") {
        format!("service_{name}")
    } else {
        name
    }
}

fn identifier(given: &str) -> String {
    let mut name: String = given
        .chars()
        .take(LABEL_CHARS_MAX)
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' })
        .collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// The service and the labels that it gave, each name once.
fn labels_of(metric: &Metric) -> Labels {
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in metric.labels.iter().take(LABELS_MAX) {
        let name = identifier(name);
        // `le` belongs to histograms, names with two underscores in front to Prometheus.
        if !(name.is_empty() || name == "le" || name.starts_with("__")) {
            labels.insert(name, value.chars().take(LABEL_CHARS_MAX).collect());
        }
    }
    labels.insert("service".to_owned(), metric.service.clone());
    labels.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str, kind: MetricKind, value: f64, labels: &[(&str, &str)]) -> Metric {
        Metric {
            name: name.to_owned(),
            kind,
            value,
            labels: labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            service: "my.service".to_owned(),
        }
    }

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn measurements_add_up_by_kind() {
        let (mut metrics, mut registry) = (ServiceMetrics::new(10), Registry::default());
        let mut take = |metric| metrics.take(&metric, &mut registry);
        assert!(take(metric("orders", MetricKind::Counter, 1.0, &[("type", "a")])));
        assert!(take(metric("orders", MetricKind::Counter, 2.5, &[("type", "a")])));
        assert!(take(metric("queue-size", MetricKind::Gauge, 5.0, &[])));
        assert!(take(metric("queue-size", MetricKind::Gauge, -1.0, &[])));
        assert!(take(metric(
            "import_seconds",
            MetricKind::Histogram,
            0.3,
            &[("service", "x"), ("le", "x")]
        )));
        assert!(!take(metric("orders", MetricKind::Gauge, 1.0, &[])), "another kind");
        assert!(!take(metric("orders", MetricKind::Counter, -1.0, &[])));
        assert!(!take(metric("orders", MetricKind::Counter, f64::NAN, &[])));
        assert!(take(metric("tenon_service_calls", MetricKind::Gauge, 1.0, &[])));
        let text = text(&registry);
        for line in [
            "orders_total{service=\"my.service\",type=\"a\"} 3.5",
            "queue_size{service=\"my.service\"} -1.0",
            "import_seconds_bucket{le=\"0.5\",service=\"my.service\"} 1",
            "service_tenon_service_calls{service=\"my.service\"} 1.0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn series_are_bounded() {
        let (mut metrics, mut registry) = (ServiceMetrics::new(3), Registry::default());
        let taken = (0..10).filter(|number| {
            let label = number.to_string();
            metrics.take(&metric("m", MetricKind::Counter, 1.0, &[("n", &label)]), &mut registry)
        });
        assert_eq!(taken.count(), 3);
        assert!(metrics.take(&metric("m", MetricKind::Counter, 1.0, &[("n", "2")]), &mut registry));
        assert_eq!(text(&registry).matches("m_total{").count(), 3);
    }
}
