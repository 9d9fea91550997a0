//! The value of a key: read from TOML or from the text of a flag, as the kind of the key demands, and written
//! back as TOML. This module knows no key by its name.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::address::{Address, NotAnAddress};
use super::key::Kind;
use super::mode::FileMode;
use super::settings::Workers;
use super::{duration, environment, size};

/// The most addresses. A worker gets one listener for each, and all of them in one message.
const MOST_ADDRESSES: usize = 1_000;

const HOW_TO_WRITE_AN_ADDRESS: &str =
    "write IP:PORT (names are not looked up) or unix:/PATH of at most 107 bytes";

/// A value that fits the kind and the bounds of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A value of [`Kind::Switch`].
    Switch(bool),
    /// A value of [`Kind::Number`].
    Number(u64),
    /// A value of [`Kind::Duration`].
    Duration(Duration),
    /// A value of [`Kind::Size`], in bytes.
    Size(u64),
    /// A value of [`Kind::Word`], [`Kind::Text`], [`Kind::Path`] or [`Kind::Mode`].
    Text(String),
    /// A value of [`Kind::Workers`].
    Workers(Workers),
    /// A value of [`Kind::Addresses`].
    Addresses(Vec<Address>),
    /// A value of [`Kind::Address`].
    Address(Address),
    /// A value of [`Kind::Variables`].
    Variables(Vec<String>),
}

/// Why a text is no value of a kind. The kind itself says what was expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvalidValue {
    /// What the person should write, when that is more than what was expected.
    pub hint: Option<String>,
    /// Where the wrong item of a list stands in the file.
    pub span: Option<Range<usize>>,
}

impl InvalidValue {
    fn hint(hint: impl ToString) -> InvalidValue {
        InvalidValue {
            hint: Some(hint.to_string()),
            span: None,
        }
    }
}

impl Value {
    /// Reads the text of a flag (`250ms`, `true`, `127.0.0.1:80,unix:/x`).
    ///
    /// # Errors
    /// When the text is no value of that kind, or is outside of its bounds.
    pub fn from_text(kind: Kind, text: &str) -> Result<Value, InvalidValue> {
        match kind {
            Kind::Switch => text
                .parse()
                .map(Value::Switch)
                .map_err(|_| InvalidValue::default()),
            Kind::Number { least, most } => {
                let number = text.parse().map_err(|_| InvalidValue::default())?;
                within(least, number, most).map(Value::Number)
            }
            Kind::Duration { least, most } => {
                within(least, duration::parse(text).map_err(InvalidValue::hint)?, most).map(Value::Duration)
            }
            Kind::Size { least, most } => {
                within(least, size::parse(text).map_err(InvalidValue::hint)?, most).map(Value::Size)
            }
            Kind::Word(words) => word(words, text),
            Kind::Text => one_line(text).map(Value::Text),
            Kind::Path => path(text),
            Kind::Mode => text
                .parse()
                .map(|mode: FileMode| Value::Text(mode.to_string()))
                .map_err(|_| InvalidValue::default()),
            Kind::Workers => text
                .parse()
                .map(Value::Workers)
                .map_err(|_| InvalidValue::default()),
            Kind::Address => match text.parse() {
                Ok(address) => Ok(Value::Address(address)),
                Err(NotAnAddress { .. }) => Err(InvalidValue::hint(how_to_write(text))),
            },
            Kind::Addresses => addresses(items(text)),
            Kind::Variables if text.trim().is_empty() => Ok(Value::Variables(Vec::new())),
            Kind::Variables => variables(items(text)),
        }
    }

    /// Reads a value of the file. A text is never taken for a number or a switch, nor the other way round.
    ///
    /// # Errors
    /// When the value is not of that kind, or is outside of its bounds.
    pub fn from_toml(kind: Kind, value: &DeValue<'_>) -> Result<Value, InvalidValue> {
        match kind {
            Kind::Switch => value
                .as_bool()
                .map(Value::Switch)
                .ok_or_else(|| unquote(kind, value)),
            Kind::Number { .. } => whole_number(kind, value),
            Kind::Workers if value.as_str() == Some("auto") => Ok(Value::Workers(Workers::Auto)),
            Kind::Workers => whole_number(kind, value),
            Kind::Duration { .. } | Kind::Size { .. } => match (value.as_integer(), value.as_float()) {
                (Some(number), _) if number.radix() == 10 => Value::from_text(kind, number.as_str()),
                (_, Some(number)) => Value::from_text(kind, number.as_str()),
                (_, None) => text_of(kind, value),
            },
            Kind::Word(_) | Kind::Text | Kind::Path | Kind::Address => text_of(kind, value),
            // A number without quotes is refused: 0660 is no TOML, and 660 is not octal there.
            Kind::Mode => text_of(kind, value),
            Kind::Addresses => addresses(list(value)?.into_iter()),
            Kind::Variables => variables(list(value)?.into_iter()),
        }
    }

    /// The value as a worker gets it: a duration is a text with its unit, a size is a number of bytes.
    #[must_use]
    pub fn normalised(&self) -> toml::Value {
        let integer = |number: u64| toml::Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        match self {
            Value::Switch(on) => toml::Value::Boolean(*on),
            Value::Number(number) | Value::Size(number) => integer(*number),
            Value::Duration(time) => toml::Value::String(duration::format(*time)),
            Value::Text(text) => toml::Value::String(text.clone()),
            Value::Workers(workers) => toml::Value::String(workers.to_string()),
            Value::Address(address) => toml::Value::String(address.to_string()),
            Value::Addresses(list) => list.iter().map(Address::to_string).collect::<Vec<_>>().into(),
            Value::Variables(names) => names.clone().into(),
        }
    }

