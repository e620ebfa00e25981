//! Networks in CIDR notation (RFC 4632, RFC 4291 section 2.3), and fast membership in many.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use super::ClientIp;

/// One network: `10.0.0.0/8`, `2001:db8::/32`, or a single address such as `10.0.0.50`.
///
/// Bits beyond the prefix are cleared, as Go's `ParseCIDR` does: `10.1.2.3/8` is `10.0.0.0/8`.
/// An IPv4-mapped network (`::ffff:10.0.0.0/104`) is the IPv4 network it stands for, and only
/// such a one holds IPv4 addresses: `::/0` is every IPv6 address and no IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    base: IpAddr,
    prefix: u8,
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CidrError {
    /// The part before `/` is no IPv4 or IPv6 address: blanks, zones (`%eth0`), octets with
    /// leading zeros and shortened IPv4 are all refused.
    Address,
    /// The part behind `/` is no plain decimal number.
    Prefix,
    /// The prefix is longer than the address.
    PrefixTooLong {
        /// 32 or 128.
        max: u8,
    },
    /// An IPv4-mapped address with fewer than 96 bits, which would mean far more than IPv4.
    MappedPrefix,
}

impl CidrError {
    /// Stable name of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Address => "cidr.address",
            Self::Prefix => "cidr.prefix",
            Self::PrefixTooLong { .. } => "cidr.prefix_too_long",
            Self::MappedPrefix => "cidr.mapped_prefix",
        }
    }
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("not an IP address; write for example 10.0.0.50 or 10.0.0.0/8"),
            Self::Prefix => f.write_str("the prefix length is no number; write for example 10.0.0.0/8"),
            Self::PrefixTooLong { max } => write!(f, "the prefix length is at most {max} here"),
            Self::MappedPrefix => f.write_str(
                "an IPv4-mapped network has a prefix of 96 or more; write it as IPv4, for example 10.0.0.0/8",
            ),
        }
    }
}

impl Cidr {
    /// Lowest address of the network; never an IPv4-mapped one.
    #[must_use]
    pub const fn base(self) -> IpAddr {
        self.base
    }

    /// Number of leading bits that count: 0 to 32, or 0 to 128.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether `address` is inside. IPv4 and IPv6 never contain one another.
    #[must_use]
    pub fn contains(self, address: ClientIp) -> bool {
        let key = Key::of(address.addr());
        let range = self.range();
        range.low <= key && key <= range.high
    }

    fn range(self) -> Range {
        // A prefix equal to the width shifts everything out, which `checked_shr` calls `None`.
        match self.base {
            IpAddr::V4(base) => {
                let host = u32::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                let base = u32::from(base);
                Range { low: Key::V4(base), high: Key::V4(base | host) }
            }
            IpAddr::V6(base) => {
                let host = u128::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                let base = u128::from(base);
                Range { low: Key::V6(base), high: Key::V6(base | host) }
            }
        }
    }

    fn new(address: IpAddr, prefix: u8) -> Result<Self, CidrError> {
        let width = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        if prefix > width {
            return Err(CidrError::PrefixTooLong { max: width });
        }
        let base = match address {
            IpAddr::V4(v4) => {
                let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
                Ipv4Addr::from(u32::from(v4) & !host).into()
            }
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => {
                    let prefix = prefix.checked_sub(96).ok_or(CidrError::MappedPrefix)?;
                    return Self::new(v4.into(), prefix);
                }
                None => {
                    let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
                    Ipv6Addr::from(u128::from(v6) & !host).into()
                }
            },
        };
        Ok(Self { base, prefix })
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let Some((address, prefix)) = text.split_once('/') else {
            let address: IpAddr = text.parse().map_err(|_| CidrError::Address)?;
            return Self::new(address, if address.is_ipv4() { 32 } else { 128 });
        };
        let address: IpAddr = address.parse().map_err(|_| CidrError::Address)?;
        // `u8::from_str` takes a sign, and a leading zero reads as octal to some.
        let plain = prefix == "0" || !prefix.starts_with(['0', '+', '-']);
        if !plain || prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit()) {
            return Err(CidrError::Prefix);
        }
        // All digits, so the only way to fail is to be over 255.
        Self::new(address, prefix.parse().unwrap_or(u8::MAX))
    }
}

