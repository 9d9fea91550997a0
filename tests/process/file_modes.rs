//! Every file that the program makes has a mode that it chose, whatever the umask is: a walk over the
//! directories of a cluster, of a backup, of what was restored from it, and of a torture run. That nothing in
//! the source follows the umask: `tests/architecture/file_modes.rs`.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::common::{Plan, TIMEOUT, place, under_umask};

/// What stands below the directory with a mode that nobody chose. The configuration is the test's own.
fn wrong_modes(directory: &Path, configuration: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(directory).expect("readable").flatten() {
        let path = entry.path();
        // A file that was there for a moment is gone.
        let Some(found) = entry.metadata().ok().filter(|_| path != configuration) else {
            continue;
        };
        let kind = found.file_type();
        assert!(
            kind.is_dir() || kind.is_socket() || kind.is_file(),
            "{}",
            path.display()
        );
        let mode = found.permissions().mode() & 0o7777;
        let expected = match path.file_name().and_then(|name| name.to_str()) {
            _ if kind.is_dir() => 0o700,
            // Monitoring may read it.
            Some("master.pid") => 0o644,
            _ => 0o600,
        };
        if mode != expected {
            wrong.push(format!(
                "{} has {mode:04o}, expected {expected:04o}",
                path.display()
            ));
        }
        if kind.is_dir() {
            wrong.extend(wrong_modes(&path, configuration));
        }
    }
    wrong
}

fn assert_modes(directory: &Path, what: &str) {
    let wrong = wrong_modes(directory, &directory.join("cluster.toml"));
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}

fn command(umask: &str, arguments: &[&str]) -> Output {
    under_umask(umask, Path::new(env!("CARGO_BIN_EXE_cluster")))
        .args(arguments)
        .output()
        .expect("it runs")
}

/// A command that must succeed.
fn done(umask: &str, arguments: &[&str]) {
    let output = command(umask, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

fn wait_for_file(path: &Path) {
    let deadline = Instant::now() + TIMEOUT;
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} is never written", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A cluster with everything that it can be told to make.
fn plan(directory: &Path, plan: Plan, umask: &'static str) -> Plan {
    let socket = format!("\"unix:{}\"", directory.join("public.sock").display());
    let pid_file = directory.join("master.pid");
    plan.umask(umask)
        .replace("\"127.0.0.1:0\"", &format!("\"127.0.0.1:0\", {socket}"))
        .arguments(&["--pid-file", pid_file.to_str().expect("text")])
}

/// Serving, the commands beside it and after it, a backup, and what is restored from it.
fn chosen_under(umask: &'static str) {
    let first = Plan::shop();
    let kept = first.keep();
    let directory = kept.path();
    let cluster = plan(directory, first, umask).start();
    let id = place(&cluster);
    let (data, copy) = (cluster.data(), directory.join("copy"));
    wait_for_file(&data.join("clock.json"));
    let [data, copy] = [&data, &copy].map(|path| path.to_str().expect("text"));
    done(umask, &["backup", "--data-dir", data, copy]);
    done(umask, &["doctor", "--data-dir", data]);
    done(umask, &["sagas", "show", &id, "--data-dir", data]);
    assert_modes(directory, "a cluster at work");
    let again = plan(directory, Plan::shop().over(&cluster), umask);
    assert!(cluster.stop().success());
    assert_modes(directory, "a cluster that has ended");
    for arguments in [
        &["doctor", "--data-dir", data][..],
        &["doctor", "--data-dir", copy],
        &["sagas", "list", "--data-dir", copy],
        &[
            "sagas",
            "retry",
            "--all",
            "--reason",
            "a test",
            "--data-dir",
            copy,
        ],
    ] {
        // Whether there is something to decide does not matter here.
        command(umask, arguments);
        assert_modes(directory, &arguments.join(" "));
    }
    for database in ["orders.db", "inventory.db", "payments.db", "sandbox.db"] {
        let restored = Path::new(data).join(database);
        std::fs::rename(Path::new(copy).join(database), restored).expect("restored");
    }
    let restored = again.start();
    place(&restored);
    assert_modes(directory, "what was restored");
    assert!(restored.stop().success());
}

#[test]
fn every_file_has_the_mode_that_the_program_chose_without_a_umask() {
    chosen_under("000");
}

#[test]
fn every_file_has_the_mode_that_the_program_chose_under_the_usual_umask() {
    chosen_under("022");
}

#[test]
fn every_file_has_the_mode_that_the_program_chose_under_a_private_umask() {
    chosen_under("077");
}

#[test]
fn the_files_of_a_torture_run_are_private() {
    let calm = "torture --secs 1 --kills 0 --stops 0 --reloads 0 --master-kills 0 --outages 0 --full-disks 0 \
                --keep --dir";
    for umask in ["000", "022", "077"] {
        let around = tempfile::tempdir().expect("a directory");
        let rig = around.path().join("rig");
        let arguments: Vec<&str> = calm.split(' ').chain(rig.to_str()).collect();
        done(umask, &arguments);
        let wrong = wrong_modes(around.path(), Path::new(""));
        assert!(wrong.is_empty(), "umask {umask}:\n{}", wrong.join("\n"));
    }
}
