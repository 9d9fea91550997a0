//! The schema of log lines: the name, the kind and the meaning of every field. A value is written as the kind
//! that stands here, however it was logged. Pure.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::Value;

/// The kind of a field's value. In JSON it decides the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// True or false.
    Switch,
}

/// A field that a log line may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogField {
    /// Its name.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: FieldKind,
    /// What it means.
    pub doc: &'static str,
}

macro_rules! fields {
    ($($name:ident $kind:ident $doc:literal)*) => {
        &[$(LogField { name: stringify!($name), kind: FieldKind::$kind, doc: $doc },)*]
    };
}

/// The fields that every line has.
pub const HEAD: &[LogField] = fields! {
    level Text "`error`, `warn`, `info`, `debug` or `trace`"
    message Text "what happened, for people; the words may change with any version"
    time Text "when the line was made: RFC 3339, UTC, with milliseconds"
    who Text "the process that says it: `master`, or `worker` and its life, as in `worker 7/0/3`"
};

/// The fields that a line may have beside them, sorted by name.
pub const FIELDS: &[LogField] = fields! {
    address Text "a listening address"
    by Text "the life of the worker that serves another slot's accept queue"
    by_ms Number "by how many milliseconds the wall clock was set; negative for backwards"
    bytes Number "a size in bytes: of the file that is named, or of the state that an upgrade hands over"
    client Number "the number of a client of the control socket"
    command Text "the command that came over the control socket, as it is typed"
    command_line Text "the command line of another process"
    connection Number "the number of a connection within its worker"
    connections Number "how many connections are open"
    cut Number "how many connections were cut"
    deaths Number "how many workers of the slot died in `restart_window`"
    descriptors Number "how many descriptors an upgrade hands over"
    drain_mode Text "how long a drain keeps silent connections: `patient`, `prompt` or `at_once`"
    error Text "the error of the operating system, or of what was called"
    failures Number "how often it has failed in a row"
    file Text "the path of a file"
    from Number "the number of slots before"
    generation Number "the number of a generation"
    handling Number "how many of the cut connections had a request in its handler"
    host Text "the id of a host that shares the databases"
    idle Number "how many of the cut connections had no request"
    incarnation Number "how often a master was started over the data directory"
    life Text "the life of the worker that the line is about, as in `7/0/3`"
    listeners Number "how many listeners"
    method Text "the method of a request"
    now Switch "whether the cluster stops without a drain"
    open Number "how many connections are open"
    order Text "the id of an order"
    orders Number "how many orders"
    panic Text "what a panic said"
    path Text "the path of a request"
    peer Text "the address of a client"
    pid Number "a process id"
    place Text "the place in the source of a panic"
    provider Text "the payment provider"
    reading Number "how many of the cut connections had sent a part of a request"
    reason Text "why it was so decided"
    request_id Text "the id of the request that the line is about, as in its answer"
    silent_ms Number "for how long a host has not renewed its lease, in milliseconds"
    slot Number "the number of a slot"
    state Text "the state of a process in `/proc`, as in `S` or `T`"
    status Number "the status of an HTTP response"
    step Text "the step of an order's saga"
    store Text "the name of a database"
    stream Text "where a program printed the line: `stdout` or `stderr`"
    text Text "a message to the service manager"
    to Number "the number of slots that is wanted"
    took_ms Number "how long it took, in milliseconds"
    took_us Number "how long it took, in microseconds"
    upgraded Number "how many of the cut connections had switched to another protocol"
    version Text "the version of a binary"
    work Text "whose unfinished work: a life, or all incarnations before one"
    workers Number "how many workers"
    writing Number "how many of the cut connections had a response on its way"
};

/// The name and the value as a line has them. A field of the program that has the name of another one and a
/// value that does not fit its kind gets a name of its own, so that a name has one type in all lines.
pub(super) fn fitted(name: Cow<'static, str>, value: Value) -> (Cow<'static, str>, Value) {
    if HEAD.iter().any(|field| field.name == name) {
        return (other(&name), value);
    }
    let Ok(place) = FIELDS.binary_search_by(|field| field.name.cmp(&name)) else {
        return (name, value);
    };
    match fit(FIELDS[place].kind, value) {
        Ok(value) => (name, value),
        Err(value) => (other(&name), value),
    }
}

fn other(name: &str) -> Cow<'static, str> {
    Cow::Owned(format!("{name}_other"))
}

fn fit(kind: FieldKind, value: Value) -> Result<Value, Value> {
    match (kind, value) {
        (FieldKind::Text, value @ Value::String(_)) | (FieldKind::Switch, value @ Value::Bool(_)) => {
            Ok(value)
        }
        (FieldKind::Text, value) => Ok(value.to_string().into()),
        (FieldKind::Number, Value::String(text)) => {
            let signed = |_| text.parse::<i64>().map(Value::from);
            let number = text.parse::<u64>().map(Value::from).or_else(signed);
            number.map_err(|_| Value::String(text))
        }
        (FieldKind::Number, Value::Number(number)) if !number.is_f64() => Ok(Value::Number(number)),
        (FieldKind::Number | FieldKind::Switch, value) => Err(value),
    }
}

/// The table of these fields in Markdown.
#[must_use]
pub fn markdown(fields: &[LogField]) -> String {
    let mut text = "| field | type in JSON | meaning |\n|---|---|---|\n".to_owned();
    for LogField { name, kind, doc } in fields {
        let kind = match kind {
            FieldKind::Text => "text",
            FieldKind::Number => "whole number",
            FieldKind::Switch => "true or false",
        };
        writeln!(text, "| `{name}` | {kind} | {doc} |").expect("writing to a String never fails");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_fields_are_sorted_so_that_they_are_found() {
        assert!(FIELDS.is_sorted_by(|one, next| one.name < next.name));
        assert!(
            HEAD.iter()
                .all(|head| FIELDS.iter().all(|field| field.name != head.name))
        );
    }

    #[test]
    fn a_value_is_of_the_kind_of_its_field_however_it_was_logged() {
        let fitted = |name: &'static str, value| {
            let (name, value) = fitted(name.into(), value);
            (name.into_owned(), value)
        };
        let own = |name: &str| name.to_owned();
        assert_eq!(fitted("slot", json!("7")), (own("slot"), json!(7)));
        assert_eq!(fitted("by_ms", json!("-7")), (own("by_ms"), json!(-7)));
        assert_eq!(fitted("pid", json!(7)), (own("pid"), json!(7)));
        assert_eq!(fitted("version", json!(2)), (own("version"), json!("2")));
        assert_eq!(fitted("now", json!(true)), (own("now"), json!(true)));
        assert_eq!(fitted("basket", json!(1.5)), (own("basket"), json!(1.5)));
        for (name, value) in [
            ("status", json!("paid")),
            ("slot", json!(1.5)),
            ("now", json!("later")),
            ("time", json!(3)),
            ("who", json!("me")),
        ] {
            assert_eq!(fitted(name, value.clone()), (format!("{name}_other"), value));
        }
    }
}
