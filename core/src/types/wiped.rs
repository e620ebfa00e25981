//! Bytes that are wiped on drop, fast.

use alloc::vec::Vec;
use core::fmt;
use core::ops::{Deref, DerefMut};

use zeroize::Zeroizing;

/// Bytes that are wiped on drop, like [`Zeroizing`], which writes them one by one: too
/// slow for bodies of kilobytes in every request. Prints its length only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Wiped(Vec<u8>);

impl Wiped {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }
}

impl Deref for Wiped {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Wiped {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl From<Vec<u8>> for Wiped {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<Wiped> for Zeroizing<Vec<u8>> {
    fn from(mut wiped: Wiped) -> Self {
        Self::new(core::mem::take(&mut wiped.0))
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe_all(&mut self.0);
    }
}

impl fmt::Debug for Wiped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wiped({} bytes)", self.0.len())
    }
}

/// Overwrites with zeros. The barrier keeps the compiler from leaving the writes out, as nobody
/// reads them.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    zeroize::optimization_barrier(bytes);
}

/// Overwrites all that was ever in the vector, the part behind its end too, and empties it.
pub(crate) fn wipe_all(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.capacity(), 0);
    wipe(bytes);
    bytes.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn the_part_behind_the_end_is_wiped_too() {
        let mut bytes = Vec::from(*b"secret");
        let (start, capacity) = (bytes.as_ptr(), bytes.capacity());
        bytes.truncate(1);
        wipe_all(&mut bytes);
        assert!(bytes.is_empty());
        assert_eq!((bytes.as_ptr(), bytes.capacity()), (start, capacity), "another allocation");
        assert_eq!(bytes.spare_capacity_mut().len(), capacity);
        let mut part = *b"secret";
        wipe(&mut part[1..3]);
        assert_eq!(&part, b"s\0\0ret");
    }

    #[test]
    fn prints_its_length_only() {
        assert_eq!(format!("{:?}", Wiped::new(*b"hunter2")), "Wiped(7 bytes)");
    }
}
