//! `dicomet find` ended by Ctrl-C: what was answered is written, whole, and told to be some of it; nobody waits for a peer.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use std::process::{Command, Output, Stdio};

use dicomet_net::association::{Data, Timeouts};
use dicomet_net::listen::Listener;
use dicomet_net::service::{self, Request};
use dicomet_proto::association::negotiation::{Willing, first_proposed};
use dicomet_proto::dataset::{DataSet, Tag};
use dicomet_proto::message::{self, CFindRsp, DataSetType, Status};

use support::binary;

fn interrupt(id: u32) {
    assert!(Command::new("kill").args(["-INT", &id.to_string()]).status().unwrap().success());
}

/// A peer that answers until it is asked to stop, which the first answers bring about, and ends or not.
async fn found_from_a_peer(heeds_cancel: bool) -> Output {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Timeouts::default()).await.unwrap();
    let mut find = Command::new(binary());
    find.args(["find", &format!("PEER@{}", listener.local_address()), "--format", "json"]);
    // Who waited for the peer would wait longer than a test may take.
    find.args(["--timeout", "3600"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = find.spawn().unwrap();
    let id = child.id();
    let ended = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
    let requested = listener.accept().await.request().await.unwrap();
    let mut association = requested.accept(&Willing(first_proposed)).await.unwrap();
    let request = service::next_request(&mut association).await.unwrap();
    let Some(Request::Find(context, rq, _)) = request else { panic!("{request:?}") };
    let mut response = CFindRsp {
        message_id: rq.message_id,
        affected_sop_class_uid: None,
        status: Status::PENDING,
        identifier: DataSetType::Present,
        error_comment: None,
        offending_elements: Vec::new(),
    };
    let mut answer = DataSet::new();
    answer.set_text(Tag(0x0010, 0x0020), "PAT004");
    let identifier = answer.encode(&context.transfer_syntax).unwrap();
    let pending = message::Command::CFindRsp(response.clone());
    let mut sent = 0;
    while !association.cancel_requested(rq.message_id).unwrap() {
        association.send(context.id, &pending, Data::Bytes(&identifier)).await.unwrap();
        sent += 1;
        // More than the lines on the way hold: by then it takes answers, and Ctrl-C is heard.
        if sent == 100_000 {
            interrupt(id);
        }
    }
    if heeds_cancel {
        (response.status, response.identifier) = (Status::CANCEL, DataSetType::Null);
        let end = message::Command::CFindRsp(response);
        association.send(context.id, &end, Data::None).await.unwrap();
        association.flush().await.unwrap();
        let _ = service::next_request(&mut association).await;
    } else {
        interrupt(id);
    }
    ended.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_query_in_part_and_twice_at_once() {
    for heeds_cancel in [true, false] {
        let output = found_from_a_peer(heeds_cancel).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("interrupted after") && said.contains("there may be more"), "{said}");
        let answers: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(!answers.as_array().unwrap().is_empty());
    }
}
