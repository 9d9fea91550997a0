//! Where a database is, and how it is to be used.

use std::path::Path;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use super::tls::{self, Tls};

/// Unless the URL says otherwise, a server that is not reached in this time is not reached.
const CONNECT: Duration = Duration::from_secs(1);
/// A peer that acknowledges nothing for so long is gone: a host that died sends no end.
const UNACKNOWLEDGED: Duration = Duration::from_secs(3);
const FIRST_KEEPALIVE: Duration = Duration::from_secs(2);
const BETWEEN_KEEPALIVES: Duration = Duration::from_secs(1);
const KEEPALIVES: u32 = 3;
/// Unless somebody says otherwise, the server ends the session of a client that has vanished after this.
const VANISHED: Duration = Duration::from_secs(4);

/// Where one database is, and how it is to be used.
#[derive(Clone)]
pub struct PostgresTarget {
    pub(super) config: Config,
    /// Whether the connection is to be encrypted.
    encrypts: bool,
    /// What encrypts it.
    pub(super) tls: Option<Tls>,
    /// Between this process and the server is PgBouncer, which gives each transaction another connection: no
    /// statement is prepared, and nothing is set that is to last.
    pub(super) pgbouncer: bool,
    /// A server that forgets what it has committed is taken all the same.
    pub(super) allow_unsafe_commits: bool,
    /// The server ends the session of a client that has vanished, with its transaction and its locks, after
    /// this.
    pub(super) vanished_after: Duration,
    /// Other hosts wait for what such a session holds.
    pub(super) is_shared: bool,
    shown: String,
}

impl std::fmt::Debug for PostgresTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresTarget")
            .field("shown", &self.shown)
            .field("encrypts", &self.encrypts)
            .finish_non_exhaustive()
    }
}

/// Why a text names no database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It cannot be read.
    #[error("it is no URL of PostgreSQL ({0}), expected postgres://user@host:port/database")]
    Unreadable(String),
    /// It holds a password, which would stand in the configuration and be shown.
    #[error(
        "it holds a password, expected none: put it into postgres.password_file, PGPASSFILE or PGPASSWORD"
    )]
    Password,
    /// It lacks something.
    #[error("it names no {0}, expected postgres://user@host:port/database")]
    Incomplete(&'static str),
    /// It asks for TLS in a way that would not protect.
    #[error(
        "it asks for sslmode={0}, which does not say for sure whether the server is the right one: expected \
         disable (in clear) or verify-full (TLS, with the certificate and the name of the server checked)"
    )]
    Tls(String),
    /// TLS cannot be spoken.
    #[error("no TLS: {0}")]
    Roots(String),
}

impl PostgresTarget {
    /// Reads a URL, or `key=value` pairs.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn parse(url: &str) -> Result<PostgresTarget, TargetError> {
        let (url, mode) = without_ssl_mode(url)?;
        let mut config: Config = url
            .parse()
            .map_err(|error: tokio_postgres::Error| TargetError::Unreadable(error.to_string()))?;
        if config.get_password().is_some() {
            return Err(TargetError::Password);
        }
        let database = config.get_dbname().ok_or(TargetError::Incomplete("database"))?;
        let hosts = config.get_hosts();
        let host = hosts.first().ok_or(TargetError::Incomplete("host"))?;
        let port = config.get_ports().first().copied().unwrap_or(5432);
        if config.get_user().is_none() {
            return Err(TargetError::Incomplete("user"));
        }
        let shown = match host {
            Host::Tcp(name) => format!("{database} at {name}:{port}"),
            Host::Unix(path) => format!("{database} at {}:{port}", path.display()),
        };
        let is_local = hosts.iter().all(is_local);
        let encrypts = mode.unwrap_or(!is_local);
        config.ssl_mode(match encrypts {
            true => SslMode::Require,
            false => SslMode::Disable,
        });
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_hosts().len() > 1 {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        config
            .keepalives(true)
            .keepalives_idle(FIRST_KEEPALIVE)
            .keepalives_interval(BETWEEN_KEEPALIVES)
            .keepalives_retries(KEEPALIVES)
            .tcp_user_timeout(UNACKNOWLEDGED);
        Ok(PostgresTarget {
            config,
            encrypts,
            tls: None,
            pgbouncer: false,
            allow_unsafe_commits: false,
            vanished_after: VANISHED,
            is_shared: false,
            shown,
        })
    }

    /// With this password.
    #[must_use]
    pub fn password(mut self, password: Option<&str>) -> PostgresTarget {
        if let Some(password) = password {
            self.config.password(password);
        }
        self
    }

    /// Whether the connection is to be encrypted: [`PostgresTarget::trust`] is to be called then.
    #[must_use]
    pub fn encrypts(&self) -> bool {
        self.encrypts
    }

    /// Encrypts the connection, and checks the server by the certificates of that file, or by those that this
    /// system trusts.
    ///
    /// # Errors
    /// [`TargetError::Roots`].
    pub fn trust(mut self, roots: Option<&Path>) -> Result<PostgresTarget, TargetError> {
        self.tls = Some(tls::trusting(roots).map_err(TargetError::Roots)?);
        Ok(self)
    }

