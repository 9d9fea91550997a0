//! A value of a key: read from TOML or from a flag's text by the key's kind, and written back as TOML. Knows no key by name.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::address::{Address, NotAnAddress};
use super::key::Kind;
use super::mode::FileMode;
use super::settings::Workers;
use super::{duration, size};

/// Each slot has a listener for each, which a worker is given in one go.
const MOST_ADDRESSES: usize = 1_000;

const HOW_TO_WRITE_AN_ADDRESS: &str =
    "write IP:PORT (names are not looked up) or unix:/PATH of at most 107 bytes";

/// A value that fits its key's kind and bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of [`Kind::Switch`].
    Switch(bool),
    /// Of [`Kind::Number`].
    Number(u64),
    /// Of [`Kind::Duration`].
    Duration(Duration),
    /// Of [`Kind::Size`], in bytes.
    Size(u64),
    /// Of [`Kind::Word`], [`Kind::Text`], [`Kind::Path`] and [`Kind::Mode`].
    Text(String),
    /// Of [`Kind::Workers`].
    Workers(Workers),
    /// Of [`Kind::Addresses`].
    Addresses(Vec<Address>),
    /// Of [`Kind::Address`].
    Address(Address),
}

/// Why what was read is no value of that kind. What was expected is the kind's own to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// What to do about it, when there is more to say than what was expected.
    pub hint: Option<String>,
    /// Where in the file the wrong part of a list is.
    pub span: Option<Range<usize>>,
}

impl Refusal {
    fn hint(hint: impl ToString) -> Refusal {
        Refusal {
            hint: Some(hint.to_string()),
            span: None,
        }
    }
}

impl Value {
    /// Reads what stands behind a flag (`250ms`, `true`, `127.0.0.1:80,unix:/x`).
    pub fn from_text(kind: Kind, text: &str) -> Result<Value, Refusal> {
        match kind {
            Kind::Switch => text.parse().map(Value::Switch).map_err(|_| Refusal::default()),
            Kind::Number { least, most } => {
                let number = text.parse().map_err(|_| Refusal::default())?;
                within(least, number, most).map(Value::Number)
            }
            Kind::Duration { least, most } => {
                within(least, duration::parse(text).map_err(Refusal::hint)?, most).map(Value::Duration)
            }
            Kind::Size { least, most } => {
                within(least, size::parse(text).map_err(Refusal::hint)?, most).map(Value::Size)
            }
            Kind::Word(words) => word(words, text),
            Kind::Text => one_line(text).map(Value::Text),
            Kind::Path => path(text),
            Kind::Mode => text
                .parse()
                .map(|mode: FileMode| Value::Text(mode.to_string()))
                .map_err(|_| Refusal::default()),
            Kind::Workers => text.parse().map(Value::Workers).map_err(|_| Refusal::default()),
            Kind::Address => match text.parse() {
                Ok(address) => Ok(Value::Address(address)),
                Err(NotAnAddress { .. }) => Err(Refusal::hint(HOW_TO_WRITE_AN_ADDRESS)),
            },
            Kind::Addresses => addresses(text.split(',').map(|text| (text.trim(), None))),
        }
    }

    /// Reads what stands in the file. A text is never taken for a number or a switch, nor the other way round.
    pub fn from_toml(kind: Kind, value: &DeValue<'_>) -> Result<Value, Refusal> {
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
            // Without quotes 0660 is no TOML, and 660 would have to be taken for octal.
            Kind::Mode => text_of(kind, value),
            Kind::Addresses => address_list(value),
        }
    }

    /// As settings travel and as an application's section is read: durations are texts with their unit, sizes are bytes.
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
        }
    }

    /// As a person writes it in the file.
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
            | Value::Addresses(_) => self.normalised().to_string(),
        }
    }
}

fn within<T: PartialOrd>(least: T, value: T, most: T) -> Result<T, Refusal> {
    if least <= value && value <= most {
        Ok(value)
    } else {
        Err(Refusal::default())
    }
}

fn word(words: &[&str], text: &str) -> Result<Value, Refusal> {
    if words.contains(&text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let near = super::nearest::nearest(text, words.iter().copied());
    Err(Refusal {
        hint: near.map(|word| format!("did you mean \"{word}\"?")),
        span: None,
    })
}

fn one_line(text: &str) -> Result<String, Refusal> {
    let good = !text.trim().is_empty() && !text.contains(char::is_control);
    good.then(|| text.to_owned()).ok_or_else(Refusal::default)
}

fn path(text: &str) -> Result<Value, Refusal> {
    let good = !text.is_empty() && !text.contains('\0');
    good.then(|| Value::Text(text.to_owned()))
        .ok_or_else(Refusal::default)
}

fn whole_number(kind: Kind, value: &DeValue<'_>) -> Result<Value, Refusal> {
    let Some(number) = value.as_integer() else {
        return Err(unquote(kind, value));
    };
    let number = u64::from_str_radix(number.as_str(), number.radix()).map_err(|_| Refusal::default())?;
    Value::from_text(kind, &number.to_string())
}

/// `"4"` and `"true"` were meant without their quotes.
fn unquote(kind: Kind, value: &DeValue<'_>) -> Refusal {
    match value.as_str().filter(|text| Value::from_text(kind, text).is_ok()) {
        Some(text) => Refusal::hint(format_args!("write {text} without quotes")),
        None => Refusal::default(),
    }
}

fn text_of(kind: Kind, value: &DeValue<'_>) -> Result<Value, Refusal> {
    value
        .as_str()
        .ok_or_else(Refusal::default)
        .and_then(|text| Value::from_text(kind, text))
}

fn address_list(value: &DeValue<'_>) -> Result<Value, Refusal> {
    let Some(list) = value.as_array() else {
        let hint = value
            .as_str()
            .map(|text| format!("write [{text:?}]: several addresses are possible"));
        return Err(Refusal { hint, span: None });
    };
    let mut texts = Vec::with_capacity(list.len());
    for item in list.iter() {
        let wrong = || Refusal {
            hint: None,
            span: Some(item.span()),
        };
        texts.push((
            Spanned::get_ref(item).as_str().ok_or_else(wrong)?,
            Some(item.span()),
        ));
    }
    addresses(texts.into_iter())
}

fn addresses<'a>(texts: impl Iterator<Item = (&'a str, Option<Range<usize>>)>) -> Result<Value, Refusal> {
    let mut list: Vec<Address> = Vec::new();
    for (text, span) in texts {
        let refuse = |hint: String| Refusal {
            hint: Some(hint),
            span: span.clone(),
        };
        let address: Address = text
            .parse()
            .map_err(|_: NotAnAddress| refuse(HOW_TO_WRITE_AN_ADDRESS.to_owned()))?;
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
        Err(Refusal::hint("name at least one address"))
    } else if list.len() > MOST_ADDRESSES {
        Err(Refusal::hint(format!(
            "there are {}, expected at most {MOST_ADDRESSES}: each worker has a listener open for each",
            list.len()
        )))
    } else {
        Ok(Value::Addresses(list))
    }
}
