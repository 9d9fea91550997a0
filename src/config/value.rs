//! The value of a key: read from TOML or from the text of a flag, as the kind of the key demands, and written
//! back as TOML. This module knows no key by its name.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::de::DeValue;

use super::address::{Address, NotAnAddress};
use super::invalid::InvalidValue;
use super::key::Kind;
use super::mode::FileMode;
use super::ready::{HttpPath, NotAReadyRule, ReadyRule};
use super::run::{NotAStopSignal, StopSignal};
use super::settings::Workers;
use super::{duration, items, size};

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
    /// A value of a kind that is one text, such as [`Kind::Word`], [`Kind::Path`] and [`Kind::ReadyRule`].
    Text(String),
    /// A value of [`Kind::Workers`].
    Workers(Workers),
    /// A value of [`Kind::Addresses`].
    Addresses(Vec<Address>),
    /// A value of [`Kind::Address`].
    Address(Address),
    /// A value of [`Kind::Variables`], [`Kind::Command`] or [`Kind::Paths`].
    Texts(Vec<String>),
    /// A value of [`Kind::Assignments`].
    Assignments(BTreeMap<String, String>),
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
                Err(NotAnAddress { .. }) => Err(InvalidValue::hint(items::how_to_write_address(text))),
            },
            Kind::Addresses => items::addresses(items::between_commas(text)).map(Value::Addresses),
            Kind::Variables => items::variables(items::between_commas(text)).map(Value::Texts),
            Kind::ReadyRule => match one_line(text)?.parse::<ReadyRule>() {
                Ok(rule) => Ok(Value::Text(rule.to_string())),
                Err(NotAReadyRule::Unknown(_)) => Err(InvalidValue::default()),
                Err(error) => Err(InvalidValue::hint(error)),
            },
            Kind::HttpPath => match one_line(text)?.parse::<HttpPath>() {
                Ok(path) => Ok(Value::Text(path.to_string())),
                Err(error) => Err(InvalidValue::hint(error)),
            },
            Kind::StopSignal => match text.parse::<StopSignal>() {
                Ok(signal) => Ok(Value::Text(signal.to_string())),
                Err(NotAStopSignal { .. }) => Err(InvalidValue::default()),
            },
            Kind::Paths if !text.starts_with('[') => items::paths(vec![(text, None)]).map(Value::Texts),
            Kind::Assignments if !text.starts_with('{') => items::assignment(text).map(Value::Assignments),
            Kind::Paths | Kind::Command | Kind::Assignments => {
                items::as_in_the_file(text, |value| Value::from_toml(kind, value))
            }
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
            Kind::Word(_)
            | Kind::Text
            | Kind::Path
            | Kind::Address
            | Kind::ReadyRule
            | Kind::HttpPath
            | Kind::StopSignal => text_of(kind, value),
            // A number without quotes is refused: 0660 is no TOML, and 660 is not octal there.
            Kind::Mode => text_of(kind, value),
            Kind::Addresses => items::addresses(items::list(value)?).map(Value::Addresses),
            Kind::Variables => items::variables(items::list(value)?).map(Value::Texts),
            Kind::Command => items::command(value).map(Value::Texts),
            Kind::Paths => items::paths(items::list(value)?).map(Value::Texts),
            Kind::Assignments => items::assignments(value).map(Value::Assignments),
        }
    }

    /// The value of a flag over the one that the file or an earlier flag gave. Variables of a program are
    /// added one by one; everything else is replaced.
    pub(super) fn added_to(self, earlier: Option<Value>) -> Value {
        match (self, earlier) {
            (Value::Assignments(more), Some(Value::Assignments(mut all))) => {
                all.extend(more);
                Value::Assignments(all)
            }
            (value, _) => value,
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
            Value::Texts(texts) => texts.clone().into(),
            Value::Assignments(variables) => {
                let variables = variables.iter();
                let table: toml::Table = variables
                    .map(|(name, text)| (name.clone(), text.clone().into()))
                    .collect();
                table.into()
            }
        }
    }

    /// The value as a person writes it in the file.
    #[must_use]
    pub fn literal(&self) -> String {
        match self {
            Value::Size(bytes) => format!("\"{}\"", size::format(*bytes)),
            Value::Workers(Workers::Count(count)) => count.to_string(),
            Value::Texts(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
                format!("[{}]", texts.join(", "))
            }
            Value::Assignments(variables) => {
                let variables: Vec<String> = variables.iter().map(written).collect();
                format!("{{ {} }}", variables.join(", "))
            }
            Value::Switch(_)
            | Value::Number(_)
            | Value::Duration(_)
            | Value::Text(_)
            | Value::Workers(Workers::Auto)
            | Value::Address(_)
            | Value::Addresses(_) => self.normalised().to_string(),
        }
    }
}

/// The text in quotes as TOML has them, in one line: a command may have arguments of several lines.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            letter if letter.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(letter))),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// A variable as it stands in a table of the file.
fn written((name, text): (&String, &String)) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match !name.is_empty() && name.bytes().all(bare) {
        true => format!("{name} = {}", quoted(text)),
        false => format!("{} = {}", quoted(name), quoted(text)),
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
