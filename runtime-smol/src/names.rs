//! The names and addresses by which this machine can be reached.

use std::net::IpAddr;

/// Addresses of all interfaces, loopback included, link-local ones left out: they need a zone
/// that no certificate can name.
#[must_use]
pub fn own_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut found: Vec<IpAddr> = interfaces
        .iter()
        .map(if_addrs::Interface::ip)
        .filter(|address| match address {
            IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_unspecified(),
            IpAddr::V6(v6) => !v6.is_unicast_link_local() && !v6.is_unspecified(),
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Host name of this machine, as it calls itself; `None` where it has none.
#[must_use]
pub fn host_name() -> Option<String> {
    #[cfg(unix)]
    {
        let name = rustix::system::uname().nodename().to_str().ok()?.to_owned();
        Some(name).filter(|name| !name.is_empty() && name != "(none)")
    }
    #[cfg(not(unix))]
    {
        std::env::var("COMPUTERNAME").ok().filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_at_least_loopback() {
        assert!(own_addresses().iter().any(IpAddr::is_loopback));
    }
}
