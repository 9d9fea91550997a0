//! Every file, directory and socket that the program makes has a mode that it chose: what would follow the
//! umask is not called. From outside: `tests/process/file_modes.rs`.

use crate::modules::{Module, Modules};
use crate::source::{self, Parts};
use crate::tokens::Token;

/// What makes something with a mode that follows from the umask.
const WITHOUT_MODE: &[&[&str]] = &[
    &["fs", "write"],
    &["fs", "copy"],
    &["fs", "create_dir"],
    &["fs", "create_dir_all"],
    &["File", "create"],
    &["File", "create_new"],
    &["UnixListener", "bind"],
];

fn ends_with(path: &Parts, words: &[&str]) -> bool {
    path.len() >= words.len() && path[path.len() - words.len()..].iter().eq(words)
}

/// How often a method of that name is called, with an argument that `is_meant`.
fn calls(tokens: &[Token], name: &str, is_meant: fn(&[Token]) -> bool) -> usize {
    let inner = tokens
        .iter()
        .filter_map(|token| ['(', '{', '['].iter().find_map(|&bracket| token.group(bracket)));
    let inner: usize = inner.map(|group| calls(&group.inside, name, is_meant)).sum();
    let here = tokens.windows(3).filter(|call| {
        call[0].is_mark('.')
            && call[1].is_word(name)
            && call[2].group('(').is_some_and(|group| is_meant(&group.inside))
    });
    inner + here.count()
}

fn is_true(argument: &[Token]) -> bool {
    matches!(argument, [word] if word.is_word("true"))
}

/// The faults of one module.
fn faults(module: &Module) -> Vec<String> {
    let paths = source::paths(&module.tokens);
    let mut faults: Vec<String> = paths
        .iter()
        .filter(|path| WITHOUT_MODE.iter().any(|words| ends_with(path, words)))
        .map(|path| format!("{}: {}", module.file, path.join("::")))
        .collect();
    let builders = paths
        .iter()
        .filter(|path| ends_with(path, &["DirBuilder", "new"]));
    let makers = builders.count()
        + calls(&module.tokens, "create", is_true)
        + calls(&module.tokens, "create_new", is_true);
    let modes = calls(&module.tokens, "mode", |_| true);
    if makers > modes {
        faults.push(format!(
            "{}: {makers} calls that create something, {modes} modes",
            module.file
        ));
    }
    faults
}

#[test]
fn what_the_program_makes_has_a_mode_that_it_chose() {
    let modules = Modules::of_the_library();
    let found: Vec<String> = modules.all().flat_map(faults).collect();
    assert!(
        found.is_empty(),
        "these follow the umask; use sys::private_file or give a mode:\n{}",
        found.join("\n")
    );
}

#[test]
fn what_follows_the_umask_is_seen() {
    let tokens = |text: &str| crate::tokens::tokens(text);
    let makers = |text: &str| calls(&tokens(text), "create", is_true);
    assert_eq!(makers("fn a() { o().write(true).create(true).open(p) }"), 1);
    assert_eq!(
        makers("fn a() { DirBuilder::new().create(path); o().create(false) }"),
        0
    );
    let paths = source::paths(&tokens("fn a() { std::fs::write(a, b); File::open(c) }"));
    let seen = |words: &[&str]| paths.iter().any(|path| ends_with(path, words));
    assert!(seen(&["fs", "write"]) && !seen(&["File", "create"]));
}
