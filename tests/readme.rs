//! The README is true where it can be checked: its tables are those of the program. `CLUSTER_UPDATE=1 cargo test --test readme`
//! writes them anew.

use std::fmt::Write;
use std::ops::Range;

use cluster::base::exit::Exit;
use cluster::cli::help::{ENVIRONMENT, SIGNALS};
use cluster::config::print;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// Where the text between `<!-- name -->` and `<!-- /name -->` stands, markers left out.
fn section(readme: &str, name: &str) -> Range<usize> {
    let (from, to) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let start = readme
        .find(&from)
        .unwrap_or_else(|| panic!("{from} is not in the README"))
        + from.len();
    let end = readme[start..]
        .find(&to)
        .unwrap_or_else(|| panic!("{to} is not in the README"));
    start..start + end
}

fn check(name: &str, fresh: &str) {
    let mut readme = std::fs::read_to_string(PATH).expect("readable");
    let place = section(&readme, name);
    if &readme[place.clone()] == fresh {
        return;
    }
    assert!(
        std::env::var_os("CLUSTER_UPDATE").is_some(),
        "the README's {name} are stale: CLUSTER_UPDATE=1 cargo test --test readme"
    );
    readme.replace_range(place, fresh);
    std::fs::write(PATH, readme).expect("written");
}

fn table(head: [&str; 2], rows: impl Iterator<Item = [String; 2]>) -> String {
    let mut text = format!("| {} | {} |\n|---|---|\n", head[0], head[1]);
    for [one, other] in rows {
        writeln!(text, "| {one} | {other} |").expect("a string");
    }
    text
}

/// One test, because each of its parts may write the file.
#[test]
fn its_tables_are_the_programs_own() {
    check("metrics", &cluster::metrics::families::markdown());
    check("keys", &print::markdown(cluster::shop::SECTIONS));
    check(
        "exit codes",
        &table(
            ["code", "meaning"],
            Exit::ALL
                .iter()
                .map(|exit| [exit.code().to_string(), exit.doc().to_owned()]),
        ),
    );
    check(
        "signals",
        &table(
            ["signal", "meaning"],
            SIGNALS
                .iter()
                .map(|(name, doc)| [(*name).to_owned(), (*doc).to_owned()]),
        ),
    );
    let variables = ENVIRONMENT
        .iter()
        .map(|(name, doc)| [format!("`{name}`"), (*doc).to_owned()]);
    check("environment", &table(["variable", "meaning"], variables));
}

#[test]
fn every_flag_is_named() {
    let readme = std::fs::read_to_string(PATH).expect("readable");
    for flag in cluster::cli::flags::FLAGS {
        assert!(
            readme.contains(&format!("--{}", flag.long)),
            "--{} is not in the README",
            flag.long
        );
    }
}
