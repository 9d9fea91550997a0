//! Command lines of `run`, as people type them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::tests::{HELLO, help_of, refuses, says, serves, typed, words};
use super::*;
use crate::config::{ListenMode, RunSettings, StopSignal};

/// The program and its arguments that this line runs.
fn runs(line: &str) -> Vec<String> {
    serves(line).run.command
}

#[test]
fn a_program_is_named_with_or_without_the_two_dashes() {
    for (line, expected) in [
        ("hello run -- node app.js", vec!["node", "app.js"]),
        ("hello run node app.js", vec!["node", "app.js"]),
        (
            "hello run node --inspect app.js -- -x",
            vec!["node", "--inspect", "app.js", "--", "-x"],
        ),
        (
            "hello run -- node -- --workers 9",
            vec!["node", "--", "--workers", "9"],
        ),
        (
            "hello run --workers 2 node --workers 9",
            vec!["node", "--workers", "9"],
        ),
        ("hello run --watch node app.js", vec!["node", "app.js"]),
        ("hello run --watch -- node -- x", vec!["node", "--", "x"]),
        ("hello run node --help", vec!["node", "--help"]),
        ("hello run --set run.command=[\"node\"]", vec!["node"]),
    ] {
        assert_eq!(runs(line), expected, "{line}");
    }
    let arguments = ["hello", "run", "--", "sh", "-c", "echo \"a\nb\",; exec x", ""].map(OsString::from);
    let CliAction::Serve(_, effective) = action(&HELLO, arguments) else {
        panic!("not run");
    };
    assert_eq!(
        effective.settings.run.command,
        ["sh", "-c", "echo \"a\nb\",; exec x", ""]
    );
}

#[test]
fn every_flag_of_run_sets_its_key() {
    let settings = serves(
        "hello run --workers 2 --listen fds --bind 127.0.0.1:1 --ready log:up --probe http:/up --stuck-timeout 5s \
         --stop-signal int --no-preload --directory d --env A=1,2 --env B= --watch --watch=src --log-file f \
         -- node app.js",
    );
    assert_eq!(
        settings.run,
        RunSettings {
            command: vec!["node".to_owned(), "app.js".to_owned()],
            directory: Some("d".into()),
            env: BTreeMap::from(
                [("A", "1,2"), ("B", "")].map(|(name, text)| (name.to_owned(), text.to_owned()))
            ),
            listen: ListenMode::Fds,
            ready: "log:up".parse().expect("a rule"),
            probe: Some("http:/up".parse().expect("a path")),
            stuck_timeout: Duration::from_secs(5),
            stop_signal: StopSignal::Interrupt,
            preload: false,
            log_file: Some("f".into()),
            watch: vec![PathBuf::from("."), PathBuf::from("src")],
        }
    );
    assert_eq!(settings.cluster.bind.len(), 1);
}

#[test]
fn a_program_needs_no_address_and_has_a_data_directory_beside_that_of_serve() {
    let cluster = serves("hello run -- node app.js").cluster;
    assert!(cluster.bind.is_empty(), "{:?}", cluster.bind);
    assert_eq!(cluster.data_dir.to_str(), Some("./.cluster"));
    let cluster = serves("hello run --data-dir d -- node app.js").cluster;
    assert_eq!(cluster.data_dir.to_str(), Some("d"));
    assert_eq!(serves("hello serve").cluster.bind.len(), 1);
    let help = help_of("hello run --help");
    assert!(help.contains("[default: ./.cluster]"), "{help}");
    assert!(!help.contains("127.0.0.1:8080"), "{help}");
}

