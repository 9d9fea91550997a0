//! The values that are lists or tables: their items, read from the file or from the text of a flag.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::address::{Address, NotAnAddress};
use super::environment;
use super::invalid::InvalidValue;

/// The most addresses. A worker gets one listener for each, and all of them in one message.
const MOST_ADDRESSES: usize = 1_000;

const HOW_TO_WRITE_AN_ADDRESS: &str =
    "write IP:PORT (names are not looked up) or unix:/PATH of at most 107 bytes";

/// An item of a list, and where it stands in the file.
pub(super) type Item<'a> = (&'a str, Option<Range<usize>>);

/// The items of a list in the text of a flag, between commas; none in a blank text.
pub(super) fn between_commas(text: &str) -> Vec<Item<'_>> {
    match text.trim() {
        "" => Vec::new(),
        text => text.split(',').map(|text| (text.trim(), None)).collect(),
    }
}

/// Reads the text of a flag that is written as in the file.
///
/// # Errors
/// When the text is no TOML, or `read` refuses its value.
pub(super) fn as_in_the_file<T>(
    text: &str,
    read: impl FnOnce(&DeValue<'_>) -> Result<T, InvalidValue>,
) -> Result<T, InvalidValue> {
    let line = format!("value = {text}");
    let table = DeTable::parse(&line).map_err(|_| InvalidValue::hint("write it as in the file"))?;
    match table.get_ref().iter().next() {
        Some((_, value)) if table.get_ref().len() == 1 => read(value.get_ref()),
        Some(_) | None => Err(InvalidValue::hint("write it as in the file")),
    }
}

/// The texts of a list in the file.
pub(super) fn list<'a>(value: &'a DeValue<'_>) -> Result<Vec<Item<'a>>, InvalidValue> {
    let Some(list) = value.as_array() else {
        let hint = value
            .as_str()
            .map(|text| format!("write [{text:?}]: several are possible"));
        return Err(InvalidValue { hint, span: None });
    };
    let item = |item: &'a Spanned<DeValue<'_>>| match item.get_ref().as_str() {
        Some(text) => Ok((text, Some(item.span()))),
        None => Err(InvalidValue {
            hint: None,
            span: Some(item.span()),
        }),
    };
    list.iter().map(item).collect()
}

/// Names of variables.
pub(super) fn variables(texts: Vec<Item<'_>>) -> Result<Vec<String>, InvalidValue> {
    let name = |(text, span): Item<'_>| match environment::is_pattern(text) {
        true => Ok(text.to_owned()),
        false => Err(InvalidValue {
            hint: Some(format!(
                "{text:?} is no name of a variable: write letters, digits and _, and * at the end for any rest"
            )),
            span,
        }),
    };
    texts.into_iter().map(name).collect()
}

/// Addresses, no two of which take the same connections.
pub(super) fn addresses(texts: Vec<Item<'_>>) -> Result<Vec<Address>, InvalidValue> {
    let mut list: Vec<Address> = Vec::new();
    for (text, span) in texts {
        let refuse = |hint: String| InvalidValue {
            hint: Some(hint),
            span: span.clone(),
        };
        let address: Address = text
            .parse()
            .map_err(|_: NotAnAddress| refuse(how_to_write_address(text)))?;
        if let Some(other) = list
            .iter()
            .find(|other| other.covers(&address) || address.covers(other))
        {
            return Err(refuse(format!(
                "{address} is already taken by {other} of the same list: remove one of them"
            )));
        }
        list.push(address);
    }
    match list.len() {
        0..=MOST_ADDRESSES => Ok(list),
        many => Err(InvalidValue::hint(format!(
            "there are {many}, expected at most {MOST_ADDRESSES}: each worker has a listener open for each",
        ))),
    }
}

/// What to write instead of a text that is no address. Names are not looked up: they may lead elsewhere at a
/// reload, or to several addresses.
pub(super) fn how_to_write_address(text: &str) -> String {
    if text.parse::<u16>().is_ok() {
        return format!("write 127.0.0.1:{text} for this machine alone, or 0.0.0.0:{text} for all");
    }
    match text.strip_prefix("localhost:").map(str::parse::<u16>) {
        Some(Ok(port)) => format!("write 127.0.0.1:{port}, because names are not looked up"),
        Some(Err(_)) | None => HOW_TO_WRITE_AN_ADDRESS.to_owned(),
    }
}

/// A program and its arguments. A single text is refused with the list that was probably meant: nothing here
/// splits words or knows a shell's quotes.
pub(super) fn command(value: &DeValue<'_>) -> Result<Vec<String>, InvalidValue> {
    if let Some(text) = value.as_str() {
        let words: Vec<&str> = text.split_whitespace().collect();
        return Err(InvalidValue::hint(format!(
            "write {words:?}: each argument is an item of its own, and no shell reads them"
        )));
    }
    let words: Vec<String> = list(value)?
        .into_iter()
        .map(|(word, span)| match word.contains('\0') {
            true => Err(InvalidValue { hint: None, span }),
            false => Ok(word.to_owned()),
        })
        .collect::<Result<_, _>>()?;
    match words.first().is_none_or(String::is_empty) {
        true => Err(InvalidValue::hint("the first item names the program")),
        false => Ok(words),
    }
}

/// Paths, none of which is empty.
pub(super) fn paths(texts: Vec<Item<'_>>) -> Result<Vec<String>, InvalidValue> {
    let path = |(text, span): Item<'_>| match text.is_empty() || text.contains('\0') {
        true => Err(InvalidValue { hint: None, span }),
        false => Ok(text.to_owned()),
    };
    texts.into_iter().map(path).collect()
}

/// The variables of a table in the file.
pub(super) fn assignments(value: &DeValue<'_>) -> Result<BTreeMap<String, String>, InvalidValue> {
    let table = value.as_table().ok_or_else(InvalidValue::default)?;
    let mut variables = BTreeMap::new();
    for (name, value) in table {
        let refuse = |hint: String, span: Range<usize>| InvalidValue {
            hint: Some(hint),
            span: Some(span),
        };
        let Some(text) = value.get_ref().as_str() else {
            let hint = format!("a variable is a text: write {:?} = \"…\"", name.get_ref());
            return Err(refuse(hint, value.span()));
        };
        check_assignment(name.get_ref(), text).map_err(|hint| refuse(hint, name.span()))?;
        variables.insert(name.get_ref().to_string(), text.to_owned());
    }
    Ok(variables)
}

/// One variable, written `NAME=VALUE`.
pub(super) fn assignment(text: &str) -> Result<BTreeMap<String, String>, InvalidValue> {
    let Some((name, value)) = text.split_once('=') else {
        let meant = format!("{}=VALUE", text.trim());
        return Err(InvalidValue::hint(format_args!("write {meant:?}")));
    };
    check_assignment(name, value).map_err(InvalidValue::hint)?;
    Ok([(name.to_owned(), value.to_owned())].into())
}

/// Why a variable cannot be given to a program, in words.
fn check_assignment(name: &str, value: &str) -> Result<(), String> {
    if !environment::is_name(name) {
        Err(format!(
            "{name:?} is no name of a variable: it has no blanks and no ="
        ))
    } else if environment::is_reserved(name) {
        Err(format!(
            "{name} is set by the cluster itself, and another value would cut the program off: remove it"
        ))
    } else if value.contains('\0') {
        Err(format!(
            "the value of {name} has a zero byte, which no environment can hold"
        ))
    } else {
        Ok(())
    }
}
