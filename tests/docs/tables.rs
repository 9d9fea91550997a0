//! The tables of `docs/reference`, made from what the program itself has.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use cluster::base::exit::Exit;
use cluster::cli::Program;
use cluster::cli::help::{ENVIRONMENT, SIGNALS};
use cluster::config::print;
use cluster::observe::fields as log_fields;
use cluster::pool::CauseKind;
use cluster::pool::status::WorkerState;
use cluster::shop::admin;
use cluster::worker::AppCommand;

use crate::source::{fields, problem_codes};

/// Commands of the application, as in `src/main.rs`.
const OWN: &[AppCommand] = &[
    admin::SAGAS,
    admin::DOCTOR,
    admin::BACKUP,
    admin::REPLAY,
    #[cfg(feature = "postgres")]
    admin::MOVE,
    cluster::torture::COMMAND,
];

/// Commands whose help text is shown, with their subcommands.
const SHOWN: &[&str] = &[
    "serve",
    "run",
    "check",
    "status",
    "top",
    "health",
    "why",
    "logs",
    "reload",
    "rollback",
    "upgrade",
    "scale",
    "restart",
    "drain",
    "stop",
    "completions",
    "man",
    "sagas",
    "sagas list",
    "sagas show",
    "sagas retry",
    "sagas compensate",
    "sagas confirm",
    "sagas reject",
    "doctor",
    "backup",
    "replay",
    #[cfg(feature = "postgres")]
    "move",
    "torture",
];

/// Where the problem documents are made.
const EDGE: &[&str] = &[
    "http",
    "shop/http",
    "worker/accept",
    "worker/connection",
    "worker/request",
    "worker/admin",
];

/// The program as `src/main.rs` starts it.
pub(crate) fn program() -> Program {
    Program {
        flags: None,
        runs_programs: true,
        name: "cluster",
        about: "",
        version: "",
        sections: cluster::shop::SECTIONS,
        check: None,
        commands: OWN,
    }
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The text of a file of the repository.
fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The text of a page of the reference.
pub(crate) fn page(name: &str) -> String {
    read(&format!("docs/reference/{name}"))
}

/// The place of the text between `<!-- part -->` and `<!-- /part -->`, without the markers.
fn section(text: &str, page: &str, part: &str) -> Range<usize> {
    let (from, to) = (format!("<!-- {part} -->\n"), format!("<!-- /{part} -->"));
    let start = text
        .find(&from)
        .unwrap_or_else(|| panic!("{from} is not in {page}"))
        + from.len();
    let end = text[start..]
        .find(&to)
        .unwrap_or_else(|| panic!("{to} is not in {page}"));
    start..start + end
}

/// Compares a part of a page with what the program says, or writes it anew.
fn check_in(name: &str, part: &str, fresh: &str) {
    let mut text = read(name);
    let range = section(&text, name, part);
    if &text[range.clone()] == fresh {
        return;
    }
    assert!(
        std::env::var_os("CLUSTER_UPDATE").is_some(),
        "{part} in {name} is stale: CLUSTER_UPDATE=1 cargo test --test docs"
    );
    text.replace_range(range, fresh);
    std::fs::write(path(name), text).expect("written");
}

fn check(name: &str, part: &str, fresh: &str) {
    check_in(&format!("docs/reference/{name}"), part, fresh);
}

fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(N));
    for row in rows {
        writeln!(text, "| {} |", row.join(" | ")).expect("a string");
    }
    text
}

fn pairs(head: [&str; 2], rows: &[(&str, &str)]) -> String {
    let rows = rows
        .iter()
        .map(|(name, doc)| [format!("`{name}`"), (*doc).to_owned()]);
    table(head, rows)
}

#[test]
fn configuration_and_metrics() {
    check(
        "configuration.md",
        "keys",
        &print::markdown(cluster::shop::SECTIONS),
    );
    check("metrics.md", "metrics", &cluster::metrics::families::markdown());
}

#[test]
fn fields_of_log_lines() {
    check("log-lines.md", "head", &log_fields::markdown(log_fields::HEAD));
    check(
        "log-lines.md",
        "fields",
        &log_fields::markdown(log_fields::FIELDS),
    );
}

#[test]
fn exit_codes_signals_and_environment() {
    let codes = Exit::ALL
        .iter()
        .map(|exit| [exit.code().to_string(), exit.doc().to_owned()]);
    check("exit-codes.md", "exit codes", &table(["code", "meaning"], codes));
    check("signals.md", "signals", &pairs(["signal", "meaning"], SIGNALS));
    check(
        "environment.md",
        "environment",
        &pairs(["variable", "meaning"], ENVIRONMENT),
    );
}

#[test]
fn every_variable_that_reaches_workers_of_another_user_is_named() {
    let text = page("environment.md");
    let (_, part) = text.split_once("## What a worker inherits").expect("a part");
    for name in cluster::config::environment::PASSED {
        assert!(part.contains(&format!("`{name}`")), "{name} is missing");
    }
}

#[test]
fn examples_are_shown_as_they_are() {
    for (page, example) in [
        ("README.md", "examples/hello.rs"),
        ("docs/tutorial.md", "examples/hello.rs"),
        ("docs/how-to/own-handlers.md", "examples/greeting.rs"),
        ("docs/how-to/own-handlers.md", "examples/visitors.rs"),
    ] {
        let text = read(example);
        let code: Vec<&str> = text
            .lines()
            .skip_while(|line| line.starts_with("//!") || line.is_empty())
            .collect();
        check_in(page, example, &format!("```rust\n{}\n```\n", code.join("\n")));
    }
}

