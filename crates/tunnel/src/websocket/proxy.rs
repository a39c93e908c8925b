//! An HTTP proxy on the way: which one, and the tunnel through it (RFC 9110, section 9.3.6).

use std::fmt;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::{Host, Url};

use super::{DialError, GatewayUrl};

/// The longest answer to `CONNECT` that is read.
const ANSWER_BYTES: usize = 16 * 1024;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// An HTTP proxy, spoken to in the clear: the TLS to the gateway runs through it.
#[derive(Clone)]
pub struct Proxy {
    host: Host,
    port: u16,
    /// What `Proxy-Authorization` says.
    login: Option<SecretString>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.authority())
    }
}

impl Proxy {
    /// Reads an address: `http://proxy:3128`, `http://user:password@proxy:3128`, or `proxy:3128`.
    ///
    /// # Errors
    /// When it is none, or one of a proxy that is not spoken to over plain HTTP.
    pub fn parse(text: &str) -> Result<Proxy, DialError> {
        let refuse = |why| Err(DialError::ProxyAddress(why));
        let text = text.trim();
        let whole = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let Ok(url) = Url::parse(&whole) else {
            return refuse("it is not a URL");
        };
        if url.scheme() != "http" {
            return refuse("it must begin with `http://`: other proxies are not supported");
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return refuse("it must have nothing behind host and port");
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return refuse("it has no host");
        };
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(basic(user, password.unwrap_or_default())?),
        };
        Ok(Proxy {
            host: host.to_owned(),
            port,
            login,
        })
    }

    /// The proxy that the environment names for a gateway: `https_proxy` or `HTTPS_PROXY`, unless the gateway is this
    /// machine or listed in `no_proxy` or `NO_PROXY`. `variable` looks a variable up.
    ///
    /// The list has host names, which stand for what is under them as well, addresses, networks (`10.0.0.0/8`), each with a
    /// port if need be, between commas or spaces; `*` is everything.
    ///
    /// # Errors
    /// When what the environment names is not a proxy's address.
    pub fn from_environment(
        gateway: &GatewayUrl,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Proxy>, DialError> {
        let either = |names: [&str; 2]| {
            names
                .into_iter()
                .find_map(|name| variable(name).filter(|set| !set.is_empty()))
        };
        let Some(address) = either(["https_proxy", "HTTPS_PROXY"]) else {
            return Ok(None);
        };
        let without = either(["no_proxy", "NO_PROXY"]).unwrap_or_default();
        let mut entries = without.split([',', ' ']).filter(|entry| !entry.is_empty());
        if gateway.is_loopback() || entries.any(|entry| covers(entry, gateway)) {
            return Ok(None);
        }
        Proxy::parse(&address).map(Some)
    }

    /// Host and port.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// A connection to the gateway, through the proxy.
    pub(super) async fn connect(&self, gateway: &GatewayUrl) -> Result<TcpStream, DialError> {
        let mut stream = super::client::tcp("the proxy", &self.host, self.port).await?;
        let broken = |source| DialError::Broken {
            doing: "asking the proxy",
            source,
        };
        stream
            .write_all(self.request(gateway).as_bytes())
            .await
            .map_err(broken)?;
        let mut answer = Vec::new();
        // The gateway says nothing before it is spoken to, so what comes is the proxy's answer and no more.
        while !answer.ends_with(END_OF_HEAD) {
            if answer.windows(END_OF_HEAD.len()).any(|bytes| bytes == END_OF_HEAD) {
                return Err(refusal(&answer).unwrap_or(DialError::ProxyAnswer("it is longer than its head")));
            }
            if answer.len() >= ANSWER_BYTES {
                return Err(DialError::ProxyAnswer("it is too long"));
            }
            if stream.read_buf(&mut answer).await.map_err(broken)? == 0 {
                return Err(DialError::ProxyAnswer("it ends early"));
            }
        }
        match refusal(&answer) {
            Some(refusal) => Err(refusal),
            None => Ok(stream),
        }
    }

    fn request(&self, gateway: &GatewayUrl) -> String {
        let to = gateway.authority();
        let mut text = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
        if let Some(login) = &self.login {
            text.push_str(&format!("Proxy-Authorization: {}\r\n", login.expose_secret()));
        }
        text.push_str("\r\n");
        text
    }
}

