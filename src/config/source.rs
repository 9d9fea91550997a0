//! The text of a configuration file: where a byte of it is for a person, and how a piece of it is quoted.

use std::ops::Range;

use super::problem::{Place, Problem};

/// No quotation is longer, in characters.
const LONGEST_QUOTE: usize = 60;

/// A file's name and bytes, as the shell read them.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// As the person named it.
    pub name: &'a str,
    /// What it held.
    pub bytes: &'a [u8],
}

/// The same, once it is known to be text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    name: &'a str,
    pub(super) text: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn text(self) -> Result<Text<'a>, Problem> {
        let Source { name, bytes } = self;
        std::str::from_utf8(bytes)
            .map(|text| Text { name, text })
            .map_err(|error| {
                let good = &bytes[..error.valid_up_to()];
                let text = Text {
                    name,
                    text: std::str::from_utf8(good).unwrap_or_default(),
                };
                let byte = bytes.get(good.len()).copied().unwrap_or_default();
                let message =
                    format!("byte 0x{byte:02x} is not UTF-8, expected a TOML text: save the file in UTF-8");
                Problem {
                    place: text.place(good.len()),
                    message,
                }
            })
    }
}

impl Text<'_> {
    /// Where the byte at `offset` is.
    pub(super) fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Place::File {
            name: self.name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().filter(|&c| c != '\u{feff}').count() + 1,
        }
    }

    /// What stands there, in one line and not too long.
    pub(super) fn quote(&self, span: Range<usize>) -> String {
        let piece = self.text.get(span).unwrap_or_default();
        quote(piece)
    }
}

/// A piece of text in one line, not too long and without control characters.
pub(super) fn quote(piece: &str) -> String {
    let mut quoted: String = piece.chars().take(LONGEST_QUOTE).flat_map(visible).collect();
    if piece.chars().nth(LONGEST_QUOTE).is_some() {
        quoted.push('…');
    }
    quoted
}

fn visible(c: char) -> Vec<char> {
    if c.is_control() {
        c.escape_default().collect()
    } else {
        vec![c]
    }
}