#[test]
fn a_configuration_may_name_the_program_and_check_understands_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("c.toml");
    std::fs::write(
        &path,
        "[run]\ncommand = ['node', 'app.js']\nenv = { A = '1', B = '2' }\n",
    )
    .expect("written");
    let path = path.display();
    for line in [
        format!("hello run --config {path}"),
        format!("hello serve --config {path}"),
        format!("hello --config {path}"),
    ] {
        assert_eq!(runs(&line), ["node", "app.js"], "{line}");
    }
    let run = serves(&format!(
        "hello run --config {path} --env B=3 --env C=4 -- python3 app.py"
    ))
    .run;
    assert_eq!(run.command, ["python3", "app.py"]);
    let env: Vec<_> = run
        .env
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    assert_eq!(env, [("A", "1"), ("B", "3"), ("C", "4")]);
    let text = says(&format!("hello check --config {path}"));
    assert!(text.contains("command = [\"node\", \"app.js\"]"), "{text}");
    assert!(text.contains("env = { A = \"1\", B = \"2\" }"), "{text}");
    let text = says(&format!("hello check --config {path} -- ./server -x"));
    let line = text
        .lines()
        .find(|line| line.starts_with("command = "))
        .expect("a line");
    assert!(
        line.starts_with("command = [\"./server\", \"-x\"]") && line.ends_with("# PROGRAM"),
        "{line}"
    );
}

#[test]
fn a_line_without_a_program_says_how_to_name_one() {
    for line in ["hello run", "hello run --", "hello run --workers 2 --"] {
        assert!(
            matches!(typed(line), CliAction::Usage(error) if error.use_stderr()),
            "{line}"
        );
        let told = help_of(line);
        assert!(told.contains("`hello run -- node app.js`"), "{told}");
        assert!(
            told.contains("hello run [OPTIONS] -- PROGRAM [ARGS]..."),
            "{told}"
        );
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("c.toml");
    std::fs::write(&path, "[cluster]\nworkers = 2\n").expect("written");
    let told = refuses(&format!("hello run --config {}", path.display()));
    assert!(
        told.contains("write `hello run -- PROGRAM`, or set command in [run]"),
        "{told}"
    );
}

#[test]
fn what_is_mistyped_is_an_error_of_usage_with_what_to_write() {
    for (line, words) in [
        ("hello run --wrokers 2 -- node app.js", "--workers"),
        (
            "hello run --ready http:up -- node",
            "write http:/up, for a path begins with /",
        ),
        (
            "hello run --ready soon -- node",
            "\"auto\", \"notify\", \"tcp\", \"http:/PATH\"",
        ),
        ("hello run --ready log:( -- node", "is no regular expression"),
        (
            "hello run --ready delay:5 -- node",
            "write \"5ms\", \"5s\" or \"5m\"",
        ),
        (
            "hello run --probe /up -- node",
            "write http:/PATH, as in http:/healthz",
        ),
        (
            "hello run --listen port -- node",
            "expected one of \"auto\", \"fds\", \"node\"",
        ),
        ("hello run --stop-signal KILL -- node", "one of SIGTERM, SIGINT"),
        ("hello run --env A -- node", "write \"A=VALUE\""),
        (
            "hello run --env LISTEN_FDS=3 -- node",
            "LISTEN_FDS is set by the cluster itself",
        ),
        ("hello run --watch src -- node app.js", "write --watch=src"),
        ("hello run --log-file", "--log-file"),
        ("hello serve --listen fds", "--listen"),
    ] {
        assert!(
            matches!(typed(line), CliAction::Usage(error) if error.use_stderr()),
            "{line}"
        );
        let told = help_of(line);
        assert!(told.contains(words), "{line}: {told}");
    }
}

#[test]
fn a_program_that_runs_no_others_has_no_such_command() {
    let alone = Program {
        runs_programs: false,
        ..HELLO
    };
    assert!(matches!(
        action(&alone, words("hello run -- node app.js")),
        CliAction::Usage(_)
    ));
    let CliAction::RefuseStart(_, told) = action(&alone, words("hello --set run.command=[\"node\"]")) else {
        panic!("not refused");
    };
    assert!(
        told.contains("--set run.command: run.command is set, expected none"),
        "{told}"
    );
}

#[test]
fn an_upgrade_reads_the_same_command_line() {
    let launch = launch(&HELLO, words("hello run --workers 2 -- node app.js")).expect("it starts a master");
    let effective = launch.load().expect("good");
    assert_eq!(effective.settings.run.command, ["node", "app.js"]);
}
