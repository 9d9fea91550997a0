//! Gives memory back that only the start of the program needed: heap, and pages of the program itself.

/// Gives the heap that the allocator keeps for later back to the system. Does nothing where the C library is
/// not glibc.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a number, touches only memory that nobody owns, and may be called at any
    // time.
    let _ = unsafe { libc::malloc_trim(0) };
}

/// Drops the pages of this program's code and constants, most of which only the start has used. A page that
/// is still used comes back from the page cache, at the price of a minor fault.
pub fn forget_program() {
    // All segments are known before the first one is dropped, because code that runs after that comes back.
    let segments = constant_segments();
    for (start, length) in segments {
        // SAFETY: the range is a private mapping of a part of the program's file that no instruction may
        // write, as the file's own headers say, so its pages are clean copies of the file: the next access
        // reads the same bytes again.
        let _ = unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED) };
    }
}

/// Start and length, in whole pages, of the parts of this program that are mapped from its file and never
/// written. (What the loader writes once and then protects lies in a part that may be written, and is not
/// among them.)
fn constant_segments() -> Vec<(usize, usize)> {
    let mut segments: Vec<(usize, usize)> = Vec::with_capacity(4);
    // SAFETY: the callback is one that takes what is given here, a vector that outlives the call and that
    // nobody else holds.
    let _ = unsafe { libc::dl_iterate_phdr(Some(note_constants), (&raw mut segments).cast()) };
    segments
}

/// Notes the constant segments of the first object it is asked about, which is the program itself.
extern "C" fn note_constants(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    segments: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the loader passes a valid description of a loaded object, for the time of this call.
    let object = unsafe { &*object };
    // SAFETY: `constant_segments` passes its vector, and waits.
    let segments = unsafe { &mut *segments.cast::<Vec<(usize, usize)>>() };
    // SAFETY: the description says where its headers are and how many, and they stay mapped with the object.
    let headers = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
    let constant = headers
        .iter()
        .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0);
    segments.extend(constant.filter_map(|header| {
        let from = object.dlpi_addr.checked_add(header.p_vaddr)?;
        pages(from, from.checked_add(header.p_memsz)?)
    }));
    1
}

/// Start and length of the whole pages that hold these bytes. Segments share no page: each has a mapping of
/// its own.
fn pages(from: u64, to: u64) -> Option<(usize, usize)> {
    let page = u64::try_from(nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??).ok()?;
    let start = usize::try_from(from - from % page).ok()?;
    let end = usize::try_from(to.checked_next_multiple_of(page)?).ok()?;
    Some((start, end.saturating_sub(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    static mut WRITTEN: u8 = 1;
    static CONSTANT: [u8; 64] = [7; 64];

    fn is_forgotten(address: usize) -> bool {
        let holds = |(start, length): &(usize, usize)| (*start..start + length).contains(&address);
        constant_segments().iter().any(holds)
    }

    #[test]
    fn code_and_constants_are_forgotten_and_nothing_that_may_be_written() {
        assert!(is_forgotten(forget_program as *const () as usize));
        assert!(is_forgotten((&raw const CONSTANT) as usize));
        assert!(!is_forgotten((&raw const WRITTEN) as usize));
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        for line in maps.lines() {
            let (range, rest) = line.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let number = |text| usize::from_str_radix(text, 16).unwrap();
            if is_forgotten(number(start)) || is_forgotten(number(end) - 1) {
                assert_eq!(rest.get(1..2), Some("-"), "{line}");
                assert!(!rest.contains("00:00 0"), "backed by a file: {line}");
            }
        }
    }

    #[test]
    fn a_program_that_forgot_itself_runs_on() {
        forget_program();
        assert_eq!((1..=10).product::<u64>(), 3_628_800);
        assert_eq!(CONSTANT.iter().map(|byte| usize::from(*byte)).sum::<usize>(), 448);
    }
}
