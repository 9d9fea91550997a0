//! How a table is moved between a file and a database of PostgreSQL. Each service says it of its own tables.

/// One table with all columns that are moved.
#[derive(Clone, Copy, Debug)]
pub(in crate::shop) struct MovedTable {
    /// Its name at PostgreSQL.
    pub(in crate::shop) name: &'static str,
    /// Its columns at PostgreSQL.
    pub(in crate::shop) columns: &'static str,
    /// The columns whose values name a row, by which both sides are read in the same order.
    pub(in crate::shop) key: &'static str,
    /// Which rows at PostgreSQL are moved.
    pub(in crate::shop) only: &'static str,
    /// How the file has it.
    pub(in crate::shop) in_file: InFile,
}

/// How the file has a table.
#[derive(Clone, Copy, Debug)]
pub(in crate::shop) enum InFile {
    /// With the same name and columns.
    Same,
    /// In another form: a query that answers the columns in the order of the key, and a statement that writes
    /// one row of them.
    Other {
        /// Reads all rows.
        read: &'static str,
        /// Writes a row.
        write: &'static str,
    },
}

impl MovedTable {
    /// A table that both sides have with the same name and columns.
    pub(in crate::shop) const fn same(
        name: &'static str,
        columns: &'static str,
        key: &'static str,
    ) -> MovedTable {
        MovedTable {
            name,
            columns,
            key,
            only: "true",
            in_file: InFile::Same,
        }
    }

    /// A table of which the file has another form.
    pub(in crate::shop) const fn other(
        (name, columns, key): (&'static str, &'static str, &'static str),
        read: &'static str,
        write: &'static str,
    ) -> MovedTable {
        MovedTable {
            name,
            columns,
            key,
            only: "true",
            in_file: InFile::Other { read, write },
        }
    }

    /// Of the rows at PostgreSQL, those for which that holds.
    pub(in crate::shop) const fn only(self, only: &'static str) -> MovedTable {
        MovedTable { only, ..self }
    }

    /// Reads all rows at PostgreSQL, in the order of the key.
    pub(in crate::shop) fn read_at_postgres(&self) -> String {
        self.read_where(self.only)
    }

    fn read_where(&self, only: &str) -> String {
        let MovedTable {
            name, columns, key, ..
        } = self;
        format!("SELECT {columns} FROM {name} WHERE {only} ORDER BY {key}")
    }

    /// Reads all rows of the file, in the same order.
    pub(in crate::shop) fn read_in_file(&self) -> String {
        match self.in_file {
            InFile::Same => self.read_where("true"),
            InFile::Other { read, .. } => read.to_owned(),
        }
    }

    /// Writes one row into the file.
    pub(in crate::shop) fn write_in_file(&self) -> String {
        match self.in_file {
            InFile::Same => {
                let values = vec!["?"; self.columns.split(',').count()].join(", ");
                format!("INSERT INTO {} ({}) VALUES ({values})", self.name, self.columns)
            }
            InFile::Other { write, .. } => write.to_owned(),
        }
    }
}

/// The fences, which every service but the provider has. What a file notes among them is none. Those of other
/// hosts are of processes that never write into files.
pub(in crate::shop) const FENCES: MovedTable = MovedTable::other(
    ("fences", "slot, incarnation, epoch", "slot, incarnation, epoch"),
    "SELECT slot, incarnation, epoch FROM fences WHERE slot >= -1 ORDER BY slot, incarnation, epoch",
    "INSERT INTO fences (slot, incarnation, epoch) VALUES (?1, ?2, ?3)",
)
.only("host = ''");
