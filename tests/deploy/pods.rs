//! The pods and the configuration that they run with: times, ports, probes, paths and memory.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cluster::config::{Address, Workers};
use serde_json::Value;

use crate::folder::{PodTemplate, for_each_pod, list, text};

/// What a master needs after the drain: to reap, to write, to end.
const MARGIN: Duration = Duration::from_secs(5);
/// What the master and the page tables of all processes take, generously.
const MASTER: u64 = 64 << 20;
const PROBES: &[&str] = &["startupProbe", "readinessProbe", "livenessProbe"];

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("expected a number, found {value}"))
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs(number(value))
}

/// A size as Kubernetes writes it, in bytes.
fn bytes(value: &Value) -> u64 {
    let size = text(value);
    let units = [("Ki", 10), ("Mi", 20), ("Gi", 30)];
    let unit = units
        .iter()
        .find_map(|(unit, shift)| Some((size.strip_suffix(unit)?, shift)));
    let (digits, shift) = unit.unwrap_or_else(|| panic!("{size} has no unit that is known here"));
    digits.parse::<u64>().expect("a number") << shift
}

/// Everything that is executed in the pod: its own command line and those of its probes.
fn command_lines(pod: &PodTemplate<'_>) -> Vec<Vec<String>> {
    let container = pod.container();
    let own = [&container["command"], &container["args"]].map(list).concat();
    let probes = PROBES
        .iter()
        .map(|probe| list(&container[probe]["exec"]["command"]).to_vec());
    let lines = probes.chain([own]).filter(|line| !line.is_empty());
    lines
        .map(|line| line.iter().map(|word| text(word).to_owned()).collect())
        .collect()
}

pub(crate) fn configuration_is_accepted() {
    for_each_pod(|pod| {
        let said = Command::new(env!("CARGO_BIN_EXE_cluster"))
            .args(["check", "--config"])
            .arg(pod.folder.path.join("cluster.toml"))
            .output()
            .expect("the program runs");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    });
}

pub(crate) fn grace_period() {
    for_each_pod(|pod| {
        let settings = pod.folder.settings().cluster;
        let hook = &pod.container()["lifecycle"]["preStop"]["sleep"]["seconds"];
        let hook = if hook.is_null() {
            Duration::ZERO
        } else {
            seconds(hook)
        };
        let needed = hook + settings.stop_delay + settings.drain_timeout + MARGIN;
        let grace = seconds(&pod.spec()["terminationGracePeriodSeconds"]);
        assert!(
            grace >= needed,
            "{}: {grace:?} are fewer than {needed:?}",
            pod.name()
        );
        assert!(
            hook + settings.stop_delay > Duration::ZERO,
            "{}: connections that arrive late are refused",
            pod.name()
        );
    });
}

fn port(address: &Address) -> u64 {
    match address {
        Address::Tcp(address) => {
            assert!(
                !address.ip().is_loopback(),
                "{address} cannot be reached from outside the pod"
            );
            u64::from(address.port())
        }
        Address::Unix(path) => panic!("{} is no port", path.display()),
    }
}

pub(crate) fn ports() {
    for_each_pod(|pod| {
        let settings = pod.folder.settings().cluster;
        let bound: BTreeSet<u64> = settings.bind.iter().chain(&settings.admin).map(port).collect();
        let declared = list(&pod.container()["ports"])
            .iter()
            .map(|port| number(&port["containerPort"]));
        assert_eq!(declared.collect::<BTreeSet<u64>>(), bound, "{}", pod.name());
        assert!(
            bound.iter().all(|port| *port >= 1024),
            "a port below 1024 needs a capability"
        );
    });
}

