//! The addresses from which slots are probed. All slots listen at one address, so the steering program has to
//! be told which of them a probe is for: by the address that it comes from, 127.67.0.0 plus the number of the
//! slot. Nobody outside this machine can send from there (the kernel drops such packets), and every address
//! below 127 is this machine's own, without being configured.

use std::net::Ipv4Addr;

use super::ids::Slot;

/// The network from which probes come; the slot is in the other 16 bits.
pub const PROBE_NETWORK: u32 = 0x7f43_0000;
/// The bits of [`PROBE_NETWORK`] in an address.
pub const PROBE_NETWORK_BITS: u32 = 0xffff_0000;

/// Where a probe of this slot comes from.
#[must_use]
pub fn probe_source(slot: Slot) -> Ipv4Addr {
    Ipv4Addr::from_bits(PROBE_NETWORK | u32::from(slot.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_has_an_address_of_its_own() {
        assert_eq!(probe_source(Slot(0)), Ipv4Addr::new(127, 67, 0, 0));
        assert_eq!(probe_source(Slot(1023)), Ipv4Addr::new(127, 67, 3, 255));
        assert_eq!(
            probe_source(Slot(7)).to_bits() & PROBE_NETWORK_BITS,
            PROBE_NETWORK
        );
    }
}
