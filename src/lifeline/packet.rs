//! One message, one packet: JSON, at most [`MAX_PACKET`] bytes. Both ends use these two functions.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::MAX_PACKET;

/// Why a packet is no message; the receiver drops it.
#[derive(Debug, thiserror::Error)]
pub enum PacketError {
    /// The packet has this number of bytes or more.
    #[error("the packet has {0} bytes or more, at most {MAX_PACKET} were expected; it is dropped")]
    TooLong(usize),
    /// The packet is no message of this program.
    #[error("the packet is no message of this program ({0}); it is dropped")]
    Unknown(#[from] serde_json::Error),
}

/// A [`super::Command`] or [`super::Report`] as a packet.
#[must_use]
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    serde_json::to_vec(message).expect("messages hold numbers, texts and no maps, which JSON can say")
}

/// A packet as a [`super::Command`] or [`super::Report`].
///
/// # Errors
/// When it is neither, or too long.
pub fn decode<T: DeserializeOwned>(packet: &[u8]) -> Result<T, PacketError> {
    if packet.len() > MAX_PACKET {
        return Err(PacketError::TooLong(packet.len()));
    }
    Ok(serde_json::from_slice(packet)?)
}

#[cfg(test)]
mod tests {
    use super::super::{Command, LentAddress, MAX_REASON, Report};
    use super::*;
    use crate::base::ids::{Incarnation, Life, Slot};
    use crate::pool::OrphanedWork;

    fn wanted(address: LentAddress) -> Report {
        Report::ListenerWanted { number: 3, address }
    }

    fn port(address: Option<std::net::IpAddr>) -> LentAddress {
        LentAddress::Tcp {
            address,
            port: 80,
            ipv6_only: false,
            index: 1,
        }
    }

    #[test]
    fn every_message_survives_the_wire() {
        let life = Life::of(u64::MAX, u16::MAX, u32::MAX);
        for work in [OrphanedWork::Life(life), OrphanedWork::Before(Incarnation(7))] {
            let command = encode(&Command::TakeOver(work));
            assert!(command.len() < MAX_PACKET);
            assert_eq!(
                decode::<Command>(&command).expect("a command"),
                Command::TakeOver(work)
            );
            let report = encode(&Report::TakenOver(work));
            assert_eq!(
                decode::<Report>(&report).expect("a report"),
                Report::TakenOver(work)
            );
        }
        let slot = Slot(u16::MAX);
        for command in [
            Command::StopSoon,
            Command::Stop,
            Command::Adopt(slot),
            Command::Disown(slot),
            Command::Probe,
            Command::Metrics(u64::MAX),
            Command::Listener {
                number: u64::MAX,
                errno: i32::MIN,
            },
            Command::OutputFile,
        ] {
            assert_eq!(decode::<Command>(&encode(&command)).expect("a command"), command);
        }
        let longest = LentAddress::Path {
            path: "\u{1}".repeat(107),
            mode: u32::MAX,
        };
        for report in [
            Report::MetricsWanted(u64::MAX),
            Report::NotAdopted(slot),
            wanted(longest),
            wanted(port(None)),
            Report::ListenerReturned {
                number: u64::MAX,
                address: port(None),
            },
        ] {
            assert_eq!(decode::<Report>(&encode(&report)).expect("a report"), report);
        }
        // The longest there is on the wire: six bytes for each character.
        for verdict in [Ok(()), Err("\u{1}".repeat(MAX_REASON))] {
            let report = Report::Probed(verdict);
            let packet = encode(&report);
            assert!(packet.len() < MAX_PACKET);
            assert_eq!(decode::<Report>(&packet).expect("a report"), report);
        }
    }

    /// A worker of one build can have a master of another: what a variant is called in a packet stays.
    #[test]
    fn names_on_the_wire_stay() {
        let text = |packet: Vec<u8>| String::from_utf8(packet).expect("text");
        let work = OrphanedWork::Before(Incarnation(7));
        for (packet, expected) in [
            (encode(&Command::TakeOver(work)), r#"{"inherit":{"before":7}}"#),
            (encode(&Command::Metrics(3)), r#"{"figures":3}"#),
            (encode(&Command::StopSoon), r#""stop_soon""#),
            (encode(&Command::Stop), r#""stop""#),
            (encode(&Command::OutputFile), r#""output_file""#),
            (encode(&Command::Adopt(Slot(1))), r#"{"adopt":1}"#),
            (encode(&Report::TakenOver(work)), r#"{"inherited":{"before":7}}"#),
            (encode(&Report::MetricsWanted(3)), r#"{"figures_wanted":3}"#),
            (encode(&Report::Probed(Ok(()))), r#"{"probed":{"Ok":null}}"#),
            (
                encode(&Command::Listener { number: 3, errno: 98 }),
                r#"{"listener":{"number":3,"errno":98}}"#,
            ),
        ] {
            assert_eq!(text(packet), expected);
        }
        let v6 = std::net::Ipv6Addr::LOCALHOST.into();
        let path = LentAddress::Path {
            path: "/run/a".to_owned(),
            mode: 0o600,
        };
        for (address, expected) in [
            (
                port(None),
                r#"{"tcp":{"address":null,"port":80,"ipv6_only":false,"index":1}}"#,
            ),
            (
                port(Some(v6)),
                r#"{"tcp":{"address":"::1","port":80,"ipv6_only":false,"index":1}}"#,
            ),
            (path, r#"{"path":{"path":"/run/a","mode":384}}"#),
        ] {
            let expected = format!(r#"{{"listener_wanted":{{"number":3,"address":{expected}}}}}"#);
            assert_eq!(text(encode(&wanted(address))), expected);
        }
    }

    #[test]
    fn garbage_is_refused() {
        for packet in [&b""[..], b"{", b"\"bow\"", b"\xff\xfe", &[b' '; MAX_PACKET + 1]] {
            assert!(decode::<Command>(packet).is_err());
        }
    }
}
