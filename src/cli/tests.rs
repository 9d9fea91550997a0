//! Command lines as people type them.

use super::*;
use crate::config::{Address, LogFormat, Settings, Workers, keys};

pub(super) const HELLO: Program = Program {
    flags: None,
    runs_programs: true,
    name: "hello",
    about: "Greets.",
    version: "1.2.3",
    sections: &[],
    check: None,
    commands: &[AppCommand {
        name: "wave",
        about: "Waves.",
        arguments: None,
        run: |_| Exit::Stopped,
    }],
};

pub(super) fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

pub(super) fn typed(line: &str) -> CliAction {
    action(&HELLO, words(line))
}

pub(super) fn serves(line: &str) -> Settings {
    match typed(line) {
        CliAction::Serve(_, effective) => effective.settings,
        other => panic!("{line}: {other:?}"),
    }
}

pub(super) fn says(line: &str) -> String {
    match typed(line) {
        CliAction::Print(text) => text,
        other => panic!("{line}: {other:?}"),
    }
}

pub(super) fn refuses(line: &str) -> String {
    match typed(line) {
        CliAction::Refuse(text) | CliAction::RefuseStart(_, text) => text,
        other => panic!("{line}: {other:?}"),
    }
}

pub(super) fn help_of(line: &str) -> String {
    args::parse(&HELLO, words(line))
        .expect_err("clap returns help as an error")
        .to_string()
}

#[test]
fn serve_is_meant_when_no_command_is_named() {
    assert_eq!(serves("hello").cluster.workers, Workers::Auto);
    assert_eq!(serves("hello --workers 2"), serves("hello serve --workers 2"));
    assert_eq!(serves("hello --workers 2").cluster.workers, Workers::Count(2));
}

#[test]
fn every_flag_sets_its_key() {
    let settings = serves(
        "hello serve --workers auto --bind 127.0.0.1:1 --bind unix:/x --data-dir d --run-dir r --pid-file p \
         --user u --group g \
         --log-format json --access-log --set cluster.restart_limit=4 --set log.level=warn",
    );
    let cluster = settings.cluster;
    assert_eq!(
        cluster.bind.iter().map(Address::to_string).collect::<Vec<_>>(),
        ["127.0.0.1:1", "unix:/x"]
    );
    assert_eq!(cluster.data_dir.to_str(), Some("d"));
    assert_eq!(cluster.run_dir().to_str(), Some("r"));
    assert_eq!(
        cluster.pid_file.as_deref().and_then(std::path::Path::to_str),
        Some("p")
    );
    assert_eq!(
        (cluster.user.as_deref(), cluster.group.as_deref()),
        (Some("u"), Some("g"))
    );
    assert_eq!(
        (settings.log.format, settings.log.access, cluster.restart_limit),
        (LogFormat::Json, true, 4)
    );
}

#[test]
fn a_line_that_is_not_understood_is_an_error_of_usage() {
    for line in [
        "hello --wrokers 2",
        "hello server",
        "hello --workers 0",
        "hello --workers 2 serve",
        "hello serve --bind localhost:1",
        "hello serve --user",
        "hello --log-format xml",
        "hello --set level=debug",
        "hello --set log.level",
        "hello check --frobnicate",
    ] {
        assert!(
            matches!(typed(line), CliAction::Usage(error) if error.use_stderr()),
            "{line}"
        );
    }
    let text = help_of("hello --workers 0");
    assert!(
        text.contains("expected \"auto\" or a whole number from 1 to 1024"),
        "{text}"
    );
}

#[test]
fn a_configuration_that_is_wrong_starts_nothing() {
    let missing = refuses("hello --config /does/not/exist.toml");
    assert!(
        missing.starts_with("the configuration is refused; nothing was started\n/does/not/exist.toml: "),
        "{missing}"
    );
    refuses("hello check --config /does/not/exist.toml");
    refuses("hello --set cluster.wrokers=2");
    assert!(refuses("hello --group www").contains("\n--group: group is \"www\" but user is not set"));
}

#[test]
fn help_and_version_are_no_errors() {
    for line in ["hello --help", "hello -h", "hello --version", "hello help serve"] {
        assert!(
            matches!(typed(line), CliAction::Usage(error) if !error.use_stderr()),
            "{line}"
        );
    }
}

