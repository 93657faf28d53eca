//! Where a peer is: `AET@host:port`.

use dicomet_proto::AeTitle;

/// A peer: its AE title and its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The AE title to call it by.
    pub ae_title: AeTitle,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// A text is not `AET@host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not AET@host:port, such as ORTHANC@127.0.0.1:4242: {reason}")]
pub struct InvalidNode {
    text: String,
    reason: String,
}

impl std::str::FromStr for Node {
    type Err = InvalidNode;

    fn from_str(text: &str) -> Result<Node, InvalidNode> {
        let invalid = |reason: &str| InvalidNode { text: text.to_owned(), reason: reason.to_owned() };
        let (ae_title, address) = text.split_once('@').ok_or_else(|| invalid("there is no '@'"))?;
        let (host, port) = address.rsplit_once(':').ok_or_else(|| invalid("there is no port"))?;
        let ae_title = AeTitle::new(ae_title).map_err(|error| invalid(&error.to_string()))?;
        let port = port.parse().ok().filter(|port| *port != 0);
        let port = port.ok_or_else(|| invalid("the port is not a number from 1 to 65535"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(invalid("the host is empty"));
        }
        Ok(Node { ae_title, host: host.to_owned(), port })
    }
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "{}@[{}]:{}", self.ae_title, self.host, self.port)
        } else {
            write!(f, "{}@{}:{}", self.ae_title, self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["ORTHANC@127.0.0.1:4242", "A B@pacs.example:104", "A@[::1]:11112"] {
            assert_eq!(text.parse::<Node>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, reason) in [
            ("host:104", "no '@'"),
            ("AET@host", "no port"),
            ("AET@host:0", "1 to 65535"),
            ("AET@:104", "host is empty"),
            ("SEVENTEEN_LETTERS@h:1", "16 characters"),
        ] {
            let error = text.parse::<Node>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
