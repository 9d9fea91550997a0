//! The four files' schemas: a file of before becomes what a new one is, refuses what it refused, and no row
//! costs a table.

use rusqlite::Connection;

use crate::scoreboard::Board;
use crate::shop::{inventory, orders, payments, sandbox};
use crate::store::{Schema, Store, StoreOptions};

/// A schema, a statement that it takes, and one that its checks refuse.
struct SchemaCase {
    schema: Schema,
    good: &'static str,
    bad: &'static str,
    /// The last version whose programs cannot use the file, and the good statement as they make it.
    incompatible: Option<(usize, &'static str)>,
}

const CASES: [SchemaCase; 4] = [
    SchemaCase {
        schema: orders::SCHEMA,
        good: "INSERT INTO orders (id, status, customer_id, items, amount, currency, method, version, owner, claim_no, changed_ms)
               VALUES (?1, 10, 'c', '[]', 1, 'USD', 'm', 1, '1/0/1', 1, 0)",
        bad: "UPDATE orders SET status = 12",
        incompatible: Some((
            6,
            "INSERT INTO orders
             (id, status, customer_id, items, amount, currency, method, version, owner, claim_no, ended_ms)
             VALUES (?1, 10, 'c', '[]', 1, 'USD', 'm', 1, '1/0/1', 1, 0)",
        )),
    },
    SchemaCase {
        schema: inventory::SCHEMA,
        good: "INSERT INTO reservations (order_id, state, claim_no, items, reserved_ms, reserved_by, changed_ms)
               VALUES (?1, 10, 1, '[]', 0, '1/0/1', 0)",
        bad: "UPDATE reservations SET state = 15",
        incompatible: Some((
            3,
            "INSERT INTO reservations (order_id, state, claim_no, items, reserved_ms, reserved_by, ended_ms)
             VALUES (?1, 10, 1, '[]', 0, '1/0/1', 0)",
        )),
    },
    SchemaCase {
        schema: payments::SCHEMA,
        good: "INSERT INTO payments (order_id, state, claim_no, amount, currency, method, at_ms, by)
               VALUES (?1, 10, 1, 1, 'USD', 'm', 0, '1/0/1')",
        bad: "UPDATE payments SET state = 40",
        incompatible: None,
    },
    SchemaCase {
        schema: sandbox::SCHEMA,
        good: "INSERT INTO attempt (provider_key, kind, outcome, at) VALUES (?1, 'cancel', 'succeeded', 'now')",
        bad: "INSERT INTO attempt (provider_key, kind, outcome, at) VALUES ('x', 'gift', 'succeeded', 'now')",
        incompatible: None,
    },
];

fn tables(connection: &Connection) -> Vec<(String, String)> {
    connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap()
}

fn fresh(schema: &Schema) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&schema.migrations.concat()).unwrap();
    connection
}

#[test]
fn an_older_file_becomes_what_a_new_one_is_and_keeps_its_checks_and_rows() {
    for case in &CASES {
        let before = case.schema.migrations.len() - 1;
        if let Some(incompatible) = case.incompatible {
            becomes_new(case, incompatible, false);
        }
        if case.incompatible.is_none_or(|(version, _)| version < before) {
            becomes_new(case, (before, case.good), true);
        }
    }
}

/// Brings a file of that version up to date, beside a worker of the program of then, which writes that
/// statement.
fn becomes_new(case: &SchemaCase, (version, before): (usize, &str), is_compatible: bool) {
    let SchemaCase {
        schema, good, bad, ..
    } = case;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let older = Schema {
        migrations: &schema.migrations[..version],
        ..*schema
    };
    let open = |schema: &Schema| {
        let cell = Board::private().cell(schema.name).unwrap();
        Store::open(schema, StoreOptions::new(&path, cell)).unwrap()
    };
    drop(open(&older));
    // A worker of the program before, which goes on while the new one opens the file.
    let other = Connection::open(&path).unwrap();
    other.execute(before, ["1"]).unwrap();
    drop(open(schema));
    assert_eq!(tables(&other), tables(&fresh(schema)), "{}", schema.name);
    assert!(other.execute(bad, []).is_err(), "{}", schema.name);
    let goes_on = other.execute(before, ["2"]).is_ok();
    assert_eq!(goes_on, is_compatible, "{} from {version}", schema.name);
    other.execute(good, ["3"]).unwrap();
    let sound: String = other
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(sound, "ok");
}

#[test]
fn no_row_that_is_written_makes_a_table_to_be_checked_against() {
    for SchemaCase { schema, .. } in CASES {
        let connection = fresh(&schema);
        for (table, _) in tables(&connection) {
            let codes: Vec<String> = connection
                .prepare(&format!("EXPLAIN INSERT INTO {table} DEFAULT VALUES"))
                .unwrap()
                .query_map([], |row| row.get(1))
                .unwrap()
                .collect::<rusqlite::Result<_>>()
                .unwrap();
            let made = codes.iter().any(|code| code == "OpenEphemeral");
            assert!(
                !made || table.starts_with("interventions"),
                "{}: {table} is checked against a list of three or more",
                schema.name
            );
        }
    }
}

#[test]
fn unfinished_orders_are_read_by_their_index() {
    let connection = fresh(&orders::SCHEMA);
    for sql in [
        "SELECT DISTINCT owner FROM unfinished_orders",
        "SELECT DISTINCT owner FROM unfinished_orders WHERE status = 10",
        "SELECT id FROM unfinished_orders WHERE owner = '1/0/1' AND status = 10 ORDER BY id LIMIT 200",
        "SELECT count(*) FILTER (WHERE status = 10) FROM unfinished_orders",
        "SELECT count(*), version FROM unfinished_orders WHERE version > 1 GROUP BY version",
    ] {
        let plan: Vec<String> = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap()
            .query_map([], |row| row.get(3))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        let plan = plan.join("; ");
        assert!(plan.contains("orders_unfinished"), "{sql}: {plan}");
    }
}
