//! Random texts: none makes the reader panic, and what is printed is read back.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&[SHOP], Some(ConfigFile { name: "x", bytes: &bytes }), &Overrides::default());
    }

    #[test]
    fn no_text_that_looks_like_a_configuration_panics(
        lines in prop::collection::vec(
            ("(\\[?\\[)?(cluster|log|shop|x|\"é\")?\\]?", "(workers|bind|ready_timeout|max_body_bytes|level|é)?[ .=]{0,3}",
             "(-?[0-9.]{1,30}(ms|KiB)?|\"[^\n]{0,12}\"|'auto'|\\[[\",'a-z0-9:.]{0,20}\\]?|\\{ ?x ?= ?1|true|1979-05-27)?[\r\n]?"),
            0..12),
        flag in "[a-z_.]{0,20}", text in any::<String>(),
    ) {
        let mut file = String::new();
        for (header, key, value) in lines {
            file.push_str(&format!("{header}\n{key}{value}\n"));
        }
        let source = ConfigFile { name: "x", bytes: file.as_bytes() };
        if let Err(problems) = read(&[SHOP], Some(source), &flags(&[(&flag, &text)])) {
            prop_assert!(!problems.list().is_empty());
            prop_assert!(!problems.to_string().contains('\r'));
        }
    }

    #[test]
    fn what_is_in_effect_is_printed_so_that_it_is_read_back(
        workers in 1_u16..=1024, wait in 0_u64..60_000, body in 0_u64..=1 << 30, path in "[^\u{0}]{1,20}", user in "[^\\p{Cc}]{0,8}x",
    ) {
        let overrides = flags(&[
            ("cluster.workers", &workers.to_string()), ("shop.order_wait", &format!("{wait}ms")),
            ("http.max_body_bytes", &format!("{body}B")), ("cluster.data_dir", &path), ("cluster.user", &user),
        ]);
        let effective = read(&[SHOP], None, &overrides).expect("possible values");
        let printed = print::effective(&effective.entries);
        prop_assert_eq!(file(&printed).expect("a good file").settings, effective.settings);
    }
}
