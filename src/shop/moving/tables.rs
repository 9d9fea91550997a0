//! What a table comes to, so that two of them can be compared.

use sha2::{Digest, Sha256};

use crate::postgres::RowValue;

/// The rows of a table, and a hash over all of them.
#[derive(Clone, Debug)]
pub(super) struct TableDigest {
    rows: u64,
    hash: Sha256,
}

impl TableDigest {
    pub(super) fn new() -> TableDigest {
        TableDigest {
            rows: 0,
            hash: Sha256::new(),
        }
    }

    /// Adds the next row. Where one value ends and the next begins is a part of the hash.
    pub(super) fn add(&mut self, row: &[RowValue]) {
        self.rows += 1;
        for cell in row {
            match cell {
                RowValue::Null => self.hash.update([0]),
                RowValue::Integer(number) => {
                    self.hash.update([1]);
                    self.hash.update(number.to_be_bytes());
                }
                RowValue::Text(text) => self.add_bytes(2, text.as_bytes()),
                RowValue::Bytes(bytes) => self.add_bytes(3, bytes),
            }
        }
        self.hash.update([4]);
    }

    fn add_bytes(&mut self, kind: u8, bytes: &[u8]) {
        self.hash.update([kind]);
        self.hash.update((bytes.len() as u64).to_be_bytes());
        self.hash.update(bytes);
    }

    /// How many rows there were.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The hash over all of them.
    pub(super) fn hash(self) -> [u8; 32] {
        self.hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(rows: &[&[RowValue]]) -> [u8; 32] {
        let mut digest = TableDigest::new();
        rows.iter().for_each(|row| digest.add(row));
        digest.hash()
    }

    #[test]
    fn rows_that_differ_in_anything_have_another_hash() {
        let text = |text: &str| RowValue::Text(text.to_owned());
        let (a, b) = (text("a"), text("b"));
        let same = hash(&[&[a.clone(), b.clone()]]);
        assert_eq!(same, hash(&[&[a.clone(), b.clone()]]));
        for other in [
            hash(&[&[b.clone(), a.clone()]]),
            hash(&[&[text("ab"), text("")]]),
            hash(&[std::slice::from_ref(&a), std::slice::from_ref(&b)]),
            hash(&[&[a.clone(), RowValue::Null, b]]),
            hash(&[&[RowValue::Bytes(b"a".to_vec()), text("b")]]),
            hash(&[&[RowValue::Integer(1), a]]),
        ] {
            assert_ne!(same, other);
        }
    }
}