    /// The value as a person writes it in the file.
    #[must_use]
    pub fn literal(&self) -> String {
        match self {
            Value::Size(bytes) => format!("\"{}\"", size::format(*bytes)),
            Value::Workers(Workers::Count(count)) => count.to_string(),
            Value::Switch(_)
            | Value::Number(_)
            | Value::Duration(_)
            | Value::Text(_)
            | Value::Workers(Workers::Auto)
            | Value::Address(_)
            | Value::Addresses(_)
            | Value::Variables(_) => self.normalised().to_string(),
        }
    }
}

/// What to write instead of a text that is no address. Names are not looked up: they may lead elsewhere at a
/// reload, or to several addresses.
fn how_to_write(text: &str) -> String {
    if text.parse::<u16>().is_ok() {
        return format!("write 127.0.0.1:{text} for this machine alone, or 0.0.0.0:{text} for all");
    }
    match text.strip_prefix("localhost:").map(str::parse::<u16>) {
        Some(Ok(port)) => format!("write 127.0.0.1:{port}, because names are not looked up"),
        Some(Err(_)) | None => HOW_TO_WRITE_AN_ADDRESS.to_owned(),
    }
}

fn within<T: PartialOrd>(least: T, value: T, most: T) -> Result<T, InvalidValue> {
    if least <= value && value <= most {
        Ok(value)
    } else {
        Err(InvalidValue::default())
    }
}

fn word(words: &[&str], text: &str) -> Result<Value, InvalidValue> {
    if words.contains(&text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let near = super::nearest::nearest(text, words.iter().copied());
    Err(InvalidValue {
        hint: near.map(|word| format!("did you mean \"{word}\"?")),
        span: None,
    })
}

fn one_line(text: &str) -> Result<String, InvalidValue> {
    let good = !text.trim().is_empty() && !text.contains(char::is_control);
    good.then(|| text.to_owned()).ok_or_else(InvalidValue::default)
}

fn path(text: &str) -> Result<Value, InvalidValue> {
    let good = !text.is_empty() && !text.contains('\0');
    good.then(|| Value::Text(text.to_owned()))
        .ok_or_else(InvalidValue::default)
}

fn whole_number(kind: Kind, value: &DeValue<'_>) -> Result<Value, InvalidValue> {
    let Some(number) = value.as_integer() else {
        return Err(unquote(kind, value));
    };
    let number = u64::from_str_radix(number.as_str(), number.radix()).map_err(|_| InvalidValue::default())?;
    Value::from_text(kind, &number.to_string())
}

/// Says to leave out the quotes of `"4"` and `"true"`, where a number or a switch was expected.
fn unquote(kind: Kind, value: &DeValue<'_>) -> InvalidValue {
    match value.as_str().filter(|text| Value::from_text(kind, text).is_ok()) {
        Some(text) => InvalidValue::hint(format_args!("write {text} without quotes")),
        None => InvalidValue::default(),
    }
}

fn text_of(kind: Kind, value: &DeValue<'_>) -> Result<Value, InvalidValue> {
    value
        .as_str()
        .ok_or_else(InvalidValue::default)
        .and_then(|text| Value::from_text(kind, text))
}

/// An item of a list, and where it stands in the file.
type Item<'a> = (&'a str, Option<Range<usize>>);

/// The items of a list in the text of a flag.
fn items(text: &str) -> impl Iterator<Item = Item<'_>> {
    text.split(',').map(|text| (text.trim(), None))
}

/// The texts of a list in the file.
fn list<'a>(value: &'a DeValue<'_>) -> Result<Vec<Item<'a>>, InvalidValue> {
    let Some(list) = value.as_array() else {
        let hint = value
            .as_str()
            .map(|text| format!("write [{text:?}]: several are possible"));
        return Err(InvalidValue { hint, span: None });
    };
    let mut texts = Vec::with_capacity(list.len());
    for item in list.iter() {
        let wrong = || InvalidValue {
            hint: None,
            span: Some(item.span()),
        };
        texts.push((
            Spanned::get_ref(item).as_str().ok_or_else(wrong)?,
            Some(item.span()),
        ));
    }
    Ok(texts)
}

fn variables<'a>(texts: impl Iterator<Item = Item<'a>>) -> Result<Value, InvalidValue> {
    let name = |(text, span): Item<'a>| match environment::is_pattern(text) {
        true => Ok(text.to_owned()),
        false => Err(InvalidValue {
            hint: Some(format!(
                "{text:?} is no name of a variable: write letters, digits and _, and * at the end for any rest"
            )),
            span,
        }),
    };
    texts.map(name).collect::<Result<_, _>>().map(Value::Variables)
}

fn addresses<'a>(texts: impl Iterator<Item = Item<'a>>) -> Result<Value, InvalidValue> {
    let mut list: Vec<Address> = Vec::new();
    for (text, span) in texts {
        let refuse = |hint: String| InvalidValue {
            hint: Some(hint),
            span: span.clone(),
        };
        let address: Address = text
            .parse()
            .map_err(|_: NotAnAddress| refuse(how_to_write(text)))?;
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
    if list.is_empty() {
        Err(InvalidValue::hint("name at least one address"))
    } else if list.len() > MOST_ADDRESSES {
        Err(InvalidValue::hint(format!(
            "there are {}, expected at most {MOST_ADDRESSES}: each worker has a listener open for each",
            list.len()
        )))
    } else {
        Ok(Value::Addresses(list))
    }
}
