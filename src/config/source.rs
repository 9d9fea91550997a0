//! The text of a configuration file: the line and column of each byte, and how a piece of it is quoted in a
//! message.

use std::ops::Range;

use super::problem::{ConfigProblem, Location};

/// The longest quotation, in characters.
const LONGEST_QUOTE: usize = 60;

/// The name and the bytes of a configuration file.
#[derive(Clone, Copy, Debug)]
pub struct ConfigFile<'a> {
    /// The name of the file, as the person wrote it.
    pub name: &'a str,
    /// The bytes that were read from the file.
    pub bytes: &'a [u8],
}

/// A configuration file that is known to be UTF-8.
#[derive(Clone, Copy, Debug)]
pub(super) struct SourceText<'a> {
    name: &'a str,
    pub(super) text: &'a str,
}

impl<'a> ConfigFile<'a> {
    pub(super) fn text(self) -> Result<SourceText<'a>, ConfigProblem> {
        let ConfigFile { name, bytes } = self;
        std::str::from_utf8(bytes)
            .map(|text| SourceText { name, text })
            .map_err(|error| {
                let good = &bytes[..error.valid_up_to()];
                let text = SourceText {
                    name,
                    text: std::str::from_utf8(good).unwrap_or_default(),
                };
                let byte = bytes.get(good.len()).copied().unwrap_or_default();
                let message =
                    format!("byte 0x{byte:02x} is not UTF-8, expected a TOML text: save the file in UTF-8");
                ConfigProblem {
                    location: text.location(good.len()),
                    message,
                }
            })
    }
}

impl SourceText<'_> {
    /// The line and column of the byte at `offset`.
    pub(super) fn location(&self, offset: usize) -> Location {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Location::File {
            name: self.name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().filter(|&c| c != '\u{feff}').count() + 1,
        }
    }

    /// The piece of the text at `span`, quoted in one line of bounded length.
    pub(super) fn quote(&self, span: Range<usize>) -> String {
        let piece = self.text.get(span).unwrap_or_default();
        quote(piece)
    }
}

/// The text in one line of bounded length, with its control characters escaped.
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