/// Why an answer is not the one that is hoped for, which is any of 200 to 299.
fn refusal(answer: &[u8]) -> Option<DialError> {
    let status = match answer {
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            b'0' | b'1',
            b' ',
            a,
            b,
            c,
            b' ' | b'\r',
            ..,
        ] => {
            let digits = [*a, *b, *c].map(|digit| char::from(digit).to_digit(10));
            let [Some(a), Some(b), Some(c)] = digits else {
                return Some(DialError::ProxyAnswer("its status is none"));
            };
            u16::try_from(a * 100 + b * 10 + c).ok()
        }
        _ => None,
    };
    match status {
        None => Some(DialError::ProxyAnswer("it is not HTTP")),
        Some(200..=299) => None,
        Some(status) => Some(DialError::ProxyRefused { status }),
    }
}

/// A login (RFC 7617), from the parts of a URL.
fn basic(user: &str, password: &str) -> Result<SecretString, DialError> {
    let (user, password) = (decoded(user)?, decoded(password)?);
    if user.contains(&b':') {
        return Err(DialError::ProxyAddress("the user's name has a colon"));
    }
    let whole = [user.as_slice(), b":", password.as_slice()].concat();
    Ok(SecretString::from(format!("Basic {}", STANDARD.encode(whole))))
}

/// Bytes of a URL's part, in which others than letters and digits may be written `%20`.
fn decoded(part: &str) -> Result<Vec<u8>, DialError> {
    let mut bytes = part.bytes();
    let mut plain = Vec::with_capacity(part.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(DialError::ProxyAddress("a `%` in it is not followed by two digits"));
        };
        plain.extend(u8::try_from(high * 16 + low));
    }
    Ok(plain)
}

/// Whether an entry of `no_proxy` covers a gateway. What is not understood covers nothing.
fn covers(entry: &str, gateway: &GatewayUrl) -> bool {
    if entry == "*" {
        return true;
    }
    let (name, port) = split_port(entry);
    if port.is_some_and(|port| port != gateway.port()) {
        return false;
    }
    match gateway.host() {
        Host::Domain(host) => {
            let name = name.trim_start_matches("*.").trim_matches('.').to_ascii_lowercase();
            let host = host.trim_end_matches('.');
            let under = host
                .strip_suffix(&name)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            !name.is_empty() && under
        }
        Host::Ipv4(ip) => is_in(IpAddr::V4(*ip), name),
        Host::Ipv6(ip) => is_in(IpAddr::V6(*ip), name),
    }
}

/// `name:443`, `10.0.0.1:443`, `[2001:db8::1]:443`; but `2001:db8::1` has no port.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some((name, port)) = entry.rsplit_once(':')
        && (name.ends_with(']') || !name.contains(':'))
        && let Ok(port) = port.parse()
    {
        return (strip_brackets(name), Some(port));
    }
    (strip_brackets(entry), None)
}

fn strip_brackets(name: &str) -> &str {
    name.strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name)
}

