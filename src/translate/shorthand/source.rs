//! Where the file of a media header comes from.

use url::Url;

use super::Refusal;

/// Where the file of a media header comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MediaSource {
    /// An address, fetched through the guarded fetcher.
    Url(String),
    /// Id of a file on the portal's disk.
    DiskFile(String),
    /// The file that is attached to the line.
    Attached,
}

impl MediaSource {
    /// Reads what was typed: an address, or the number of a file on the portal's disk.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let text = text.trim();
        let bad = || Refusal::BadLink { link: text.to_owned() };
        let number = text.strip_prefix("disk:").unwrap_or(text);
        if !number.is_empty() && number.len() <= 20 && number.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Self::DiskFile(number.to_owned()));
        }
        let url = Url::parse(text).map_err(|_| bad())?;
        match url.scheme() {
            "http" | "https" if url.host().is_some() && text.len() <= 4_000 => Ok(Self::Url(text.to_owned())),
            _ => Err(bad()),
        }
    }

    /// The id of the file on the disk of the portal at `host`, if the address is the disk's own page of it:
    /// such a page wants a login, the file is had through the portal's REST.
    pub fn on_portal(&self, host: &str) -> Option<String> {
        let link = match self {
            Self::Url(link) => link,
            Self::DiskFile(id) => return Some(id.clone()),
            Self::Attached => return None,
        };
        let url = Url::parse(link).ok()?;
        // A portal of one's own may be named with its port.
        let host = host.split(':').next().unwrap_or_default();
        if host.is_empty() || !url.host_str()?.eq_ignore_ascii_case(host) {
            return None;
        }
        let digits = |text: &str| {
            (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.to_owned())
        };
        let steps: Vec<&str> = url.path().split('/').filter(|step| !step.is_empty()).collect();
        let in_path = steps.windows(3).find_map(|steps| match steps {
            ["disk", word, id]
                if ["showfile", "downloadfile", "file", "show-file", "download-file"]
                    .contains(&word.to_ascii_lowercase().as_str()) =>
            {
                digits(id)
            }
            _ => None,
        });
        let of_query = || {
            let names = ["fileId", "objectId", "FILE_ID"];
            let is_disk = steps.first() == Some(&"disk") || url.path().contains("disk.");
            url.query_pairs().filter(|_| is_disk).find_map(|(name, id)| {
                names.iter().any(|known| name.eq_ignore_ascii_case(known)).then(|| digits(&id)).flatten()
            })
        };
        in_path.or_else(of_query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_the_number_of_a_file_are_sources() {
        for good in ["https://a.example/x.pdf?y=1+2#z", "http://a.example"] {
            assert_eq!(MediaSource::parse(good), Ok(MediaSource::Url(good.to_owned())));
        }
        assert_eq!(MediaSource::parse("1234"), Ok(MediaSource::DiskFile("1234".to_owned())));
        assert_eq!(MediaSource::parse("disk:1234"), Ok(MediaSource::DiskFile("1234".to_owned())));
        for bad in [
            "",
            "ftp://a.example/x",
            "file:///etc/passwd",
            "a.example/x",
            "https://",
            "disk:",
            "javascript:1",
        ] {
            assert!(matches!(MediaSource::parse(bad), Err(Refusal::BadLink { .. })), "{bad}");
        }
    }

    #[test]
    fn a_page_of_the_portals_disk_is_a_file_of_it() {
        let of = |link: &str| MediaSource::Url(link.to_owned()).on_portal("acme.bitrix24.com");
        for (link, id) in [
            ("https://acme.bitrix24.com/disk/showFile/77/?&ncc=1&filename=a.pdf", Some("77")),
            ("https://acme.bitrix24.com/disk/downloadFile/77/", Some("77")),
            (
                "https://ACME.bitrix24.com/bitrix/services/main/ajax.php?action=disk.api.file.download&fileId=77",
                None,
            ),
            ("https://acme.bitrix24.com/disk/?action=x&fileId=77", Some("77")),
            ("https://acme.bitrix24.com/~AbCd", None),
            ("https://other.bitrix24.com/disk/showFile/77/", None),
            ("https://acme.bitrix24.com/disk/showFile/seven/", None),
        ] {
            assert_eq!(of(link).as_deref(), id, "{link}");
        }
        assert_eq!(MediaSource::DiskFile("5".to_owned()).on_portal(""), Some("5".to_owned()));
    }
}
