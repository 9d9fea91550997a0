//! Sizes: functions, files and lines that can be taken in at a glance, and comments that say something.

use crate::limits::{self, at_most};
use crate::source::{self, Source, functions};

/// The length that so many per cent of the functions do not exceed.
fn quantile(lengths: &[usize], percent: usize) -> usize {
    let mut sorted = lengths.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() - 1) * percent / 100;
    sorted[at]
}

#[test]
fn functions_are_short() {
    for root in ["src/", "tests/", ""] {
        let sources = source::everything()
            .iter()
            .filter(|source| source.path.starts_with(root));
        let all = sources.flat_map(|source| functions(&source.tokens));
        let lengths: Vec<usize> = all.map(|(_, lines)| lines).collect();
        let (median, most) = (quantile(&lengths, 50), quantile(&lengths, 90));
        println!(
            "{} functions in {root:?}: median {median}, 90 % at most {most} lines",
            lengths.len()
        );
        if root == "src/" {
            assert!(median <= limits::MEDIAN_FUNCTION, "the median has {median} lines");
            assert!(
                most <= limits::NINE_FUNCTIONS_IN_TEN,
                "nine in ten have up to {most} lines"
            );
        }
    }
}

#[test]
fn no_function_is_long() {
    let sources = source::everything();
    let long = sources.iter().flat_map(|source| {
        let long = functions(&source.tokens).into_iter();
        let long = long.filter(|(_, lines)| *lines > limits::LONGEST_FUNCTION);
        long.map(|(name, lines)| format!("{}: {name} has {lines} lines", source.path))
    });
    let what = format!("functions of more than {} lines", limits::LONGEST_FUNCTION);
    at_most(limits::TOO_LONG_FUNCTIONS, &what, &long.collect::<Vec<_>>());
}

#[test]
fn no_file_is_long() {
    let sources = source::everything();
    let lines = |source: &Source| source.text.lines().count();
    let long = sources
        .iter()
        .filter(|source| lines(source) > limits::LONGEST_FILE);
    let long: Vec<String> = long
        .map(|source| format!("{}: {}", source.path, lines(source)))
        .collect();
    let what = format!("files of more than {} lines", limits::LONGEST_FILE);
    at_most(limits::TOO_LONG_FILES, &what, &long);
}

#[test]
fn no_line_is_long() {
    let sources = source::everything();
    for (columns, limit) in [
        (limits::LONGEST_LINE, limits::TOO_LONG_LINES),
        (limits::VERY_LONG_LINE, limits::VERY_LONG_LINES),
    ] {
        let long = sources.iter().flat_map(|source| {
            let lines = source.text.lines().enumerate();
            let long = lines.filter(|(_, line)| line.chars().count() > columns);
            long.map(|(at, line)| format!("{}:{}: {}", source.path, at + 1, line.trim()))
        });
        at_most(
            limit,
            &format!("lines of more than {columns} columns"),
            &long.collect::<Vec<_>>(),
        );
    }
}

/// The doc comments of a text that are one word and not the name of something in the code, with their lines.
pub(crate) fn docs_of_one_word(text: &str) -> Vec<(usize, &str)> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_doc = |at: usize| lines.get(at).is_some_and(|line| doc(line).is_some());
    let alone = |at: &usize| !is_doc(at + 1) && (*at == 0 || !is_doc(at - 1));
    let docs = (0..lines.len())
        .filter(alone)
        .filter_map(|at| Some((at + 1, doc(lines[at])?)));
    docs.filter(|(_, doc)| doc.split_whitespace().count() < 2)
        .collect()
}

fn doc(line: &str) -> Option<&str> {
    line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))
}

#[test]
fn no_doc_is_one_word() {
    let sources = source::everything();
    let docs = sources.iter().flat_map(|source| {
        let docs = docs_of_one_word(&source.text).into_iter();
        docs.map(|(line, doc)| format!("{}:{line}:{doc}", source.path))
    });
    at_most(
        limits::DOCS_OF_ONE_WORD,
        "docs of one word",
        &docs.collect::<Vec<_>>(),
    );
}

#[test]
fn every_file_says_first_what_it_owns() {
    for source in source::everything() {
        assert!(
            source.text.starts_with("//!"),
            "{} does not begin with //!",
            source.path
        );
    }
}