    /// By way of PgBouncer in the mode of transactions.
    #[must_use]
    pub fn pgbouncer(mut self, pgbouncer: bool) -> PostgresTarget {
        self.pgbouncer = pgbouncer;
        self
    }

    /// Also a server that may forget what it has committed.
    #[must_use]
    pub fn allow_unsafe_commits(mut self, allow: bool) -> PostgresTarget {
        self.allow_unsafe_commits = allow;
        self
    }

    /// The server ends the session of a client that has vanished, with its transaction and its locks, after
    /// this; 4 s if nobody says otherwise.
    #[must_use]
    pub fn vanished_after(mut self, time: Duration) -> PostgresTarget {
        self.vanished_after = time;
        self
    }

    /// Other hosts use the database, too: a server that keeps the sessions of those that vanished is refused.
    #[must_use]
    pub fn is_shared(mut self, is_shared: bool) -> PostgresTarget {
        self.is_shared = is_shared;
        self
    }

    /// Whether the server is reached by way of a network.
    pub(super) fn is_remote(&self) -> bool {
        let mut hosts = self.config.get_hosts().iter();
        hosts.any(|host| matches!(host, Host::Tcp(_)))
    }

    /// Shown to the server's people as this program.
    #[must_use]
    pub fn application_name(mut self, name: &str) -> PostgresTarget {
        self.config.application_name(name);
        self
    }

    /// Whom the password is for: host, port, database and user, as a file of passwords names them.
    #[must_use]
    pub fn password_owner(&self) -> (String, u16, String, String) {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(_)) | None => "localhost".to_owned(),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let (database, user) = (self.config.get_dbname(), self.config.get_user());
        (host, port, text(database), text(user))
    }

    /// The database and its server, for messages.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

/// Takes `sslmode` out of a URL or of `key=value` pairs, of which the driver knows too few: whether it asks
/// for TLS, if it says so.
fn without_ssl_mode(url: &str) -> Result<(String, Option<bool>), TargetError> {
    let Some(at) = url.find("sslmode=") else {
        return Ok((url.to_owned(), None));
    };
    let (before, rest) = url.split_at(at);
    let mode = &rest["sslmode=".len()..];
    let end = mode.find(['&', ' ', '#']).unwrap_or(mode.len());
    let (mode, behind) = mode.split_at(end);
    let encrypts = match mode {
        "disable" => false,
        "require" | "verify-full" => true,
        other => return Err(TargetError::Tls(other.to_owned())),
    };
    let behind = behind.strip_prefix('&').unwrap_or(behind);
    let url = format!("{before}{behind}");
    Ok((url.trim_end_matches(['?', '&']).to_owned(), Some(encrypts)))
}

/// Whether nobody else can listen on the way to it.
fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            let address = name.parse::<std::net::IpAddr>();
            name == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_database_and_holds_no_password() {
        let target = PostgresTarget::parse("postgres://shop@db.example:6432/shop_orders").unwrap();
        assert_eq!(target.shown(), "shop_orders at db.example:6432");
        let owner = (
            "db.example".to_owned(),
            6432,
            "shop_orders".to_owned(),
            "shop".to_owned(),
        );
        assert_eq!(target.password_owner(), owner);
        let socket = PostgresTarget::parse("host=/run/pg user=shop dbname=a port=5433").unwrap();
        assert_eq!(socket.shown(), "a at /run/pg:5433");
        let refused = |url: &str| PostgresTarget::parse(url).expect_err("refused");
        assert_eq!(refused("postgres://shop:secret@db/a"), TargetError::Password);
        assert_eq!(refused("postgres://shop@db"), TargetError::Incomplete("database"));
        assert_eq!(refused("postgres://db/a"), TargetError::Incomplete("user"));
        let prefers = refused("postgres://shop@db/a?sslmode=prefer");
        assert_eq!(prefers, TargetError::Tls("prefer".to_owned()));
        assert!(matches!(refused("mysql://a@b/c"), TargetError::Unreadable(_)));
        assert!(
            !refused("postgres://shop:secret@db/a")
                .to_string()
                .contains("secret")
        );
    }

    #[test]
    fn who_can_be_listened_to_is_encrypted_unless_the_url_says_otherwise() {
        for (url, encrypts) in [
            ("postgres://shop@127.0.0.1/a", false),
            ("postgres://shop@[::1]/a", false),
            ("postgres://shop@localhost/a?sslmode=verify-full", true),
            ("postgres://shop@db.example/a", true),
            ("postgres://shop@10.0.0.7/a?sslmode=disable", false),
            (
                "postgres://shop@10.0.0.7/a?sslmode=disable&connect_timeout=3",
                false,
            ),
            (
                "postgres://shop@10.0.0.7/a?connect_timeout=3&sslmode=require",
                true,
            ),
            ("host=/run/pg user=shop dbname=a", false),
            ("host=db user=shop sslmode=verify-full dbname=a", true),
        ] {
            let target = PostgresTarget::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(target.encrypts(), encrypts, "{url}");
        }
    }
}
