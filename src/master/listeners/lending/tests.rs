//! Listeners as workers get them.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use super::*;
use crate::base::ids::Slot;
use crate::config::FileMode;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn of_slots(slots: u16) -> Listeners {
    let mut listeners = Listeners::default();
    listeners.grow(slots).expect("nothing to do");
    listeners
}

fn port(address: impl Into<Option<IpAddr>>, port: u16, index: u64) -> LentAddress {
    LentAddress::Tcp {
        address: address.into(),
        port,
        ipv6_only: false,
        index,
    }
}

fn path(path: &std::path::Path) -> LentAddress {
    LentAddress::Path {
        path: path.to_str().expect("text").to_owned(),
        mode: 0o620,
    }
}

fn of_slot(slot: u16) -> Borrower<'static> {
    Borrower {
        life: Life::of(1, slot, 1),
        generation: Generation(1),
        configured: &[],
        is_other_user: false,
        search: Duration::ZERO,
    }
}

/// What a worker is sent: a copy of the listener, and its address.
fn lent(listeners: &mut Listeners, asked: &LentAddress, borrower: Borrower<'_>) -> (TcpListener, SocketAddr) {
    let loan = listeners.lend(asked, borrower).expect("lent");
    let Address::Tcp(address) = loan.address else {
        panic!("{} was asked for", loan.address);
    };
    let copy = loan.listener.try_clone_to_owned().expect("a copy");
    (TcpListener::from(copy), address)
}

fn refused(listeners: &mut Listeners, asked: &LentAddress, borrower: Borrower<'_>) -> Errno {
    let refusal = listeners.lend(asked, borrower).map(|loan| loan.address);
    refusal.expect_err("refused").errno()
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

#[test]
fn all_who_ask_get_the_same_port_and_each_the_listener_of_its_slot() {
    let mut listeners = of_slots(2);
    let asked = port(LOOPBACK, 0, 0);
    let (first, address) = lent(&mut listeners, &asked, of_slot(0));
    let (second, same) = lent(&mut listeners, &asked, of_slot(1));
    assert_eq!(address, same);
    assert_eq!(listeners.addresses(), [Address::Tcp(address)]);
    for (slot, listener) in [(0, &first), (1, &second)] {
        listeners
            .steer(&[(Slot(0), 256), (Slot(1), 256)], false, |one, group| {
                group
                    .lent
                    .as_ref()
                    .is_some_and(|lent| lent.is_held_by(Life::of(1, one.0, 1)))
                    && one == Slot(slot)
            })
            .expect("steered");
        let _client = TcpStream::connect(address).expect("connected");
        listener.accept().expect("in the queue of the slot");
    }
    let (_, other) = lent(&mut listeners, &port(LOOPBACK, 0, 1), of_slot(0));
    assert_ne!(other, address);
    // By its number, it is the same again.
    let (_, again) = lent(&mut listeners, &port(LOOPBACK, address.port(), 5), of_slot(1));
    assert_eq!((again, listeners.groups.len()), (address, 2));
    listeners.grow(3).expect("grown");
    assert!(listeners.groups.iter().all(|group| group.members.len() == 3));
}

#[test]
fn a_port_without_an_address_takes_both_families() {
    let mut listeners = of_slots(1);
    let number = free_port();
    let (listener, address) = lent(&mut listeners, &port(None, number, 0), of_slot(0));
    let _client = TcpStream::connect((LOOPBACK, number)).expect("connected");
    listener.accept().expect("accepted");
    if address.is_ipv4() {
        return eprintln!("SKIPPED: there is no IPv6 here");
    }
    listeners.grow(2).expect("a second member that is alike");
    let (again, _) = lent(&mut listeners, &port(None, number, 1), of_slot(1));
    listeners
        .steer(&[(Slot(1), 256)], false, |_, _| true)
        .expect("steered");
    let _client = TcpStream::connect((LOOPBACK, number)).expect("connected");
    again.accept().expect("accepted");
    let (_, by_name) = lent(
        &mut listeners,
        &port(IpAddr::V6(Ipv6Addr::UNSPECIFIED), number, 0),
        of_slot(0),
    );
    assert_eq!((by_name, listeners.groups.len()), (address, 1));
    let of_v6_alone = LentAddress::Tcp {
        address: Some(Ipv6Addr::UNSPECIFIED.into()),
        port: number,
        ipv6_only: true,
        index: 0,
    };
    assert_eq!(
        refused(&mut listeners, &of_v6_alone, of_slot(0)),
        Errno::EADDRINUSE
    );
}

#[test]
fn what_is_configured_is_lent_as_it_is() {
    let mut listeners = of_slots(2);
    let mode = FileMode::try_from("0600".to_owned()).expect("a mode");
    let configured = [format!("0.0.0.0:{}", free_port()), "127.0.0.1:0".to_owned()];
    let configured = configured.map(|text| text.parse::<Address>().expect("an address"));
    listeners.open(&configured, mode, &[]).expect("opened");
    let [Address::Tcp(wide), Address::Tcp(_)] = &configured else {
        panic!("both are ports");
    };
    let chosen = listeners.groups[1].address;
    let borrower = Borrower {
        configured: &configured,
        ..of_slot(1)
    };
    let (_, address) = lent(&mut listeners, &port(None, wide.port(), 0), borrower);
    assert_eq!(address, *wide);
    let (_, address) = lent(&mut listeners, &port(LOOPBACK, 0, 0), borrower);
    assert_eq!(address, chosen);
    assert_eq!(listeners.groups.len(), 2);
    // A second listener with port 0 is another one.
    let (_, address) = lent(&mut listeners, &port(LOOPBACK, 0, 1), borrower);
    assert!(address != chosen && listeners.groups.len() == 3);
    assert_eq!(
        listeners.keep_only(&configured, |_| false),
        [Address::Tcp(address)]
    );
}

#[test]
fn what_another_program_has_is_refused() {
    let mut listeners = of_slots(1);
    let theirs = TcpListener::bind("127.0.0.1:0").expect("a port");
    let number = theirs.local_addr().expect("bound").port();
    for address in [Some(LOOPBACK), None] {
        assert_eq!(
            refused(&mut listeners, &port(address, number, 0), of_slot(0)),
            Errno::EADDRINUSE
        );
    }
    let elsewhere = port(IpAddr::from([192, 0, 2, 1]), 0, 0);
    assert_eq!(
        refused(&mut listeners, &elsewhere, of_slot(0)),
        Errno::EADDRNOTAVAIL
    );
    assert_eq!(listeners.addresses(), []);
}

#[test]
fn workers_of_another_user_get_what_that_user_may_bind() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("app.sock");
    let configured = [Address::Unix(socket.clone())];
    let mut listeners = of_slots(1);
    let borrower = Borrower {
        is_other_user: true,
        ..of_slot(0)
    };
    assert_eq!(refused(&mut listeners, &path(&socket), borrower), Errno::EACCES);
    assert!(!socket.exists());
    let configured = Borrower {
        configured: &configured,
        ..borrower
    };
    listeners
        .lend(&path(&socket), configured)
        .expect("it is configured");
    lent(&mut listeners, &port(LOOPBACK, 0, 0), borrower);
    match socket::first_unprivileged_port().checked_sub(1) {
        Some(number) if number > 0 => {
            assert_eq!(
                refused(&mut listeners, &port(LOOPBACK, number, 0), borrower),
                Errno::EACCES
            );
        }
        Some(_) | None => eprintln!("SKIPPED: any user may bind any port here"),
    }
}

