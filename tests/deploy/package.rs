//! What is packed: the files of `cargo package`, and those of the package for Debian (`Cargo.toml`).

use std::fs;
use std::path::Path;
use std::process::Command;

use toml::{Table, Value};

use crate::folder::repository;

/// Made by `deploy/debian/build`.
const MADE: &str = "target/";

fn debian() -> Table {
    let text = fs::read_to_string(repository().join("Cargo.toml")).expect("readable");
    let manifest: Table = text.parse().expect("TOML");
    manifest["package"]["metadata"]["deb"]
        .as_table()
        .expect("a table")
        .clone()
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    list.iter().map(|value| value.as_str().expect("a text")).collect()
}

/// Where each asset comes from, and where it is installed.
fn assets(debian: &Table) -> Vec<(String, String)> {
    let assets = debian["assets"].as_array().expect("a list").iter().map(texts);
    assets
        .map(|asset| (asset[0].to_owned(), asset[1].to_owned()))
        .collect()
}

/// `cargo install` and `cargo package` need these, and nobody needs the tests of a package.
pub(crate) fn crate_is_whole() {
    let listed = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--offline"])
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    assert!(
        listed.status.success(),
        "{}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let listed = String::from_utf8(listed.stdout).expect("text");
    let files: Vec<&str> = listed.lines().collect();
    for needed in [
        "Cargo.lock",
        ".cargo/config.toml",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "config/catalog.toml",
        "deploy/systemd/cluster.service",
        "src/agent/node/preload.js",
        "src/main.rs",
    ] {
        assert!(files.contains(&needed), "{needed} is not packed");
    }
    for folder in ["tests/", "benches/", "fuzz/", "target/", "data/", ".ci/"] {
        let packed = files.iter().find(|file| file.starts_with(folder));
        assert_eq!(packed, None, "{folder} is packed");
    }
}

pub(crate) fn assets_exist() {
    let debian = debian();
    let assets = assets(&debian);
    assert!(assets.len() > 5, "{assets:?}");
    for (from, _) in assets.iter().filter(|(from, _)| !from.starts_with(MADE)) {
        assert!(
            repository().join(from).exists(),
            "{from} of Cargo.toml does not exist"
        );
    }
    let units = debian["systemd-units"]["unit-scripts"]
        .as_str()
        .expect("a folder");
    assert!(
        repository().join(units).join("cluster.service").exists(),
        "{units}"
    );
}

/// The unit reads the file that is installed, with the program that is installed, and accepts it.
pub(crate) fn unit_fits() {
    let debian = debian();
    let unit = fs::read_to_string(repository().join("deploy/systemd/cluster.service")).expect("readable");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart="));
    let words: Vec<&str> = start.expect("a command").split(' ').collect();
    let at = words
        .iter()
        .position(|word| *word == "--config")
        .expect("a configuration");
    let configuration = words[at + 1];
    assert_eq!(texts(&debian["conf-files"]), [configuration]);
    let source_of = |installed: &str| {
        let is_it = |from: &str, to: &str| {
            let to = Path::new("/").join(to);
            let name = Path::new(from).file_name().expect("a name");
            to == Path::new(installed) || to.join(name) == Path::new(installed)
        };
        let assets = assets(&debian);
        let found = assets.into_iter().find(|(from, to)| is_it(from, to));
        found.unwrap_or_else(|| panic!("{installed} is not installed")).0
    };
    assert_eq!(source_of(words[0]), "target/release/cluster");
    let said = Command::new(env!("CARGO_BIN_EXE_cluster"))
        .args(["check", "--config"])
        .arg(repository().join(source_of(configuration)))
        .output()
        .expect("the program runs");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}
