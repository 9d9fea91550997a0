//! The configuration as a whole: each error with its place and words, each bound, the precedence, and that nothing panics.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const SHOP: Section = Section {
    name: "shop",
    doc: "The shop.",
    keys: &[
        Key::new(
            "order_wait",
            Kind::duration(0, 60_000),
            "2s",
            "How long an order is waited for.",
        ),
        Key::new(
            "queue_depth",
            Kind::number(1, 100_000),
            "1024",
            "How many writes may wait.",
        ),
        Key::unset("catalog", Kind::Path, "Loaded on first start.").fixed(),
    ],
};

fn file(text: &str) -> Result<Effective, Problems> {
    read(
        &[SHOP],
        Some(Source {
            name: "c.toml",
            bytes: text.as_bytes(),
        }),
        &Overrides::default(),
    )
}

fn problems(text: &str) -> Vec<String> {
    let problems = file(text).expect_err("this configuration is wrong");
    problems.list().iter().map(Problem::to_string).collect()
}

fn flags(list: &[(&str, &str)]) -> Overrides {
    let mut overrides = Overrides::default();
    for (key, text) in list {
        overrides.push(format!("--set {key}"), *key, *text);
    }
    overrides
}

/// The one problem of a file.
fn problem(text: &str) -> String {
    let mut all = problems(text);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

#[test]
fn nothing_said_is_every_default() {
    let Settings {
        cluster,
        http,
        log,
        drill,
        app,
    } = Settings::default();
    assert_eq!(cluster.workers, Workers::Auto);
    assert_eq!(cluster.bind, ["127.0.0.1:8080".parse().expect("an address")]);
    assert_eq!(cluster.run_dir().to_str(), Some("./data/run"));
    assert_eq!(
        (
            cluster.pid_file,
            cluster.user,
            cluster.group,
            cluster.max_draining
        ),
        (None, None, None, None)
    );
    assert_eq!(cluster.heartbeat_interval, Duration::from_millis(250));
    assert_eq!(cluster.restart_window, Duration::from_secs(60));
    assert_eq!(
        (http.max_header_bytes, http.max_body_bytes, http.max_connections),
        (16_384, 1_048_576, 10_000)
    );
    assert_eq!(
        (log.format, log.level, log.access),
        (LogFormat::Auto, LogLevel::Info, false)
    );
    assert!(!drill.routes);
    assert!(app.is_empty());
}

#[test]
fn every_key_can_be_set() {
    let text = "[cluster]\nworkers = 3\nbind = ['[::1]:9000', 'unix:/run/x.sock']\ndata_dir = '/d'\nrun_dir = '/r'\n\
        pid_file = '/p'\nuser = 'www'\ngroup = '33'\nheartbeat_interval = '100ms'\nheartbeat_timeout = '1s'\n\
        lock_hold_timeout = '300ms'\nready_timeout = '1s'\ndrain_timeout = '2s'\nbake_time = '0s'\nearly_death = '0s'\n\
        backoff_first = '1ms'\nbackoff_longest = '1m'\nrestart_limit = 0x10\nrestart_window = '1h'\nmax_draining = 7\n\
        [http]\nmax_header_bytes = '1KiB'\nmax_body_bytes = '0B'\nheader_read_timeout = '1s'\nrequest_timeout = '1m'\n\
        max_connections = 1\n[log]\nformat = 'json'\nlevel = 'trace'\naccess = true\n[drill]\nroutes = true\n\
        [shop]\norder_wait = '1s'\nqueue_depth = 1\ncatalog = 'c.toml'\n";
    let effective = file(text).expect("a good file");
    let defaults: Vec<_> = effective
        .entries
        .iter()
        .filter(|entry| entry.origin == Origin::Default)
        .collect();
    assert!(defaults.is_empty(), "{defaults:?}");
    assert_eq!(effective.settings.cluster.restart_limit, 16);
    assert_eq!(effective.settings.cluster.max_draining(3), 7);
    assert_eq!(effective.settings.app["shop"]["order_wait"].as_str(), Some("1s"));
}

#[test]
fn settings_survive_the_way_to_a_worker() {
    let settings = file("[cluster]\nworkers = 2\nuser = 'www'\n[shop]\ncatalog = 'x'")
        .expect("a good file")
        .settings;
    let json = serde_json::to_string(&settings).expect("settings are JSON");
    assert_eq!(
        serde_json::from_str::<Settings>(&json).expect("our own JSON"),
        settings
    );
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_known_one() {
    assert_eq!(
        problem("[cluster]\n\nwrokers = 2\n"),
        "c.toml:3:1: unknown key \"wrokers\" in [cluster] (did you mean \"workers\"?)"
    );
    assert_eq!(
        problem("[cluster]\nqueue_depth = 2"),
        "c.toml:2:1: unknown key \"queue_depth\" in [cluster] (it belongs to [shop])"
    );
    assert_eq!(
        problem("[shop]\nqueue_dept = 2"),
        "c.toml:2:1: unknown key \"queue_dept\" in [shop] (did you mean \"queue_depth\"?)"
    );
    assert_eq!(
        problem("[log]\ncolour = 2"),
        "c.toml:2:1: unknown key \"colour\" in [log] (known keys: format, level, access)"
    );
}

#[test]
fn an_unknown_section_is_told_with_the_nearest_known_one() {
    assert_eq!(
        problem("[clutser]\nworkers = 2\n"),
        "c.toml:1:2: unknown section [clutser] (did you mean [cluster]?)"
    );
    assert_eq!(
        problem("[telemetry]"),
        "c.toml:1:2: unknown section [telemetry] (known sections: [cluster], [http], [log], [drill], [shop])"
    );
    assert_eq!(
        problem("workers = 2"),
        "c.toml:1:1: key \"workers\" stands outside of its section: write it below a line [cluster]"
    );
    assert_eq!(
        problem("log = 'info'"),
        "c.toml:1:1: log is 'info', expected a section: write its keys below a line [log]"
    );
    assert!(problem("[[log]]\nlevel = 'info'").contains("expected a section"));
}

#[test]
fn impossible_values_name_what_is_possible() {
    for (line, words) in [
        (
            "workers = 0",
            "c.toml:2:11: workers in [cluster] is 0, expected \"auto\" or a whole number from 1 to 1024",
        ),
        ("workers = 1025", "is 1025, expected \"auto\" or"),
        ("workers = -1", "is -1, expected"),
        ("workers = 2.5", "is 2.5, expected"),
        (
            "workers = 99999999999999999999",
            "is 99999999999999999999, expected",
        ),
        ("workers = 'many'", "is 'many', expected"),
        ("workers = '4'", "; write 4 without quotes"),
        (
            "heartbeat_timeout = '0s'",
            "is '0s', expected a duration from \"50ms\" to \"1h\"",
        ),
        ("ready_timeout = '0ms'", "expected a duration from"),
        ("drain_timeout = '0s'", "expected a duration from"),
        ("drain_timeout = '10000h'", "expected a duration from"),
        (
            "restart_limit = 0",
            "is 0, expected a whole number from 1 to 10000",
        ),
        ("max_draining = 0", "is 0, expected a whole number from 1 to 4096"),
        ("data_dir = ''", "is '', expected a path that is not empty"),
        ("data_dir = \"a\\u0000b\"", "expected a path that is not empty"),
        ("user = ' '", "expected a text of one line"),
        ("user = \"a\\nb\"", "expected a text of one line"),
        ("bind = []", "; name at least one address"),
        (
            "bind = '127.0.0.1:80'",
            "; write [\"127.0.0.1:80\"]: several addresses are possible",
        ),
        (
            "bind = ['127.0.0.1:80', 'localhost:80']",
            "c.toml:2:25: bind in [cluster] is 'localhost:80', expected a list",
        ),
        (
            "bind = ['127.0.0.1:80', 7]",
            "c.toml:2:25: bind in [cluster] is 7, expected a list",
        ),
        ("bind = ['unix:x.sock']", "unix:/PATH"),
    ] {
        let told = problem(&format!("[cluster]\n{line}\n"));
        assert!(told.contains(words), "{line}\n{told}");
    }
}

#[test]
fn a_number_without_a_unit_is_told_what_to_write() {
    assert_eq!(
        problem("[cluster]\nheartbeat_interval = 250"),
        "c.toml:2:22: heartbeat_interval in [cluster] is 250, expected a duration from \"10ms\" to \"1m\"; a number alone has no \
         unit: write \"250ms\", \"250s\" or \"250m\""
    );
    assert!(problem("[cluster]\nready_timeout = 1.5").contains("has no unit"));
    assert!(problem("[cluster]\nready_timeout = '10'").contains("has no unit"));
    assert!(problem("[http]\nmax_body_bytes = 1048576").contains("write \"1048576B\""));
    assert!(problem("[http]\nmax_body_bytes = '1MB'").contains("\"MB\" is not a unit of size"));
}

#[test]
fn wrong_types_are_refused() {
    for line in [
        "[log]\naccess = 1",
        "[log]\naccess = 'true'",
        "[log]\nlevel = 3",
        "[log]\nlevel = 'inf'",
        "[log]\nformat = true",
        "[cluster]\nworkers = true",
        "[cluster]\nworkers = { count = 3 }",
        "[cluster]\ndata_dir = 1979-05-27",
        "[cluster]\nready_timeout = ['1s']",
        "[cluster]\nready_timeout = 0x10",
        "[cluster.workers]\ncount = 3",
        "[http]\nmax_connections = '10'",
    ] {
        assert!(problem(line).contains(", expected "), "{line}");
    }
    assert!(problem("[log]\nlevel = 'inof'").ends_with("did you mean \"info\"?"));
}

#[test]
fn addresses_that_take_each_other_are_refused() {
    for list in [
        "'127.0.0.1:80', '127.0.0.1:80'",
        "'127.0.0.1:80', '0.0.0.0:80'",
        "'[::]:80', '[::1]:80'",
        "'unix:/x', 'unix:/x'",
    ] {
        assert!(
            problem(&format!("[cluster]\nbind = [{list}]")).contains("is already taken by"),
            "{list}"
        );
    }
    file("[cluster]\nbind = ['127.0.0.1:80', '127.0.0.1:81', '[::1]:80', 'unix:/x']")
        .expect("four different addresses");
}

#[test]
fn values_that_cannot_stand_together_are_told_at_the_one_that_was_set() {
    for (lines, words) in [
        (
            "[cluster]\nheartbeat_timeout = '500ms'",
            "c.toml:2:1: heartbeat_timeout is \"500ms\", expected more than twice",
        ),
        (
            "[cluster]\nheartbeat_interval = '300ms'\nlock_hold_timeout = '300ms'",
            "c.toml:3:1: lock_hold_timeout is \"300ms\"",
        ),
        (
            "[cluster]\nheartbeat_interval = '500ms'",
            "c.toml:2:1: lock_hold_timeout is \"400ms\"",
        ),
        (
            "[cluster]\nlock_hold_timeout = '6s'",
            "expected at most heartbeat_timeout (\"5s\")",
        ),
        (
            "[cluster]\nbackoff_longest = '50ms'",
            "c.toml:2:1: backoff_first is \"100ms\", expected at most",
        ),
        ("[cluster]\ngroup = 'www'", "group is \"www\" but user is not set"),
        (
            "[drill]\nroutes = true\n[cluster]\nbind = ['127.0.0.1:80', '0.0.0.0:81']",
            "c.toml:2:1: drill.routes is true while bind has 0.0.0.0:81",
        ),
    ] {
        let told = problem(lines);
        assert!(told.contains(words), "{lines}\n{told}");
    }
}

#[test]
fn every_problem_is_told_at_once_in_the_order_of_the_lines() {
    let told = problems(
        "[log]\nlevle = 'x'\n[cluster]\nworkers = 0\nbind = 7\nheartbeat_timeout = '1'\nheartbeat_interval = '1m'\n[x]\n",
    );
    let lines: Vec<_> = told
        .iter()
        .map(|line| line.split(':').nth(1).unwrap_or_default())
        .collect();
    assert_eq!(lines, ["2", "4", "5", "6", "7", "8"], "{told:#?}");
    assert!(
        told[4].contains("lock_hold_timeout"),
        "no conflict with a refused value is told: {told:#?}"
    );
}

#[test]
fn what_is_not_toml_is_told_with_what_is_wrong_elsewhere() {
    let told = problems("[cluster\nworkers = 2\n");
    assert!(told[0].starts_with("c.toml:1:9: not TOML: "), "{told:#?}");
    let told = problems("[cluster]\nworkers = \nbind = [\"127.0.0.1:1\"]\ndata_dri = 'x'\n");
    assert!(told[0].starts_with("c.toml:2:"), "{told:#?}");
    assert!(told[1].contains("did you mean \"data_dir\""), "{told:#?}");
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(
        problems("[log]\naccess = true\naccess = true\n")[0]
            .starts_with("c.toml:3:1: not TOML: duplicate key")
    );
}

#[test]
fn what_is_not_utf_8_is_told_with_its_place() {
    let source = Source {
        name: "c.toml",
        bytes: b"[log]\n# caf\xe9\n",
    };
    let told = read(&[], Some(source), &Overrides::default()).expect_err("latin 1");
    assert_eq!(
        told.to_string(),
        "c.toml:2:6: byte 0xe9 is not UTF-8, expected a TOML text: save the file in UTF-8"
    );
}

#[test]
fn a_byte_order_mark_is_no_problem() {
    file("\u{feff}[log]\naccess = true\n").expect("a good file");
    assert!(problem("\u{feff}x = 1").starts_with("c.toml:1:1: "));
}

#[test]
fn a_file_that_is_something_else_is_not_told_line_by_line() {
    let told = file(&"<p>hello</p>\n".repeat(1_000))
        .expect_err("HTML")
        .to_string();
    assert!(told.lines().count() <= 21, "{told}");
    assert!(told.contains("more"), "{told}");
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let text = b"[cluster]\nworkers = 2\nbind = ['127.0.0.1:80']\n";
    let overrides = flags(&[
        ("cluster.bind", "127.0.0.1:81,unix:/x"),
        ("shop.order_wait", "3s"),
        ("log.access", "true"),
    ]);
    let effective = read(
        &[SHOP],
        Some(Source {
            name: "c.toml",
            bytes: text,
        }),
        &overrides,
    )
    .expect("good");
    let cluster = &effective.settings.cluster;
    assert_eq!(cluster.workers, Workers::Count(2));
    assert_eq!(
        cluster.bind.iter().map(Address::to_string).collect::<Vec<_>>(),
        ["127.0.0.1:81", "unix:/x"]
    );
    assert_eq!(effective.settings.app["shop"]["order_wait"].as_str(), Some("3s"));
    assert!(effective.settings.log.access);
    let printed = print::effective(&effective.entries);
    for (key, origin) in [
        ("workers = 2 ", "# c.toml:2:1"),
        ("bind = [", "# --set cluster.bind"),
        ("run_dir is not set", "# default"),
    ] {
        let line = printed.lines().find(|line| line.contains(key)).expect(key);
        assert!(line.ends_with(origin), "{line}");
    }
    assert_eq!(
        file(&printed).expect("what is printed is a file").settings,
        effective.settings
    );
}

#[test]
fn a_flag_that_is_wrong_is_told_by_its_name() {
    for (key, text, told) in [
        (
            "cluster.wrokers",
            "2",
            "--set cluster.wrokers: unknown key \"wrokers\" in [cluster] (did you mean \"workers\"?)",
        ),
        (
            "clutser.workers",
            "2",
            "--set clutser.workers: unknown section [clutser] (did you mean [cluster]?)",
        ),
        (
            "workers",
            "2",
            "--set workers: \"workers\" names no section, expected SECTION.KEY=VALUE",
        ),
        (
            "log.access",
            "yes",
            "--set log.access: access in [log] is \"yes\", expected true or false",
        ),
    ] {
        assert_eq!(
            read(&[], None, &flags(&[(key, text)]))
                .expect_err("wrong")
                .to_string(),
            told
        );
    }
}

#[test]
fn a_good_flag_does_not_hide_a_bad_line_but_ends_its_conflicts() {
    let text = b"[cluster]\nheartbeat_timeout = '100ms'\n";
    let source = Source {
        name: "c.toml",
        bytes: text,
    };
    read(&[], Some(source), &flags(&[("cluster.heartbeat_timeout", "1s")])).expect("the flag's value counts");
}

#[test]
fn a_reload_refuses_by_name_what_the_table_says_it_cannot_change() {
    let old = file("").expect("good").settings;
    let new = file(
        "[cluster]\nworkers = 7\ndata_dir = '/x'\nuser = 'www'\n[log]\nlevel = 'warn'\n[shop]\ncatalog = 'x'\n",
    );
    let new = new.expect("good").settings;
    assert_eq!(
        changes_refused(&[SHOP], &old, &new),
        ["cluster.data_dir", "cluster.user", "shop.catalog"]
    );
    assert!(changes_refused(&[SHOP], &new, &new).is_empty());
}

#[test]
fn a_section_that_contradicts_itself_is_the_programs_bug() {
    const TWICE: Section = Section {
        name: "cluster",
        doc: "",
        keys: &[Key::new("workers", Kind::Switch, "x", "")],
    };
    let told = read(&[TWICE], None, &Overrides::default())
        .expect_err("a bug")
        .to_string();
    assert!(
        told.contains("a bug in this program: workers is declared twice in [cluster]"),
        "{told}"
    );
    assert!(
        told.contains("the default of workers in [cluster] is not true or false"),
        "{told}"
    );
}

#[test]
fn the_example_is_read_as_the_defaults_and_names_every_key() {
    let text = print::example("cluster", &[SHOP]);
    let effective = file(&text).expect("the example is good");
    assert_eq!(effective.settings, file("").expect("good").settings);
    for Entry {
        key, value, origin, ..
    } in &effective.entries
    {
        assert_eq!(
            value.is_some(),
            matches!(origin, Origin::Set(_)),
            "{} is set unless it has no default",
            key.name
        );
    }
    let every = text
        .replace("\n# Expected: ", "\n## ")
        .replace("\n# ", "\n")
        .replace("\n## ", "\n# Expected: ");
    for entry in &effective.entries {
        assert!(
            every.contains(&format!("\n{} = ", entry.key.name)),
            "{} is missing",
            entry.key.name
        );
    }
}

#[test]
fn every_key_is_documented_and_named_like_the_others() {
    for section in keys::SECTIONS {
        for key in section.keys {
            assert!(
                key.doc.ends_with('.') && !key.doc.contains('\n'),
                "{}: {:?}",
                key.name,
                key.doc
            );
            assert!(
                key.name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
                "{}",
                key.name
            );
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&[SHOP], Some(Source { name: "x", bytes: &bytes }), &Overrides::default());
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
        let source = Source { name: "x", bytes: file.as_bytes() };
        if let Err(problems) = read(&[SHOP], Some(source), &flags(&[(&flag, &text)])) {
            prop_assert!(!problems.list().is_empty());
            prop_assert!(!problems.to_string().contains('\r'));
        }
    }

    #[test]
    fn what_is_in_effect_is_printed_so_that_it_is_read_back(
        workers in 1_u16..=1024, wait in 0_u64..60_000, body in 0_u64..1 << 40, path in "[^\u{0}]{1,20}", user in "[^\\p{Cc}]{0,8}x",
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