pub(crate) fn probes() {
    for_each_pod(|pod| {
        let admin = pod.folder.settings().cluster.admin.as_ref().map(port);
        for name in PROBES {
            let probe = &pod.container()[name];
            let asked = &probe["httpGet"];
            if asked.is_null() {
                let words = list(&probe["exec"]["command"]);
                assert!(
                    words.iter().any(|word| word == "health"),
                    "{name} of {}: {probe}",
                    pod.name()
                );
                continue;
            }
            let known = list(&pod.container()["ports"])
                .iter()
                .find(|port| port["name"] == asked["port"]);
            let known = known.unwrap_or_else(|| panic!("{name}: no port {}", asked["port"]));
            assert_eq!(
                known["containerPort"].as_u64(),
                admin,
                "{name} asks the admin listener"
            );
            let path = ["startup", "readiness", "liveness"].map(|word| format!("/healthz/{word}"));
            assert!(path.iter().any(|path| asked["path"] == **path), "{name}: {asked}");
        }
        liveness_is_patient(pod);
        let startup = &pod.container()["startupProbe"];
        let patience = seconds(&startup["periodSeconds"])
            * u32::try_from(number(&startup["failureThreshold"])).expect("few");
        let needed = pod.folder.settings().cluster.ready_timeout;
        assert!(
            patience > needed,
            "{patience:?} for a start, and ready_timeout is {needed:?}"
        );
    });
}

/// Whoever kills sooner than the master kills the good workers, too.
fn liveness_is_patient(pod: &PodTemplate<'_>) {
    let probe = &pod.container()["livenessProbe"];
    let patience =
        seconds(&probe["periodSeconds"]) * u32::try_from(number(&probe["failureThreshold"])).expect("few");
    let hung = pod.folder.settings().cluster.heartbeat_timeout;
    assert!(
        patience >= 2 * hung,
        "{}: {patience:?}, and heartbeat_timeout is {hung:?}",
        pod.name()
    );
}

pub(crate) fn volumes() {
    for_each_pod(|pod| {
        let claims = list(&pod.owner["spec"]["volumeClaimTemplates"])
            .iter()
            .map(|claim| &claim["metadata"]["name"]);
        let volumes = list(&pod.spec()["volumes"]);
        let known: Vec<&Value> = claims
            .chain(volumes.iter().map(|volume| &volume["name"]))
            .collect();
        let mounts = list(&pod.container()["volumeMounts"]);
        for mount in mounts {
            assert!(
                known.contains(&&mount["name"]),
                "{}: no volume of {mount}",
                pod.name()
            );
        }
        let mounted = |path: &Path| {
            mounts
                .iter()
                .find(|mount| path.starts_with(text(&mount["mountPath"])))
        };
        let data = pod.folder.settings().cluster.data_dir;
        let mount = mounted(&data).unwrap_or_else(|| panic!("{} is on no volume", data.display()));
        assert_ne!(mount["readOnly"], true, "{}", data.display());
        // The root of a volume belongs to Kubernetes, which sets its mode.
        assert_ne!(data, Path::new(text(&mount["mountPath"])), "{}", pod.name());
        for line in command_lines(pod) {
            let at = line.iter().position(|word| word == "--config");
            let path = Path::new(&line[at.expect("a configuration") + 1]);
            let mount = mounted(path).unwrap_or_else(|| panic!("{} is on no volume", path.display()));
            let volume = volumes
                .iter()
                .find(|volume| volume["name"] == mount["name"])
                .expect("a volume");
            let generators = list(&pod.folder.kustomization["configMapGenerator"]);
            let map = generators
                .iter()
                .find(|map| map["name"] == volume["configMap"]["name"])
                .expect("a generator");
            let file = path.file_name().and_then(|name| name.to_str()).expect("a name");
            assert!(
                list(&map["files"]).iter().any(|known| known == file),
                "{line:?}: {map}"
            );
        }
    });
}

pub(crate) fn memory() {
    for_each_pod(|pod| {
        let settings = pod.folder.settings().cluster;
        let Workers::Count(workers) = settings.workers else {
            panic!("{}: the number of workers is the node's", pod.name());
        };
        let most = settings
            .max_rss
            .expect("a worker that grows is replaced before the kernel kills all");
        let needed = (u64::from(workers) + 1) * most + MASTER;
        let limit = bytes(&pod.container()["resources"]["limits"]["memory"]);
        assert!(
            limit >= needed,
            "{}: {limit} bytes are fewer than {needed}",
            pod.name()
        );
    });
}
