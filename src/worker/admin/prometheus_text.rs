//! The snapshot as the text that Prometheus reads, version 0.0.4 of its format. The table of families says
//! what is published.

use std::fmt::Write;

use crate::metrics::families::{self as f, Family, MetricKind};
use crate::metrics::{AppMetricTotal, OTHER, Snapshot};
use crate::scoreboard::{self, AppMetricKind, BOUNDS_MS, RouteCounts};

/// The content type of the text.
pub(super) const CONTENT: &str = "text/plain; version=0.0.4; charset=utf-8";

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Writes all metrics.
pub(super) fn render(snapshot: &Snapshot) -> String {
    let mut text = MetricsText::default();
    service(&mut text, snapshot);
    slots(&mut text, snapshot);
    master(&mut text, snapshot);
    for (name, metric) in &snapshot.totals.app_metrics {
        text.app_metric(name, metric);
    }
    text.0
}

fn service(text: &mut MetricsText, snapshot: &Snapshot) {
    let totals = &snapshot.totals;
    let answers = totals.routes.iter().flat_map(|(name, counts)| {
        let classes = CLASSES.iter().zip(counts.classes);
        let seen = classes.filter(|(_, count)| *count > 0);
        let (method, route) = method_and_template(name);
        seen.map(move |(class, count)| (vec![route, method, *class], number(count)))
    });
    text.numbers(f::REQUESTS, answers);
    text.durations(f::DURATION, totals.routes.iter());
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
        text.number(family, Some(number(totals.counter(counter))));
    }
    text.number(f::IN_FLIGHT, Some(number(snapshot.in_flight)));
    text.number(f::CONNECTIONS, Some(number(snapshot.connections)));
    text.number(f::UPGRADED, Some(number(snapshot.upgraded)));
    text.number(f::STREAMS, Some(number(snapshot.streams)));
    text.number(f::WORKERS_CPU, Some(seconds(totals.cpu_ms)));
}

