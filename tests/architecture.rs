//! The architecture as a test: who may import whom, where `unsafe` may stand, what every file says first, and that the README
//! names every signal, configuration key and exit code.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Module, and what it may import besides itself. `src/lib.rs` prints the same as a line.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("config", &["base"]),
    ("pool", &["base"]),
    ("saga", &["base"]),
    ("sys", &["base"]),
    ("scoreboard", &["base", "sys"]),
    ("lifeline", &["base", "pool", "sys"]),
    ("metrics", &["base", "scoreboard"]),
    ("control", &["base", "pool", "sys"]),
    ("observe", &["base", "config", "sys"]),
    ("store", &["base", "sys", "scoreboard"]),
    ("http", &["base"]),
    (
        "worker",
        &[
            "base",
            "config",
            "pool",
            "sys",
            "scoreboard",
            "lifeline",
            "metrics",
            "observe",
            "http",
        ],
    ),
    (
        "master",
        &[
            "base",
            "config",
            "pool",
            "sys",
            "scoreboard",
            "lifeline",
            "metrics",
            "control",
            "observe",
        ],
    ),
    (
        "shop",
        &[
            "base",
            "config",
            "pool",
            "saga",
            "sys",
            "scoreboard",
            "store",
            "http",
            "worker",
            "App",
        ],
    ),
    ("torture", &["base", "sys", "shop", "worker", "App"]),
    (
        "cli",
        &[
            "base", "config", "pool", "sys", "control", "master", "worker", "observe", "App",
        ],
    ),
];

/// Services of the shop: none may name another; they meet in the contract.
const SERVICES: &[&str] = &["orders", "inventory", "payments", "sandbox"];

fn sources(root: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(root)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
                found.push((path.clone(), fs::read_to_string(&path).expect("text")));
            }
        }
    }
    found
}

/// Tests beside the product, which may use what they like.
fn is_test(path: &Path) -> bool {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    inside.is_ok_and(|inside| inside.iter().any(|part| part == "tests" || part == "tests.rs"))
}

/// The source without comments, and without its tests, which may use what they like.
fn code(text: &str) -> String {
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    product
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The names that follow `prefix`, braces included: `crate::{a, b::c}` names `a` and `b`.
fn names_after(code: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(list) => names.extend(top_level_names(list)),
            None => names.push(word(rest)),
        }
    }
    names
}

fn top_level_names(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut item) = (0_i32, Vec::new(), String::new());
    for char in list.chars() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(word(std::mem::take(&mut item).trim())),
            _ if depth == 0 => item.push(char),
            _ => {}
        }
    }
    names.push(word(item.trim()));
    names.retain(|name| !name.is_empty());
    names
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|char| char.is_alphanumeric() || *char == '_')
        .collect()
}

fn module_of(path: &Path) -> Option<String> {
    let inside = path
        .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .ok()?;
    (inside.components().count() > 1).then(|| {
        inside
            .iter()
            .next()
            .and_then(|first| first.to_str())
            .map(str::to_owned)
    })?
}

#[test]
fn layers_import_only_what_lies_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let Some(module) = module_of(&path) else { continue };
        let allowed = allowed
            .get(module.as_str())
            .unwrap_or_else(|| panic!("{module} is in no layer"));
        for name in names_after(&code(&text), "crate::") {
            if name != module && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{} imports crate::{name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn services_meet_only_in_their_contract() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src/shop") {
        let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
        let Some(service) = SERVICES.iter().find(|service| parts.contains(service)) else {
            continue;
        };
        for other in SERVICES.iter().filter(|other| *other != service) {
            let code = code(&text);
            let names = |prefix| names_after(&code, prefix).contains(&(*other).to_owned());
            // The sandbox is the built-in provider: it implements the trait that payments owns.
            let allowed = (*service, *other) == ("sandbox", "payments");
            if !allowed && (names("shop::") || names("super::")) {
                wrong.push(format!("{} names {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_cores_are_pure() {
    let forbidden = [
        "std::fs",
        "std::net::Tcp",
        "std::net::Udp",
        "std::os",
        "process::Command",
        "Instant::now",
        "SystemTime",
        "tokio",
        "nix::",
        "tracing",
        "rusqlite",
        "std::env",
        "async fn",
    ];
    let mut wrong = Vec::new();
    for module in ["base", "pool", "saga", "config"] {
        for (path, text) in sources(&format!("src/{module}")) {
            let code = code(&text);
            wrong.extend(
                forbidden
                    .iter()
                    .filter(|word| code.contains(**word))
                    .map(|word| format!("{}: {word}", path.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_master_has_no_thread_no_runtime_no_http_and_no_sql() {
    let forbidden = [
        "tokio",
        "thread::spawn",
        "async ",
        "hyper",
        "axum",
        "rusqlite",
        "http::",
    ];
    for (path, text) in sources("src/master") {
        let code = code(&text);
        for word in forbidden {
            assert!(!code.contains(word), "{} mentions {word}", path.display());
        }
    }
}

/// A clock that is set must not fire a deadline, kill a worker or wake a saga: whatever waits, waits by the monotonic clock.
#[test]
fn the_wall_clock_is_read_where_dates_are_written_and_nowhere_else() {
    let dates = [
        "src/observe/subscriber.rs",
        "src/shop/recovery/clock.rs",
        "src/shop/sandbox/mod.rs",
    ];
    let reads = |text: &str| text.contains("SystemTime::now") || text.contains("now_utc");
    let mut found: Vec<String> = sources("src")
        .into_iter()
        .filter(|(_, text)| reads(&code(text)))
        .map(|(path, _)| {
            let inside = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("inside");
            inside.display().to_string()
        })
        .collect();
    found.sort();
    assert_eq!(found, dates);
}

#[test]
fn unsafe_stays_in_sys() {
    for root in ["src", "tests", "benches", "examples"] {
        for (path, text) in sources(root) {
            let fenced = module_of(&path).is_some_and(|module| module == "sys");
            let code = code(&text);
            let unsafe_code =
                code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl");
            assert!(fenced || !unsafe_code, "{} has unsafe code", path.display());
        }
    }
}

#[test]
fn every_file_says_first_what_it_owns() {
    for root in ["src", "tests", "benches", "examples"] {
        for (path, text) in sources(root) {
            assert!(
                text.starts_with("//!"),
                "{} does not begin with //!",
                path.display()
            );
        }
    }
}

#[test]
fn the_checker_sees_what_it_is_to_see() {
    let found = names_after(
        &code("use crate::{base::{a, b}, sys};\nuse crate::pool::Pool; // crate::shop\n"),
        "crate::",
    );
    assert_eq!(found, ["base", "sys", "pool"]);
}
