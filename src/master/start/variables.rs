//! Variables of the environment that look like keys of the configuration and are not read. Pure.

use std::ffi::OsStr;

use crate::config::{Section, keys};

/// The key (`section.key`) that a variable such as `CLUSTER_LOG_LEVEL` looks like.
pub(in crate::master) fn resembled_key(name: &OsStr, app: &[Section]) -> Option<String> {
    let rest = name.to_str()?.strip_prefix("CLUSTER_")?.to_ascii_lowercase();
    let sections = keys::SECTIONS.iter().chain(app);
    sections
        .flat_map(|section| section.keys.iter().map(move |key| (section.name, key.name)))
        .find(|(section, key)| rest == format!("{section}_{key}"))
        .map(|(section, key)| format!("{section}.{key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_in_the_style_of_the_configuration_is_recognised() {
        let key = |name: &str| resembled_key(OsStr::new(name), &[]);
        assert_eq!(key("CLUSTER_CLUSTER_WORKERS").as_deref(), Some("cluster.workers"));
        assert_eq!(key("CLUSTER_LOG_LEVEL").as_deref(), Some("log.level"));
        for name in ["CLUSTER_WORKERS", "CLUSTER_LIFELINE_FD", "CLUSTER_", "LOG_LEVEL"] {
            assert_eq!(key(name), None, "{name}");
        }
    }
}
