//! What the sources themselves say: the fields of a documented type, and the codes of the problem documents.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A public field with its type and its doc comment.
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) doc: String,
}

/// Every Rust file below a folder of `src`.
pub(crate) fn files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The fields of `pub struct NAME`, which stands in a file below `src/FOLDER`.
pub(crate) fn fields(folder: &str, name: &str) -> Vec<Field> {
    let head = format!("pub struct {name} {{\n");
    let texts = files(folder)
        .into_iter()
        .map(|path| fs::read_to_string(path).expect("readable"));
    let text = texts.into_iter().find(|text| text.contains(&head));
    let text = text.unwrap_or_else(|| panic!("no {name} below src/{folder}"));
    let body = text.split(&head).nth(1).and_then(|rest| rest.split("\n}").next());
    read_fields(body.expect("the struct has an end"))
}

fn read_fields(body: &str) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut doc = Vec::new();
    for line in body.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("/// ") {
            doc.push(words);
        } else if let Some((name, kind)) = line.strip_prefix("pub ").and_then(|line| line.split_once(": ")) {
            fields.push(Field {
                name: name.to_owned(),
                kind: kind.trim_end_matches(',').to_owned(),
                doc: doc.join(" "),
            });
            doc.clear();
        }
    }
    fields
}

/// The product code of every file below a folder of `src`, without comments, tests, and quotation marks that
/// neither begin nor end a text.
fn product_code(folder: &str) -> impl Iterator<Item = String> {
    files(folder).into_iter().map(|path| {
        let text = fs::read_to_string(path).expect("readable");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code = lines.collect::<Vec<_>>().join("\n");
        code.replace("'\"'", "").replace("\\\"", "")
    })
}

/// Functions whose first text is the code of a problem document.
const MAKE_PROBLEMS: &[&str] = &["Problem::new", "invalid", "bad", "refused"];

/// Whether the text that follows this code is the code of a problem document.
fn precedes_a_code(before: &str) -> bool {
    if before.trim_end().ends_with("code:") {
        return true;
    }
    let call = before.rsplit_once('(').map(|(function, _)| function);
    call.is_some_and(|function| MAKE_PROBLEMS.iter().any(|name| function.ends_with(name)))
}

/// The code of every problem document that is made below a folder of `src`.
pub(crate) fn problem_codes(folder: &str) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for code in product_code(folder) {
        let pieces: Vec<&str> = code.split('"').collect();
        for pair in pieces.windows(2).step_by(2) {
            if precedes_a_code(pair[0])
                && pair[1]
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            {
                codes.insert(pair[1].to_owned());
            }
        }
    }
    codes
}
