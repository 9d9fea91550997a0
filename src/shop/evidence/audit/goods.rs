//! The lines of an order: with prices in the order, without prices in the reservation.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Parses `[[sku, quantity, unit price], ...]`.
pub(super) fn priced(items: &str) -> Option<Vec<(String, i64, i64)>> {
    serde_json::from_str(items).ok()
}

/// Parses `[[sku, quantity], ...]`.
pub(super) fn unpriced(items: &str) -> Option<Vec<(String, i64)>> {
    serde_json::from_str(items).ok()
}

/// A number for a set of lines, which does not depend on the order of the lines.
pub(super) fn fingerprint<'a>(lines: impl Iterator<Item = (&'a str, i64)>) -> u64 {
    let mut lines: Vec<_> = lines.collect();
    lines.sort_unstable();
    let mut hasher = DefaultHasher::new();
    lines.hash(&mut hasher);
    hasher.finish()
}

/// The fingerprint of a text that cannot be parsed; it equals no other.
pub(super) fn unparsable_fingerprint(items: &str) -> u64 {
    fingerprint(std::iter::once((items, i64::MIN)))
}

/// The cost of the lines in minor units; `None` when it overflows.
pub(super) fn cost(lines: &[(String, i64, i64)]) -> Option<i64> {
    lines.iter().try_fold(0_i64, |sum, (_, quantity, price)| {
        sum.checked_add(quantity.checked_mul(*price)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goods_are_the_same_with_and_without_prices_and_in_any_order() {
        let ordered = priced(r#"[["a",1,450],["b",2,50]]"#).unwrap();
        let of_order = fingerprint(ordered.iter().map(|(sku, quantity, _)| (sku.as_str(), *quantity)));
        let reserved = |items| {
            let lines = unpriced(items).unwrap();
            fingerprint(lines.iter().map(|(sku, quantity)| (sku.as_str(), *quantity)))
        };
        assert_eq!(of_order, reserved(r#"[["b",2],["a",1]]"#));
        assert_ne!(of_order, reserved(r#"[["b",2],["a",2]]"#));
        assert_ne!(unparsable_fingerprint("[]"), reserved("[]"));
    }

    #[test]
    fn lines_cost_what_they_add_up_to() {
        assert_eq!(cost(&priced(r#"[["a",1,450],["b",2,50]]"#).unwrap()), Some(550));
        assert_eq!(cost(&[("a".to_owned(), i64::MAX, 2)]), None);
        assert_eq!(priced(r#"[["a",1]]"#), None);
    }
}
