//! Migrations, and files that are not what they should be.

use super::*;

#[test]
fn migrations_run_once_and_in_order() {
    let place = TestStore::new();
    wait(place.open().write(Admission::New, insert(1))).unwrap();
    for _ in 0..2 {
        assert_eq!(ids(&Store::open(&NEWER, place.options()).unwrap()), [2]);
    }
    let error = place.refused(&SCHEMA);
    assert!(
        matches!(
            error,
            OpenError::Newer {
                found: 3,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_database_that_another_process_is_migrating_is_never_taken_for_a_foreign_one() {
    for _ in 0..100 {
        let place = TestStore::new();
        std::thread::scope(|scope| {
            let opening: Vec<_> = (0..4).map(|_| scope.spawn(|| drop(place.open()))).collect();
            for one in opening {
                one.join().expect("opened");
            }
        });
    }
}

#[test]
fn a_migration_that_fails_leaves_the_file_as_it_was() {
    let place = TestStore::new();
    wait(place.open().write(Admission::New, insert(1))).unwrap();
    let error = place.refused(&BROKEN);
    assert!(
        matches!(error, OpenError::Migration { from: 1, to: 2, .. }),
        "{error}"
    );
    assert_eq!(ids(&place.open()), [1]);
}

#[test]
fn a_foreign_database_is_refused_and_untouched() {
    let place = TestStore::new();
    let foreign = Connection::open(place.path()).unwrap();
    foreign.execute_batch("CREATE TABLE theirs (a)").unwrap();
    drop(foreign);
    let before = std::fs::read(place.path()).unwrap();
    let error = place.refused(&SCHEMA);
    assert!(matches!(error, OpenError::Foreign { found: 0, .. }), "{error}");
    assert_eq!(std::fs::read(place.path()).unwrap(), before);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let place = TestStore::new();
    std::fs::write(place.path(), "Dear diary, ".repeat(1_000)).unwrap();
    let error = place.refused(&SCHEMA);
    assert!(matches!(error, OpenError::NotADatabase { .. }), "{error}");
}

#[test]
fn a_corrupted_page_is_found_when_pages_are_verified() {
    let place = TestStore::new();
    place.damage_page(3);
    let options = StoreOptions {
        verify: Verify::Pages,
        ..place.options()
    };
    let error = Store::open(&SCHEMA, options).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
}

#[test]
fn a_truncated_header_is_refused() {
    let place = TestStore::new();
    drop(place.open());
    let bytes = std::fs::read(place.path()).unwrap();
    std::fs::write(place.path(), &bytes[..50]).unwrap();
    let error = place.refused(&SCHEMA);
    assert!(
        matches!(error, OpenError::NotADatabase { .. } | OpenError::Corrupt { .. }),
        "{error}"
    );
}