#[test]
fn a_path_is_shared_has_its_mode_and_is_bound_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("app.sock");
    let mut listeners = of_slots(2);
    let listener = |listeners: &mut Listeners, slot| {
        let loan = listeners.lend(&path(&socket), of_slot(slot)).expect("lent");
        UnixListener::from(loan.listener.try_clone_to_owned().expect("a copy"))
    };
    let mode = || std::fs::metadata(&socket).expect("there").permissions().mode() & 0o777;
    let (first, second) = (listener(&mut listeners, 0), listener(&mut listeners, 1));
    assert_eq!((listeners.shared.len(), mode()), (1, 0o620));
    for one in [&first, &second] {
        let _client = UnixStream::connect(&socket).expect("connected");
        one.accept().expect("from the queue that both share");
    }
    std::fs::remove_file(&socket).expect("removed");
    let address = Address::Unix(socket.clone());
    assert_eq!(listeners.lost_paths(), std::slice::from_ref(&address));
    let configured_mode = FileMode::try_from("0666".to_owned()).expect("a mode");
    listeners.restore(&address, configured_mode).expect("restored");
    assert_eq!((listeners.lost_paths().len(), mode()), (0, 0o620));
    assert!(listeners.is_lent_at(&address, Life::of(1, 1, 1)));
    let restored = listener(&mut listeners, 0);
    let _client = UnixStream::connect(&socket).expect("connected");
    restored.accept().expect("from the new queue");
    assert_eq!(listeners.keep_only(&[], |_| true), []);
    assert_eq!(listeners.shared.len(), 1, "the lost one is let go of");
    assert_eq!(listeners.keep_only(&[], |_| false), [address]);
    assert!(!socket.exists());
}

