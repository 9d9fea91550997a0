//! The versions of formats: the changelog's newest table names each as it is in the code, so that a version
//! that is raised cannot be forgotten there.

use crate::source;
use crate::tokens::{Kind, Token};

/// The name of a format in the changelog, and the file that holds its constant `VERSION`.
const CONSTANTS: &[(&str, &str, &str)] = &[
    ("state of an upgrade", "src/master/upgrade/state.rs", "VERSION"),
    ("state of the pool, in it", "src/pool/snapshot.rs", "VERSION"),
    (
        "messages between master and worker",
        "src/lifeline/mod.rs",
        "VERSION",
    ),
    ("scoreboard", "src/scoreboard/layout.rs", "VERSION"),
    (
        "ring of a program's last lines",
        "src/output_ring/layout.rs",
        "VERSION",
    ),
    ("control socket", "src/control/request.rs", "VERSION"),
    ("saga of an order", "src/saga/definition.rs", "ORDER_VERSION"),
];

/// The databases, and the file with the list of migrations; the version is its length.
const SCHEMAS: &[(&str, &str)] = &[
    ("`orders.db`", "src/shop/orders/sqlite/schema.rs"),
    ("`inventory.db`", "src/shop/inventory/sqlite/schema.rs"),
    ("`payments.db`", "src/shop/payments/sqlite/schema.rs"),
    ("`sandbox.db`", "src/shop/sandbox/ledger.rs"),
    ("`customers.db`", "src/shop/customers/sqlite/schema.rs"),
];

/// The number that a constant of a file is.
fn constant(file: &str, name: &str) -> usize {
    let path = source::repository().join(file);
    let text = source::read(&path).text;
    let line = text
        .lines()
        .find(|line| line.contains(&format!("const {name}: ")));
    let number = line.and_then(|line| line.split(['=', ';']).nth(1)?.trim().parse().ok());
    number.unwrap_or_else(|| panic!("{file} has no constant {name}"))
}

/// How many entries the list has that stands behind the word `migrations`.
fn migrations(tokens: &[Token]) -> Option<usize> {
    let inside = tokens.iter().find_map(|token| match &token.kind {
        Kind::Group(group) => migrations(&group.inside),
        _ => None,
    });
    inside.or_else(|| {
        let at = tokens.iter().position(|token| token.is_word("migrations"))?;
        let list = tokens[at..].iter().find_map(|token| token.group('['))?;
        let entries = list.inside.split(|token| token.is_mark(','));
        Some(entries.filter(|entry| !entry.is_empty()).count())
    })
}

/// The second column of the row of the newest table that begins with this name.
fn in_the_changelog(changelog: &str, name: &str) -> usize {
    let start = format!("| {name} | ");
    let row = changelog.lines().find_map(|line| line.strip_prefix(&start));
    let number = row.and_then(|row| row.split(" |").next()?.parse().ok());
    number.unwrap_or_else(|| panic!("CHANGELOG.md has no row {start:?}"))
}

#[test]
fn the_changelog_names_the_versions_of_all_formats() {
    let changelog = std::fs::read_to_string(source::repository().join("CHANGELOG.md")).expect("readable");
    for (name, file, of) in CONSTANTS {
        assert_eq!(
            in_the_changelog(&changelog, name),
            constant(file, of),
            "{name} ({file})"
        );
    }
    for (name, file) in SCHEMAS {
        let tokens = source::read(&source::repository().join(file)).tokens;
        let version = migrations(&tokens).unwrap_or_else(|| panic!("{file} has no migrations"));
        assert_eq!(in_the_changelog(&changelog, name), version, "{name} ({file})");
    }
}
