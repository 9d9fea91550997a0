//! Bad configurations: the place and the text of each error, and each bound.

use super::*;

#[test]
fn the_error_of_an_unknown_key_names_the_nearest_known_one() {
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
fn the_error_of_an_unknown_section_names_the_nearest_known_one() {
    assert_eq!(
        problem("[clutser]\nworkers = 2\n"),
        "c.toml:1:2: unknown section [clutser] (did you mean [cluster]?)"
    );
    assert_eq!(
        problem("[telemetry]"),
        "c.toml:1:2: unknown section [telemetry] (known sections: [cluster], [http], [log], [run], [drill], \
         [shop])"
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
        (
            "admin = 9900",
            "admin in [cluster] is 9900, expected an address, as in \"127.0.0.1:9900\"",
        ),
        ("admin = 'localhost:9900'", "names are not looked up"),
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
        (
            "bind = []",
            "c.toml:2:1: bind in [cluster] is empty, expected a list",
        ),
        (
            "bind = '127.0.0.1:80'",
            "; write [\"127.0.0.1:80\"]: several are possible",
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
fn impossible_programs_name_what_is_possible() {
    for (line, words) in [
        (
            "command = 'node app.js'",
            "c.toml:2:11: command in [run] is 'node app.js', expected a program and its arguments, as in [\"node\", \
             \"app.js\"]; write [\"node\", \"app.js\"]: each argument is an item of its own",
        ),
        ("command = []", "; the first item names the program"),
        ("command = ['']", "; the first item names the program"),
        (
            "command = ['node', 3000]",
            "c.toml:2:20: command in [run] is 3000, expected a program",
        ),
        ("command = [\"a\\u0000\"]", "expected a program"),
        (
            "env = ['A=1']",
            "expected variables, as in { NODE_ENV = \"production\" }",
        ),
        (
            "env = { PORT = 3000 }",
            "c.toml:2:16: env in [run] is 3000, expected variables",
        ),
        (
            "env = { PORT = 3000 }",
            "; a variable is a text: write \"PORT\" = \"…\"",
        ),
        ("env = { 'A B' = '1' }", "\"A B\" is no name of a variable"),
        ("env = { A = \"\\u0000\" }", "the value of A has a zero byte"),
        (
            "env = { NOTIFY_SOCKET = '/x' }",
            "NOTIFY_SOCKET is set by the cluster itself",
        ),
        (
            "listen = 'nodejs'",
            "expected one of \"auto\", \"fds\", \"node\", \"reuseport\"",
        ),
        (
            "ready = 'http:up'",
            "; it is no path to ask: write http:/up, for a path begins with /",
        ),
        ("ready = 'log:['", "log:[ is no regular expression: "),
        ("ready = 5", "ready in [run] is 5, expected \"auto\", \"notify\""),
        ("probe = 'up'", "; it is no path to ask: write http:/PATH"),
        (
            "stop_signal = 'SIGKILL'",
            "expected a signal, one of SIGTERM, SIGINT, SIGQUIT",
        ),
        ("watch = 'src'", "; write [\"src\"]: several are possible"),
        ("watch = ['']", "expected a list of paths"),
        ("preload = 'no'", "expected true or false"),
    ] {
        let told = problem(&format!("[run]\n{line}\n"));
        assert!(told.contains(words), "{line}\n{told}");
    }
    for (text, words) in [
        ("node app.js", "write it as in the file"),
        ("[\"node\"]\nx = 1", "write it as in the file"),
    ] {
        let told = read(&[], None, &flags(&[("run.command", text)]))
            .expect_err("wrong")
            .to_string();
        assert!(told.contains(words), "{text}\n{told}");
    }
}

#[test]
fn what_contradicts_a_program_is_reported() {
    const COMMAND: &str = "command = ['node']\n";
    for (lines, words) in [
        (
            "[run]\nready = 'tcp'\n".to_owned(),
            "c.toml:2:1: run.ready is set but run.command is not",
        ),
        (
            "[run]\nenv = { A = '1' }\n".to_owned(),
            "run.env is set but run.command is not",
        ),
        (
            format!("[drill]\nroutes = true\n[run]\n{COMMAND}"),
            "c.toml:2:1: drill.routes is true beside run.command",
        ),
        (
            format!("[log]\naccess = true\n[run]\n{COMMAND}"),
            "c.toml:2:1: log.access is true beside run.command",
        ),
        (
            format!("[run]\n{COMMAND}ready = 'delay:10s'\n"),
            "c.toml:3:1: ready is \"delay:10s\", expected less than ready_timeout (\"10s\")",
        ),
        (
            format!("[run]\n{COMMAND}[shop]\norder_wait = '1s'\nqueue_depth = 2\n"),
            "c.toml:4:1: order_wait in [shop] is set beside run.command",
        ),
    ] {
        let told = problem(&lines);
        assert!(told.contains(words), "{lines}\n{told}");
    }
}

#[test]
fn the_error_of_a_number_without_a_unit_says_what_to_write() {
    assert_eq!(
        problem("[cluster]\nheartbeat_interval = 250"),
        "c.toml:2:22: heartbeat_interval in [cluster] is 250, expected a duration from \"10ms\" to \"1m\"; a \
         number alone has no unit: write \"250ms\", \"250s\" or \"250m\""
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
fn more_addresses_than_a_worker_can_be_given_are_refused_with_the_bound() {
    let list: Vec<String> = (1..=1_001).map(|port| format!("'127.0.0.1:{port}'")).collect();
    let told = problem(&format!("[cluster]\nbind = [{}]\n", list.join(",")));
    assert!(told.contains("there are 1001, expected at most 1000"), "{told}");
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
fn a_contradiction_is_reported_at_the_value_that_was_set() {
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
            "[cluster]\npass_environment = ['A']",
            "pass_environment is set but user is not",
        ),
        (
            "[cluster]\nbind = ['0.0.0.0:80']\nadmin = '127.0.0.1:80'",
            "c.toml:3:1: admin is \"127.0.0.1:80\" and bind has 0.0.0.0:80, expected an address of its own",
        ),
        (
            "[cluster]\nbind = ['0.0.0.0:80']\ninternal = ['unix:/x', '127.0.0.1:80']",
            "c.toml:3:1: internal has 127.0.0.1:80 and bind has 0.0.0.0:80, expected each address in one",
        ),
        (
            "[run]\ncommand = ['node']\n[cluster]\ninternal_token_file = '/t'",
            "c.toml:4:1: internal or internal_token_file is set beside run.command",
        ),
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
fn every_problem_is_reported_in_the_order_of_the_lines() {
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
fn syntax_errors_are_reported_with_the_other_problems() {
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
fn a_byte_that_is_not_utf_8_is_reported_with_its_place() {
    let source = ConfigFile {
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
fn a_file_that_is_no_configuration_gets_a_short_report() {
    let told = file(&"<p>hello</p>\n".repeat(1_000))
        .expect_err("HTML")
        .to_string();
    assert!(told.lines().count() <= 21, "{told}");
    assert!(told.contains("more"), "{told}");
}

#[test]
fn a_wrong_flag_is_reported_by_its_name() {
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
fn endless_nesting_is_reported_and_not_followed() {
    for opening in ["[", "x = [", "{", "a.", "x = {a="] {
        let text = format!("[cluster]\nworkers = {}", opening.repeat(100_000));
        assert!(!file(&text).expect_err("not TOML").list().is_empty());
    }
}