#[test]
fn what_is_no_path_of_a_socket_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "precious").expect("written");
    let mut listeners = of_slots(1);
    let named = |path: &str| LentAddress::Path {
        path: path.to_owned(),
        mode: 0o600,
    };
    let long = format!("/{}", "x".repeat(LONGEST_UNIX_PATH));
    for (asked, expected) in [
        (named("\0abstract"), Errno::ENOTSUP),
        (named("relative"), Errno::EINVAL),
        (named("/a\0b"), Errno::EINVAL),
        (named(""), Errno::EINVAL),
        (named(&long), Errno::EINVAL),
        (named("/nowhere/at/all"), Errno::ENOENT),
        (path(&file), Errno::EADDRINUSE),
    ] {
        assert_eq!(refused(&mut listeners, &asked, of_slot(0)), expected, "{asked}");
    }
    assert_eq!(std::fs::read(&file).expect("there"), b"precious");
}

#[test]
fn an_address_is_kept_while_somebody_wants_it() {
    let mut listeners = of_slots(1);
    let asked = port(LOOPBACK, 0, 0);
    let (_, address) = lent(&mut listeners, &asked, of_slot(0));
    let opened = [Address::Tcp(address)];
    let nobody = |_: Life| false;
    let stays = |life: Life| life == of_slot(0).life;
    assert_eq!(
        listeners.keep_only(&[], |lent| lent.is_wanted(Generation(1), nobody)),
        []
    );
    assert_eq!(
        listeners.keep_only(&[], |lent| lent.is_wanted(Generation(2), stays)),
        []
    );
    // The worker is gone, and no worker of the next generation has asked.
    listeners.take_back(of_slot(0).life);
    assert_eq!(
        listeners.keep_only(&[], |lent| lent.is_wanted(Generation(2), stays)),
        opened
    );
    let next = Borrower {
        generation: Generation(2),
        ..of_slot(0)
    };
    lent(&mut listeners, &asked, next);
    listeners.take_back(next.life);
    assert_eq!(
        listeners.keep_only(&[], |lent| lent.is_wanted(Generation(2), nobody)),
        []
    );
}

#[test]
fn what_everybody_has_given_back_is_closed_when_nobody_asks_for_it_soon() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("app.sock");
    let mut listeners = of_slots(2);
    let (any, fixed, unix) = (port(LOOPBACK, 0, 1), port(LOOPBACK, free_port(), 0), path(&file));
    let lives = [0, 1].map(|slot| of_slot(slot).life);
    let (now, soon, later) = (Monotonic(1), Monotonic(1_000_000_000), Monotonic(9_000_000_000));
    for asked in [&any, &fixed, &unix] {
        for slot in [0, 1] {
            listeners.lend(asked, of_slot(slot)).expect("lent");
        }
        let mut give = |life| listeners.give_back(asked, life, now);
        assert!(matches!(give(lives[0]), Returned::Served(_)), "{asked}");
        assert!(
            matches!(give(lives[0]), Returned::Unknown),
            "{asked}: it has none"
        );
        assert!(matches!(give(lives[1]), Returned::Deserted), "{asked}");
    }
    let all = listeners.addresses();
    assert_eq!((all.len(), listeners.close_deserted(&[], soon)), (3, vec![]));
    // One is asked for again: it is the same.
    let again = listeners.lend(&any, of_slot(1)).expect("lent");
    assert!(!again.is_new);
    let kept = again.address;
    let closed = listeners.close_deserted(&[], later);
    assert_eq!((closed.len(), closed.contains(&kept)), (2, false));
    assert_eq!(listeners.addresses(), [kept]);
    assert!(!file.exists());
    listeners.lend(&fixed, of_slot(0)).expect("it can be had again");
}

#[test]
fn what_is_configured_stays_open_when_it_is_given_back() {
    let mut listeners = of_slots(1);
    let address: SocketAddr = SocketAddr::new(LOOPBACK, free_port());
    let configured = [Address::Tcp(address)];
    let mode = FileMode::try_from("0600".to_owned()).expect("a mode");
    listeners.open(&configured, mode, &[]).expect("opened");
    let borrower = Borrower {
        configured: &configured,
        ..of_slot(0)
    };
    let asked = port(LOOPBACK, address.port(), 0);
    listeners.lend(&asked, borrower).expect("lent");
    let returned = listeners.give_back(&asked, borrower.life, Monotonic(1));
    assert!(matches!(returned, Returned::Deserted), "{returned:?}");
    assert_eq!(listeners.close_deserted(&configured, Monotonic(u64::MAX)), []);
    assert_eq!(listeners.addresses(), configured);
}

#[test]
fn there_is_an_end_to_lending() {
    let mut listeners = of_slots(1);
    for index in 0..64 {
        lent(&mut listeners, &port(LOOPBACK, 0, index), of_slot(0));
    }
    assert_eq!(
        refused(&mut listeners, &port(LOOPBACK, 0, 64), of_slot(0)),
        Errno::EMFILE
    );
    lent(&mut listeners, &port(LOOPBACK, 0, 63), of_slot(0));
    let mut stopped = Listeners::default();
    assert_eq!(
        refused(&mut stopped, &port(LOOPBACK, 0, 0), of_slot(0)),
        Errno::ECANCELED
    );
}
