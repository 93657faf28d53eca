use dicomet_proto::AeTitle;
use proptest::prelude::*;

use super::*;
use crate::nodes::{Operation, Operations};

const TABLE: &str = r#"
[serve]
listen = "0.0.0.0:11112"
aet = "ARCHIVE"
quota = "500G"
duplicate = "replace"
log_format = "json"

[[node]]
name = "ct-1"
aet = "CT1"
from = ["192.0.2.0/24", "ct-1.example.org"]
allow = ["echo", "store", "worklist"]

[[node]]
name = "viewer"
aet = "VIEWER"
host = "192.0.2.7"
port = 11112
called = ["ARCHIVE"]
allow = ["find", "get", "move"]
destinations = ["viewer"]
associations = 4

[[node]]
name = "backup"
aet = "BACKUP"
host = "backup.example.org"
port = 104
"#;

fn told(text: &str) -> String {
    Config::parse(text, "dicomet.toml").unwrap_err().to_string()
}

#[test]
fn the_table_says_who_may_do_what() {
    let config = Config::parse(TABLE, "dicomet.toml").unwrap();
    assert_eq!(config.serve.quota, Some(Text(Size(500_000_000_000))));
    let table = config.table(&[], Strangers::Rejected).unwrap();
    let nodes: Vec<&KnownNode> = table.iter().collect();
    assert_eq!(nodes[0].allow.iter().count(), 3);
    assert_eq!(nodes[0].node(), None);
    assert_eq!(nodes[1].destinations, Some(vec![AeTitle::new("VIEWER").unwrap()]));
    assert_eq!(nodes[1].from, ["192.0.2.7".parse().unwrap()]);
    assert_eq!((nodes[1].associations, nodes[2].associations), (4, 1));
    assert_eq!(nodes[2].allow, Operations::from_iter([Operation::Echo]));
}

#[test]
fn a_node_is_found_by_name_and_by_ae_title() {
    let config = Config::parse(TABLE, "dicomet.toml").unwrap();
    let node = config.node("viewer").and_then(NodeEntry::node).unwrap();
    assert_eq!(node.to_string(), "VIEWER@192.0.2.7:11112");
    assert_eq!(config.node("BACKUP").unwrap().name.get_ref(), "backup");
    assert_eq!(config.node("nobody"), None);
}

#[test]
fn an_error_names_line_and_key() {
    for (text, line, words) in [
        ("[serve]\nlisten = \"0.0.0.0:11112\"\nlissen = 1\n", "line 3", "lissen"),
        ("[serve]\naet = \"SEVENTEEN_LETTERS\"\n", "line 2", "aet"),
        ("[serve]\nmax_window = 0\n", "line 2", "max_window"),
        ("[serve]\ndata = \"\"\n", "line 2", "data"),
        ("[serve]\nquota = \"much\"\n", "line 2", "500G"),
        ("[serve]\nlog = \"x=y=z\"\n", "line 2", "log"),
        ("\n[[node]]\nname = \"a\"\naet = \"A\"\nfrom = [\"10.0.0.0/40\"]\n", "line 5", "from"),
        ("[[node]]\nname = \"a\"\naet = \"A\"\nfrom = [\"any\"]\nallow = [\"stor\"]\n", "line 5", "stor"),
        ("[[node]]\nname = \"a\"\nfrom = [\"any\"]\n", "line 1", "aet"),
        ("[[nodes]]\nname = \"a\"\n", "line 1", "nodes"),
    ] {
        let error = told(text);
        assert!(error.contains(line) && error.contains(words), "{error}");
    }
}

#[test]
fn a_byte_that_is_no_utf8_is_told_with_its_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dicomet.toml");
    std::fs::write(&file, b"# Our caf\xC3\xA9\n[serve]\n  data = \"/srv/caf\xE9\"\naet = \"A\"\n").unwrap();
    let error = Config::read(&file).unwrap_err().to_string();
    assert!(error.ends_with("dicomet.toml, line 3: no UTF-8 behind 'data = \"/srv/caf'"), "{error}");
}

#[test]
fn what_does_not_go_together_is_told_with_the_line_of_the_node() {
    let node = |name: &str, rest: &str| format!("[[node]]\nname = \"{name}\"\naet = \"A\"\n{rest}\n");
    let any = "from = [\"any\"]";
    for (text, words) in [
        (node("a", ""), "line 2: node 'a': nothing says from where it may call"),
        (node("a", "host = \"h\""), "line 2: node 'a': there is a host and no port"),
        (node("a@b", any), "has no '@'"),
        (format!("{}{}", node("a", any), node("a", any)), "line 6: node 'a': there is another node"),
        (
            node("a", "from = [\"any\"]\nallow = [\"all\"]\ndestinations = [\"b\"]"),
            "line 2: node 'a': destination 'b' is no node of this file",
        ),
        (
            format!("{}{}", node("a", "host = \"h\"\nport = 1"), node("b", "host = \"h\"\nport = 2")),
            "line 7: node 'b': its AE title has two addresses, A@h:1 and A@h:2",
        ),
    ] {
        let error = told(&text);
        assert!(error.contains(words), "{error}");
    }
}

/// A table with some of the keys of a node, and values that may be right.
fn hostile_table() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        r#""(a|A|CT1|any|192\.0\.2\.0/(24|33)|::1|all|store|[a-zA-Z0-9.:/@*\[\] -]{0,20})""#,
        "(true|-1|0|104|70000|1e9|[a-z]{0,3})",
        r#"\["(a|any|all|echo|10\.0\.0\.0/8|.{0,10})"(, "[a-z0-9./]{0,9}")?\]"#,
    ];
    let key = "(name|aet|host|port|from|called|allow|destinations|listen|quota|open|[a-z]{0,6})";
    let line = (key, value).prop_map(|(key, value)| format!("{key} = {value}\n"));
    let section = (r"(\[serve\]|\[\[node\]\]|)\n", prop::collection::vec(line, 0..8))
        .prop_map(|(head, lines)| head + &lines.concat());
    prop::collection::vec(section, 0..4).prop_map(|sections| sections.concat())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_what_is_read_makes_a_table(text in prop_oneof![hostile_table(), ".{0,60}"]) {
        if let Ok(config) = Config::parse(&text, "dicomet.toml") {
            prop_assert!(config.table(&[], crate::nodes::Strangers::Rejected).is_ok(), "{text}");
        }
    }

    /// A part of a good table, with one byte changed.
    #[test]
    fn no_damage_to_a_good_table_makes_it_panic(at in any::<prop::sample::Index>(), byte in 0_u8..128) {
        let mut bytes = TABLE.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Config::parse(&String::from_utf8_lossy(&bytes), "dicomet.toml");
        let _ = Config::parse(&TABLE[..at], "dicomet.toml");
    }
}
