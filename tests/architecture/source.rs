//! The source files, and what can be read out of their tokens: the product without its tests, paths,
//! functions, types. It must not know any rule.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::tokens::{Kind, Token, tokens};

/// A file of the repository.
pub(crate) struct Source {
    /// Relative to the repository, such as `src/pool/mod.rs`.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
}

/// Every file of the repository, tests included, sorted by path.
pub(crate) fn everything() -> &'static [Source] {
    static FILES: LazyLock<Vec<Source>> = LazyLock::new(|| {
        files(&[
            "src",
            "tests",
            "benches",
            "examples",
            "fuzz/src",
            "fuzz/fuzz_targets",
        ])
    });
    &FILES
}

fn files(roots: &[&str]) -> Vec<Source> {
    let roots = roots.iter().map(|root| repository().join(root));
    let mut open: Vec<PathBuf> = roots.filter(|root| root.exists()).collect();
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("readable");
            open.extend(entries.flatten().map(|entry| entry.path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(read(&path));
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Source {
        path: path
            .strip_prefix(repository())
            .unwrap_or(path)
            .display()
            .to_string(),
        tokens: tokens(&text),
        text,
    }
}

/// Takes out what stands behind `#[cfg(test)]`: an item, a field, a statement or a match arm. What follows it
/// stays. The words of other conditions are taken out, too: they name nothing.
pub(crate) fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if is_for_tests(&tokens[at..]) {
            at += length_of_item(&tokens[at..]);
            continue;
        }
        if condition(&tokens[at..]).is_some() {
            at += 2;
            continue;
        }
        let mut token = tokens[at].clone();
        if let Kind::Group(group) = &mut token.kind {
            group.inside = without_tests(&group.inside);
        }
        kept.push(token);
        at += 1;
    }
    kept
}

/// Whether `#[cfg(test)]`, or `#[cfg(all(test, ..))]`, stands here.
fn is_for_tests(tokens: &[Token]) -> bool {
    match condition(tokens) {
        Some([test]) => test.is_word("test"),
        Some([all, list, ..]) if all.is_word("all") => list
            .group('(')
            .is_some_and(|list| list.inside.iter().any(|part| part.is_word("test"))),
        Some(_) | None => false,
    }
}

/// What stands in the brackets of the `#[cfg(..)]` that begins here.
fn condition(tokens: &[Token]) -> Option<&[Token]> {
    let [hash, attribute, ..] = tokens else {
        return None;
    };
    let attribute = attribute.group('[').filter(|_| hash.is_mark('#'))?;
    match &attribute.inside[..] {
        [cfg, condition] if cfg.is_word("cfg") => Some(&condition.group('(')?.inside),
        _ => None,
    }
}

/// How many tokens belong to the item, field, statement or arm that begins here, its attributes included.
fn length_of_item(tokens: &[Token]) -> usize {
    let mut at = 0;
    while tokens.get(at).is_some_and(|token| token.is_mark('#')) {
        at += 2;
    }
    let words: Vec<&str> = tokens[at..].iter().map_while(Token::word).collect();
    let first = words.iter().position(|word| *word != "pub").unwrap_or(0);
    let to_the_semicolon = match words.get(first) {
        Some(&"const") => words.get(first + 1) != Some(&"fn"),
        Some(&first) => ["use", "let", "static", "type"].contains(&first),
        None => false,
    };
    let mut angles = 0;
    for (length, token) in tokens.iter().enumerate().skip(at) {
        match &token.kind {
            Kind::Mark(';') => return length + 1,
            Kind::Mark(',') if angles == 0 && !to_the_semicolon => return length + 1,
            Kind::Mark('<') => angles += 1,
            Kind::Mark('>') => angles -= 1,
            Kind::Group(group) if group.bracket == '{' && !to_the_semicolon => {
                let comma = tokens.get(length + 1).is_some_and(|token| token.is_mark(','));
                return length + 1 + usize::from(comma);
            }
            _ => {}
        }
    }
    tokens.len()
}

/// A path as it is written, such as `["std", "fs", "File"]`. A single name or keyword is a path of one part.
pub(crate) type Parts = Vec<String>;

/// Every path in these tokens, macros included, with the braces of `use` resolved.
pub(crate) fn paths(tokens: &[Token]) -> Vec<Parts> {
    let mut found = Vec::new();
    collect(tokens, &[], &mut found);
    found
}

/// Reads one list of tokens. A path that begins in the list, or after a comma of it, continues `prefix`.
fn collect(tokens: &[Token], prefix: &[String], found: &mut Vec<Parts>) {
    let (mut path, mut continues) = (prefix.to_vec(), true);
    for token in tokens {
        match &token.kind {
            Kind::Word(name) => {
                if !continues {
                    found.push(std::mem::take(&mut path));
                }
                path.push(name.clone());
                continues = false;
            }
            Kind::Colons => continues = true,
            Kind::Mark('*') if continues => path.push("*".to_owned()),
            Kind::Group(group) if continues && group.bracket == '{' => {
                collect(&group.inside, &path, found);
                path.clear();
            }
            Kind::Group(group) => {
                found.push(std::mem::take(&mut path));
                collect(&group.inside, &[], found);
                continues = false;
            }
            Kind::Mark(',') => {
                found.push(std::mem::replace(&mut path, prefix.to_vec()));
                continues = true;
            }
            Kind::Mark(_) | Kind::Arrow | Kind::Literal => {
                found.push(std::mem::take(&mut path));
                continues = false;
            }
        }
    }
    found.push(path);
    found.retain(|path| !path.is_empty());
}

/// The functions with a body: the name, and how many lines there are from `fn` to the closing brace.
pub(crate) fn functions(tokens: &[Token]) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if let Kind::Group(group) = &token.kind {
            found.extend(functions(&group.inside));
        }
        let name = tokens
            .get(at + 1)
            .and_then(Token::word)
            .filter(|_| token.is_word("fn"));
        let end = name.and_then(|_| body(&tokens[at..]));
        found.extend(name.zip(end).map(|(name, end)| (name, end - token.line + 1)));
    }
    found
}

/// The last line of the body that the function has which begins here.
fn body(tokens: &[Token]) -> Option<usize> {
    let mut head = tokens.iter().take_while(|token| !token.is_mark(';'));
    head.find_map(|token| token.group('{')).map(|body| body.end)
}

/// The names of the types that are defined here. What an `impl` gives to the associated types of a trait is
/// no type of its own.
pub(crate) fn types(tokens: &[Token]) -> Vec<&str> {
    types_in(tokens, false)
}

fn types_in(tokens: &[Token], of_an_impl: bool) -> Vec<&str> {
    let (mut found, mut impl_is_next) = (Vec::new(), false);
    for (at, token) in tokens.iter().enumerate() {
        match &token.kind {
            Kind::Group(group) => {
                let is_body = group.bracket == '{';
                found.extend(types_in(&group.inside, impl_is_next && is_body));
                impl_is_next &= !is_body;
            }
            Kind::Word(word) => {
                impl_is_next |= word == "impl";
                let defines = ["struct", "enum", "trait"].contains(&word.as_str());
                if defines || word == "type" && !of_an_impl {
                    found.extend(tokens.get(at + 1).and_then(Token::word));
                }
            }
            _ => {}
        }
    }
    found
}