/// Whether an address is another, or in a network.
fn is_in(ip: IpAddr, network: &str) -> bool {
    let (base, length) = network.split_once('/').unwrap_or((network, ""));
    let Ok(base) = base.parse::<IpAddr>() else {
        return false;
    };
    // The bits that are compared, and how many there are.
    let (differ, width) = match (ip, base) {
        (IpAddr::V4(ip), IpAddr::V4(base)) => (u128::from(ip.to_bits() ^ base.to_bits()) << 96, 32),
        (IpAddr::V6(ip), IpAddr::V6(base)) => (ip.to_bits() ^ base.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    let length = if length.is_empty() { Ok(width) } else { length.parse() };
    length.is_ok_and(|length: u32| length <= width && differ.leading_zeros() >= length)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Result<T = ()> = std::result::Result<T, DialError>;

    fn chosen(gateway: &str, variables: &[(&str, &str)]) -> Result<Option<String>> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(set, _)| *set == name);
            found.map(|&(_, value)| value.to_owned())
        };
        let proxy = Proxy::from_environment(&GatewayUrl::parse(gateway)?, variable)?;
        Ok(proxy.map(|proxy| proxy.authority()))
    }

    #[test]
    fn addresses_are_read_and_logins_are_not_shown() -> Result {
        let proxy = Proxy::parse("http://joe:p%40ss%3a@Proxy.example.com:3128/")?;
        assert_eq!(format!("{proxy:?}"), "Proxy(proxy.example.com:3128)");
        let gateway = GatewayUrl::parse("https://gw")?;
        assert_eq!(
            proxy.request(&gateway),
            // joe:p@ss:
            "CONNECT gw:443 HTTP/1.1\r\nHost: gw:443\r\nProxy-Authorization: Basic am9lOnBAc3M6\r\n\r\n"
        );
        assert_eq!(Proxy::parse("proxy:3128")?.authority(), "proxy:3128");
        assert_eq!(Proxy::parse("http://[::1]:3128")?.authority(), "[::1]:3128");
        assert_eq!(
            Proxy::parse("http://proxy")?.request(&gateway),
            "CONNECT gw:443 HTTP/1.1\r\nHost: gw:443\r\n\r\n"
        );
        for text in [
            "",
            "https://proxy",
            "socks5://proxy",
            "http://proxy/x",
            "http://jo%3ae:x@proxy",
            "http://%zz:x@proxy",
        ] {
            let error = Proxy::parse(text).map(drop);
            assert!(matches!(error, Err(DialError::ProxyAddress(_))), "{text}: {error:?}");
        }
        Ok(())
    }

    #[test]
    fn the_environment_names_a_proxy_and_exceptions() -> Result {
        let gateway = "https://gw.eu.example.com";
        assert_eq!(chosen(gateway, &[])?, None);
        assert_eq!(chosen(gateway, &[("HTTPS_PROXY", "")])?, None);
        assert_eq!(chosen(gateway, &[("HTTP_PROXY", "http://a:1")])?, None);
        let both = [("HTTPS_PROXY", "http://a:1"), ("https_proxy", "http://b:2")];
        assert_eq!(chosen(gateway, &both)?.as_deref(), Some("b:2"));
        assert_eq!(chosen("http://localhost:1", &both)?, None);
        assert_eq!(chosen("https://127.0.0.1:1", &both)?, None);
        assert!(chosen(gateway, &[("HTTPS_PROXY", "https://a:1")]).is_err());
        for (without, gateway, direct) in [
            ("*", gateway, true),
            ("gw.eu.example.com", gateway, true),
            ("GW.EU.example.com.", gateway, true),
            ("example.com", gateway, true),
            (".example.com", gateway, true),
            ("*.example.com", gateway, true),
            ("a, b eu.example.com", gateway, true),
            ("example.com:443", gateway, true),
            ("example.com:8443", gateway, false),
            ("ample.com", gateway, false),
            ("gw", gateway, false),
            (".", gateway, false),
            (":443", gateway, false),
            ("10.0.0.1", "https://10.0.0.1", true),
            ("10.0.0.1:443", "https://10.0.0.1", true),
            ("10.0.0.1:444", "https://10.0.0.1", false),
            ("10.0.0.0/8", "https://10.200.0.1", true),
            ("10.0.0.0/9", "https://10.200.0.1", false),
            ("0.0.0.0/0", "https://10.200.0.1", true),
            ("10.0.0.0/33", "https://10.0.0.0", false),
            ("10.0.0.0/", "https://10.0.0.1", false),
            ("10", "https://10.0.0.1", false),
            ("0.1", "https://10.0.0.1", false),
            ("2001:db8::1", "https://[2001:db8::1]", true),
            ("[2001:db8::1]:443", "https://[2001:db8::1]", true),
            ("[2001:db8::1]:1", "https://[2001:db8::1]", false),
            ("2001:db8::/32", "https://[2001:db8:1::1]", true),
            ("::/0", "https://10.0.0.1", false),
        ] {
            let proxy = chosen(gateway, &[("HTTPS_PROXY", "http://a:1"), ("NO_PROXY", without)])?;
            assert_eq!(proxy.is_none(), direct, "{without} for {gateway}");
        }
        Ok(())
    }

    #[test]
    fn answers_are_understood_or_refused() {
        let status = |answer: &str| match refusal(answer.as_bytes()) {
            None => Ok(()),
            Some(DialError::ProxyRefused { status }) => Err(Some(status)),
            Some(_) => Err(None),
        };
        assert_eq!(status("HTTP/1.1 200 OK\r\n\r\n"), Ok(()));
        assert_eq!(status("HTTP/1.0 200 Connection established\r\n\r\n"), Ok(()));
        assert_eq!(status("HTTP/1.1 299\r\n\r\n"), Ok(()));
        assert_eq!(
            status("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
            Err(Some(407))
        );
        assert_eq!(status("HTTP/1.1 100 Continue\r\n\r\n"), Err(Some(100)));
        for answer in [
            "",
            "SSH-2.0-x\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 20\r\n\r\n",
            "HTTP/1.1 2000\r\n\r\n",
            "HTTP/1.1 +20 OK\r\n\r\n",
        ] {
            assert_eq!(status(answer), Err(None), "{answer:?}");
        }
    }
}
