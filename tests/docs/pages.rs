//! What holds for every page: links, commands, and the length of the README.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use cluster::cli::flags;

use crate::tables::program;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A newcomer reads the README to the end.
const LONGEST_README: usize = 250;

/// One Markdown file.
struct Page {
    path: PathBuf,
    text: String,
}

/// The README and every page below `docs/`.
fn pages() -> Vec<Page> {
    let mut paths = vec![Path::new(ROOT).join("README.md")];
    let mut folders = vec![Path::new(ROOT).join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "md" => paths.push(path),
                _ => {}
            }
        }
    }
    paths.sort();
    let read = |path: PathBuf| Page {
        text: fs::read_to_string(&path).expect("readable"),
        path,
    };
    paths.into_iter().map(read).collect()
}

impl Page {
    fn name(&self) -> &str {
        self.path
            .strip_prefix(ROOT)
            .ok()
            .and_then(Path::to_str)
            .expect("a path below the root")
    }

    /// Every link to a file of the repository, as written, without links to other sites.
    fn links(&self) -> Vec<&str> {
        let targets = self.text.split("](").skip(1);
        targets
            .filter_map(|rest| rest.split(')').next())
            .filter(|target| !target.contains("://"))
            .collect()
    }

    /// The anchors that GitHub makes of the headings.
    fn anchors(&self) -> Vec<String> {
        let headings = self.text.lines().filter(|line| line.starts_with('#'));
        headings.map(anchor).collect()
    }

    /// Every line that is a command, or may be one: what stands behind the prompt in a `console` block,
    /// indented lines, and inline code.
    fn code(&self) -> Vec<&str> {
        let mut code = Vec::new();
        for (index, block) in self.text.split("```").enumerate() {
            if index % 2 == 1 {
                code.extend(block.lines().filter_map(|line| line.strip_prefix("$ ")));
            } else {
                code.extend(block.lines().filter_map(|line| line.strip_prefix("    ")));
                code.extend(block.split('`').skip(1).step_by(2));
            }
        }
        code
    }
}

fn anchor(heading: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || c == ' ' || c == '-' || c == '_';
    let text = heading.trim_start_matches('#').trim();
    text.chars()
        .filter(|&c| kept(c))
        .map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() })
        .collect()
}

#[test]
fn the_readme_is_short_enough_to_be_read_to_the_end() {
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).expect("readable");
    let lines = readme.lines().count();
    assert!(lines <= LONGEST_README, "{lines} lines, at most {LONGEST_README}");
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let pages = pages();
    for page in &pages {
        for link in page.links() {
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.path.clone(),
                file => page.path.parent().expect("a folder").join(file),
            };
            let target = target.canonicalize().unwrap_or_else(|_| {
                panic!("{}: the link {link} leads nowhere", page.name());
            });
            let other = pages.iter().find(|other| other.path == target);
            let known = other.is_none_or(|other| other.anchors().iter().any(|known| known == fragment));
            assert!(
                fragment.is_empty() || known,
                "{}: no heading for {link}",
                page.name()
            );
        }
    }
}

#[test]
fn every_page_is_reached_from_the_readme() {
    let pages = pages();
    let mut reached = vec![Path::new(ROOT).join("README.md")];
    let mut next = 0;
    while let Some(path) = reached.get(next).cloned() {
        next += 1;
        let Some(page) = pages.iter().find(|page| page.path == path) else {
            continue;
        };
        for link in page.links() {
            let file = link.split('#').next().unwrap_or_default();
            let target = path.parent().expect("a folder").join(file).canonicalize();
            if let Ok(target) = target
                && !reached.contains(&target)
            {
                reached.push(target);
            }
        }
    }
    for page in &pages {
        assert!(reached.contains(&page.path), "no page links to {}", page.name());
    }
}

/// The words behind `cluster ` at the beginning of a line of code, unless it is a key of `Cargo.toml`.
fn words_of_cluster(line: &str) -> Option<Vec<&str>> {
    let rest = line
        .trim()
        .strip_prefix("cluster ")
        .filter(|rest| !rest.starts_with('='))?;
    let rest = rest.split(['#', '|', ';', '&', '>']).next().unwrap_or_default();
    Some(rest.split_whitespace().collect())
}

fn has_flag(command: &Command, flag: &str) -> bool {
    let name = flag.trim_start_matches("--").split('=').next();
    flag == "--help" || command.get_arguments().any(|arg| arg.get_long() == name)
}

#[test]
fn every_command_that_is_named_exists_with_its_flags() {
    let command = cluster::cli::args::command(&program());
    let own: Vec<&str> = program().commands.iter().map(|own| own.name).collect();
    let mut found = 0;
    for page in pages() {
        for line in page.code() {
            let Some(words) = words_of_cluster(line) else {
                continue;
            };
            let Some(name) = words.first().filter(|name| !name.starts_with('-')) else {
                continue;
            };
            let known = command.find_subcommand(name);
            let known = known.unwrap_or_else(|| panic!("{}: no command of {line:?}", page.name()));
            found += 1;
            if own.contains(name) {
                continue;
            }
            // What stands behind `--` is a program of the user's.
            let before = words.iter().take_while(|word| **word != "--");
            for flag in before.filter(|word| word.starts_with("--")) {
                assert!(has_flag(known, flag), "{}: no {flag} in {line:?}", page.name());
            }
        }
    }
    assert!(
        found > 20,
        "only {found} commands were found: the pages are not read rightly"
    );
}

/// What stands behind `flag` in a line of code.
fn behind<'a>(line: &'a str, flag: &str) -> Option<&'a str> {
    let rest = line.split(flag).nth(1)?;
    rest.split_whitespace().next()
}

#[test]
fn every_bench_test_and_example_that_is_named_exists() {
    let exists = |folder: &str, name: &str| {
        let base = Path::new(ROOT).join(folder);
        base.join(name).join("main.rs").exists() || base.join(format!("{name}.rs")).exists()
    };
    let kinds = [
        ("--bench ", "benches"),
        ("--test ", "tests"),
        ("--example ", "examples"),
    ];
    for page in pages() {
        for line in page.code().into_iter().filter(|line| line.contains("cargo ")) {
            for (flag, folder) in kinds {
                let Some(name) = behind(line, flag) else { continue };
                assert!(exists(folder, name), "{}: no {name} of {line:?}", page.name());
            }
        }
    }
}

#[test]
fn every_flag_is_documented() {
    let text: String = pages().into_iter().map(|page| page.text).collect();
    for flag in flags::FLAGS.iter().chain(flags::RUN_FLAGS) {
        assert!(
            text.contains(&format!("--{}", flag.long)),
            "--{} is on no page",
            flag.long
        );
    }
}

#[test]
fn a_heading_has_the_anchor_that_github_gives_it() {
    assert_eq!(anchor("## Where to go next?"), "where-to-go-next");
    assert_eq!(anchor("# `cluster.toml`, by key"), "clustertoml-by-key");
}
