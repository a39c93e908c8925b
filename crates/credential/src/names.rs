//! Names that go into paths and hosts of services: what may be in them, and how they get there.

use std::{fmt::Write, path::Path};

use sallyport_outgoing::is_loopback;
use url::Url;

/// The longest name or path, in bytes.
const MAX_NAME: usize = 512;

/// What is wrong with an option, as a sentence that begins with its name.
pub(crate) type Checked<T = ()> = Result<T, String>;

/// A path of a service: names with single slashes between them, and none that leads elsewhere.
pub(crate) fn path(option: &str, text: &str) -> Checked {
    if text.len() > MAX_NAME {
        return Err(format!("`{option}` is longer than {MAX_NAME} bytes"));
    }
    text.split('/').try_for_each(|part| segment(option, part))
}

/// One name of a path.
pub(crate) fn segment(option: &str, text: &str) -> Checked {
    let odd = |c: char| c.is_control() || matches!(c, '\\' | '/' | '?' | '#' | '%');
    if text.is_empty() || text == "." || text == ".." {
        return Err(format!("`{option}` has an empty name in it, or one that is only dots"));
    }
    if text.len() > MAX_NAME || text.contains(odd) || text.trim() != text {
        return Err(format!(
            "`{option}` is too long or has a character that no name has (\\ / ? # %, control characters, spaces around it)"
        ));
    }
    Ok(())
}

/// A name of letters, digits and a few signs, which may be part of a host name or of an identifier.
pub(crate) fn plain(option: &str, text: &str) -> Checked {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > 255 || !text.chars().all(good) || text.starts_with('.') || text.contains("..") {
        return Err(format!(
            "`{option}` may have letters, digits, `-`, `_` and single dots only"
        ));
    }
    Ok(())
}

/// Something that is not a path: anything printable.
pub(crate) fn printable(option: &str, text: &str) -> Checked {
    if text.is_empty() || text.len() > 2048 || text.chars().any(char::is_control) {
        return Err(format!("`{option}` is empty, too long, or has control characters"));
    }
    Ok(())
}

/// An address that may be spoken to: `https`, or `http` on loopback; without user, query or fragment.
pub(crate) fn address(option: &str, text: &str) -> Checked<Url> {
    let url = sallyport_outgoing::address(text).map_err(|why| format!("`{option}`: {why}"))?;
    match url.query() {
        None => Ok(url),
        Some(_) => Err(format!("`{option}`: it must not have a query")),
    }
}

/// The same, when only loopback or hosts below one of these domains may get what is sent there.
pub(crate) fn address_within(option: &str, text: &str, domains: &[&str]) -> Checked<Url> {
    let url = address(option, text)?;
    let host = url.host_str().unwrap_or_default();
    let inside = |domain: &&str| {
        host.strip_suffix(*domain)
            .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
    };
    if is_loopback(&url) || domains.iter().any(inside) {
        return Ok(url);
    }
    Err(format!("`{option}`: the host must be within {}", domains.join(", ")))
}

/// An address on this machine.
pub(crate) fn local_address(option: &str, text: &str) -> Checked<Url> {
    let url = address(option, text)?;
    if is_loopback(&url) {
        Ok(url)
    } else {
        Err(format!("`{option}`: it is for tests and must be on loopback"))
    }
}

/// The names of paths, each escaped, with slashes between all of them.
pub(crate) fn escape_path(paths: &[&str]) -> String {
    let parts = paths.iter().flat_map(|path| path.split('/'));
    parts.map(escape).collect::<Vec<_>>().join("/")
}

/// Everything but what [RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#section-2.3) leaves unreserved, escaped.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A path that is relative to the file in which it was written.
pub(crate) fn anchor(path: &mut std::path::PathBuf, base: &Path) {
    *path = base.join(&path);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_no_request() {
        assert!(address("address", "https://vault.example.com:8200/").is_ok());
        for bad in ["https://vault.example.com/?x", "http://vault.example.com"] {
            assert!(address("address", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_domain_is_matched_at_its_dots() {
        let within = |text| address_within("vault", text, &["vault.azure.net"]).is_ok();
        assert!(within("https://mine.vault.azure.net"));
        for bad in [
            "https://vault.azure.net",
            "https://evilvault.azure.net",
            "https://mine.vault.azure.net.evil.example",
            "https://.vault.azure.net",
        ] {
            assert!(!within(bad), "{bad}");
        }
    }

    #[test]
    fn paths_lead_nowhere_else() {
        for good in ["db/orders", "a b/ü", "a.b/..c", "x=y&z"] {
            assert!(path("path", good).is_ok(), "{good}");
        }
        for bad in [
            "", "/a", "a/", "a//b", "a/../b", "..", ".", "a/./b", "a?b", "a#b", "a%2e", "a\\b", "a\nb", "a/ b", "a\0",
        ] {
            assert!(path("path", bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_path_that_is_good_stays_where_it_is(text in "\\PC{0,40}") {
            if path("path", &text).is_ok() {
                let made = format!("/v1/secret/data/{}", escape_path(&[&text]));
                let url = Url::parse(&format!("https://vault.example.com{made}")).unwrap();
                prop_assert_eq!(url.path(), made);
                prop_assert!(url.query().is_none() && url.fragment().is_none());
            }
        }
    }
}
