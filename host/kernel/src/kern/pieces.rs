//! Memory in pieces for a device's DMA: cut into cookies that it can take, and cookies put into windows. Only arithmetic; no locking.

use ddi_process::physmem::PAGE_SIZE;
use ddi_sys::ddi_dma_attr_t;

/// Part of a binding that a device can take at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first cookie and how many there are.
    pub first: usize,
    /// See `first`.
    pub count: usize,
    /// Offset in the binding, and length, in bytes.
    pub offset: u64,
    /// See `offset`.
    pub len: u64,
}

/// Contiguous pieces of bus addresses.
pub type Pieces = Vec<(u64, u64)>;

/// Adds a piece, to the one before if they adjoin.
pub fn push(pieces: &mut Pieces, address: u64, len: u64) {
    match pieces.last_mut() {
        Some((start, have)) if *start + *have == address => *have += len,
        _ => pieces.push((address, len)),
    }
}

/// Cuts pieces into cookies that the device can take: none longer than its counter can count or across a boundary that its
/// address register cannot pass.
pub fn cut(pieces: &Pieces, attributes: &ddi_dma_attr_t) -> Vec<(u64, u64)> {
    let most = attributes.dma_attr_count_max.saturating_add(1).max(1);
    let mut cookies = Vec::new();
    for &(mut at, mut left) in pieces {
        while left > 0 {
            let to_boundary = (at | attributes.dma_attr_seg) - at;
            let n = left.min(most).min(to_boundary.saturating_add(1));
            cookies.push((at, n));
            at += n;
            left -= n;
        }
    }
    cookies
}

/// Puts cookies into windows. A window has at most as many cookies and bytes as the device can take, and all but the last are a multiple of its granularity
/// long; cookies are split where a window ends. None: that cannot be done.
pub fn windows(cookies: &mut Vec<(u64, u64)>, attributes: &ddi_dma_attr_t) -> Option<Vec<Window>> {
    let most = usize::try_from(attributes.dma_attr_sgllen).unwrap_or(usize::MAX).max(1);
    let granular = u64::from(attributes.dma_attr_granular.max(1));
    let max = attributes.dma_attr_maxxfer / granular * granular;
    let mut all = Vec::new();
    let (mut first, mut offset) = (0, 0);
    while first < cookies.len() {
        let (mut count, mut len) = (0, 0_u64);
        while first + count < cookies.len() && count < most && len < max {
            let (at, n) = cookies[first + count];
            let room = max - len;
            if n > room {
                cookies[first + count].1 = room;
                cookies.insert(first + count + 1, (at + room, n - room));
            }
            len += n.min(room);
            count += 1;
        }
        let excess = len % granular;
        if excess > 0 && first + count < cookies.len() {
            let (at, n) = cookies[first + count - 1];
            if n <= excess {
                return None;
            }
            cookies[first + count - 1].1 = n - excess;
            cookies.insert(first + count, (at + n - excess, excess));
            len -= excess;
        }
        if len == 0 {
            return None;
        }
        all.push(Window { first, count, offset, len });
        first += count;
        offset += len;
    }
    Some(all)
}

/// Returns whether no device can have these attributes.
pub fn bad(attributes: &ddi_dma_attr_t) -> bool {
    let page = PAGE_SIZE - 1;
    attributes.dma_attr_addr_hi <= attributes.dma_attr_addr_lo
        || attributes.dma_attr_sgllen == 0
        || attributes.dma_attr_seg & page != page
        || attributes.dma_attr_granular == 0
        || !attributes.dma_attr_granular.is_power_of_two()
        || u64::from(attributes.dma_attr_granular) > PAGE_SIZE
        || attributes.dma_attr_maxxfer < u64::from(attributes.dma_attr_granular)
        || attributes.dma_attr_align > 1 && !attributes.dma_attr_align.is_power_of_two()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Those of a device that can do anything.
    pub fn attributes() -> ddi_dma_attr_t {
        ddi_dma_attr_t {
            dma_attr_version: 0,
            dma_attr_addr_lo: 0,
            dma_attr_addr_hi: u64::MAX,
            dma_attr_count_max: u64::MAX,
            dma_attr_align: PAGE_SIZE,
            dma_attr_burstsizes: 1,
            dma_attr_minxfer: 1,
            dma_attr_maxxfer: u64::MAX,
            dma_attr_seg: u64::MAX,
            dma_attr_sgllen: 4,
            dma_attr_granular: 1,
            dma_attr_flags: 0,
        }
    }

    #[test]
    fn cookies_and_windows_are_as_the_device_can_take_them() {
        let mut a = attributes();
        a.dma_attr_seg = 0xffff;
        assert_eq!(cut(&vec![(0xf000, 0x2800)], &a), [(0xf000, 0x1000), (0x1_0000, 0x1800)]);
        a.dma_attr_count_max = 0xfff;
        assert_eq!(
            cut(&vec![(0xf000, 0x2800)], &a),
            [(0xf000, 0x1000), (0x1_0000, 0x1000), (0x1_1000, 0x800)]
        );
        a.dma_attr_sgllen = 2;
        let mut cookies = vec![(0x1000, 0x1000), (0x4000, 0x1000), (0x8000, 0x800)];
        let found = windows(&mut cookies, &a).unwrap();
        let window = |first, count, offset, len| Window { first, count, offset, len };
        assert_eq!(found, [window(0, 2, 0, 0x2000), window(2, 1, 0x2000, 0x800)]);
        // Windows are multiples of 512 bytes long, and at most 0x1400.
        (a.dma_attr_granular, a.dma_attr_maxxfer) = (512, 0x1500);
        let mut cookies = vec![(0x1100, 0xf00), (0x4000, 0x1000)];
        let found = windows(&mut cookies, &a).unwrap();
        assert_eq!(found, [window(0, 2, 0, 0x1400), window(2, 1, 0x1400, 0xb00)]);
        assert_eq!(cookies, [(0x1100, 0xf00), (0x4000, 0x500), (0x4500, 0xb00)]);
        (a.dma_attr_granular, a.dma_attr_sgllen) = (512, 1);
        assert_eq!(windows(&mut vec![(0x1100, 0x100), (0x4000, 0x1000)], &a), None);
        a.dma_attr_sgllen = 0;
        assert!(bad(&a) && !bad(&attributes()));
    }
}