#[test]
fn check_says_what_is_in_effect_and_how_many_workers_that_is() {
    let text = says("hello check --workers 3");
    assert!(text.contains("# workers = 3 by configuration\n"), "{text}");
    assert!(
        text.lines()
            .any(|line| line.starts_with("workers = 3 ") && line.ends_with("# --workers")),
        "{text}"
    );
    assert_eq!(says("hello check --keys"), print::example("hello", &[]));
}

#[test]
fn help_tells_every_flag_signal_exit_code_and_file() {
    for line in [
        "hello --help",
        "hello serve --help",
        "hello run --help",
        "hello check --help",
    ] {
        let text = help_of(line);
        let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for exit in Exit::ALL {
            assert!(
                one_line.contains(&format!("{} {}", exit.code(), exit.doc())),
                "{line}: {exit:?} is missing"
            );
        }
        for (name, doc) in help::SIGNALS.iter().chain(help::ENVIRONMENT).chain(help::FILES) {
            assert!(
                one_line.contains(&format!("{name} {doc}")),
                "{line}: {name} is missing"
            );
        }
        for flag in flags::FLAGS {
            assert!(
                text.contains(&format!("--{}", flag.long)),
                "{line}: --{} is missing",
                flag.long
            );
        }
    }
}

#[test]
fn clap_finds_nothing_wrong_with_the_commands() {
    args::command(&HELLO).debug_assert();
}

#[cfg(feature = "shop")]
#[test]
fn the_committed_example_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/cluster.toml");
    let committed = std::fs::read_to_string(path).expect("config/cluster.toml is committed");
    let fresh = print::example("cluster", crate::shop::SECTIONS);
    assert!(
        committed == fresh,
        "config/cluster.toml is stale: run `cargo run -- check --keys > config/cluster.toml`"
    );
}

#[test]
fn the_supervisor_has_five_sections_of_its_own() {
    let own: Vec<_> = keys::SECTIONS.iter().map(|section| section.name).collect();
    assert_eq!(own, ["cluster", "http", "log", "run", "drill"]);
}

#[test]
fn a_command_of_the_applications_own_gets_its_arguments_as_they_are() {
    let CliAction::RunApp(command, arguments) = typed("hello wave --hands 2 --help -- x") else {
        panic!("not run");
    };
    assert_eq!(command.name, "wave");
    let arguments: Vec<_> = arguments
        .iter()
        .filter_map(|argument| argument.to_str())
        .collect();
    assert_eq!(arguments, ["hello wave", "--hands", "2", "--help", "--", "x"]);
}

#[test]
fn help_of_a_command_of_the_application_is_left_to_the_command() {
    for (line, expected) in [
        ("hello help wave", vec!["hello wave", "--help"]),
        (
            "hello help wave twice slowly",
            vec!["hello wave", "twice", "slowly", "--help"],
        ),
    ] {
        let CliAction::RunApp(_, arguments) = typed(line) else {
            panic!("{line}: not run");
        };
        assert_eq!(arguments, expected, "{line}");
    }
}

#[test]
fn what_people_bring_along_from_other_programs_gets_a_tip() {
    for (line, tip) in [
        ("hello ps", "`status` lists the workers"),
        ("hello list", "`status` lists the workers"),
        ("hello log", "stderr of `serve`"),
        ("hello start", "`run -- PROGRAM` starts a cluster"),
        ("hello node app.js", "`run -- PROGRAM` starts a cluster"),
        ("hello ./server", "`run -- PROGRAM` starts a cluster"),
        ("hello --port 9000", "--bind 127.0.0.1:PORT"),
        ("hello serve --port=9000", "--bind 127.0.0.1:PORT"),
        ("hello -w 4", "--workers N"),
        ("hello restart all", "the number of one slot"),
        ("hello scale many", "how many workers"),
        (
            "hello --bind 9000",
            "write 127.0.0.1:9000 for this machine alone, or 0.0.0.0:9000",
        ),
        (
            "hello --bind localhost:9000",
            "write 127.0.0.1:9000, because names are not looked up",
        ),
    ] {
        let told = help_of(line);
        assert!(told.contains(tip), "{line}: {told}");
    }
    assert!(
        help_of("hello statsu").contains("status"),
        "the nearest name is still told"
    );
}
