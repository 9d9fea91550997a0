//! What `deploy/` ships fits together and fits the program. Nothing is installed and no cluster is needed:
//! what Kubernetes would say is checked by `deploy/kubernetes/validate`, where its validator is installed.

mod folder;
mod package;
mod pods;
mod restricted;
#[path = "../runner/mod.rs"]
mod runner;
mod selectors;
mod validator;

use std::process::ExitCode;

use runner::Test;

const TESTS: &[Test] = &[
    ("every_manifest_is_applied", selectors::every_manifest_is_applied),
    ("selectors_find_what_they_are_for", selectors::selectors_match),
    ("a_service_monitor_finds_its_port", selectors::monitors_find_ports),
    ("policies_find_their_pods", selectors::policies_find_pods),
    ("pods_are_restricted", restricted::pods_are_restricted),
    (
        "a_pod_that_is_not_restricted_is_found_out",
        restricted::violations_are_found,
    ),
    ("the_configuration_is_accepted", pods::configuration_is_accepted),
    ("the_grace_period_is_long_enough", pods::grace_period),
    ("ports_are_those_of_the_configuration", pods::ports),
    ("probes_ask_where_somebody_answers", pods::probes),
    ("volumes_and_paths_fit", pods::volumes),
    ("memory_suffices_for_all_workers", pods::memory),
    ("the_crate_has_what_a_build_needs", package::crate_is_whole),
    ("the_files_of_the_package_exist", package::assets_exist),
    ("the_unit_fits_the_package", package::unit_fits),
];

/// What needs the validator.
const VALIDATED: &[Test] = &[(
    "every_version_of_kubernetes_accepts_the_manifests",
    validator::accepts_the_manifests,
)];

fn main() -> ExitCode {
    if validator::is_there() {
        return runner::main(&[TESTS, VALIDATED].concat(), &[]);
    }
    eprintln!("SKIPPED: kubernetes-validate is not installed (deploy/kubernetes/validate --install)");
    let needs = |test: &Test| (*test, "needs kubernetes-validate");
    let ignored: Vec<(Test, &str)> = VALIDATED.iter().map(needs).collect();
    runner::main(TESTS, &ignored)
}
