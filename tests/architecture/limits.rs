//! How much is still tolerated of what should not be there. A limit only falls: who removes something lowers
//! it in the same commit. The test prints the present figure when it is exceeded; `cargo test --test
//! architecture -- --nocapture` always prints it.

/// Groups of files in `src` that import each other.
pub(crate) const CIRCLES: usize = 1;
/// The same in `src/pool` alone.
pub(crate) const CIRCLES_IN_POOL: usize = 0;

/// Names of types that stand in two or more modules of the product.
pub(crate) const NAMES_IN_TWO_MODULES: usize = 0;
/// Names of types that stand in three or more modules of the product.
pub(crate) const NAMES_IN_THREE_MODULES: usize = 0;
/// Types, modules and files that still bear a name which was given up (`names.rs` lists them).
pub(crate) const FORGOTTEN_NAMES: usize = 0;

/// Files with an `impl Pool`, and the fields of `Pool`.
pub(crate) const FILES_OF_POOL: usize = 10;
pub(crate) const FIELDS_OF_POOL: usize = 9;
/// Files outside the stores that name SQLite's library.
pub(crate) const FILES_WITH_SQL: usize = 1;

/// Lines of a function, from `fn` to its closing brace.
pub(crate) const MEDIAN_FUNCTION: usize = 9;
pub(crate) const NINE_FUNCTIONS_IN_TEN: usize = 24;
pub(crate) const LONGEST_FUNCTION: usize = 80;
/// Functions that are longer than [`LONGEST_FUNCTION`].
pub(crate) const TOO_LONG_FUNCTIONS: usize = 0;
/// Lines of a file, and how many files are longer.
pub(crate) const LONGEST_FILE: usize = 450;
pub(crate) const TOO_LONG_FILES: usize = 0;
/// Doc comments that are one word.
pub(crate) const DOCS_OF_ONE_WORD: usize = 0;
/// Columns of a line, and how many lines are longer.
pub(crate) const LONGEST_LINE: usize = 110;
pub(crate) const TOO_LONG_LINES: usize = 190;
/// Lines that no screen shows whole.
pub(crate) const VERY_LONG_LINE: usize = 140;
pub(crate) const VERY_LONG_LINES: usize = 6;

/// Prints a figure, and fails when it is above its limit.
pub(crate) fn at_most(limit: usize, what: &str, found: &[String]) {
    println!("{what}: {} (limit {limit})", found.len());
    assert!(
        found.len() <= limit,
        "{what}: {}, and at most {limit} are allowed (tests/architecture/limits.rs):\n{}",
        found.len(),
        found.join("\n")
    );
}
