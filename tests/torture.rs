//! The shipped torture, for a short while: whatever it breaks must mend. `cluster torture --secs 600` is the same for longer.

use std::process::Command;

use serde_json::Value;

fn torture(arguments: &[&str]) -> (Option<i32>, Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_cluster"))
        .args(["torture", "--json"])
        .args(arguments)
        .output()
        .expect("the program starts");
    let verdict = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), verdict, said)
}

#[test]
fn no_order_is_harmed_by_kills_stops_reloads_outages_and_a_bad_provider() {
    let arguments = "--seed 4 --secs 20 --kills 60 --stops 20 --reloads 9 --master-kills 9 --outages 6";
    let (code, verdict, said) = torture(&arguments.split(' ').collect::<Vec<_>>());
    println!("{verdict:#}");
    assert_eq!(code, Some(0), "{verdict:#}\n{said}");
    assert_eq!(verdict["violations"], serde_json::json!([]));
    for sort in ["confirmed", "declined", "sold_out"] {
        assert!(
            verdict[sort].as_u64() > Some(0),
            "nothing was {sort}: {verdict:#}"
        );
    }
    assert!(verdict["faults"]["kills"].as_u64() > Some(0), "{verdict:#}");
}

#[test]
fn what_is_no_switch_is_an_error_of_usage() {
    let (code, _, said) = torture(&["--kils", "3"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--kills"), "{said}");
}
