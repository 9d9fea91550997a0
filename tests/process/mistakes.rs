//! What an operator gets wrong: each has an exit code of its own and a message that says what was read, what
//! was expected and what to do; and nothing that was there before is harmed.

use std::path::Path;

use nix::sys::signal::Signal;

use crate::common::Plan;

/// A catalog of one article.
const ARTICLE: &str = r#"[[article]]
sku = "cup"
name = "Cup"
unit_price = { amount = 1, currency = "USD" }
on_hand = 1
"#;

/// Launches it, expects that exit code, and gives back everything it said.
fn refused(plan: Plan, code: i32) -> String {
    let mut cluster = plan.launch();
    let status = cluster.wait_to_the_last_word();
    let said: String = cluster
        .log()
        .iter()
        .map(|line| format!("{}\n", line["message"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(status.code(), Some(code), "{status}\n{said}");
    said
}

fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is not in:\n{said}");
    }
}

#[test]
fn a_misspelt_key_is_told_with_its_line_and_its_neighbour() {
    let said = refused(Plan::shop().replace("workers = 2", "wrokers = 2"), 78);
    says(
        &said,
        &[
            "cluster.toml:2:1",
            "unknown key \"wrokers\" in [cluster]",
            "did you mean \"workers\"?",
        ],
    );
}

#[test]
fn impossible_values_are_refused() {
    says(
        &refused(Plan::shop().replace("workers = 2", "workers = 0"), 78),
        &["workers in [cluster] is 0"],
    );
    let said = refused(Plan::shop().with("[cluster]", "heartbeat_timeout = \"0s\""), 78);
    says(&said, &["heartbeat_timeout", "0s"]);
    let said = refused(Plan::shop().with("[shop]", "order_wiat = \"1s\""), 78);
    says(&said, &["order_wiat", "did you mean \"order_wait\"?"]);
    let two = "retention = \"1h\"\nidempotency_retention = \"2h\"";
    let said = refused(Plan::shop().with("[shop]", two), 78);
    says(&said, &["cluster.toml:", ": shop.retention is shorter"]);
    let sum = "fail = 60\nlose = 50";
    let said = refused(Plan::shop().with("[provider_faults]", sum), 78);
    says(&said, &["cluster.toml:", ": fail, lose, late and slow"]);
    let said = refused(Plan::shop().replace("127.0.0.1:0", "0.0.0.0:0"), 78);
    says(&said, &["drill"]);
}

#[test]
fn an_answer_that_would_come_too_late_is_refused() {
    let plan = Plan::shop().with("[shop]", "order_wait = \"20s\"");
    let said = refused(plan.with("[http]", "request_timeout = \"10s\""), 78);
    says(&said, &["http.request_timeout is 10s", "shop.order_wait (20s)"]);
}

#[test]
fn a_catalog_that_is_gone_is_missed_at_the_first_start_alone() {
    let plan = Plan::shop();
    let path = plan.directory().join("catalog.toml");
    std::fs::write(&path, ARTICLE).expect("written");
    let line = format!("catalog = {path:?}");
    let first = plan.with("[shop]", &line).start();
    let again = || Plan::shop().with("[shop]", &line);
    let second = again().over(&first);
    assert!(first.stop().success());
    std::fs::remove_file(&path).expect("removed");
    let second = second.start();
    assert_eq!(second.get("/inventory/cup").status, 200);
    assert!(second.stop().success());
    says(&refused(again(), 78), &["failed to read the catalog"]);
}

#[test]
fn a_catalog_that_is_not_read_any_more_refuses_no_start_and_an_edited_one_is_told_of() {
    let plan = Plan::shop();
    let path = plan.directory().join("catalog.toml");
    std::fs::write(&path, ARTICLE).expect("written");
    let line = format!("catalog = {path:?}");
    let edited = "the catalog is not the one that was put on the shelf";
    let mut cluster = plan.with("[shop]", &line).start();
    for (text, is_told) in [
        (ARTICLE, false),
        ("[[article", true),
        ("# empty", true),
        (ARTICLE, false),
    ] {
        let again = Plan::shop().with("[shop]", &line).over(&cluster);
        assert!(cluster.stop().success());
        std::fs::write(&path, text).expect("written");
        cluster = again.start();
        assert_eq!(cluster.get("/inventory/cup").status, 200);
        if is_told {
            let told = cluster.wait_for(edited);
            assert_eq!(told["level"], "warn", "{told}");
        }
        let mark = cluster.mark();
        // The replacement of slot 0 says it, too, before it ends.
        cluster.signal(Signal::SIGHUP);
        cluster.wait_from(mark, "reload done");
        assert_eq!(cluster.count_from(0, edited) > 0, is_told, "{text}");
    }
    assert!(cluster.stop().success());
}

#[test]
fn a_catalog_with_a_sku_twice_is_refused_before_anything_is_written() {
    let plan = Plan::shop();
    let path = plan.directory().join("catalog.toml");
    std::fs::write(&path, format!("{ARTICLE}{ARTICLE}")).expect("written");
    let data = plan.directory().join("data");
    let said = refused(plan.with("[shop]", &format!("catalog = {path:?}")), 78);
    says(&said, &["catalog.toml", "line 6", "cup"]);
    assert!(
        !data.exists(),
        "something was made for a cluster that cannot start"
    );
}

#[test]
fn a_data_directory_that_is_none_is_refused() {
    let plan = Plan::shop();
    std::fs::write(plan.directory().join("data"), "precious").expect("written");
    says(&refused(plan, 73), &["data"]);
}

#[test]
fn a_foreign_or_broken_database_is_refused_and_left_as_it_was() {
    let foreign = |path: &Path| {
        let database = rusqlite::Connection::open(path).expect("opened");
        database
            .execute_batch("PRAGMA application_id = 7; CREATE TABLE mine (a)")
            .expect("made");
    };
    let garbage = |path: &Path| std::fs::write(path, "not a database at all ".repeat(500)).expect("written");
    type Make = fn(&Path);
    let cases: [(Make, &str); 2] = [
        (foreign, "database of another program"),
        (garbage, "is not an SQLite database"),
    ];
    for (make, words) in cases {
        let plan = Plan::shop();
        let data = plan.directory().join("data");
        std::fs::create_dir(&data).expect("made");
        make(&data.join("orders.db"));
        let (kept, before) = (
            plan.keep(),
            std::fs::read(data.join("orders.db")).expect("readable"),
        );
        says(&refused(plan, 65), &[words, "orders.db"]);
        assert!(
            std::fs::read(data.join("orders.db")).expect("readable") == before,
            "the file was changed"
        );
        drop(kept);
    }
}

#[test]
fn a_damaged_incarnation_counter_is_not_guessed() {
    let plan = Plan::shop();
    let data = plan.directory().join("data");
    std::fs::create_dir(&data).expect("made");
    std::fs::write(data.join("incarnation"), "soon").expect("written");
    says(
        &refused(plan, 65),
        &["incarnation", "\"soon\"", "expected a whole number"],
    );
}

#[test]
fn an_open_run_directory_is_not_trusted() {
    use std::os::unix::fs::PermissionsExt;
    let plan = Plan::shop();
    let run = plan.directory().join("data/run");
    std::fs::create_dir_all(&run).expect("made");
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o777)).expect("set");
    says(&refused(plan, 73), &["cannot be trusted", "0777", "chmod 0700"]);
}

