//! A scrape as a strict reader takes it: every sample has its TYPE and HELP before it, no sample is there
//! twice, buckets add up.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::{Answer, Cluster, Plan, client};

/// Two workers of the shop, and an admin listener on a port the kernel chooses.
pub fn watched() -> Plan {
    Plan::shop().arguments(&["--admin", "127.0.0.1:0"])
}

/// Where the admin listener is.
pub fn admin(cluster: &Cluster) -> SocketAddr {
    let line = cluster.wait_for("metrics at /metrics");
    let address = line["address"].as_str().expect("an address");
    address.parse().expect("an IP address")
}

/// What one scrape said: each sample by its name and labels.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    pub samples: BTreeMap<String, f64>,
    kinds: BTreeMap<String, String>,
}

impl Scrape {
    /// One that must succeed.
    pub fn of(admin: SocketAddr) -> Scrape {
        Scrape::try_of(admin).expect("a scrape")
    }

    /// One that may fail on its way.
    pub fn try_of(admin: SocketAddr) -> Result<Scrape, String> {
        let answer = Answer::try_of(client().get(format!("http://{admin}/metrics")).call())?;
        if answer.status != 200 {
            return Err(format!("{}: {}", answer.status, answer.body));
        }
        assert_eq!(
            answer.headers["content-type"],
            "text/plain; version=0.0.4; charset=utf-8"
        );
        Ok(Scrape::read(&answer.body))
    }

    fn read(text: &str) -> Scrape {
        let mut scrape = Scrape::default();
        let mut explained = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                rest.split_once(' ')
                    .expect("an explanation")
                    .0
                    .clone_into(&mut explained);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a kind");
                assert_eq!(name, explained, "HELP comes first");
                let first = scrape.kinds.insert(name.to_owned(), kind.to_owned());
                assert_eq!(first, None, "{name} is there twice");
            } else {
                scrape.sample(line);
            }
        }
        scrape.buckets_add_up();
        scrape
    }

    fn sample(&mut self, line: &str) {
        let (name, value) = line
            .rsplit_once(' ')
            .unwrap_or_else(|| panic!("no sample: {line}"));
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(self.kind(name).is_some(), "{name} has no TYPE");
        let first = self.samples.insert(name.to_owned(), value);
        assert_eq!(first, None, "{name} is there twice");
    }

    fn kind(&self, sample: &str) -> Option<&str> {
        let name = sample.split('{').next()?;
        let histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| self.kinds.get(name.strip_suffix(suffix)?));
        self.kinds.get(name).or(histogram).map(String::as_str)
    }

    fn buckets_add_up(&self) {
        for (name, all) in &self.samples {
            if let Some((family, labels)) = name.split_once("_count{") {
                let labels = labels.trim_end_matches('}');
                let last = format!("{family}_bucket{{{labels},le=\"+Inf\"}}");
                assert_eq!(self.samples.get(&last), Some(all), "{last}");
            }
        }
    }

    /// One sample; zero while nothing was counted.
    pub fn value(&self, name: &str) -> f64 {
        self.samples.get(name).copied().unwrap_or(0.0)
    }

    /// How many answers of that kind.
    pub fn answers(&self, route: &str, method: &str, status: &str) -> f64 {
        self.value(&format!(
            "cluster_http_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}}"
        ))
    }

    /// Every sample of a family.
    pub fn family(&self, name: &str) -> BTreeMap<&str, f64> {
        let of = |sample: &&String| sample.split('{').next() == Some(name);
        let samples = self.samples.keys().filter(of);
        samples
            .map(|sample| (sample.as_str(), self.samples[sample]))
            .collect()
    }

    /// What of an earlier scrape has fallen or gone, though it only grows.
    pub fn fallen_since(&self, before: &Scrape) -> Vec<String> {
        let grows = |sample: &str| matches!(before.kind(sample), Some("counter" | "histogram"));
        let fallen = before
            .samples
            .iter()
            .filter(|(name, was)| grows(name) && self.samples.get(*name).is_none_or(|is| is < was));
        fallen
            .map(|(name, was)| format!("{name} was {was} and is {:?}", self.samples.get(name)))
            .collect()
    }
}
