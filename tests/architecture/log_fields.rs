//! Log calls keep the schema of log lines: each field stands in docs/reference/log-lines.md, and no value is
//! written as Rust's Debug text.

use std::collections::BTreeSet;

use crate::source::{everything, read, repository, without_tests};
use crate::tokens::{Kind, Token};

const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error"];

/// What is wrong with the arguments of one log call, which end with its message.
fn mistakes(arguments: &[Token], known: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for argument in arguments.split(|token| token.is_mark(',')) {
        if matches!(
            argument.first(),
            Some(Token {
                kind: Kind::Literal,
                ..
            })
        ) {
            return found;
        }
        if argument
            .iter()
            .any(|token| token.is_mark('?') && !is_operator(argument, token))
        {
            found.push(format!("{} is written as Debug text", shown(argument)));
        }
        let name = argument.iter().find_map(Token::word);
        found.extend(
            name.filter(|name| !known.contains(*name))
                .map(|name| format!("{name} is not in the schema")),
        );
    }
    found
}

/// Whether this `?` ends an expression instead of standing before one.
fn is_operator(argument: &[Token], mark: &Token) -> bool {
    let place = argument.iter().position(|token| std::ptr::eq(token, mark));
    let before = place
        .and_then(|place| place.checked_sub(1))
        .map(|place| &argument[place]);
    before.is_some_and(|token| !token.is_mark('='))
}

fn shown(argument: &[Token]) -> String {
    argument
        .iter()
        .filter_map(Token::word)
        .collect::<Vec<_>>()
        .join(".")
}

/// The log calls among these tokens and those within their brackets: the line and the arguments of each.
fn calls(tokens: &[Token]) -> Vec<(usize, Vec<Token>)> {
    let mut found = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        let Kind::Group(group) = &token.kind else { continue };
        found.extend(calls(&group.inside));
        let named = place.checked_sub(2).map(|start| &tokens[start..place]);
        if let Some([name, mark]) = named
            && mark.is_mark('!')
            && name.word().is_some_and(|word| LEVELS.contains(&word))
        {
            found.push((token.line, group.inside.clone()));
        }
    }
    found
}

fn schema() -> BTreeSet<String> {
    let page = read(&repository().join("docs/reference/log-lines.md")).text;
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_field_of_a_log_call_is_in_the_schema_and_none_is_debug_text() {
    let (known, mut found, mut seen) = (schema(), Vec::new(), 0);
    for source in everything()
        .iter()
        .filter(|source| source.path.starts_with("src/"))
    {
        for (line, arguments) in calls(&without_tests(&source.tokens)) {
            seen += 1;
            let wrong = mistakes(&arguments, &known);
            found.extend(
                wrong
                    .iter()
                    .map(|wrong| format!("{}:{line}: {wrong}", source.path)),
            );
        }
    }
    assert!(seen > 80, "only {seen} log calls were found");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_field_without_a_name_in_the_schema_and_debug_text_are_found() {
    let known = BTreeSet::from(["slot".to_owned(), "error".to_owned()]);
    let wrong = |text: &str| {
        let tokens = crate::tokens::tokens(text);
        calls(&tokens)
            .iter()
            .flat_map(|(_, arguments)| mistakes(arguments, &known))
            .count()
    };
    assert_eq!(wrong("{ warn!(%slot, error = %e, \"a {mood:?}\", mood) }"), 0);
    assert_eq!(wrong("tracing::warn!(?slot, \"a\")"), 1);
    assert_eq!(wrong("info!(slot = ?one.two, mood, \"a\")"), 2);
    assert_eq!(wrong("if a { debug!(slot = one()?.two, \"a\") }"), 0);
}
