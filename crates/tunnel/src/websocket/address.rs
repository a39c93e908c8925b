//! Where a gateway is.

use rustls_pki_types::ServerName;
use url::{Host, Url};

use super::{DialError, PATH};

/// The address of a gateway: `https://host`, with a port if it is not 443. In the clear (`http`) on loopback only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayUrl {
    host: Host,
    port: u16,
    tls: bool,
}

impl GatewayUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// When it is none, or says more than where the gateway is: a user, a path, a query, a fragment.
    pub fn parse(text: &str) -> Result<GatewayUrl, DialError> {
        let refuse = |why| Err(DialError::Address(why));
        let Ok(url) = Url::parse(text) else {
            return refuse("it is not a URL");
        };
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return refuse("it must begin with `https://`"),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("it must not have a user or a password");
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return refuse("it must have nothing behind host and port");
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return refuse("it has no host");
        };
        let gateway = GatewayUrl {
            host: host.to_owned(),
            port,
            tls,
        };
        if !tls && !gateway.is_loopback() {
            return refuse("`http` is for loopback only, use `https`");
        }
        Ok(gateway)
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is one with TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
        }
    }

    /// Host and port, as HTTP writes them: `gw.example.com:443`, `[2001:db8::1]:443`.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// What `Host` says: without the port that goes without saying.
    pub(super) fn host_header(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual {
            return self.host.to_string();
        }
        self.authority()
    }

    pub(super) fn websocket_uri(&self) -> String {
        let scheme = if self.tls { "wss" } else { "ws" };
        format!("{scheme}://{}{PATH}", self.authority())
    }

    /// Whom the certificate must name.
    pub(super) fn server_name(&self) -> Result<ServerName<'static>, DialError> {
        match &self.host {
            Host::Domain(name) => {
                ServerName::try_from(name.clone()).map_err(|_| DialError::Address("no certificate can name this host"))
            }
            Host::Ipv4(ip) => Ok(ServerName::from(std::net::IpAddr::V4(*ip))),
            Host::Ipv6(ip) => Ok(ServerName::from(std::net::IpAddr::V6(*ip))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_say_where_and_nothing_else() -> Result<(), DialError> {
        for (text, authority, header) in [
            ("https://gw.example.com", "gw.example.com:443", "gw.example.com"),
            (
                "https://GW.example.com:8443/",
                "gw.example.com:8443",
                "gw.example.com:8443",
            ),
            ("https://[2001:db8::1]", "[2001:db8::1]:443", "[2001:db8::1]"),
            ("https://10.0.0.1:80", "10.0.0.1:80", "10.0.0.1:80"),
            ("http://localhost:8080", "localhost:8080", "localhost:8080"),
            ("http://127.0.0.1", "127.0.0.1:80", "127.0.0.1"),
        ] {
            let gateway = GatewayUrl::parse(text)?;
            assert_eq!(
                (gateway.authority().as_str(), gateway.host_header().as_str()),
                (authority, header)
            );
        }
        for text in [
            "",
            "gw.example.com",
            "gw.example.com:443",
            "ftp://gw.example.com",
            "wss://gw.example.com",
            "http://gw.example.com",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1",
            "https://joe@gw.example.com",
            "https://gw.example.com/other",
            "https://gw.example.com/?a",
            "https://gw.example.com/#a",
            "https://",
            "https://gw.example.com\r\nX: y",
        ] {
            // Line breaks are taken out of a URL by its standard, and what is left is another host.
            match GatewayUrl::parse(text) {
                Ok(gateway) => assert!(
                    !gateway.authority().contains(['\r', '\n', ' ']),
                    "{text:?}: {gateway:?}"
                ),
                Err(DialError::Address(_)) => {}
                Err(other) => return Err(other),
            }
        }
        assert!(GatewayUrl::parse("http://gw.example.com").is_err());
        assert!(GatewayUrl::parse("https://joe@gw.example.com").is_err());
        Ok(())
    }
}
