//! The message about a section or a key that is not declared: the nearest known name, the section where the
//! key belongs, or the list of all known names.

use super::key::Section;
use super::nearest::nearest;
use super::source::quote;

/// The message about a name that is no section. It stands at the top of the file, or before the point in a
/// flag.
pub(super) fn section(sections: &[Section], name: &str, is_table: bool) -> String {
    let quoted = quote(name);
    let owner = sections.iter().find(|section| section.key(name).is_some());
    if let (Some(owner), false) = (owner, is_table) {
        return format!(
            "key \"{quoted}\" stands outside of its section: write it below a line [{}]",
            owner.name
        );
    }
    let hint = match nearest(name, sections.iter().map(|section| section.name)) {
        Some(near) => format!("did you mean [{near}]?"),
        None => format!(
            "known sections: {}",
            sections
                .iter()
                .map(|s| format!("[{}]", s.name))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    };
    if is_table {
        format!("unknown section [{quoted}] ({hint})")
    } else {
        format!("unknown key \"{quoted}\" outside of any section ({hint})")
    }
}

/// The message about a name in `section` that is none of its keys.
pub(super) fn key(sections: &[Section], section: &Section, name: &str) -> String {
    let known = || section.keys.iter().map(|key| key.name);
    let hint = if let Some(other) = sections.iter().find(|other| other.key(name).is_some()) {
        format!("it belongs to [{}]", other.name)
    } else if let Some(near) = nearest(name, known()) {
        format!("did you mean \"{near}\"?")
    } else {
        format!("known keys: {}", known().collect::<Vec<_>>().join(", "))
    };
    format!("unknown key \"{}\" in [{}] ({hint})", quote(name), section.name)
}
