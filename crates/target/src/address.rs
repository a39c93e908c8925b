//! Host and port.

use std::{fmt, net::IpAddr, str::FromStr};

use smol_str::SmolStr;

/// Where a target listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// A host name, or an IP address without brackets.
    pub host: SmolStr,
    /// The TCP port.
    pub port: u16,
}

/// A text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an address like `db.example.com:5432` or `[::1]:5432`")]
pub struct AddressError {
    text: String,
}

impl Address {
    /// Whether the address itself says that it is on this machine.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self
                .host
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.to_canonical().is_loopback())
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError { text: text.to_owned() };
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let port: u16 = port.parse().map_err(|_| error())?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(v6) => {
                v6.parse::<std::net::Ipv6Addr>().map_err(|_| error())?;
                v6
            }
            None => host,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        let v6_without_brackets = host.contains(':') && !text.starts_with('[');
        if host.is_empty() || port == 0 || v6_without_brackets || !host.chars().all(plain) {
            return Err(error());
        }
        Ok(Self {
            host: host.into(),
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::Address;

    #[test]
    fn addresses_are_read_and_shown() {
        for text in ["db.example.com:5432", "127.0.0.1:1", "[::1]:5432", "orders_db:65535"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in [
            "", "db", "db:", ":5432", "db:0", "db:65536", "::1:5432", "[::1:5", "a b:1", "[x]:1",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        assert!("[::ffff:127.0.0.1]:1".parse::<Address>().unwrap().is_loopback());
        assert!(!"10.0.0.1:1".parse::<Address>().unwrap().is_loopback());
    }
}
