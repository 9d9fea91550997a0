//! Good configurations: defaults, precedence, what is printed, what a reload may change.

use std::time::Duration;

use super::*;

#[test]
fn nothing_said_is_every_default() {
    let Settings {
        cluster,
        http,
        log,
        run,
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
    assert_eq!(http.max_streams, 100);
    assert_eq!(
        (http.idle_timeout, http.write_timeout),
        (Duration::from_secs(75), Duration::from_secs(60))
    );
    assert_eq!(cluster.socket_mode.bits(), 0o600);
    assert_eq!(run, RunSettings::default());
    assert!(!drill.routes);
    assert!(app.is_empty());
}

#[test]
fn every_key_can_be_set() {
    let text = "[cluster]\nworkers = 3\nbind = ['[::1]:9000', 'unix:/run/x.sock']\ninternal = ['unix:/run/i.sock']\n\
        internal_token_file = '/t'\nadmin = 'unix:/run/a.sock'\nsocket_mode = '0660'\ndata_dir = '/d'\nrun_dir = '/r'\n\
        pid_file = '/p'\nuser = 'www'\ngroup = '33'\npass_environment = ['A', 'B_*']\nheartbeat_interval = '100ms'\nheartbeat_timeout = '1s'\n\
        lock_hold_timeout = '300ms'\nready_timeout = '1s'\nstop_delay = '1s'\ndrain_timeout = '2s'\n\
        bake_time = '0s'\nearly_death = '10ms'\n\
        backoff_first = '1ms'\nbackoff_longest = '1m'\nrestart_limit = 0x10\nrestart_window = '1h'\n\
        max_draining = 7\nmax_requests = 100\nmax_rss = '1GiB'\nmax_age = '1day'\n\
        [http]\nmax_header_bytes = '1KiB'\nmax_body_bytes = '0B'\nheader_read_timeout = '1s'\nrequest_timeout = '1m'\nidle_timeout = '1h'\nwrite_timeout = '1h'\n\
        max_connections = 1\nmax_streams = 7\n\
        max_connection_age = '1h'\nmax_connection_age_grace = '1s'\ngrpc_reflection = 'on'\n\
        [log]\nformat = 'json'\nlevel = 'trace'\naccess = true\n[drill]\nroutes = true\n\
        [shop]\norder_wait = '1s'\nqueue_depth = 1\ncatalog = 'c.toml'\n";
    let effective = file(text).expect("a good file");
    let defaults: Vec<_> = effective
        .entries
        .iter()
        .filter(|entry| entry.origin == Origin::Default && entry.section != "run")
        .collect();
    assert!(defaults.is_empty(), "{defaults:?}");
    assert_eq!(
        (
            effective.settings.cluster.bind.len(),
            effective.settings.cluster.internal.len()
        ),
        (3, 1)
    );
    assert_eq!(effective.settings.cluster.restart_limit, 16);
    assert_eq!(effective.settings.cluster.max_draining(3), 7);
    assert_eq!(effective.settings.app["shop"]["order_wait"].as_str(), Some("1s"));
}

#[test]
fn a_program_can_be_described() {
    let text = "[run]\ncommand = ['sh', '-c', \"exec \\\"$0\\\"\\n\"]\ndirectory = '/srv'\nlisten = 'fds'\n\
        ready = 'log:^up\\d'\nprobe = 'http:/up'\nstuck_timeout = '5s'\nstop_signal = 'quit'\npreload = false\n\
        log_file = 'x.log'\nwatch = ['src', 'c.json']\n[run.env]\nNODE_ENV = 'production'\n\"npm-x.y\" = 'ü\\'\n";
    let effective = file(text).expect("a good file");
    let run = &effective.settings.run;
    assert_eq!(run.command, ["sh", "-c", "exec \"$0\"\n"]);
    assert_eq!(
        (run.listen, run.stop_signal, run.preload),
        (ListenMode::Fds, StopSignal::Quit, false)
    );
    assert_eq!(run.ready.to_string(), "log:^up\\d");
    assert_eq!(run.probe.as_ref().map(HttpPath::as_str), Some("/up"));
    assert_eq!(
        (run.env["NODE_ENV"].as_str(), run.env["npm-x.y"].as_str()),
        ("production", "ü\\")
    );
    assert_eq!(run.watch, [std::path::Path::new("src"), "c.json".as_ref()]);
    let json = serde_json::to_string(&effective.settings).expect("settings are JSON");
    assert_eq!(
        serde_json::from_str::<Settings>(&json).expect("our own JSON"),
        effective.settings
    );
    let printed = print::effective(&effective.entries);
    assert!(printed.contains("stop_signal = \"SIGQUIT\" "), "{printed}");
    assert!(
        !printed.contains("[shop]"),
        "nothing reads the application's sections: {printed}"
    );
    assert_eq!(
        file(&printed).expect("what is printed is a file").settings,
        effective.settings
    );
}

#[test]
fn a_program_has_other_defaults_and_what_is_set_wins_over_them() {
    let cluster = file("[run]\ncommand = ['node']\n")
        .expect("good")
        .settings
        .cluster;
    assert!(cluster.bind.is_empty(), "a program asks for its addresses");
    assert_eq!(cluster.run_dir().to_str(), Some("./.cluster/run"));
    let text = "[run]\ncommand = ['node']\n[cluster]\nbind = ['127.0.0.1:1']\ndata_dir = '/d'\n";
    let cluster = file(text).expect("good").settings.cluster;
    assert_eq!((cluster.bind.len(), cluster.data_dir.to_str()), (1, Some("/d")));
    file("[run]\ncommand = ['node']\n[cluster]\nbind = []\n").expect("no address is no mistake");
}

#[test]
fn variables_of_flags_are_added_to_those_of_the_file() {
    let source = ConfigFile {
        name: "c.toml",
        bytes: b"[run]\ncommand = ['node']\nenv = { A = '1', B = '2' }\nwatch = ['a', 'b']\n",
    };
    let overrides = flags(&[
        ("run.env", "B=3"),
        ("run.env", "{ C = \"4\", D = \"5,=6\" }"),
        ("run.watch", "c"),
        ("run.command", "[\"node\", 'app.js']"),
    ]);
    let run = read(&[], Some(source), &overrides).expect("good").settings.run;
    let env: Vec<_> = run
        .env
        .into_iter()
        .map(|(name, text)| format!("{name}={text}"))
        .collect();
    assert_eq!(env, ["A=1", "B=3", "C=4", "D=5,=6"]);
    assert_eq!(run.watch, [std::path::Path::new("c")]);
    assert_eq!(run.command, ["node", "app.js"]);
}

#[test]
fn a_reload_changes_everything_about_a_program() {
    let old = file("[run]\ncommand = ['node', 'a.js']\n")
        .expect("good")
        .settings;
    let new = "[run]\ncommand = ['python3', 'a.py']\ndirectory = '/x'\nlisten = 'fds'\nready = 'tcp'\n\
        env = { A = '1' }\nlog_file = 'x'\nwatch = ['x']\n";
    let new = file(new).expect("good").settings;
    assert!(changes_refused(&[SHOP], &old, &new).is_empty());
}

#[test]
fn settings_survive_the_way_to_a_worker() {
    let settings = file("[cluster]\nworkers = 2\nadmin = '[::1]:9900'\nuser = 'www'\n[shop]\ncatalog = 'x'")
        .expect("a good file")
        .settings;
    let json = serde_json::to_string(&settings).expect("settings are JSON");
    assert_eq!(
        serde_json::from_str::<Settings>(&json).expect("our own JSON"),
        settings
    );
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
        Some(ConfigFile {
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
fn a_good_flag_does_not_hide_a_bad_line_but_ends_its_conflicts() {
    let text = b"[cluster]\nheartbeat_timeout = '100ms'\n";
    let source = ConfigFile {
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
fn the_example_is_read_as_the_defaults_and_names_every_key() {
    let text = print::example("cluster", &[SHOP]);
    let effective = file(&text).expect("the example is good");
    assert_eq!(effective.settings, file("").expect("good").settings);
    for EffectiveKey {
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
fn the_markdown_table_has_a_row_for_every_key() {
    let table = print::markdown(&[SHOP]);
    let keys: usize = keys::SECTIONS
        .iter()
        .chain([&SHOP])
        .map(|section| section.keys.len())
        .sum();
    assert_eq!(table.lines().count(), keys + 2);
    assert!(
        table
            .lines()
            .any(|row| row.starts_with("| `shop.order_wait` | `\"2s\"` | a duration from ")),
        "{table}"
    );
    assert!(
        table
            .lines()
            .all(|row| row.replace("\\|", "").matches('|').count() == 6),
        "{table}"
    );
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

#[test]
fn an_application_reads_its_section_into_its_own_type() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shop {
        #[serde(with = "duration")]
        order_wait: Duration,
        queue_depth: usize,
        catalog: Option<std::path::PathBuf>,
    }
    let settings = file("[shop]\norder_wait = '1s 500ms'\n").expect("good").settings;
    let shop: Shop = settings.app["shop"]
        .clone()
        .try_into()
        .expect("the type fits its key table");
    assert_eq!(
        shop,
        Shop {
            order_wait: Duration::from_millis(1_500),
            queue_depth: 1024,
            catalog: None
        }
    );
}
