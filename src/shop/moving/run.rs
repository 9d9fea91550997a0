//! The steps of a move, one after the other, from wherever it was left.

use std::path::PathBuf;

use super::compare::{audited, sound};
use super::directories::{MoveDirectories, files_in};
use super::locks;
use super::move_error::MoveError;
use super::progress::{MoveProgress, ProgressHook};
use super::{to_postgres, to_sqlite};
use crate::shop::engine::{MoveTarget, MoveUnderWay, PostgresPlace, StoreFile};

/// What is to be moved, and where to.
#[derive(Clone, Debug)]
pub(in crate::shop) struct MoveOrder {
    /// The data directory.
    pub(in crate::shop) data_dir: PathBuf,
    /// Where the databases go.
    pub(in crate::shop) to: MoveTarget,
    /// The databases at PostgreSQL, if they go there.
    pub(in crate::shop) place: Option<PostgresPlace>,
}

/// What there is to do.
enum Task {
    /// Nothing: the databases are there already.
    Nothing,
    /// A move, which had begun before or not.
    Move(MoveUnderWay, bool),
    /// A move in the other direction is given up.
    GiveUp(MoveUnderWay),
}

/// Moves the databases, or goes on with that.
///
/// # Errors
/// [`MoveError`]. The same call goes on from where it ended.
pub(in crate::shop) async fn run(order: &MoveOrder, told: ProgressHook<'_>) -> Result<(), MoveError> {
    let _locks = locks::take(&order.data_dir)?;
    match task(order).await? {
        Task::Nothing => told(&MoveProgress::AlreadyThere),
        Task::GiveUp(under_way) => give_up(order, &under_way, told).await,
        Task::Move(under_way, again) => go_on(order, under_way, again, told).await,
    }
}

async fn task(order: &MoveOrder) -> Result<Task, MoveError> {
    let there = order.data_dir.display();
    let begin = |place| MoveUnderWay {
        id: format!("{:08x}", fastrand::u32(..)),
        to: order.to,
        place,
        is_copied: false,
    };
    let under_way = match (StoreFile::read(&order.data_dir)?, order.to) {
        (StoreFile::Moving(under_way), to) if under_way.to == to => {
            if order
                .place
                .as_ref()
                .is_some_and(|place| place.urls != under_way.place.urls)
            {
                return Err(MoveError::Refused(format!(
                    "the move that is under way goes to other databases: finish it with the old \
                     configuration, or give it up by a move to {}",
                    other(to).word()
                )));
            }
            return Ok(Task::Move(under_way, true));
        }
        (StoreFile::Moving(under_way), _) if under_way.is_copied => {
            let to = under_way.to.word();
            return Err(MoveError::Refused(format!(
                "everything is copied already: finish the move with `cluster move --to {to}`, then move back"
            )));
        }
        (StoreFile::Moving(under_way), _) => return Ok(Task::GiveUp(under_way)),
        (StoreFile::Postgres(_), MoveTarget::Postgres) => return Ok(Task::Nothing),
        (StoreFile::Sqlite, _) if files_in(&order.data_dir).is_empty() => {
            return Err(MoveError::Refused(format!(
                "{there} has no databases: name another --data-dir, or start a cluster with the engine that \
                 it shall have"
            )));
        }
        (StoreFile::Sqlite, MoveTarget::Sqlite) => return Ok(Task::Nothing),
        (StoreFile::Sqlite, MoveTarget::Postgres) => {
            let unnamed = || MoveError::Refused("no databases of PostgreSQL are named".to_owned());
            begin(order.place.clone().ok_or_else(unnamed)?)
        }
        (StoreFile::Postgres(place), MoveTarget::Sqlite) => begin(place),
    };
    let directories = MoveDirectories::new(&order.data_dir, &under_way.id);
    match order.to {
        MoveTarget::Postgres => to_postgres::check(&directories, &under_way.place).await?,
        MoveTarget::Sqlite => to_sqlite::check(&directories, &under_way.place).await?,
    }
    audited(&order.data_dir).await?;
    directories.write(&StoreFile::Moving(under_way.clone()))?;
    Ok(Task::Move(under_way, false))
}

fn other(to: MoveTarget) -> MoveTarget {
    match to {
        MoveTarget::Postgres => MoveTarget::Sqlite,
        MoveTarget::Sqlite => MoveTarget::Postgres,
    }
}

async fn go_on(
    order: &MoveOrder,
    mut under_way: MoveUnderWay,
    again: bool,
    told: ProgressHook<'_>,
) -> Result<(), MoveError> {
    let directories = MoveDirectories::new(&order.data_dir, &under_way.id);
    told(&begun(order, &under_way, again)?)?;
    if !under_way.is_copied {
        match under_way.to {
            MoveTarget::Postgres => {
                to_postgres::copy(&directories, &under_way, told).await?;
                to_postgres::prove(&directories, &under_way, told).await?;
            }
            MoveTarget::Sqlite => {
                to_sqlite::close(&under_way).await?;
                to_sqlite::copy(&directories, &under_way, told).await?;
                to_sqlite::prove(&directories, &under_way, told).await?;
            }
        }
        told(&sound(&audited(&directories.staging()).await?))?;
        under_way.is_copied = true;
        directories.write(&StoreFile::Moving(under_way.clone()))?;
        told(&MoveProgress::AllIsCopied)?;
    }
    match under_way.to {
        MoveTarget::Postgres => to_postgres::finish(&directories, &under_way, told)?,
        MoveTarget::Sqlite => to_sqlite::finish(&directories, &under_way, told)?,
    }
    told(&MoveProgress::Over {
        kept: directories.kept(),
    })
}

fn begun(order: &MoveOrder, under_way: &MoveUnderWay, again: bool) -> Result<MoveProgress, MoveError> {
    let files = format!("files in {}", order.data_dir.display());
    let orders = under_way.place.target("orders")?;
    let databases = format!("PostgreSQL ({} and others)", orders.shown());
    let (from, to) = match under_way.to {
        MoveTarget::Postgres => (files, databases),
        MoveTarget::Sqlite => (databases, files),
    };
    Ok(MoveProgress::Begun { again, from, to })
}

async fn give_up(
    order: &MoveOrder,
    under_way: &MoveUnderWay,
    told: ProgressHook<'_>,
) -> Result<(), MoveError> {
    let directories = MoveDirectories::new(&order.data_dir, &under_way.id);
    match under_way.to {
        MoveTarget::Postgres => to_postgres::give_up(&directories, under_way, told).await?,
        MoveTarget::Sqlite => to_sqlite::give_up(&directories, under_way).await?,
    }
    told(&MoveProgress::GivenUp)
}
