//! Probes reach the member of their slot, whoever is routed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};

use socket2::{Domain, Socket, Type};

use super::*;
use crate::base::probe_source::probe_source;

const SLOTS: u16 = 4;

/// A listener that takes the connections of both families, as Node programs ask for.
fn listen_to_both(port: u16) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
    socket.set_only_v6(false)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port).into())?;
    socket.listen(128)?;
    Ok(socket.into())
}

fn group_of_both() -> io::Result<ListenerGroup> {
    let first = listen_to_both(0)?;
    let address = socket::local_address(&first)?;
    let others = (1..SLOTS).map(|_| listen_to_both(address.port()));
    Ok(ListenerGroup {
        configured: address,
        address,
        dual_stack: true,
        members: std::iter::once(Ok(first))
            .chain(others)
            .collect::<io::Result<_>>()?,
        lent: None,
    })
}

/// How many connections wait at each member.
fn queues(group: &ListenerGroup) -> Vec<u32> {
    let members = group.members.iter();
    members
        .map(|member| socket::accept_queue(member).expect("counted"))
        .collect()
}

fn probe_of(slot: Slot, port: u16) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(probe_source(slot).into(), 0).into())?;
    socket.connect(&SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port).into())?;
    Ok(socket.into())
}

#[test]
fn a_probe_reaches_the_member_of_its_slot_whoever_is_routed() {
    let any = |host: IpAddr| ListenerGroup::open(SocketAddr::new(host, 0), false, SLOTS, &[]);
    let mut groups = vec![
        any(Ipv4Addr::LOCALHOST.into()).expect("a group"),
        any(Ipv4Addr::UNSPECIFIED.into()).expect("a group"),
    ];
    // A machine may have no IPv6.
    groups.extend(group_of_both());
    for group in groups {
        let port = group.address.port();
        group.steer(&[(Slot(0), 256)], true).expect("steered");
        let mut kept = Vec::new();
        let mut expected = vec![0; usize::from(SLOTS)];
        for slot in [3, 1, 2, 0, 3, 3, 1].map(Slot) {
            kept.push(probe_of(slot, port).expect("connected"));
            expected[slot.index()] += 1;
            assert_eq!(queues(&group), expected, "{}", group.address);
        }
        for _ in 0..8 {
            kept.push(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connected"));
            kept.push(probe_of(Slot(SLOTS), port).expect("connected"));
            expected[0] += 2;
        }
        assert_eq!(queues(&group), expected, "what is no probe follows the weights");
        group.steer(&[(Slot(0), 256)], false).expect("steered");
        kept.push(probe_of(Slot(2), port).expect("connected"));
        expected[0] += 1;
        assert_eq!(queues(&group), expected, "nobody is probed");
    }
}
