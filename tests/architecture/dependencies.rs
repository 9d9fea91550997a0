//! Which crates come along: who builds the supervisor alone compiles neither the shop's database nor its
//! hashes, and no crate comes from elsewhere or under a licence that is not allowed. The lists are those of
//! `deny.toml`, which cargo-deny reads where it is installed.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::source;

/// What cargo says, with what is on this machine alone.
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--offline", "--locked"])
        .current_dir(source::repository())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

/// The names of the crates that a build of the library compiles, without those of its tests.
fn crates(flags: &[&str]) -> BTreeSet<String> {
    let tree = [
        "tree",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ];
    let lines = cargo(&[&tree, flags].concat());
    let names = lines.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_supervisor_alone_needs_no_database_no_hashes_and_no_grpc() {
    let (alone, whole) = (crates(&["--no-default-features"]), crates(&[]));
    let with_grpc = crates(&["--no-default-features", "--features", "grpc"]);
    let with_shop = crates(&["--no-default-features", "--features", "shop"]);
    assert!(
        !with_shop.contains("tokio-postgres"),
        "the shop needs PostgreSQL's driver"
    );
    for name in [
        "rusqlite",
        "libsqlite3-sys",
        "sha2",
        "tonic",
        "prost",
        "tokio-postgres",
    ] {
        assert!(
            whole.contains(name),
            "{name} is not in the whole either: the test looks for the wrong thing"
        );
        assert!(
            !alone.contains(name),
            "{name} is compiled for the supervisor alone"
        );
    }
    let page = std::fs::read_to_string(source::repository().join("docs/building.md")).expect("the page");
    let rows = [
        ("the supervisor", &alone),
        ("the same, with gRPC", &with_grpc),
        ("the same, with the shop", &with_shop),
        ("the whole", &whole),
    ];
    for (what, crates) in rows {
        let row = page.lines().find(|line| line.starts_with(&format!("| {what}")));
        let counted = format!("| {} |", crates.len());
        assert!(
            row.is_some_and(|row| row.ends_with(&counted)),
            "docs/building.md must say {counted:?} of {what}: {row:?}"
        );
    }
}

/// A crate of the build, or of the tests.
struct Package {
    name: String,
    version: String,
    licence: String,
    source: Option<String>,
}

/// Every crate that is compiled on this kind of machine, tests included.
fn packages() -> Vec<Package> {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = cargo(&["metadata", "--format-version", "1", "--filter-platform", &host]);
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nodes = metadata["resolve"]["nodes"].as_array().expect("nodes").iter();
    let used: BTreeSet<String> = nodes.map(|node| text(&node["id"])).collect();
    let all = metadata["packages"].as_array().expect("packages").iter();
    let used = all.filter(|package| used.contains(&text(&package["id"])));
    used.map(|package| Package {
        name: text(&package["name"]),
        version: text(&package["version"]),
        licence: text(&package["license"]),
        source: package["source"].as_str().map(str::to_owned),
    })
    .collect()
}

fn rules() -> toml::Table {
    let text = std::fs::read_to_string(source::repository().join("deny.toml")).expect("readable");
    text.parse().expect("TOML")
}

/// The names of a list in `deny.toml`, whose entries are texts or have a `crate`.
fn list(rules: &toml::Table, table: &str, key: &str) -> Vec<String> {
    let entries = rules[table][key].as_array().expect("a list").iter();
    let name = |entry: &toml::Value| entry.get("crate").unwrap_or(entry).as_str().map(str::to_owned);
    entries.map(|entry| name(entry).expect("a name")).collect()
}

/// Whether an expression such as `(MIT OR Apache-2.0) AND Unicode-3.0` can be met with these licences.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace(" / ", " OR ").replace('/', " OR ");
    let parts = outside_brackets(&expression, " OR ");
    if parts.len() > 1 {
        return parts.iter().any(|part| is_allowed(part, allowed));
    }
    let parts = outside_brackets(&expression, " AND ");
    if parts.len() > 1 {
        return parts.iter().all(|part| is_allowed(part, allowed));
    }
    match expression
        .strip_prefix('(')
        .and_then(|inside| inside.strip_suffix(')'))
    {
        Some(inside) => is_allowed(inside, allowed),
        None => allowed.contains(&expression),
    }
}

/// The parts of a text between separators that stand in no brackets.
fn outside_brackets<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut parts, mut from) = (Vec::new(), 0);
    for (at, _) in text.match_indices(separator) {
        let before = &text[..at];
        if before.matches('(').count() == before.matches(')').count() {
            parts.push(&text[from..at]);
            from = at + separator.len();
        }
    }
    parts.push(&text[from..]);
    parts
}

#[test]
fn every_crate_is_of_the_registry_and_under_an_allowed_licence() {
    let rules = rules();
    let allowed = list(&rules, "licenses", "allow");
    let registry = format!("registry+{}", list(&rules, "sources", "allow-registry")[0]);
    for package in packages() {
        let Package {
            name,
            licence,
            source,
            ..
        } = package;
        assert!(is_allowed(&licence, &allowed), "{name} is under {licence:?}");
        let ours = name == env!("CARGO_PKG_NAME");
        assert!(
            ours || source.as_ref() == Some(&registry),
            "{name} comes from {source:?}"
        );
    }
}

#[test]
fn no_crate_is_banned_and_only_the_known_ones_are_there_twice() {
    let rules = rules();
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        versions.entry(package.name).or_default().insert(package.version);
    }
    for banned in list(&rules, "bans", "deny") {
        assert!(!versions.contains_key(&banned), "{banned} is banned");
    }
    let skipped: BTreeSet<String> = list(&rules, "bans", "skip").into_iter().collect();
    let is_skipped = |name: &str, version: &str| {
        let major = version
            .split('.')
            .take(1 + usize::from(version.starts_with("0.")))
            .collect::<Vec<_>>();
        skipped.contains(&format!("{name}@{}", major.join(".")))
    };
    for (name, versions) in &versions {
        let unknown = versions.iter().filter(|version| !is_skipped(name, version));
        assert!(unknown.count() < 2, "{name} is there twice: {versions:?}");
    }
}

#[test]
fn licences_are_read_as_they_are_meant() {
    let allowed = ["MIT", "Zlib"].map(str::to_owned);
    for (expression, met) in [
        ("MIT", true),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("(GPL-3.0 OR MIT) AND Zlib", true),
        ("(GPL-3.0 OR MIT) AND (GPL-3.0 OR BSD)", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), met, "{expression}");
    }
}
