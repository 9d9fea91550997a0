//! The test of the test: on texts that hold what is forbidden, it is found; on texts that only speak of it,
//! it is not.

use std::path::Path;

use crate::circles::circles;
use crate::layers::wrong_imports;
use crate::modules::Modules;
use crate::sizes::docs_of_one_word;
use crate::source::{Parts, functions, paths, types, without_tests};
use crate::tokens::tokens;

fn paths_in(text: &str) -> Vec<String> {
    let paths = paths(&without_tests(&tokens(text))).into_iter();
    paths
        .filter(|path| path.len() > 1)
        .map(|path: Parts| path.join("::"))
        .collect()
}

#[test]
fn what_follows_a_test_item_is_still_product() {
    let text = "
        #[cfg(test)]
        mod tests;
        use crate::first;
        struct Both {
            #[cfg(test)]
            hidden: HashMap<u8, crate::hidden_field::Type>,
            shown: crate::second::Type,
        }
        impl Both {
            #[cfg(test)]
            fn hidden<T: Into<u8>>() -> Vec<T> { crate::hidden_function::call() }
            #[cfg(test)]
            const HIDDEN: crate::hidden_const::Type = crate::hidden_const::Type { a: 1 };
            fn shown() {
                #[cfg(test)]
                crate::hidden_statement::call!();
                crate::third::call()
            }
        }
        #[cfg(all(test, unix))]
        mod more { use crate::hidden_module; }
        #[cfg(test)]
        pub(crate) use crate::{hidden_import, another::hidden};
        #[cfg(not(test))]
        use crate::fourth;
    ";
    let found = [
        "crate::first",
        "crate::second::Type",
        "crate::third::call",
        "crate::fourth",
    ];
    assert_eq!(paths_in(text), found);
}

#[test]
fn comments_and_strings_name_nothing_and_hide_nothing() {
    let text = r#"
        /// Not crate::doc.
        fn call() {
            let url = "http://host/crate::text"; crate::first::call(); // not crate::comment
            log!("// {}", crate::second::call()); /* nor crate::block */
        }
    "#;
    assert_eq!(paths_in(text), ["crate::first::call", "crate::second::call"]);
}

#[test]
fn the_braces_of_use_are_resolved() {
    let text =
        "use crate::{base::{a, b as c}, sys}; use std::{fs, net::*}; fn f(x: ::std::io::Error) -> u8 { 1 }";
    let found = [
        "crate::base::a",
        "crate::base::b",
        "crate::sys",
        "std::fs",
        "std::net::*",
        "std::io::Error",
    ];
    assert_eq!(paths_in(text), found);
}

/// A library of these files, in a folder of its own.
fn library(files: &[(&str, &str)]) -> (tempfile::TempDir, Modules) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    let modules = Modules::below(&Path::new(folder.path()).join("lib.rs"));
    (folder, modules)
}

#[test]
fn a_planted_import_is_found_however_it_is_written() {
    let files = [
        (
            "lib.rs",
            "pub mod base; pub mod pool; mod run; pub use pool::Pool;",
        ),
        (
            "base/mod.rs",
            "#[cfg(test)] mod tests { use crate::pool; } fn f() { super::pool::act() }",
        ),
        ("pool/mod.rs", "mod inner; pub use inner::Pool; pub fn act() {}"),
        ("pool/inner.rs", "use super::super::{base, run}; pub struct Pool;"),
        ("run.rs", "use crate::{config::x, shop::y};"),
    ];
    let (_folder, modules) = library(&files);
    let found: Vec<String> = wrong_imports(&modules);
    let expected = [
        "lib.rs names pool::Pool",
        "base/mod.rs names pool::act",
        "pool/inner.rs names run",
        "run.rs names shop::y",
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for wrong in expected {
        assert!(
            found.iter().any(|line| line.ends_with(wrong)),
            "{wrong} is not in {found:?}"
        );
    }
}

#[test]
fn a_circle_is_followed_through_re_exports_and_a_facade_is_none() {
    let files = [
        ("lib.rs", "pub mod pool;"),
        (
            "pool/mod.rs",
            "mod one; mod two; mod three; pub use one::One; pub use two::Two; pub use three::Three;",
        ),
        ("pool/one.rs", "use super::Two; pub struct One(Two);"),
        ("pool/two.rs", "pub struct Two(Option<crate::pool::One>);"),
        ("pool/three.rs", "use super::One; pub struct Three(One);"),
    ];
    let (_folder, modules) = library(&files);
    let uses = modules.uses();
    let found = circles(&uses);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].len() == 2 && found[0][0].ends_with("one.rs") && found[0][1].ends_with("two.rs"));
}

#[test]
fn sizes_and_docs_are_counted_as_a_reader_counts() {
    let text = "/// Who.\nfn a() {\n    1;\n}\n/// Two\n/// lines.\nimpl B {\n    #[inline]\n    pub fn b(\n    ) {}\n}\n";
    assert_eq!(functions(&tokens(text)), [("a", 3), ("b", 2)]);
    assert_eq!(docs_of_one_word(text), [(1, " Who.")]);
}

#[test]
fn types_are_found_where_they_are_defined() {
    let text = "
        struct A<T>(T); enum B { C } trait D { type E; fn f(); }
        impl D for A<u8> { type E = u8; fn f() { struct G; } }
        type H = fn(struct_like: u8) -> B; const I: &str = \"struct J;\"; // enum K
        fn l() -> impl D { let r#type = 'x'; let m: &'static str = r#\"enum \"N\"#; }
    ";
    assert_eq!(types(&tokens(text)), ["A", "B", "D", "E", "G", "H"]);
}