#[test]
fn check_says_what_is_in_effect_and_what_is_wrong() {
    let check = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_cluster"))
            .arg("check")
            .args(arguments)
            .output();
        let output = output.expect("it runs");
        (
            output.status.code(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    let (code, said) = check(&["--workers", "3"]);
    assert_eq!(code, Some(0), "{said}");
    says(&said, &["workers = 3", "--workers"]);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("c.toml");
    std::fs::write(&path, "[cluster]\nworkers = \"many\"\n[htpp]\n").expect("written");
    let (code, said) = check(&["--config", path.to_str().expect("text")]);
    assert_eq!(code, Some(78), "{said}");
    says(&said, &["c.toml:2:11", "c.toml:3", "htpp"]);
}

#[test]
fn check_looks_for_the_user_and_the_group() {
    for (text, what) in [
        ("user = \"no-such-user\"\n", "there is no user \"no-such-user\""),
        (
            "user = \"root\"\ngroup = \"no-such-group\"\n",
            "there is no group \"no-such-group\"",
        ),
    ] {
        let plan = Plan::shop().with("[cluster]", text);
        let path = plan.directory().join("user.toml");
        std::fs::write(&path, format!("[cluster]\n{text}")).expect("written");
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_cluster"))
            .arg("check")
            .arg("--config")
            .arg(&path)
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        says(&String::from_utf8_lossy(&output.stderr), &[what]);
    }
}

/// A pipe that is full, and its end that nobody reads.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    // Filled to the brim by a page at a time, which is how a pipe is made.
    let flags = nix::fcntl::OFlag::O_NONBLOCK;
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(flags)).expect("set");
    while std::io::Write::write(&mut writer, &[b'x'; 4096]).is_ok() {}
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).expect("set");
    (reader, writer)
}

#[test]
fn a_refusal_that_nobody_reads_ends_all_the_same() {
    let plan = Plan::shop();
    let path = plan.directory().join("bad.toml");
    std::fs::write(&path, "[cluster]\nwrokers = 2\n").expect("written");
    let (bad, nowhere) = (
        path.to_str().expect("text"),
        plan.directory().to_str().expect("text"),
    );
    for (arguments, code) in [
        (&["serve", "--config", bad][..], 78),
        (&["check", "--config", bad], 78),
        (&["--nonsense"], 2),
        (&["serve", "--nonsense"], 2),
        (&["scale", "many"], 2),
        (&["doctor", "--nonsense"], 2),
        (&["torture", "--nonsense"], 2),
        (&["status", "--data-dir", nowhere], 68),
        (&["doctor", "--data-dir", nowhere], 1),
    ] {
        let (_reader, writer) = full_pipe();
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_cluster"))
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(writer)
            .status()
            .expect("it runs");
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn a_start_without_descriptors_says_that_they_are_short() {
    // Each number of them is short at another step of the start, which one depends on what this test was
    // given; the last ones are enough for the master, and no worker can be started.
    for most in 6..24 {
        let plan = Plan::shop();
        let output = std::process::Command::new("sh")
            .args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &most.to_string()])
            .arg(env!("CARGO_BIN_EXE_cluster"))
            .args(["serve", "--bind", "127.0.0.1:0", "--workers", "1", "--data-dir"])
            .arg(plan.directory().join("data"))
            .stdin(std::process::Stdio::null())
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(71), "with {most}: {output:?}");
    }
}