impl fmt::Display for Cidr {
    /// A network of one address prints as that address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.base, self.prefix) {
            (IpAddr::V4(base), 32) => base.fmt(f),
            (IpAddr::V6(base), 128) => base.fmt(f),
            (base, prefix) => write!(f, "{base}/{prefix}"),
        }
    }
}

/// An address as a number. All IPv4 sorts before all IPv6, so the families never mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    V4(u32),
    V6(u128),
}

impl Key {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::V4(v4.into()),
            IpAddr::V6(v6) => Self::V6(v6.into()),
        }
    }

    /// The address behind this one in the same family.
    fn next(self) -> Option<Self> {
        match self {
            Self::V4(n) => n.checked_add(1).map(Self::V4),
            Self::V6(n) => n.checked_add(1).map(Self::V6),
        }
    }
}

/// Addresses `low` to `high`, both included, of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    low: Key,
    high: Key,
}

/// Any number of networks, merged and sorted: a look-up is one binary search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CidrList(Box<[Range]>);

/// Why a list of texts is no list of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListError {
    /// Nothing in it but blanks.
    Empty,
    /// One entry is no network.
    Entry {
        /// Where it stands in the list as given, from 0, blank entries counted.
        index: usize,
        /// What is wrong with it.
        error: CidrError,
    },
}

impl ListError {
    /// Stable name of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "cidr.empty_list",
            Self::Entry { error, .. } => error.code(),
        }
    }
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => {
                f.write_str("the list is set but empty: add a network or remove the key")
            }
            Self::Entry { index, error } => {
                write!(f, "entry {}: {error}", index.saturating_add(1))
            }
        }
    }
}

impl CidrList {
    /// Reads entries as an operator wrote them: trimmed, blank ones skipped.
    ///
    /// # Errors
    /// [`ListError::Entry`] for the first that is no network. No entry at all is no error here.
    pub fn read<T: AsRef<str>>(entries: impl IntoIterator<Item = T>) -> Result<Self, ListError> {
        let mut networks = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let entry = entry.as_ref().trim();
            if !entry.is_empty() {
                networks.push(
                    entry.parse::<Cidr>().map_err(|error| ListError::Entry { index, error })?,
                );
            }
        }
        Ok(networks.into_iter().collect())
    }

    /// Whether `address` is in one of the networks.
    #[must_use]
    pub fn contains(&self, address: ClientIp) -> bool {
        let key = Key::of(address.addr());
        let behind = self.0.partition_point(|range| range.low <= key);
        behind
            .checked_sub(1)
            .and_then(|last| self.0.get(last))
            .is_some_and(|range| key <= range.high)
    }

    /// Whether there is no network in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every IPv4 or every IPv6 address is in it, which is hardly ever meant.
    #[must_use]
    pub fn is_everyone(&self) -> bool {
        let v4 = Range { low: Key::V4(0), high: Key::V4(u32::MAX) };
        let v6 = Range { low: Key::V6(0), high: Key::V6(u128::MAX) };
        self.0.contains(&v4) || self.0.contains(&v6)
    }
}

impl FromIterator<Cidr> for CidrList {
    fn from_iter<I: IntoIterator<Item = Cidr>>(networks: I) -> Self {
        let mut ranges: Vec<Range> = networks.into_iter().map(Cidr::range).collect();
        ranges.sort_unstable();
        let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if range.low <= last.high || last.high.next() == Some(range.low) => {
                    last.high = last.high.max(range.high);
                }
                Some(_) | None => merged.push(range),
            }
        }
        Self(merged.into_boxed_slice())
    }
}

#[cfg(test)]
mod tests;
