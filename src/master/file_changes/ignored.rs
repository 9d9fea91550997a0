//! Which changes are nobody's work: what tools, editors and programs write beside the files of a person. Pure
//! but for the names of paths.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Directories whose content no person edits.
const DIRECTORIES: &[&str] = &["node_modules", "__pycache__"];
/// The beginnings of the names of temporary files.
const BEGINNINGS: &[&[u8]] = &[b".#", b"#", b".goutputstream-", b".DS_Store"];
/// The ends of the names of temporary files.
const ENDS: &[&[u8]] = &[
    b"~",
    b".swp",
    b".swo",
    b".swx",
    b".tmp",
    b".pyc",
    b"___jb_tmp___",
    b"___jb_old___",
];
/// What vim writes to find out whether it may.
const TRIALS: &[&[u8]] = &[b"4913"];

/// Whether a directory of this name is not looked into: hidden ones (`.git`, `.venv`) and caches.
pub(super) fn is_ignored_directory(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".") || DIRECTORIES.iter().any(|ignored| name == *ignored)
}

/// Whether a file of this name is a temporary one. Other hidden files are not: `.env` is edited.
pub(super) fn is_ignored_file(name: &OsStr) -> bool {
    let name = name.as_bytes();
    BEGINNINGS.iter().any(|begin| name.starts_with(begin))
        || ENDS.iter().any(|end| name.ends_with(end))
        || TRIALS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_edits_is_not_ignored() {
        for name in ["app.js", ".env", "Makefile", "a.tmpl", "src"] {
            assert!(!is_ignored_file(name.as_ref()), "{name}");
        }
        for name in [".app.js.swp", "app.js~", "4913", ".#app.js", "#app.js#", "a.pyc"] {
            assert!(is_ignored_file(name.as_ref()), "{name}");
        }
        for name in [".git", "node_modules", "__pycache__", ".venv"] {
            assert!(is_ignored_directory(name.as_ref()), "{name}");
        }
        assert!(!is_ignored_directory("src".as_ref()));
    }
}
