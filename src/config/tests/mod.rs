//! Tests of the whole configuration: a file and flags go in, settings or errors come out.

mod effect;
mod mistakes;
mod random;

use super::*;

const SHOP: Section = Section {
    name: "shop",
    doc: "The shop.",
    keys: &[
        Key::new(
            "order_wait",
            Kind::duration(0, 60_000),
            "2s",
            "How long an order is waited for.",
        ),
        Key::new(
            "queue_depth",
            Kind::number(1, 100_000),
            "1024",
            "How many writes may wait.",
        ),
        Key::unset("catalog", Kind::Path, "Loaded on first start.").fixed(),
    ],
};

fn file(text: &str) -> Result<Effective, ConfigProblems> {
    read(
        &[SHOP],
        Some(ConfigFile {
            name: "c.toml",
            bytes: text.as_bytes(),
        }),
        &Overrides::default(),
    )
}

fn problems(text: &str) -> Vec<String> {
    let problems = file(text).expect_err("this configuration is wrong");
    problems.list().iter().map(ConfigProblem::to_string).collect()
}

fn flags(list: &[(&str, &str)]) -> Overrides {
    let mut overrides = Overrides::default();
    for (key, text) in list {
        overrides.push(format!("--set {key}"), *key, *text);
    }
    overrides
}

/// The one problem of a file.
fn problem(text: &str) -> String {
    let mut all = problems(text);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}