fn slots(text: &mut MetricsText, snapshot: &Snapshot) {
    let by_name = |(name, count): (&'_ String, &u64)| (vec![name.clone()], number(*count));
    text.numbers(f::EXITS, snapshot.exits.iter().map(by_name));
    text.numbers(f::SLOTS, snapshot.states.iter().map(by_name));
    text.number(f::DRAINING, Some(number(snapshot.draining)));
    let mut by_slot = |family, of: &dyn Fn(&crate::metrics::SlotFacts) -> Option<f64>| {
        let known = snapshot.slots.iter();
        let numbers = known.filter_map(|slot| Some((vec![slot.slot.to_string()], of(slot)?)));
        text.numbers(family, numbers);
    };
    by_slot(f::QUEUE, &|slot| slot.queue.map(number));
    by_slot(f::WEIGHT, &|slot| Some(slot.weight));
    by_slot(f::BEAT_AGE, &|slot| slot.beat_age_ms.map(seconds));
    by_slot(f::WORKER_CONNECTIONS, &|slot| Some(number(slot.connections)));
    by_slot(f::WORKER_MEMORY, &|slot| slot.rss_bytes.map(number));
    by_slot(f::WORKER_GENERATION, &|slot| Some(number(slot.generation)));
}

fn master(text: &mut MetricsText, snapshot: &Snapshot) {
    let master = &snapshot.master;
    text.number(f::GENERATION, Some(number(master.generation)));
    text.number(f::INCARNATION, Some(number(master.incarnation)));
    text.number(f::UPTIME, Some(seconds(master.uptime_ms)));
    text.number(f::MASTER_MEMORY, master.rss_bytes.map(number));
    text.number(f::MASTER_CPU, master.cpu_ms.map(seconds));
    text.number(f::MASTER_FDS, Some(number(master.fds)));
}

/// Takes the name of a route apart.
fn method_and_template(route: &str) -> (&str, &str) {
    route.split_once(' ').unwrap_or((OTHER, OTHER))
}

#[expect(clippy::cast_precision_loss, reason = "the text's numbers are of this kind")]
fn number(value: u64) -> f64 {
    value as f64
}

fn seconds(ms: u64) -> f64 {
    number(ms) / 1e3
}

/// The text as far as it is written: one family after the other, each with its help, its kind and its
/// samples. A family without a sample is left out.
#[derive(Default)]
struct MetricsText(String);

impl MetricsText {
    /// One number without a label, if it is known.
    fn number(&mut self, family: Family, value: Option<f64>) {
        self.numbers(family, value.map(|value| ([""; 0], value)));
    }

    /// One number for each set of label values.
    fn numbers<L, S>(&mut self, family: Family, numbers: impl IntoIterator<Item = (L, f64)>)
    where
        L: AsRef<[S]>,
        S: AsRef<str>,
    {
        for (index, (values, value)) in numbers.into_iter().enumerate() {
            if index == 0 {
                self.head(family.name, family.help, family.kind);
            }
            let values = values.as_ref().iter().map(AsRef::as_ref);
            let labels: Vec<_> = family.labels.iter().copied().zip(values).collect();
            self.sample(family.name, "", &labels, value);
        }
    }

    fn durations<'a>(&mut self, family: Family, routes: impl Iterator<Item = (&'a String, &'a RouteCounts)>) {
        let timed = routes.filter(|(_, counts)| counts.buckets.iter().any(|count| *count > 0));
        for (index, (name, counts)) in timed.enumerate() {
            if index == 0 {
                self.head(family.name, family.help, family.kind);
            }
            let (method, route) = method_and_template(name);
            let labels: Vec<_> = family.labels.iter().copied().zip([route, method]).collect();
            self.histogram(family.name, &labels, counts);
        }
    }

    /// Prometheus counts in each bucket what is in the smaller buckets, too.
    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], counts: &RouteCounts) {
        let bounds = BOUNDS_MS.iter().map(|ms| (ms / 1e3).to_string());
        let bounds = bounds.chain(["+Inf".to_owned()]);
        let mut so_far: u64 = 0;
        for (bound, count) in bounds.zip(counts.buckets) {
            so_far = so_far.saturating_add(count);
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.sample(name, "_bucket", &labels, number(so_far));
        }
        self.sample(name, "_sum", labels, number(counts.sum_ns) / 1e9);
        self.sample(name, "_count", labels, number(so_far));
    }

    /// One of the application's metrics.
    fn app_metric(&mut self, name: &str, metric: &AppMetricTotal) {
        let kind = match metric.kind {
            AppMetricKind::Counter => MetricKind::Counter,
            AppMetricKind::Gauge | AppMetricKind::Shared => MetricKind::Gauge,
        };
        self.head(name, &metric.help, kind);
        self.sample(name, "", &[], number(metric.value));
    }

    fn head(&mut self, name: &str, help: &str, kind: MetricKind) {
        self.0.push_str("# HELP ");
        self.0.push_str(name);
        self.0.push(' ');
        self.escaped(help, false);
        let kind = kind.as_str();
        // A `String` takes everything.
        let _written = write!(self.0, "\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        self.0.push_str(suffix);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            self.escaped(value, true);
            self.0.push('"');
        }
        self.0.push_str(if labels.is_empty() { " " } else { "} " });
        self.float(value);
        self.0.push('\n');
    }

    /// Backslashes and line feeds are escaped everywhere, quotes only in the value of a label.
    fn escaped(&mut self, text: &str, is_label: bool) {
        for char in text.chars() {
            match char {
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                '"' if is_label => self.0.push_str("\\\""),
                other => self.0.push(other),
            }
        }
    }

    fn float(&mut self, value: f64) {
        if value.is_infinite() {
            self.0.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
        } else {
            // Not a number is written as `NaN`, as the format wants it.
            let _written = write!(self.0, "{value}");
        }
    }
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
        let text = render(&snapshot());
        for line in [
            "# HELP cluster_http_requests_total Requests answered, by the template of the route that matched, \
             method and class of status.",
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
        let text = render(&snapshot());
        for family in FAMILIES {
            let line = format!("# TYPE {} {}", family.name, family.kind.as_str());
            assert_eq!(
                text.lines().filter(|found| *found == line).count(),
                1,
                "{line}\n{text}"
            );
        }
    }

    /// One sample as a reader has it: name, labels, value.
    type Decoded = (String, Vec<(String, String)>, f64);

    /// The samples and helps of a text, read by the grammar of the format, version 0.0.4, and strictly.
    fn decode(text: &str) -> (Vec<Decoded>, Vec<(String, String)>) {
        let (mut samples, mut helps) = (Vec::new(), Vec::new());
        for line in text.strip_suffix('\n').expect("the last line ends").split('\n') {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect("a help");
                helps.push((name.to_owned(), unescaped(help, "\\n")));
            } else if !line.starts_with("# TYPE ") {
                samples.push(sample(line));
            }
        }
        (samples, helps)
    }

    fn sample(line: &str) -> Decoded {
        let end = line.find([' ', '{']).expect("the end of a name");
        let (name, mut rest) = line.split_at(end);
        let mut labels = Vec::new();
        if rest.starts_with('{') {
            while !rest.starts_with('}') {
                let (label, value) = rest[1..].split_once("=\"").expect("a label");
                let end = end_of_quoted(value);
                labels.push((label.to_owned(), unescaped(&value[..end], "\\n\"")));
                rest = &value[end + 1..];
            }
            rest = &rest[1..];
        }
        let value = rest.strip_prefix(' ').expect("one space before the value");
        (name.to_owned(), labels, value.parse().expect("a number"))
    }

    fn end_of_quoted(text: &str) -> usize {
        let mut is_escaped = false;
        text.find(|char| {
            let is_end = char == '"' && !is_escaped;
            is_escaped = char == '\\' && !is_escaped;
            is_end
        })
        .expect("a closing quote")
    }

    fn unescaped(text: &str, escapes: &str) -> String {
        let (mut plain, mut chars) = (String::new(), text.chars());
        while let Some(char) = chars.next() {
            let escape = (char == '\\').then(|| chars.next().expect("an escaped character"));
            if let Some(escape) = escape {
                assert!(escapes.contains(escape), "\\{escape} is no escape here: {text}");
            }
            plain.push(match escape {
                Some('n') => '\n',
                Some(other) => other,
                None => char,
            });
        }
        plain
    }

    proptest::proptest! {
        /// Whatever a route or an explanation contains, a reader gets it back as it was.
        #[test]
        fn what_is_written_is_read_back(
            template in "[^ ]{0,20}|[\\\\\"\n{},=]{0,8}",
            help in "\\PC{0,20}|[\\\\\"\n ]{0,8}",
            count in 1..1_u64 << 53,
            ms in 0..1_u64 << 53,
        ) {
            let mut snapshot = snapshot();
            let mut counts = RouteCounts { classes: [0, count, 0, 0, 0], ..RouteCounts::default() };
            counts.buckets[16] = count;
            snapshot.totals.routes = [(format!("PUT {template}"), counts)].into();
            snapshot.master.uptime_ms = ms;
            snapshot.totals.app_metrics.get_mut("shop_parked_total").expect("one").help = help.clone();
            let (samples, helps) = decode(&render(&snapshot));
            let owned = |text: &str| text.to_owned();
            let labels = vec![(owned("route"), template), (owned("method"), owned("PUT"))];
            let class = vec![(owned("status"), owned("2xx"))];
            let bucket = vec![(owned("le"), owned("+Inf"))];
            let value = count as f64;
            for expected in [
                (owned("cluster_http_requests_total"), [labels.clone(), class].concat(), value),
                (owned("cluster_http_request_duration_seconds_bucket"), [labels.clone(), bucket].concat(), value),
                (owned("cluster_http_request_duration_seconds_count"), labels, value),
                (owned("cluster_uptime_seconds"), Vec::new(), ms as f64 / 1e3),
            ] {
                proptest::prop_assert!(samples.contains(&expected), "{expected:?} is not in {samples:?}");
            }
            let expected = (owned("shop_parked_total"), help);
            proptest::prop_assert!(helps.contains(&expected), "{expected:?} is not in {helps:?}");
        }
    }

    #[test]
    fn numbers_that_are_none_are_written_as_the_format_wants() {
        let mut snapshot = snapshot();
        for (weight, expected) in [
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
            (1e21, "1000000000000000000000"),
            (5e-7, "0.0000005"),
        ] {
            snapshot.slots[0].weight = weight;
            let line = format!("cluster_steering_weight{{slot=\"0\"}} {expected}\n");
            assert!(render(&snapshot).contains(&line), "{line}");
        }
    }

    #[test]
    fn a_family_without_a_sample_is_left_out() {
        let text = render(&Snapshot::default());
        assert!(!text.contains("cluster_worker_exits_total"), "{text}");
        assert!(text.contains("cluster_uptime_seconds 0\n"), "{text}");
    }
}
