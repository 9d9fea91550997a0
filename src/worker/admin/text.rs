//! The snapshot as the text that Prometheus reads, written by its library's encoder. What is published is the table's to say.

use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::metrics::families::{self as f, Family, MetricKind};
use crate::metrics::{AppMetricTotal, OTHER, Snapshot};
use crate::scoreboard::{self, AppMetricKind, BOUNDS_MS, RouteCounts};

/// What the text is.
pub(super) const CONTENT: &str = "text/plain; version=0.0.4; charset=utf-8";

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// All of it.
pub(super) fn render(snapshot: &Snapshot) -> Result<String, prometheus::Error> {
    let mut sheet = Sheet::default();
    service(&mut sheet, snapshot);
    slots(&mut sheet, snapshot);
    master(&mut sheet, snapshot);
    for (name, own) in &snapshot.totals.app_metrics {
        sheet.own(name, own);
    }
    TextEncoder::new().encode_to_string(&sheet.families)
}

fn service(sheet: &mut Sheet, snapshot: &Snapshot) {
    let totals = &snapshot.totals;
    let answers = totals.routes.iter().flat_map(|(name, counts)| {
        let classes = CLASSES.iter().zip(counts.classes);
        let seen = classes.filter(|(_, many)| *many > 0);
        seen.map(move |(class, many)| {
            let (method, route) = apart(name);
            (vec![route, method, (*class).to_owned()], number(many))
        })
    });
    sheet.numbers(f::REQUESTS, answers);
    sheet.durations(f::DURATION, totals.routes.iter());
    use scoreboard::Counter as C;
    for (family, counter) in [
        (f::STARTED, C::Requests),
        (f::PANICS, C::Panics),
        (f::REQUEST_TIMEOUTS, C::RequestTimeouts),
        (f::HEADER_TIMEOUTS, C::HeaderTimeouts),
        (f::ACCEPTED, C::Accepted),
        (f::REFUSED, C::Refused),
        (f::CUT, C::Cut),
        (f::LOG_LINES_DROPPED, C::LogLinesDropped),
    ] {
        sheet.number(family, Some(number(totals.counter(counter))));
    }
    sheet.number(f::IN_FLIGHT, Some(number(snapshot.in_flight)));
    sheet.number(f::CONNECTIONS, Some(number(snapshot.connections)));
    sheet.number(f::WORKERS_CPU, Some(seconds(totals.cpu_ms)));
}

fn slots(sheet: &mut Sheet, snapshot: &Snapshot) {
    let by_name = |(name, many): (&'_ String, &u64)| (vec![name.clone()], number(*many));
    sheet.numbers(f::EXITS, snapshot.exits.iter().map(by_name));
    sheet.numbers(f::SLOTS, snapshot.states.iter().map(by_name));
    sheet.number(f::DRAINING, Some(number(snapshot.draining)));
    let mut by_slot = |family, of: &dyn Fn(&crate::metrics::SlotFacts) -> Option<f64>| {
        let known = snapshot.slots.iter();
        let numbers = known.filter_map(|slot| Some((vec![slot.slot.to_string()], of(slot)?)));
        sheet.numbers(family, numbers);
    };
    by_slot(f::QUEUE, &|slot| slot.queue.map(number));
    by_slot(f::WEIGHT, &|slot| Some(slot.weight));
    by_slot(f::BEAT_AGE, &|slot| slot.beat_age_ms.map(seconds));
    by_slot(f::WORKER_CONNECTIONS, &|slot| Some(number(slot.connections)));
    by_slot(f::WORKER_MEMORY, &|slot| slot.rss_bytes.map(number));
    by_slot(f::WORKER_GENERATION, &|slot| Some(number(slot.generation)));
}

fn master(sheet: &mut Sheet, snapshot: &Snapshot) {
    let master = &snapshot.master;
    sheet.number(f::GENERATION, Some(number(master.generation)));
    sheet.number(f::INCARNATION, Some(number(master.incarnation)));
    sheet.number(f::UPTIME, Some(seconds(master.uptime_ms)));
    sheet.number(f::MASTER_MEMORY, master.rss_bytes.map(number));
    sheet.number(f::MASTER_CPU, master.cpu_ms.map(seconds));
    sheet.number(f::MASTER_FDS, Some(number(master.fds)));
}

/// Method and template.
fn apart(route: &str) -> (String, String) {
    match route.split_once(' ') {
        Some((method, template)) => (method.to_owned(), template.to_owned()),
        None => (OTHER.to_owned(), OTHER.to_owned()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "the text's numbers are of this kind")]
fn number(value: u64) -> f64 {
    value as f64
}

fn seconds(ms: u64) -> f64 {
    number(ms) / 1e3
}

/// The families in the order of the table.
#[derive(Default)]
struct Sheet {
    families: Vec<MetricFamily>,
}

impl Sheet {
    /// One number without a label, if it is known.
    fn number(&mut self, family: Family, value: Option<f64>) {
        self.numbers(family, value.map(|value| (Vec::<String>::new(), value)));
    }

    /// One number for each set of labels.
    fn numbers<L: Into<String>>(&mut self, family: Family, numbers: impl IntoIterator<Item = (Vec<L>, f64)>) {
        let metrics = numbers.into_iter().map(|(labels, value)| {
            let mut metric = labelled(family, labels);
            put(&mut metric, family.kind, value);
            metric
        });
        self.push(family.name, family.help, family.kind, metrics.collect());
    }

    fn durations<'a>(&mut self, family: Family, routes: impl Iterator<Item = (&'a String, &'a RouteCounts)>) {
        let metrics = routes
            .filter(|(_, counts)| counts.buckets.iter().any(|many| *many > 0))
            .map(|(name, counts)| {
                let (method, route) = apart(name);
                let mut metric = labelled(family, vec![route, method]);
                metric.set_histogram(histogram(counts));
                metric
            });
        self.push(family.name, family.help, family.kind, metrics.collect());
    }

    /// One of the application's.
    fn own(&mut self, name: &str, own: &AppMetricTotal) {
        let kind = match own.kind {
            AppMetricKind::Counter => MetricKind::Counter,
            AppMetricKind::Gauge | AppMetricKind::Shared => MetricKind::Gauge,
        };
        let mut metric = Metric::default();
        put(&mut metric, kind, number(own.value));
        self.push(name, &own.help, kind, vec![metric]);
    }

    /// A family of which nothing is known yet is left out.
    fn push(&mut self, name: &str, help: &str, kind: MetricKind, metrics: Vec<Metric>) {
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(match kind {
            MetricKind::Counter => MetricType::COUNTER,
            MetricKind::Gauge => MetricType::GAUGE,
            MetricKind::Histogram => MetricType::HISTOGRAM,
        });
        family.set_metric(metrics);
        self.families.push(family);
    }
}

fn labelled<L: Into<String>>(family: Family, values: Vec<L>) -> Metric {
    let pairs = family.labels.iter().zip(values).map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value.into());
        pair
    });
    Metric::from_label(pairs.collect())
}

