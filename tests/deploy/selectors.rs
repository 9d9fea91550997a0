//! What one manifest says of another: selectors, names of ports, and the list of the files.

use serde_json::Value;

use crate::folder::{Folder, all, list, text};

/// Whether all of these labels are among those.
fn selects(selector: &Value, labels: &Value) -> bool {
    let selector = selector.as_object().filter(|selector| !selector.is_empty());
    selector.is_some_and(|selector| selector.iter().all(|(key, value)| labels[key] == *value))
}

/// The pods that these labels select.
fn selected(folder: &Folder, selector: &Value) -> usize {
    let labels = folder.pods().map(|pod| &pod.template["metadata"]["labels"]);
    labels.filter(|labels| selects(selector, labels)).count()
}

/// A file that no kustomization names is never applied, and a name without a file applies nothing at all.
pub(crate) fn every_manifest_is_applied() {
    for folder in all() {
        let resources = list(&folder.kustomization["resources"]).iter().map(text);
        let (folders, mut files): (Vec<_>, Vec<_>) = resources.partition(|name| name.starts_with(".."));
        for other in folders {
            assert!(
                folder.path.join(other).join("kustomization.yaml").exists(),
                "{other}"
            );
        }
        files.push("kustomization.yaml");
        files.sort_unstable();
        assert_eq!(files, folder.files(), "{}", folder.path.display());
        for generator in list(&folder.kustomization["configMapGenerator"]) {
            for file in list(&generator["files"]).iter().map(text) {
                assert!(folder.path.join(file).exists(), "{file}");
            }
        }
    }
}

pub(crate) fn selectors_match() {
    let mut looked_at = 0;
    for folder in all() {
        for pod in folder.pods() {
            let labels = &pod.template["metadata"]["labels"];
            assert!(
                selects(&pod.owner["spec"]["selector"]["matchLabels"], labels),
                "{}",
                pod.name()
            );
            let service = &pod.owner["spec"]["serviceName"];
            let mut services = folder.of_kind("Service");
            let headless =
                |other: &Value| other["metadata"]["name"] == *service && other["spec"]["clusterIP"] == "None";
            assert!(
                service.is_null() || services.any(headless),
                "no headless service {service}"
            );
        }
        for service in folder.of_kind("Service") {
            assert_eq!(selected(&folder, &service["spec"]["selector"]), 1, "{service}");
            for port in list(&service["spec"]["ports"]) {
                let named = |pod: &Value| {
                    list(&pod["ports"])
                        .iter()
                        .any(|known| known["name"] == port["targetPort"])
                };
                assert!(
                    folder.pods().any(|pod| named(pod.container())),
                    "no port of {port}"
                );
            }
            looked_at += 1;
        }
        for budget in folder.of_kind("PodDisruptionBudget") {
            assert_eq!(
                selected(&folder, &budget["spec"]["selector"]["matchLabels"]),
                1,
                "{budget}"
            );
            // With one pod, minAvailable would keep its node from ever being emptied.
            assert!(budget["spec"]["minAvailable"].is_null(), "{budget}");
            looked_at += 1;
        }
    }
    assert!(looked_at >= 3, "only {looked_at} selectors were found");
}

pub(crate) fn monitors_find_ports() {
    let folders = all();
    let monitors: Vec<&Value> = folders
        .iter()
        .flat_map(|folder| folder.of_kind("ServiceMonitor"))
        .collect();
    assert!(!monitors.is_empty(), "no ServiceMonitor was found");
    for monitor in monitors {
        let selector = &monitor["spec"]["selector"]["matchLabels"];
        // Each folder with pods is a shop of its own, and only one of them is applied.
        for folder in folders.iter().filter(|folder| folder.pods().next().is_some()) {
            let found = folder
                .of_kind("Service")
                .filter(|service| selects(selector, &service["metadata"]["labels"]));
            let found: Vec<_> = found.collect();
            let place = folder.path.display();
            assert_eq!(
                found.len(),
                1,
                "{place}: a pod that two services show is scraped twice: {monitor}"
            );
            for endpoint in list(&monitor["spec"]["endpoints"]) {
                let ports = list(&found[0]["spec"]["ports"]);
                assert!(
                    ports.iter().any(|port| port["name"] == endpoint["port"]),
                    "{endpoint}"
                );
                assert_eq!(endpoint["path"], "/metrics");
            }
        }
    }
}

/// What scales pods and what guards their network name pods that there are.
pub(crate) fn policies_find_pods() {
    let (mut scalers, mut policies) = (0, 0);
    for folder in all() {
        for scaler in folder.of_kind("HorizontalPodAutoscaler") {
            let target = &scaler["spec"]["scaleTargetRef"];
            let is_there = folder.pods().any(|pod| {
                pod.owner["kind"] == target["kind"] && pod.owner["metadata"]["name"] == target["name"]
            });
            assert!(is_there, "{scaler}");
            scalers += 1;
        }
        for policy in folder.of_kind("NetworkPolicy") {
            let selector = &policy["spec"]["podSelector"]["matchLabels"];
            let finds =
                |pod: &super::folder::PodTemplate<'_>| selects(selector, &pod.template["metadata"]["labels"]);
            assert!(folder.pods().any(|pod| finds(&pod)), "{policy}");
            policies += 1;
        }
    }
    assert!(scalers >= 1 && policies >= 1);
}
