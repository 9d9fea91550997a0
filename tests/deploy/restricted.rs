//! The "restricted" profile of Kubernetes' Pod Security Standards, as far as a pod of ours could violate it
//! (<https://kubernetes.io/docs/concepts/security/pod-security-standards/>).

use serde_json::{Value, json};

use crate::folder::{for_each_pod, list};

/// Kinds of volumes that the profile allows.
const VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// What the profile forbids in this specification of a pod.
fn violations(spec: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut require = |holds: bool, what: String| {
        if !holds {
            found.push(what);
        }
    };
    for name in ["hostNetwork", "hostPID", "hostIPC"] {
        require(spec[name] != true, format!("{name} is true"));
    }
    for volume in list(&spec["volumes"]) {
        let kinds = volume.as_object().expect("a volume").keys();
        for kind in kinds.filter(|key| *key != "name") {
            require(VOLUMES.contains(&kind.as_str()), format!("a volume is a {kind}"));
        }
    }
    let pod = &spec["securityContext"];
    let containers = ["initContainers", "containers"].map(|key| list(&spec[key]));
    for container in containers.into_iter().flatten() {
        let own = &container["securityContext"];
        let either = |key: &str| if own[key].is_null() { &pod[key] } else { &own[key] };
        let name = &container["name"];
        require(
            either("runAsNonRoot") == true,
            format!("{name}: runAsNonRoot is not true"),
        );
        require(either("runAsUser") != 0, format!("{name}: runAsUser is 0"));
        let profile = &either("seccompProfile")["type"];
        let confined = profile == "RuntimeDefault" || profile == "Localhost";
        require(confined, format!("{name}: the seccomp profile is {profile}"));
        require(own["privileged"] != true, format!("{name}: privileged"));
        let escalation = &own["allowPrivilegeEscalation"];
        require(
            escalation == false,
            format!("{name}: allowPrivilegeEscalation is not false"),
        );
        let capabilities = &own["capabilities"];
        let all = list(&capabilities["drop"]).contains(&json!("ALL"));
        require(all, format!("{name}: not all capabilities are dropped"));
        let added = list(&capabilities["add"]);
        let harmless = added.iter().all(|added| added == "NET_BIND_SERVICE");
        require(harmless, format!("{name}: capabilities are added"));
        let ports = list(&container["ports"]);
        let of_host = ports.iter().any(|port| !port["hostPort"].is_null());
        require(!of_host, format!("{name}: a port of the host"));
    }
    found
}

/// Beyond the profile: the program writes to its volumes alone, and has no key to Kubernetes.
pub(crate) fn pods_are_restricted() {
    for_each_pod(|pod| {
        assert_eq!(violations(pod.spec()), Vec::<String>::new(), "{}", pod.name());
        let own = &pod.container()["securityContext"];
        assert_eq!(own["readOnlyRootFilesystem"], true, "{}", pod.name());
        assert_eq!(
            pod.spec()["automountServiceAccountToken"],
            false,
            "{}",
            pod.name()
        );
    });
}

/// The rules bite: each change of a good pod is found.
pub(crate) fn violations_are_found() {
    let changes: &[(&str, Value)] = &[
        ("/hostPID", json!(true)),
        ("/securityContext/runAsNonRoot", json!(false)),
        ("/securityContext/runAsUser", json!(0)),
        ("/securityContext/seccompProfile/type", json!("Unconfined")),
        ("/containers/0/securityContext/privileged", json!(true)),
        (
            "/containers/0/securityContext/allowPrivilegeEscalation",
            json!(true),
        ),
        (
            "/containers/0/securityContext/capabilities/drop",
            json!(["CHOWN"]),
        ),
        (
            "/containers/0/securityContext/capabilities/add",
            json!(["SYS_ADMIN"]),
        ),
        ("/containers/0/ports/0/hostPort", json!(80)),
        ("/volumes/0/hostPath", json!({ "path": "/" })),
    ];
    for_each_pod(|pod| {
        for (place, value) in changes {
            let mut spec = pod.spec().clone();
            let (parent, key) = place.rsplit_once('/').expect("a path");
            let parent = spec
                .pointer_mut(parent)
                .unwrap_or_else(|| panic!("{place} has no parent"));
            parent[key] = value.clone();
            assert_eq!(
                violations(&spec).len(),
                1,
                "{place} = {value}: {:?}",
                violations(&spec)
            );
        }
    });
}
