//! Fences: a fence bars one life from writing. Each service keeps the fences in its own database and checks
//! them in the transaction of every command, so a worker that only slept and wakes up after it was fenced can
//! change nothing. Fences are raised in the participants first and in the orders last, in the transaction
//! that begins to claim.

use rusqlite::{Connection, OptionalExtension};

use crate::base::ids::{Incarnation, Life};
use crate::shop::contract::{DatabaseUser, Fence};

/// The table, the same in every file. A row with slot -1 stands for every life of an earlier incarnation.
/// The row with slot -2 is no fence: it notes the incarnation that uses the orders, and its epoch is a hash
/// of the name of that incarnation's master. It stands here because programs of the same schema version,
/// which do not know it, read past it.
pub(in crate::shop) const TABLE: &str = "
CREATE TABLE fences (
    slot        INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,
    PRIMARY KEY (slot, incarnation, epoch)
) STRICT, WITHOUT ROWID;
";

const EVERY_SLOT: i32 = -1;
const USER: i32 = -2;

/// The newest master whose workers noted that they use the database.
pub(in crate::shop) fn last_user(connection: &Connection) -> rusqlite::Result<Option<DatabaseUser>> {
    let last = "SELECT incarnation, epoch FROM fences WHERE slot = ?1 ORDER BY incarnation DESC LIMIT 1";
    let user = connection.query_row(last, [USER], |row| {
        let incarnation: i64 = row.get(0)?;
        Ok(DatabaseUser {
            incarnation: Incarnation(incarnation.unsigned_abs()),
            master: row.get(1)?,
        })
    });
    user.optional()
}

/// Notes that the workers of this master use the database, unless a master of the same or a later incarnation
/// does.
pub(in crate::shop) fn note_user(tx: &Connection, user: DatabaseUser) -> rusqlite::Result<()> {
    if last_user(tx)?.is_some_and(|last| last.incarnation >= user.incarnation) {
        return Ok(());
    }
    tx.execute("DELETE FROM fences WHERE slot = ?1", [USER])?;
    tx.execute(
        "INSERT INTO fences (slot, incarnation, epoch) VALUES (?1, ?2, ?3)",
        (USER, number(user.incarnation.0), user.master),
    )?;
    Ok(())
}

/// Raises a fence. Fences that it covers are removed, so that the table has only as many as lives of this
/// incarnation were fenced.
pub(in crate::shop) fn raise(tx: &Connection, fence: Fence) -> rusqlite::Result<()> {
    let row = match fence {
        // A process on another host, from the time when the orders were elsewhere, never writes into a file.
        Fence::Life(life) if life.host.is_named() => return Ok(()),
        Fence::Life(life) => (i32::from(life.slot.0), number(life.incarnation.0), life.epoch.0),
        Fence::Before(_, incarnation) => {
            tx.prepare_cached("DELETE FROM fences WHERE incarnation < ?1")?
                .execute([number(incarnation.0)])?;
            (EVERY_SLOT, number(incarnation.0), 0)
        }
    };
    tx.prepare_cached(
        "INSERT INTO fences (slot, incarnation, epoch) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?
    .execute(row)?;
    Ok(())
}

/// Whether that life is fenced off.
pub(in crate::shop) fn is_fenced(connection: &Connection, life: Life) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM fences WHERE slot = ?1 AND incarnation = ?2 AND epoch = ?3
             UNION ALL SELECT 1 FROM fences WHERE slot = -1 AND incarnation > ?2",
        )?
        .exists((life.slot.0, number(life.incarnation.0), life.epoch.0))
}

/// The highest incarnation that a fence knows of.
pub(in crate::shop) fn newest_incarnation(connection: &Connection) -> rusqlite::Result<Incarnation> {
    let newest = "SELECT coalesce(max(incarnation), 0) FROM fences";
    let newest: i64 = connection.query_row(newest, [], |row| row.get(0))?;
    Ok(Incarnation(newest.unsigned_abs()))
}

fn number(incarnation: u64) -> i64 {
    i64::try_from(incarnation).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::HostId;

    #[test]
    fn the_last_user_is_the_master_of_the_newest_incarnation_and_the_first_of_two_with_one_number() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(TABLE).unwrap();
        assert_eq!(last_user(&db).unwrap(), None);
        let user = |incarnation, master| DatabaseUser {
            incarnation: Incarnation(incarnation),
            master,
        };
        for (noted, last) in [
            (user(3, -9), user(3, -9)),
            (user(3, 8), user(3, -9)),
            (user(2, 7), user(3, -9)),
            (user(4, 1), user(4, 1)),
        ] {
            note_user(&db, noted).unwrap();
            assert_eq!(last_user(&db).unwrap(), Some(last));
        }
        assert_eq!(newest_incarnation(&db).unwrap(), Incarnation(4));
        assert!(!is_fenced(&db, Life::of(3, 0, 1)).unwrap(), "a note is no fence");
    }

    #[test]
    fn a_fence_bars_one_life_or_every_earlier_incarnation_and_no_other() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(TABLE).unwrap();
        let fenced = |life| is_fenced(&db, life).unwrap();
        raise(&db, Fence::Life(Life::of(3, 1, 2))).unwrap();
        raise(&db, Fence::Life(Life::of(3, 1, 2))).unwrap();
        assert!(fenced(Life::of(3, 1, 2)));
        for other in [
            Life::of(3, 1, 1),
            Life::of(3, 1, 3),
            Life::of(3, 0, 2),
            Life::of(4, 1, 2),
        ] {
            assert!(!fenced(other), "{other}");
        }
        raise(&db, Fence::Before(HostId::UNNAMED, Incarnation(4))).unwrap();
        assert!(fenced(Life::of(3, 1, 2)) && fenced(Life::of(1, 7, 9)));
        assert!(!fenced(Life::of(4, 1, 1)));
        let rows: i64 = db
            .query_row("SELECT count(*) FROM fences", [], |row| row.get(0))
            .unwrap();
        assert_eq!(rows, 1, "a fence that another covers is removed");
    }
}
