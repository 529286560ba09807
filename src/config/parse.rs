//! How texts become typed values. Each error says in words what is expected.

use std::net::SocketAddr;

use url::Url;

/// `http` or `https`, host and port, no path: where a server is reached.
pub(super) fn origin(text: &str) -> Result<Url, String> {
    let url = address(text)?;
    if url.path() != "/" {
        return Err(format!("`{text}` must end after host and port, without a path"));
    }
    Ok(url)
}

/// `http` or `https` with whatever path; no query, no fragment, no user.
pub(super) fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`{text}` is not an address: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{text}` must begin with http:// or https://"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("`{text}` must have no query and no fragment"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must have no user and password in it".to_owned());
    }
    Ok(url)
}

/// IP address and port.
pub(super) fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is not an IP address with a port, as 127.0.0.1:8080"))
}

/// A host name, made lower case.
pub(super) fn host(text: &str) -> Result<String, String> {
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        Ok(name)
    } else {
        Err(format!("`{text}` is not a host name"))
    }
}

/// Host name or address, with a port.
pub(super) fn host_and_port(text: &str) -> Result<String, String> {
    if text.parse::<SocketAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    let parts =
        text.rsplit_once(':').and_then(|(name, port)| Some((host(name).ok()?, port.parse::<u16>().ok()?)));
    match parts {
        Some((name, port)) if port != 0 => Ok(format!("{name}:{port}")),
        _ => Err(format!("`{text}` is not a host with a port, as sip.example.com:5061")),
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("`{text}` is none of {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_ends_after_the_port() {
        assert_eq!(origin("https://bridge.example.com").unwrap().as_str(), "https://bridge.example.com/");
        for wrong in [
            "bridge.example.com",
            "ftp://bridge.example.com",
            "https://bridge.example.com/path",
            "https://bridge.example.com/?x=1",
            "https://user:pass@bridge.example.com",
        ] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_not_repeated() {
        assert!(!address("https://user:hunter2@example.com").unwrap_err().contains("hunter2"));
    }

    #[test]
    fn host_names_and_ports_are_checked() {
        assert_eq!(host_and_port("WA.meta.vc:5061").unwrap(), "wa.meta.vc:5061");
        assert_eq!(host_and_port("[::1]:5061").unwrap(), "[::1]:5061");
        for wrong in ["wa.meta.vc", "wa.meta.vc:0", "wa.meta.vc:99999", "-a.b:1", "a..b:1", ":5061"] {
            assert!(host_and_port(wrong).is_err(), "{wrong}");
        }
    }
}
