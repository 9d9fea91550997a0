//! Who may import whom, which modules are pure, and where `unsafe` and the wall clock may stand.

use std::collections::BTreeMap;

use crate::modules::{Module, Modules};
use crate::source::{self, Parts};

/// Module, and what it may import besides itself. `src/lib.rs` prints the same as a line.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("config", &["base"]),
    ("pool", &["base"]),
    ("saga", &["base"]),
    ("sys", &["base"]),
    ("scoreboard", &["base", "sys"]),
    ("output_ring", &["base", "sys"]),
    ("lifeline", &["base", "pool", "sys"]),
    ("metrics", &["base", "scoreboard"]),
    ("control", &["base", "pool", "sys", "output_ring"]),
    ("observe", &["base", "config", "sys"]),
    ("store", &["base", "sys", "scoreboard"]),
    ("postgres", &["base", "store"]),
    ("http", &["base", "observe"]),
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
        "agent",
        &[
            "base",
            "config",
            "sys",
            "scoreboard",
            "output_ring",
            "lifeline",
            "observe",
            "worker",
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
            "output_ring",
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
            "postgres",
            "control",
            "observe",
            "http",
            "worker",
            "App",
        ],
    ),
    ("torture", &["base", "sys", "shop", "worker", "App"]),
    (
        "cli",
        &[
            "base",
            "config",
            "pool",
            "sys",
            "output_ring",
            "control",
            "master",
            "worker",
            "observe",
            "App",
        ],
    ),
    // The one `main`, which puts all of them together.
    (
        "run",
        &[
            "base", "config", "pool", "sys", "agent", "cli", "master", "worker", "observe",
        ],
    ),
    // What reads bytes of strangers, one function each; compiled for tests and fuzzing alone.
    (
        "fuzzing",
        &[
            "agent",
            "base",
            "config",
            "control",
            "lifeline",
            "master",
            "observe",
            "output_ring",
            "scoreboard",
            "sys",
            "worker",
        ],
    ),
    // The root: what it hands on under its own name.
    ("lib", &["worker"]),
];

/// What the `cluster` command names of the library.
const MAIN: &[&str] = &["shop", "torture", "worker"];

/// Services of the shop: none may name another; they meet in the contract.
const SERVICES: &[&str] = &["orders", "inventory", "payments", "sandbox", "customers"];

/// What a pure module may not name: each is looked for anywhere in a path, part by part.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::os",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "process::Command",
    "thread::spawn",
    "Instant::now",
    "SystemTime",
    "tokio",
    "nix",
    "libc",
    "tracing",
    "rusqlite",
    "async",
];

const NOT_THE_MASTERS: &[&str] = &[
    "tokio",
    "thread::spawn",
    "async",
    "hyper",
    "axum",
    "rusqlite",
    "http",
];

/// The folder below the root to which a module belongs.
fn top(module: &Module) -> &str {
    module.name.first().map_or("lib", String::as_str)
}

/// The paths of a module that hold one of these words, part by part.
fn mentions<'a>(module: &Module, words: &[&'a str]) -> Vec<&'a str> {
    let paths = source::paths(&module.tokens);
    let stands_in = |word: &&&str| paths.iter().any(|path| holds(path, word));
    words.iter().filter(stands_in).copied().collect()
}

fn holds(path: &Parts, word: &str) -> bool {
    let word: Vec<&str> = word.split("::").collect();
    path.windows(word.len()).any(|parts| parts == word)
}

/// Imports of a module that its layer does not allow.
pub(crate) fn wrong_imports(modules: &Modules) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let mut wrong = Vec::new();
    for module in modules.all() {
        let top = top(module);
        let allowed = allowed.get(top).unwrap_or_else(|| panic!("{top} is in no layer"));
        for path in modules.named_in(module) {
            if path[0] != top && !allowed.contains(&path[0].as_str()) {
                wrong.push(format!("{} names {}", module.file, path.join("::")));
            }
        }
    }
    wrong
}

fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn layers_import_only_what_lies_below_them() {
    none(&wrong_imports(Modules::of_the_library()));
}

#[test]
fn the_command_names_the_shop_and_the_public_library_alone() {
    let main = Modules::below(&source::repository().join("src/main.rs"));
    for module in main.all() {
        for path in main.named_in(module) {
            assert!(
                MAIN.contains(&path[0].as_str()),
                "{} names {}",
                module.file,
                path.join("::")
            );
        }
    }
}