fn put(metric: &mut Metric, kind: MetricKind, value: f64) {
    if kind == MetricKind::Counter {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
}

/// Prometheus counts in each bucket what is in the smaller ones, too. The last one is the encoder's to write.
fn histogram(counts: &RouteCounts) -> Histogram {
    let mut below: u64 = 0;
    let buckets = BOUNDS_MS.iter().zip(counts.buckets).map(|(bound, many)| {
        below = below.saturating_add(many);
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound / 1e3);
        bucket.set_cumulative_count(below);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    let all = counts
        .buckets
        .iter()
        .fold(0_u64, |sum, many| sum.saturating_add(*many));
    histogram.set_sample_count(all);
    histogram.set_sample_sum(number(counts.sum_ns) / 1e9);
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Monotonic;
    use crate::metrics::{FAMILIES, SlotFacts};

    fn snapshot() -> Snapshot {
        let mut counts = RouteCounts {
            classes: [0, 3, 0, 0, 1],
            sum_ns: 61_500_000_000,
            ..RouteCounts::default()
        };
        counts.buckets[0] = 2;
        counts.buckets[2] = 1;
        counts.buckets[16] = 1;
        let mut snapshot = Snapshot::default();
        snapshot
            .totals
            .routes
            .insert("GET /a/{id}\"\\".to_owned(), counts);
        snapshot
            .totals
            .routes
            .insert(OTHER.to_owned(), RouteCounts::default());
        let parked = AppMetricTotal {
            kind: AppMetricKind::Counter,
            help: "Sagas parked.".to_owned(),
            value: 7,
            reported: Monotonic(0),
        };
        snapshot
            .totals
            .app_metrics
            .insert("shop_parked_total".to_owned(), parked);
        snapshot.slots = vec![SlotFacts {
            beat_age_ms: Some(250),
            queue: Some(3),
            rss_bytes: Some(4096),
            ..SlotFacts::default()
        }];
        snapshot.exits = [("signal".to_owned(), 2)].into();
        snapshot.states = [("serving".to_owned(), 1)].into();
        (snapshot.master.rss_bytes, snapshot.master.cpu_ms) = (Some(1), Some(1500));
        snapshot
    }

    #[test]
    fn it_reads_as_prometheus_reads_it() {
        let text = render(&snapshot()).expect("a text");
        for line in [
            "# HELP cluster_http_requests_total Requests answered, by the template of the route that matched, method and class of status.",
            "# TYPE cluster_http_requests_total counter",
            r#"cluster_http_requests_total{route="/a/{id}\"\\",method="GET",status="2xx"} 3"#,
            r#"cluster_http_request_duration_seconds_bucket{route="/a/{id}\"\\",method="GET",le="0.0005"} 2"#,
            r#"cluster_http_request_duration_seconds_bucket{route="/a/{id}\"\\",method="GET",le="60"} 3"#,
            r#"cluster_http_request_duration_seconds_bucket{route="/a/{id}\"\\",method="GET",le="+Inf"} 4"#,
            r#"cluster_http_request_duration_seconds_sum{route="/a/{id}\"\\",method="GET"} 61.5"#,
            r#"cluster_http_request_duration_seconds_count{route="/a/{id}\"\\",method="GET"} 4"#,
            r#"cluster_worker_beat_age_seconds{slot="0"} 0.25"#,
            r#"cluster_worker_exits_total{cause="signal"} 2"#,
            "process_cpu_seconds_total 1.5",
            "# HELP shop_parked_total Sagas parked.",
            "shop_parked_total 7",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn every_family_of_the_table_is_written_under_its_kind() {
        let text = render(&snapshot()).expect("a text");
        for family in FAMILIES {
            let line = format!("# TYPE {} {}", family.name, family.kind.as_str());
            assert_eq!(
                text.lines().filter(|found| *found == line).count(),
                1,
                "{line}\n{text}"
            );
        }
    }
}