/// What `cluster NAME -h` prints.
fn help(name: &str) -> String {
    let said = Command::new(env!("CARGO_BIN_EXE_cluster"))
        .args(name.split(' '))
        .arg("-h")
        .env_remove("COLUMNS")
        .output()
        .expect("the program runs");
    String::from_utf8(said.stdout).expect("a text")
}

#[test]
fn commands() {
    let command = cluster::cli::args::command(&program());
    let about = |command: &clap::Command| command.get_about().map(ToString::to_string).unwrap_or_default();
    let rows = command
        .get_subcommands()
        .map(|command| [format!("`{}`", command.get_name()), about(command)]);
    check("commands.md", "commands", &table(["command", "meaning"], rows));
    let mut texts = String::new();
    for name in SHOWN {
        write!(
            texts,
            "### `{name}`\n\n```text\n{}\n```\n\n",
            help(name).trim_end()
        )
        .expect("a string");
    }
    check("commands.md", "help", &texts);
}

#[test]
fn every_command_has_its_help_text_shown() {
    let command = cluster::cli::args::command(&program());
    for command in command.get_subcommands() {
        let name = command.get_name();
        assert!(SHOWN.contains(&name), "{name} is missing in SHOWN");
    }
}

/// How JSON writes a value of a Rust type.
fn json_kind(kind: &str) -> String {
    let inner = |kind: &str, outer: &str| kind.strip_prefix(outer)?.strip_suffix('>').map(json_kind);
    if let Some(inner) = inner(kind, "Option<") {
        return format!("{inner} or null");
    }
    if let Some(inner) = inner(kind, "Vec<") {
        return format!("list of {inner}");
    }
    let word = match kind {
        "u16" | "u32" | "u64" | "usize" | "i32" | "Slot" | "Epoch" | "Generation" | "Incarnation" => "number",
        "String" | "char" | "MasterState" | "OperationKind" | "OperationResult" | "Life" => "text",
        "bool" => "true or false",
        _ => "object",
    };
    word.to_owned()
}

#[test]
fn json_of_status_and_why() {
    let parts = [
        ("status", "ClusterStatus"),
        ("master", "MasterReport"),
        ("last_verdict", "LastVerdict"),
        ("slot", "SlotReport"),
        ("worker", "WorkerReport"),
        ("why", "DeathReport"),
        ("death", "Death"),
        ("memory", "MemoryUse"),
        ("request", "UnfinishedRequest"),
    ];
    for (part, name) in parts {
        let rows = fields("control", name).into_iter().map(|field| {
            let meaning = field.doc.replace("`None`", "`null`");
            [format!("`{}`", field.name), json_kind(&field.kind), meaning]
        });
        check(
            "status-json.md",
            part,
            &table(["member", "value", "meaning"], rows),
        );
    }
}

#[test]
fn states_and_kinds_are_documented() {
    let text = page("status-json.md");
    let cells = first_cells(&text);
    let states = WorkerState::ALL.map(WorkerState::as_str);
    let kinds = CauseKind::ALL.map(CauseKind::as_str);
    for word in states.iter().chain(&kinds) {
        assert!(
            cells.contains(word),
            "{word} has no row in docs/reference/status-json.md"
        );
    }
    let row = text.lines().find_map(|line| line.strip_prefix("| `kind` |"));
    let named = row.expect("a row").split('`').skip(1).step_by(2);
    for word in named {
        assert!(kinds.contains(&word), "{word} is no kind of death");
    }
}

#[test]
fn the_map_of_the_sources_names_files_and_folders_that_exist() {
    let map = read("src/lib.rs");
    let named = map
        .split('`')
        .filter(|word| word.ends_with(".rs") && word.contains('/'));
    let named: Vec<&str> = named.collect();
    assert!(named.len() > 10, "{named:?}");
    for file in named {
        assert!(
            path("src").join(file).exists(),
            "src/lib.rs names {file}, which does not exist"
        );
    }
    for entry in std::fs::read_dir(path("src")).expect("a readable folder") {
        let entry = entry.expect("a readable entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_row = |line: &str| line.starts_with("//! | ") && line.contains(&format!("`{name}`"));
        assert!(
            entry.path().is_file() || map.lines().any(is_row),
            "src/lib.rs has no row for {name}"
        );
    }
}

/// The first column of every row of a table whose cell is code.
fn first_cells(text: &str) -> Vec<&str> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).collect()
}

#[test]
fn every_problem_code_is_documented_and_no_other() {
    let text = page("shop-api.md");
    let documented = first_cells(&text[section(&text, "shop-api.md", "problem codes")]);
    let documented: BTreeSet<String> = documented.into_iter().map(str::to_owned).collect();
    let made: BTreeSet<String> = EDGE.iter().flat_map(|folder| problem_codes(folder)).collect();
    let missing: Vec<_> = made.difference(&documented).collect();
    assert!(
        missing.is_empty(),
        "not in docs/reference/shop-api.md: {missing:?}"
    );
    let gone: Vec<_> = documented.difference(&made).collect();
    assert!(
        gone.is_empty(),
        "made nowhere (or by a function that MAKE_PROBLEMS does not name): {gone:?}"
    );
}

#[test]
fn every_route_of_the_shop_is_documented() {
    let text = page("shop-api.md");
    let source = read("src/shop/http/mod.rs");
    let routes: Vec<&str> = source
        .split(".route(\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(routes.len() > 5, "{routes:?}");
    for route in routes {
        assert!(
            text.contains(&format!("{route}`")),
            "{route} is not in docs/reference/shop-api.md"
        );
    }
}