#[test]
fn services_meet_only_in_their_contract() {
    let modules = Modules::of_the_library();
    let mut wrong = Vec::new();
    for module in modules.all().filter(|module| top(module) == "shop") {
        let Some(service) = module
            .name
            .get(1)
            .filter(|name| SERVICES.contains(&name.as_str()))
        else {
            continue;
        };
        for path in modules.named_in(module).iter().filter(|path| path[0] == "shop") {
            let Some(other) = path.get(1).filter(|name| SERVICES.contains(&name.as_str())) else {
                continue;
            };
            // The sandbox is the built-in provider: it implements the trait that payments owns.
            let allowed = (service.as_str(), other.as_str()) == ("sandbox", "payments");
            if other != service && !allowed {
                wrong.push(format!("{} names {}", module.file, path.join("::")));
            }
        }
    }
    none(&wrong);
}

#[test]
fn the_cores_are_pure() {
    let modules = Modules::of_the_library();
    let pure = |module: &&Module| ["base", "pool", "saga", "config"].contains(&top(module));
    let wrong = modules.all().filter(pure).flat_map(|module| {
        let words = mentions(module, IMPURE).into_iter();
        words.map(|word| format!("{} names {word}", module.file))
    });
    none(&wrong.collect::<Vec<_>>());
}

#[test]
fn the_master_has_no_thread_no_runtime_no_http_and_no_sql() {
    let modules = Modules::of_the_library();
    for module in modules.all().filter(|module| top(module) == "master") {
        let words = mentions(module, NOT_THE_MASTERS);
        assert!(words.is_empty(), "{} names {words:?}", module.file);
    }
}

/// A clock that is set must not fire a deadline, kill a worker or wake a saga: what waits, waits by the
/// monotonic clock.
#[test]
fn the_wall_clock_is_read_where_dates_are_written_and_nowhere_else() {
    let dates = ["src/observe/subscriber.rs", "src/shop/recovery/clock.rs"];
    let modules = Modules::of_the_library();
    let reads = |module: &&Module| !mentions(module, &["SystemTime::now", "now_utc"]).is_empty();
    let mut found: Vec<&str> = modules
        .all()
        .filter(reads)
        .map(|module| module.file.as_str())
        .collect();
    found.sort_unstable();
    assert_eq!(found, dates);
}

/// A second database stands beside SQLite in a folder of its own, so nothing else may know a type of either.
/// The sandbox is a provider outside the shop, torture is the independent witness, and `sys` reads SQLite's
/// error code.
#[test]
fn sqlites_types_stay_in_the_store_and_the_sqlite_folders() {
    let modules = Modules::of_the_library();
    let may = |file: &str| {
        file.contains("/sqlite/")
            || file == "src/sys/sqlite.rs"
            || ["src/store/", "src/shop/sandbox/", "src/torture/"]
                .iter()
                .any(|folder| file.starts_with(folder))
    };
    let wrong = modules
        .all()
        .filter(|module| !may(&module.file))
        .filter_map(|module| {
            let names = !mentions(module, &["rusqlite"]).is_empty();
            names.then(|| format!("{} names rusqlite", module.file))
        });
    none(&wrong.collect::<Vec<_>>());
}

/// The same of the other database's driver.
#[test]
fn postgresqls_types_stay_in_its_layer_and_the_postgres_folders() {
    let modules = Modules::of_the_library();
    let may = |file: &str| file.contains("/postgres/") || file == "src/shop/tests/postgres.rs";
    let wrong = modules
        .all()
        .filter(|module| !may(&module.file))
        .filter_map(|module| {
            let names = !mentions(module, &["tokio_postgres"]).is_empty();
            names.then(|| format!("{} names tokio_postgres", module.file))
        });
    none(&wrong.collect::<Vec<_>>());
}

#[test]
fn unsafe_stays_in_sys() {
    for source in source::everything() {
        let is_unsafe = source::paths(&source.tokens)
            .iter()
            .any(|path| holds(path, "unsafe"));
        let fenced = source.path.starts_with("src/sys/");
        assert!(fenced || !is_unsafe, "{} has unsafe code", source.path);
    }
}
